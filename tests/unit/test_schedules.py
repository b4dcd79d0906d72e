"""When the ticks of a schedule are and what each is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise

import pytest

from glidepath_server.core import schedules
from glidepath_server.core.cron import read_cron
from glidepath_server.core.schedules import (
    ContinuousRule,
    DataInterval,
    DatesRule,
    DstGap,
    DstOverlap,
    IntervalRule,
    Schedule,
    continuous_tick,
    run_key,
    schedule_from_json,
    schedule_to_json,
    ticks,
    ticks_between,
)
from tests.unit.schedule_world import SEED, at, cron, first, local

NEW_YORK, HAVANA = "America/New_York", "America/Havana"


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("30 2 * * *", NEW_YORK, "2024-03-09T12:00", ["10T03:00-0400", "11T02:30-0400"]),
        ("0,30 2 * * *", NEW_YORK, "2024-03-09T12:00", ["10T03:00-0400", "11T02:00-0400"]),
        ("30 2,3 * * *", NEW_YORK, "2024-03-09T12:00", ["10T03:00-0400", "10T03:30-0400", "11T02:30-0400"]),
        ("0 2,3 * * *", NEW_YORK, "2024-03-09T12:00", ["10T03:00-0400", "11T02:00-0400"]),
        ("30 * * * *", NEW_YORK, "2024-03-10T06:00", ["10T01:30-0500", "10T03:30-0400", "10T04:30-0400"]),
        ("0 */2 * * *", NEW_YORK, "2024-03-10T04:30", ["10T00:00-0500", "10T03:00-0400", "10T04:00-0400"]),
        ("0 5 * * *", "Pacific/Apia", "2011-12-29T12:00", ["29T05:00-1000", "31T00:00+1400", "31T05:00+1400"]),
        ("0 0 * * *", HAVANA, "2024-03-09T12:00", ["10T01:00-0400", "11T00:00-0400"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2024-10-05T12:00", ["06T02:30+1100", "07T02:15+1100"]),
    ],
)
def test_a_local_time_in_a_gap_runs_once_at_its_end(
    expression: str, zone: str, after: str, expected: list[str]
) -> None:
    schedule = cron(expression, zone)
    assert local(schedule, first(schedule, after, len(expected))) == expected


def test_a_gap_that_is_skipped_tells_a_skipped_tick() -> None:
    schedule = cron("30 2 * * *", NEW_YORK, gap=DstGap.SKIP)
    found = first(schedule, "2024-03-09T12:00", 2)
    assert local(schedule, found) == ["(10T03:00-0400)", "11T02:30-0400"]
    assert found[0].skip == "the clocks jump over the local time"


def test_a_regular_tick_at_the_end_of_a_gap_is_not_skipped() -> None:
    schedule = cron("0 2,3 * * *", NEW_YORK, gap=DstGap.SKIP)
    assert local(schedule, first(schedule, "2024-03-09T12:00", 2)) == ["10T03:00-0400", "11T02:00-0400"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (DstOverlap.FIRST, ["03T01:30-0400", "04T01:30-0500"]),
        (DstOverlap.LAST, ["03T01:30-0500", "04T01:30-0500"]),
        (DstOverlap.BOTH, ["03T01:30-0400", "03T01:30-0500", "04T01:30-0500"]),
    ],
)
def test_fixed_hours_that_occur_twice_follow_the_policy(policy: DstOverlap, expected: list[str]) -> None:
    schedule = cron("30 1 * * *", NEW_YORK, overlap_hours=policy)
    assert local(schedule, first(schedule, "2024-11-02T12:00", len(expected))) == expected


@pytest.mark.parametrize("policy", list(DstOverlap))
@pytest.mark.parametrize("expression", ["30 * * * *", "30 0-23 * * *", "30 1/2 * * *"])
def test_hours_with_a_star_or_steps_run_in_both_passes(expression: str, policy: DstOverlap) -> None:
    schedule = cron(expression, NEW_YORK, overlap_hours=policy)
    found = local(schedule, first(schedule, "2024-11-03T05:00", 2))
    assert found == ["03T01:30-0400", "03T01:30-0500"]


def test_a_second_pass_over_midnight_comes_in_order() -> None:
    schedule = cron("30 0,23 * * *", "America/St_Johns", overlap_hours=DstOverlap.BOTH)
    found = local(schedule, first(schedule, "2006-10-28T12:00", 4))
    assert found == ["28T23:30-0230", "28T23:30-0330", "29T00:30-0330", "29T23:30-0330"]


def test_who_asks_during_the_first_pass_is_told_the_second() -> None:
    schedule = cron("0,30 1 * * *", NEW_YORK, overlap_hours=DstOverlap.BOTH)
    assert local(schedule, first(schedule, "2024-11-03T05:30", 2)) == ["03T01:00-0500", "03T01:30-0500"]


def test_local_times_of_an_expression_begin_where_they_are_asked_for() -> None:
    times = read_cron("0,30 1,2 * * *", SEED).after(datetime(2026, 1, 1, 2, 15))  # noqa: DTZ001
    assert [f"{each:%d %H:%M}" for each in islice(times, 2)] == ["01 02:30", "02 01:00"]


def test_an_interval_counts_from_its_anchor_in_both_directions() -> None:
    schedule = Schedule(IntervalRule(90 * 60, at("2026-01-01T00:10")), "UTC")
    found = [each.tick_time for each in first(schedule, "2025-12-31T21:00", 3)]
    assert found == [at("2025-12-31T21:10"), at("2025-12-31T22:40"), at("2026-01-01T00:10")]
    assert first(schedule, "2026-01-01T00:10", 1)[0].tick_time == at("2026-01-01T01:40")


def test_dates_are_sorted_and_counted_once() -> None:
    dates = (at("2026-02-01"), at("2026-01-01T02:00+02:00"), at("2026-01-01"))
    schedule = Schedule(DatesRule(dates), "UTC")
    assert [each.tick_time for each in first(schedule, "2020-01-01", 9)] == [at("2026-01-01"), at("2026-02-01")]


def test_start_and_end_count_themselves() -> None:
    schedule = cron("0 0 * * *", start=at("2026-01-02"), end=at("2026-01-04"))
    assert [each.tick_time.day for each in first(schedule, "2020-01-01", 9)] == [2, 3, 4]
    assert [each.tick_time.day for each in first(schedule, "2026-01-02", 9)] == [3, 4]


def test_excluded_days_are_local_days_and_are_told_with_their_reason() -> None:
    schedule = cron("0 2 * * *", "Asia/Kolkata", excluded_dates=(date(2026, 11, 26),), excluded_weekdays=(5, 6))
    found = first(schedule, "2026-11-25T00:00", 5)
    assert [each.skip for each in found] == [
        "excluded date 2026-11-26",
        "",
        "excluded weekday Saturday",
        "excluded weekday Sunday",
        "",
    ]


def test_the_interval_before_a_tick_covers_the_ticks_that_were_skipped() -> None:
    schedule = cron("0 2 * * *", excluded_weekdays=(5, 6), data_interval=DataInterval.BEFORE)
    found = first(schedule, "2026-11-26T00:00", 5)
    kept = [each for each in found if not each.skip]
    assert [(each.data_interval_start.day, each.data_interval_end.day) for each in kept] == [
        (25, 26),
        (26, 27),
        (27, 30),
    ]
    assert all(each.logical_date == each.data_interval_start for each in found)
    assert len({each.logical_date for each in found}) == len(found)


def test_a_point_in_time_is_its_tick() -> None:
    (tick,) = first(cron("0 2 * * *"), "2026-11-26T00:00", 1)
    assert tick.logical_date == tick.data_interval_start == tick.data_interval_end == tick.tick_time == tick.due_time


def test_jitter_stays_before_the_next_tick_and_is_the_same_each_time() -> None:
    schedule = cron("*/5 * * * *", jitter_seconds=3_600)
    found = first(schedule, "2026-11-26T00:00", 200)
    assert all(one.tick_time <= one.due_time < two.tick_time for one, two in pairwise(found))
    assert first(schedule, "2026-11-26T00:00", 200) == found
    delays = {each.due_time - each.tick_time for each in found}
    assert len(delays) > 150 and max(delays) > timedelta(minutes=4)
    other = next(ticks(schedule, "default/train/other", at("2026-11-26T00:00")))
    assert other.due_time != found[0].due_time


def test_h_is_drawn_from_the_name_and_never_moves() -> None:
    schedule = cron("H H(1-5) * * *")
    found = [next(ticks(schedule, f"default/dag{count}/s", at("2026-01-01"))).tick_time for count in range(50)]
    assert len(set(found)) > 40 and all(1 <= each.hour <= 5 for each in found)
    assert first(schedule, "2026-01-01", 1)[0].tick_time == at("2026-01-01T03:42")


def test_daily_is_midnight_and_not_drawn() -> None:
    assert first(cron("@daily"), "2026-01-01", 1)[0].tick_time == at("2026-01-02")


def test_between_counts_both_ends() -> None:
    found = ticks_between(cron("0 0 * * *"), SEED, at("2026-01-01"), at("2026-01-03"))
    assert [each.tick_time.day for each in found] == [1, 2, 3]


def test_a_continuous_rule_begins_when_the_last_run_has_ended() -> None:
    schedule = Schedule(ContinuousRule(60), "UTC", start=at("2026-01-01"), end=at("2026-01-02"))
    begun = continuous_tick(schedule, SEED, None, at("2025-12-01"))
    assert begun is not None and begun.tick_time == at("2026-01-01")
    following = continuous_tick(schedule, SEED, begun.tick_time, at("2026-01-01T05:00"))
    assert following is not None and following.tick_time == at("2026-01-01T05:01")
    assert continuous_tick(schedule, SEED, following.tick_time, at("2026-01-02")) is None
    assert first(schedule, "2025-12-01", 1) == []


def test_a_continuous_rule_waits_for_a_day_that_is_not_excluded() -> None:
    schedule = Schedule(ContinuousRule(), "Asia/Kolkata", excluded_weekdays=(5, 6))
    tick = continuous_tick(schedule, SEED, None, at("2026-11-28T01:00"))
    assert tick is not None and tick.tick_time == at("2026-11-30T00:00+05:30")


def test_a_continuous_tick_is_always_later_than_the_last() -> None:
    schedule = Schedule(ContinuousRule(), "UTC")
    tick = continuous_tick(schedule, SEED, at("2026-01-01T00:00:01"), at("2026-01-01"))
    assert tick is not None and tick.tick_time > at("2026-01-01T00:00:01")


def test_a_run_key_is_the_name_and_the_logical_date_in_utc() -> None:
    assert run_key("nightly", at("2026-11-27T07:30+05:30")) == "nightly@2026-11-27T02:00:00Z"
    assert run_key("nightly", at("2026-11-27T02:00:00.5")) == "nightly@2026-11-27T02:00:00.500000Z"


@pytest.mark.parametrize(
    "schedule",
    [
        cron("30 2 * * *", NEW_YORK),
        Schedule(IntervalRule(90.5, at("2026-01-01")), "UTC", runs_max=3, jitter_seconds=4.0),
        Schedule(IntervalRule(90), "UTC"),
        Schedule(DatesRule((at("2026-01-01"), at("2026-02-01"))), "UTC"),
        Schedule(ContinuousRule(5), "UTC", excluded_dates=(date(2026, 1, 1),), excluded_weekdays=(0, 6)),
        cron("@daily", gap=DstGap.SKIP, overlap_hours=DstOverlap.BOTH, start=at("2026-01-01"), end=at("2027-01-01")),
    ],
)
def test_the_text_of_a_schedule_gives_it_back(schedule: Schedule) -> None:
    text = schedule_to_json(schedule)
    assert schedule_from_json(text) == schedule and schedule_to_json(schedule_from_json(text)) == text


def test_the_same_meaning_has_the_same_text() -> None:
    one = Schedule(DatesRule((at("2026-01-01T02:00+02:00"), at("2025-01-01"))), "UTC", excluded_weekdays=(6, 0, 6))
    two = Schedule(DatesRule((at("2025-01-01"), at("2026-01-01"))), "UTC", excluded_weekdays=(0, 6))
    assert schedule_to_json(one) == schedule_to_json(replace(two, jitter_seconds=0.0))


@pytest.mark.parametrize("text", ["[]", "{}", '{"rule":{"cron":"* * * * *"},"zone":"UTC","gap":"jump"}', "x"])
def test_what_is_no_text_of_a_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        schedule_from_json(text)


def test_data_from_before_many_days_that_are_left_out_is_found_by_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, every second of six days was looked at, and of many such schedules none was planned any more."""
    looked_at: list[datetime] = []
    excluded = schedules._excluded

    def counted(schedule: Schedule, instant: datetime) -> str:
        looked_at.append(instant)
        return excluded(schedule, instant)

    monkeypatch.setattr(schedules, "_excluded", counted)
    sundays = Schedule(
        IntervalRule(1.0), "America/New_York", data_interval=DataInterval.BEFORE, excluded_weekdays=(0, 1, 2, 3, 4, 5)
    )
    sunday = datetime(2026, 3, 15, 4, tzinfo=UTC)
    first = next(ticks(sundays, "seed", sunday - timedelta(seconds=1)))
    # The Sunday before has 23 hours: the clocks go forward.
    assert (first.tick_time, first.logical_date) == (sunday, datetime(2026, 3, 9, 3, 59, 59, tzinfo=UTC))
    assert len(looked_at) < 20


def test_data_from_before_a_day_that_began_twice_is_that_of_the_day_before() -> None:
    """In St. John's the clocks of 2010-11-07 went from 00:01 back to 23:01 of Saturday; Sundays are left out."""
    zone = "America/St_Johns"
    quarters = Schedule(IntervalRule(900.0), zone, data_interval=DataInterval.BEFORE, excluded_weekdays=(6,))
    monday = next(each for each in ticks(quarters, "seed", datetime(2010, 11, 7, 12, tzinfo=UTC)) if not each.skip)
    assert monday.logical_date == datetime(2010, 11, 7, 3, 15, tzinfo=UTC)
