"""What holds of the ticks of any schedule: their order, their intervals, and that it does not matter who asks when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise, takewhile

from cronsim import CronSim
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from glidepath_server.core.catchup import catchup_reach, decide_missed
from glidepath_server.core.preview import preview
from glidepath_server.core.schedules import (
    Catchup,
    CronRule,
    DataInterval,
    DatesRule,
    DstGap,
    DstOverlap,
    IntervalRule,
    Schedule,
    check_schedule,
    schedule_from_json,
    schedule_to_json,
    ticks,
    ticks_before,
)
from tests.unit.schedule_world import SEED
from tests.unit.tick_model import Expression

ZONES = ["America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "America/St_Johns", "UTC"]
COUNT = 40


def field(least: int, most: int) -> st.SearchStrategy[str]:
    number = st.integers(least, most)
    span = st.tuples(number, number).filter(lambda ends: ends[0] < ends[1]).map(lambda ends: f"{ends[0]}-{ends[1]}")
    part = st.one_of(number.map(str), span, st.tuples(span, st.integers(1, 9)).map(lambda two: f"{two[0]}/{two[1]}"))
    parts = st.lists(part, min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), st.integers(2, 9).map(lambda step: f"*/{step}"), parts)


# A day of */n beside the other day: cron programs disagree about it.
EXPRESSIONS = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)).filter(
    lambda each: not each[2].startswith("*/") and not each[4].startswith("*/")
)
# A few years that have all kinds of jumps.
INSTANTS = st.datetimes(datetime(2005, 1, 1), datetime(2014, 1, 1)).map(lambda each: each.replace(tzinfo=UTC))  # noqa: DTZ001
RULES = st.one_of(
    EXPRESSIONS.map(lambda each: CronRule(" ".join(each))),
    st.sampled_from(["30 2 * * *", "0 0 * * *", "H H * * H", "30 23,0,1 * * *", "@hourly"]).map(CronRule),
    st.builds(IntervalRule, st.floats(60, 400_000), st.none() | INSTANTS),
    st.lists(INSTANTS, min_size=1, max_size=30).map(lambda each: DatesRule(tuple(each))),
)


SCHEDULES = st.builds(
    Schedule,
    RULES,
    st.sampled_from(ZONES),
    st.sampled_from(DstGap),
    st.sampled_from(DstOverlap),
    start=st.none() | INSTANTS,
    end=st.none() | INSTANTS,
    jitter_seconds=st.sampled_from([0.0, 30.0, 9_000.0]),
    excluded_weekdays=st.sets(st.integers(0, 6), max_size=3).map(tuple),
    excluded_dates=st.sets(st.dates(date(2011, 12, 1), date(2012, 1, 9)), max_size=3).map(tuple),
    data_interval=st.sampled_from(DataInterval),
).filter(lambda schedule: not check_schedule(schedule, "schedule"))
# An eighth of what the profile says, so that these are a few seconds of `make test`.
few = settings(max_examples=max(10, settings().max_examples // 8))


@few
@given(SCHEDULES, INSTANTS)
def test_ticks_increase_and_each_is_due_before_the_next(schedule: Schedule, after: datetime) -> None:
    found = list(islice(ticks(schedule, SEED, after), COUNT))
    assert all(after < each.tick_time <= each.due_time for each in found)
    assert all(one.due_time < two.tick_time for one, two in pairwise(found))
    assert all(schedule.start is None or each.tick_time >= schedule.start for each in found)
    assert all(schedule.end is None or each.tick_time <= schedule.end for each in found)
    assert len({each.logical_date for each in found}) == len(found)


@few
@given(SCHEDULES, INSTANTS)
def test_intervals_are_contiguous_and_not_empty(schedule: Schedule, after: datetime) -> None:
    schedule = replace(schedule, data_interval=DataInterval.BEFORE)
    assume(not check_schedule(schedule, "schedule"))
    found = [each for each in islice(ticks(schedule, SEED, after), COUNT) if not each.skip]
    assert all(each.data_interval_start < each.data_interval_end == each.tick_time for each in found)
    assert all(one.data_interval_end == two.data_interval_start for one, two in pairwise(found))


@few
@given(SCHEDULES, INSTANTS, st.integers(0, COUNT - 1))
def test_who_goes_on_after_any_tick_gets_the_rest(schedule: Schedule, after: datetime, place: int) -> None:
    found = list(islice(ticks(schedule, SEED, after), COUNT))
    assume(place < len(found))
    rest = list(islice(ticks(schedule, SEED, found[place].tick_time), COUNT - place - 1))
    assert rest == found[place + 1 :]


@few
@given(SCHEDULES, INSTANTS, st.timedeltas(timedelta(hours=1), timedelta(days=20)))
def test_where_one_looks_from_changes_no_tick(schedule: Schedule, after: datetime, earlier: timedelta) -> None:
    late = list(islice(ticks(schedule, SEED, after), COUNT // 2))
    assume(late)
    last = late[-1].tick_time
    early = takewhile(lambda each: each.tick_time <= last, ticks(schedule, SEED, after - earlier))
    assert [each for each in early if each.tick_time > after] == late


@few
@given(SCHEDULES, INSTANTS)
def test_ticks_backwards_are_the_ticks_forwards(schedule: Schedule, after: datetime) -> None:
    found = list(islice(ticks(schedule, SEED, after), COUNT))
    assume(found)
    assert list(islice(ticks_before(schedule, SEED, found[-1].tick_time), len(found))) == found[::-1]


@few
@given(SCHEDULES, INSTANTS)
def test_a_preview_is_the_ticks(schedule: Schedule, since: datetime) -> None:
    found = list(islice(ticks(schedule, SEED, since - timedelta(microseconds=1)), 10))
    shown = preview(schedule, SEED, since, 10)
    assert [each.tick for each in shown] == found
    assert all(each.local_time == each.tick.tick_time for each in shown)


@few
@given(SCHEDULES)
def test_the_text_of_any_schedule_gives_it_back(schedule: Schedule) -> None:
    text = schedule_to_json(schedule)
    assert schedule_to_json(schedule_from_json(text)) == text
    after = datetime(2010, 1, 1, tzinfo=UTC)
    again = ticks(schedule_from_json(text), SEED, after)
    assert list(islice(again, 5)) == list(islice(ticks(schedule, SEED, after), 5))


@few
@given(SCHEDULES, INSTANTS, st.sampled_from([Catchup.NONE, Catchup.LATEST]), st.booleans())
def test_none_and_latest_make_at_most_one_run_of_a_pause(
    schedule: Schedule, after: datetime, catchup: Catchup, whole: bool
) -> None:
    schedule = replace(schedule, catchup=catchup)
    due = list(islice(ticks(schedule, SEED, after), COUNT))
    assume(due)
    now = due[-1].due_time
    reach = None if whole else catchup_reach(schedule, SEED, now)
    decided = decide_missed(schedule, due, now, now, reach)
    assert [tick for tick, _ in decided] == due
    assert [reason for _, reason in decided].count(None) <= (catchup is Catchup.LATEST)


@few
@given(EXPRESSIONS, INSTANTS)
def test_days_and_times_are_those_of_a_second_library(fields: tuple[str, ...], after: datetime) -> None:
    schedule = Schedule(CronRule(" ".join(fields)), "UTC")
    assume(not check_schedule(schedule, "schedule"))
    after = after.replace(microsecond=0)
    found = [each.tick_time for each in islice(ticks(schedule, SEED, after), 10)]
    assert found == list(islice(CronSim(" ".join(fields), after), 10))
    expression = Expression(" ".join(fields))
    assert all(expression.matches(each.replace(tzinfo=None)) for each in found)
