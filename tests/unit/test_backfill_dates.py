"""The dates of backfills: those of a rule within a range of logical dates, or those that are listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core import backfill_dates
from glidepath_server.core.backfill import DATES_MAX, Existing, Order
from glidepath_server.core.backfill_dates import dates_of
from glidepath_server.core.backfill_spec import BackfillSpec, check_spec, spec_from_json, spec_to_json
from glidepath_server.core.errors import InvalidInput
from glidepath_server.core.schedules import ContinuousRule, CronRule, DataInterval, Schedule, Tick, ticks, ticks_between

NOW = datetime(2026, 11, 27, 18, tzinfo=UTC)
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SEED = "default/sales/nightly"
NIGHTLY = Schedule(CronRule("0 2 * * *"), "Europe/Berlin")


def spec(**fields: object) -> BackfillSpec:
    return BackfillSpec("sales", **fields)  # type: ignore[arg-type]


def in_range(count: int, schedule: Schedule | None = NIGHTLY, **fields: object) -> list[datetime]:
    asked = spec(range_start=FIRST, range_end=FIRST + DAY * count, schedule_name="nightly", **fields)
    return [each.logical_date for each in dates_of(asked, schedule, SEED, NOW)]


def test_a_range_has_the_dates_of_the_rule_in_its_zone_and_both_its_ends() -> None:
    asked = spec(range_start=FIRST, range_end=FIRST + DAY * 40, cron="0 0 * * *", zone="Europe/Berlin")
    found = [each.logical_date for each in dates_of(asked, None, SEED, NOW)]
    # Clocks went forward on the 29th.
    assert found[0] == FIRST + timedelta(hours=23) and found[28] == datetime(2026, 3, 29, 22, tzinfo=UTC)
    utc = spec(range_start=FIRST, range_end=FIRST + DAY * 2, cron="0 0 * * *", zone="UTC")
    assert [each.logical_date for each in dates_of(utc, None, SEED, NOW)] == [FIRST, FIRST + DAY, FIRST + DAY * 2]


def test_a_period_counts_from_the_start_of_the_range() -> None:
    start = FIRST + timedelta(minutes=7)
    asked = spec(range_start=start, range_end=start + DAY, period_seconds=21_600.0)
    assert [each.logical_date - start for each in dates_of(asked, None, SEED, NOW)] == [DAY / 4 * n for n in range(5)]


def test_a_backfill_reaches_beyond_the_life_of_its_schedule() -> None:
    late = replace(NIGHTLY, start=FIRST + DAY * 300, end=FIRST + DAY * 310, runs_max=1)
    assert in_range(5, late) == in_range(5)


def test_what_the_schedule_leaves_out_is_a_date_that_is_skipped_with_the_reason() -> None:
    choosy = replace(NIGHTLY, excluded_weekdays=(5, 6), excluded_dates=(date(2026, 3, 4),))
    asked = spec(range_start=FIRST, range_end=FIRST + DAY * 7, schedule_name="nightly")
    found = dates_of(asked, choosy, SEED, NOW)
    assert [each.skip for each in found] == [
        "excluded weekday Sunday",
        "",
        "",
        "excluded date 2026-03-04",
        "",
        "",
        "excluded weekday Saturday",
    ]


def test_a_date_whose_interval_is_not_over_is_none() -> None:
    before = replace(NIGHTLY, data_interval=DataInterval.BEFORE)
    asked = spec(range_start=NOW - DAY * 3, range_end=NOW, schedule_name="nightly")
    found = dates_of(asked, before, SEED, NOW)
    assert all(each.data_interval_end <= NOW for each in found)
    assert [each.data_interval_start for each in found[1:]] == [each.data_interval_end for each in found[:-1]]
    assert all(each.logical_date == each.data_interval_start for each in found)


@given(
    minutes=st.integers(0, 6 * 366 * 1440),
    days=st.integers(0, 60),
    zone=st.sampled_from(["UTC", "Europe/Dublin", "Australia/Lord_Howe", "Asia/Kolkata"]),
    expression=st.sampled_from(["0 2 * * *", "30 */6 * * *", "15 1 * * 1-5", "0 0 1 * *"]),
)
def test_a_range_has_exactly_the_ticks_of_its_schedule(minutes: int, days: int, zone: str, expression: str) -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    end, schedule = min(start + DAY * days, NOW), Schedule(CronRule(expression), zone)
    expected = [(each.logical_date, each.skip) for each in ticks_between(schedule, SEED, start, end)]
    asked = spec(range_start=start, range_end=end, schedule_name="nightly")
    assert check_spec(asked, NOW) == []
    if all(skip for _, skip in expected):
        with pytest.raises(InvalidInput, match="without a date"):
            dates_of(asked, schedule, SEED, NOW)
        return
    assert [(each.logical_date, each.skip) for each in dates_of(asked, schedule, SEED, NOW)] == expected


def test_listed_dates_of_a_schedule_are_its_logical_dates() -> None:
    dates = in_range(5)
    asked = spec(dates=(dates[3], dates[0]), schedule_name="nightly")
    assert [each.logical_date for each in dates_of(asked, NIGHTLY, SEED, NOW)] == [dates[0], dates[3]]
    with pytest.raises(
        InvalidInput, match=r"spec.logical_dates\[0\]: got 2026-03-01T00:00:00Z, expected a logical date of"
    ):
        dates_of(spec(dates=(FIRST,), schedule_name="nightly"), NIGHTLY, SEED, NOW)
    before = replace(NIGHTLY, data_interval=DataInterval.BEFORE)
    [found] = dates_of(asked, before, SEED, NOW)[:1]
    assert (found.logical_date, found.data_interval_end) == (dates[0], dates[1])


@pytest.mark.parametrize("interval", DataInterval)
def test_listed_dates_are_those_of_the_range_however_many_and_however_far_apart(interval: DataInterval) -> None:
    minutes = Schedule(CronRule("* 20-23 * * *"), "UTC", data_interval=interval, excluded_weekdays=(0, 5, 6))
    found = [each for each in in_range(14, minutes) if each.weekday() not in (0, 5, 6)]
    for dates in (found, found[::37], found[:1] + found[-1:], found[::-1]):
        asked = spec(dates=tuple(dates), schedule_name="nightly")
        assert [each.logical_date for each in dates_of(asked, minutes, SEED, NOW)] == sorted(dates)


def test_a_listed_date_that_is_left_out_is_found_beside_the_one_before() -> None:
    days = Schedule(CronRule("0 0 * * *"), "UTC", data_interval=DataInterval.BEFORE, excluded_weekdays=(5,))
    friday, saturday = datetime(2026, 3, 6, tzinfo=UTC), datetime(2026, 3, 7, tzinfo=UTC)
    found = dates_of(spec(dates=(saturday, friday), schedule_name="nightly"), days, SEED, NOW)
    assert [(each.logical_date, bool(each.skip)) for each in found] == [(friday, False), (saturday, True)]


def test_to_find_thousands_of_listed_dates_is_to_walk_over_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, each was looked for by itself: seconds, in which the database ended the transaction."""
    begun: list[datetime] = []

    def counted(schedule: Schedule, seed: str, after: datetime) -> Iterator[Tick]:
        begun.append(after)
        return ticks(schedule, seed, after)

    monkeypatch.setattr(backfill_dates, "ticks", counted)
    hours = Schedule(CronRule("0 * * * *"), "America/New_York", data_interval=DataInterval.BEFORE)
    dates = tuple(datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=number) for number in range(2000))
    assert len(dates_of(spec(dates=dates, schedule_name="nightly"), hours, SEED, NOW)) == 2000
    assert len(begun) < 10


def test_a_continuous_schedule_has_no_dates() -> None:
    with pytest.raises(InvalidInput, match="a continuous one has none"):
        in_range(5, Schedule(ContinuousRule(), "UTC"))


def test_ten_thousand_dates_are_taken_and_one_more_is_not() -> None:
    def asked(count: int) -> BackfillSpec:
        end = FIRST + timedelta(minutes=count - 1)
        return spec(range_start=FIRST, range_end=end, cron="* * * * *", zone="UTC")

    assert len(dates_of(asked(DATES_MAX), None, SEED, NOW)) == DATES_MAX
    with pytest.raises(InvalidInput, match="more than 10000 dates"):
        dates_of(asked(DATES_MAX + 1), None, SEED, NOW)


def test_a_spec_that_was_stored_is_the_same() -> None:
    asked = spec(
        range_start=FIRST,
        range_end=FIRST + DAY,
        cron="0 0 * * *",
        zone="UTC",
        order=Order.DESCENDING,
        existing=Existing.RERUN_ALL,
        rate_runs=3,
        rate_seconds=60.0,
        weight=0.5,
        pool_name="fills",
    )
    assert spec_from_json(spec_to_json(asked)) == asked
