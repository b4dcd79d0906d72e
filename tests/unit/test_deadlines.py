"""When deadlines are due, on clocks that skip and repeat, and what becomes of them in any order of events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from glidepath_server.core.deadlines import (
    DEADLINE_FINAL,
    DEADLINE_OPEN,
    DEADLINE_TRANSITIONS,
    NAME_CHARACTERS_MAX,
    WEEKDAYS,
    Anchor,
    Deadline,
    DeadlineEvent,
    DeadlineState,
    RunTimes,
    Watched,
    check_deadlines,
    deadline_from_json,
    deadline_to_json,
    default_name,
    due_time,
    follow,
    holds,
    is_done,
    judge,
    named,
    next_wall_time,
)
from glidepath_server.core.facts import FactKind
from glidepath_server.core.states import RunState, TaskState

# Instants near which clocks change, with zones that do it in odd ways.
CHANGES = [
    ("Asia/Kolkata", datetime(2026, 3, 29, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("Europe/Dublin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 2, 15, 2, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC)),
    ("America/St_Johns", datetime(2006, 10, 29, 2, 31, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("Asia/Pyongyang", datetime(2018, 5, 4, 15, tzinfo=UTC)),
]
BASE = datetime(2026, 11, 27, 2, tzinfo=UTC)
WALLS = st.builds(time, st.integers(0, 23), st.integers(0, 59))


def first_by_looking(begin: datetime, wall: time, zone: str, weekdays: frozenset[int]) -> datetime:
    """Minute by minute: each local day's instant is the first at which clocks have come as far."""
    place = ZoneInfo(zone)
    start = begin - timedelta(days=2)
    seen_days: dict[object, datetime] = {}
    shown = set()
    for minutes in range(60 * 24 * 13):
        instant = start + timedelta(minutes=minutes)
        local = instant.astimezone(place).replace(tzinfo=None)
        shown.add(local.date())
        for day in (local.date() - timedelta(days=1), local.date()):
            if local >= datetime.combine(day, wall):
                seen_days.setdefault(day, instant)
    found = [
        instant
        for day, instant in sorted(seen_days.items(), key=lambda each: each[1])
        if instant >= begin and day in shown and (not weekdays or day.weekday() in weekdays)  # type: ignore[attr-defined]
    ]
    return found[0]


# A search by minutes takes a while: a twentieth of what other properties are tried with.
@settings(max_examples=max(15, settings.default.max_examples // 20), deadline=None)
@given(
    change=st.sampled_from(CHANGES),
    minutes=st.integers(-60 * 30, 60 * 30),
    wall=WALLS,
    weekdays=st.frozensets(st.integers(0, 6), max_size=6),
)
@example(change=CHANGES[1], minutes=-90, wall=time(2, 30), weekdays=frozenset())
@example(change=CHANGES[2], minutes=-30, wall=time(2, 30), weekdays=frozenset())
@example(change=CHANGES[10], minutes=0, wall=time(9, 15), weekdays=frozenset({4}))
def test_a_wall_time_is_where_a_search_by_minutes_finds_it(
    change: tuple[str, datetime], minutes: int, wall: time, weekdays: frozenset[int]
) -> None:
    zone, instant = change
    begin = instant + timedelta(minutes=minutes)
    found = next_wall_time(begin, wall, zone, sorted(weekdays))
    assert found == first_by_looking(begin, wall, zone, weekdays)


def test_a_time_in_a_gap_is_at_its_end_and_a_time_that_comes_twice_at_its_first() -> None:
    before_gap, before_overlap = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert next_wall_time(before_gap, time(2, 30), "Europe/Berlin") == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert next_wall_time(before_overlap, time(2, 30), "Europe/Berlin") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_the_very_instant_counts_and_the_weekend_is_left_out() -> None:
    friday = datetime(2026, 11, 27, 3, 45, tzinfo=UTC)
    assert next_wall_time(friday, time(9, 15), "Asia/Kolkata", range(5)) == friday
    monday = datetime(2026, 11, 30, 3, 45, tzinfo=UTC)
    assert next_wall_time(friday + timedelta(seconds=1), time(9, 15), "Asia/Kolkata", range(5)) == monday


# ---- which runs have which
def times(run_type: str = "manual", **fields: datetime) -> RunTimes:
    return replace(RunTimes(run_type, BASE, BASE, BASE), **fields)


WALL = Deadline("by nine", Anchor.WALL, wall_time=time(9, 15), zone="Asia/Kolkata")


def test_each_anchor_counts_from_its_own_instant() -> None:
    run = RunTimes("scheduled", *(BASE + timedelta(hours=hours) for hours in range(4)))
    hour = timedelta(hours=1)
    due = {anchor: due_time(Deadline("", anchor, 3600.0), run) for anchor in Anchor if anchor is not Anchor.WALL}
    assert due == {
        Anchor.QUEUE: run.create_time + hour,
        Anchor.LOGICAL_DATE: run.logical_date + hour,
        Anchor.INTERVAL_END: run.data_interval_end + hour,
        Anchor.START: BASE + 4 * hour,
    }
    assert due_time(Deadline("", Anchor.START, 3600.0), times()) is None


def test_a_wall_time_counts_from_the_interval_of_a_scheduled_run_and_the_creation_of_others() -> None:
    old = BASE - timedelta(days=3)
    assert due_time(WALL, times("scheduled", data_interval_end=old)) == datetime(2026, 11, 24, 3, 45, tzinfo=UTC)
    assert due_time(WALL, times("manual", data_interval_end=old)) == datetime(2026, 11, 27, 3, 45, tzinfo=UTC)


def test_what_was_over_before_a_run_was_asked_for_is_no_deadline_of_it_unless_a_schedule_owed_it() -> None:
    late = times(logical_date=BASE - timedelta(days=30))
    deadline = Deadline("", Anchor.LOGICAL_DATE, 3600.0)
    assert not holds(deadline, late)
    assert not holds(deadline, replace(late, run_type="child"))
    assert holds(deadline, replace(late, run_type="scheduled"))
    assert holds(deadline, times())


def test_runs_of_a_backfill_have_only_what_counts_from_their_start() -> None:
    assert [
        anchor
        for anchor in Anchor
        if holds(Deadline("", anchor, 3600.0, wall_time=time(9), zone="UTC"), times("backfill"))
    ] == [Anchor.START]


# ---- what becomes of them
STEPS = st.lists(
    st.tuples(st.sampled_from(["risk", "calm", "look", "done"]), st.integers(0, 30)), min_size=1, max_size=25
)


@given(STEPS, st.none() | st.integers(0, 400))
def test_any_life_of_a_deadline_tells_each_fact_once_and_the_truth(
    steps: list[tuple[str, int]], due_second: int | None
) -> None:
    watched = Watched(due_time=None if due_second is None else BASE + timedelta(seconds=due_second))
    now, told, done_at, outcomes = BASE, [], None, []
    for what, seconds in steps:
        now += timedelta(seconds=seconds)
        if what in ("risk", "calm"):
            watched, facts = judge(watched, now, done=False)
            watched, fact = follow(watched, DeadlineEvent(what))
            facts += [fact] if fact else []
        else:
            watched, facts = judge(watched, now, done=what == "done")
            done_at = done_at or (now if what == "done" else None)
        told += facts
        if watched.state not in DEADLINE_OPEN:
            outcomes.append(watched.state)
    assert len(set(told)) == len(told) and watched.told == set(told)
    due = watched.due_time
    in_time = done_at is not None and (due is None or done_at <= due)
    late = due is not None and now > due and not in_time
    assert (FactKind.MISSED in told) == late
    assert (FactKind.MET_LATE in told) == (late and done_at is not None)
    assert (watched.state is DeadlineState.MET) == in_time
    assert (FactKind.RECOVERED in told) <= (FactKind.AT_RISK in told)
    # The first outcome stays, but that what was missed may be met late.
    assert outcomes in (
        [],
        [DeadlineState.MET] * len(outcomes),
        sorted(outcomes, key=[DeadlineState.MISSED, DeadlineState.MET_LATE].index)
        if DeadlineState.MET not in outcomes
        else None,
    )


def test_no_arrow_leaves_a_last_outcome_and_every_open_state_can_be_missed_and_met() -> None:
    assert not {state for state, _ in DEADLINE_TRANSITIONS} & DEADLINE_FINAL
    for state in DEADLINE_OPEN:
        assert DEADLINE_TRANSITIONS[state, DeadlineEvent.PASS] == (DeadlineState.MISSED, FactKind.MISSED)
        assert DEADLINE_TRANSITIONS[state, DeadlineEvent.DONE][0] is DeadlineState.MET


def test_what_is_done_at_the_very_instant_is_in_time_and_a_moment_later_is_not() -> None:
    watched = Watched(due_time=BASE)
    assert judge(watched, BASE, done=True) == (replace(watched, state=DeadlineState.MET), [])
    after, facts = judge(watched, BASE + timedelta(microseconds=1), done=True)
    assert (after.state, facts) == (DeadlineState.MET_LATE, [FactKind.MISSED, FactKind.MET_LATE])


TASKS, GROUPS = ("a", "b", "c"), ("", "g", "g.inner")


@pytest.mark.parametrize("state", TaskState)
def test_a_task_is_done_when_nothing_is_left_to_do_of_it(state: TaskState) -> None:
    states = [TaskState.FAILED, state, TaskState.SKIPPED]
    done = state in (TaskState.SUCCESS, TaskState.SKIPPED, TaskState.REMOVED)
    for deadline in (Deadline("", Anchor.QUEUE, 1, task_id="b"), Deadline("", Anchor.QUEUE, 1, group_id="g")):
        assert is_done(deadline, RunState.RUNNING, states, TASKS, GROUPS) == done
    assert is_done(Deadline("", Anchor.QUEUE, 1, group_id="g.inner"), RunState.FAILED, states, TASKS, GROUPS)


@pytest.mark.parametrize("state", RunState)
def test_only_a_run_that_has_succeeded_is_done(state: RunState) -> None:
    assert is_done(Deadline("", Anchor.QUEUE, 1), state, (), (), ()) == (state is RunState.SUCCESS)


# ---- words, checks, stored form
DEADLINES = st.builds(
    Deadline,
    st.just("name"),
    st.sampled_from([each for each in Anchor if each is not Anchor.WALL]),
    st.floats(0.001, 1e6),
    task_id=st.sampled_from(["", "a"]),
) | st.builds(
    Deadline,
    st.just("name"),
    st.just(Anchor.WALL),
    wall_time=WALLS,
    zone=st.sampled_from(["UTC", "Asia/Kolkata"]),
    weekdays=st.frozensets(st.integers(0, 6)).map(lambda days: tuple(sorted(days))),
    group_id=st.sampled_from(["", "g"]),
)


@given(DEADLINES)
def test_a_deadline_comes_back_from_its_stored_form(deadline: Deadline) -> None:
    assert deadline_from_json("name", deadline_to_json(deadline)) == deadline


@given(DEADLINES)
def test_a_deadline_that_is_right_is_not_complained_of(deadline: Deadline) -> None:
    assert not list(check_deadlines([deadline], "deadlines", TASKS, GROUPS))


@pytest.mark.parametrize(
    ("deadline", "name"),
    [
        (replace(WALL, weekdays=(0, 1, 2, 3, 4)), "09:15 Asia/Kolkata mon-fri"),
        (replace(WALL, weekdays=(0, 2, 5, 6)), "09:15 Asia/Kolkata mon,wed,sat-sun"),
        (Deadline("", Anchor.START, 21_600.0), "6h after its start"),
        (Deadline("", Anchor.QUEUE, 90_061.5, task_id="a"), "a: 1d1h1m1.5s after it was queued"),
    ],
)
def test_a_deadline_without_a_name_is_called_by_what_it_says(deadline: Deadline, name: str) -> None:
    assert named(replace(deadline, name="")).name == name
    assert len(WEEKDAYS) == 7


def test_long_names_of_what_is_watched_leave_room_for_what_is_said_of_it() -> None:
    task = "a" * 200
    both = [Deadline("", Anchor.START, seconds, task_id=task) for seconds in (60.0, 120.0)]
    names = [named(each).name for each in both]
    assert [name.rpartition("a: ")[2] for name in names] == ["1m after its start", "2m after its start"]
    assert {len(name) for name in names} == {NAME_CHARACTERS_MAX}
    assert list(check_deadlines(both, "deadlines", [task], [])) == []


def test_two_that_would_have_one_name_once_it_is_cut_are_refused() -> None:
    tasks = ["a" * 199 + end for end in "bc"]
    alike = [Deadline("", Anchor.START, 60.0, task_id=task) for task in tasks]
    assert [each.field for each in check_deadlines(alike, "deadlines", tasks, [])] == ["deadlines[1].name"]


@pytest.mark.parametrize(
    ("deadline", "field"),
    [
        (Deadline("", Anchor.START), "deadlines[0].after"),
        (Deadline("", Anchor.START, float("nan")), "deadlines[0].after"),
        (Deadline("", Anchor.QUEUE, 400 * 86_400.0), "deadlines[0].after"),
        (Deadline("x\n", Anchor.QUEUE, 1.0), "deadlines[0].name"),
        (Deadline("x" * 201, Anchor.QUEUE, 1.0), "deadlines[0].name"),
        (replace(WALL, zone=""), "deadlines[0].wall.zone"),
        (replace(WALL, zone="Mars/Olympus"), "deadlines[0].wall.zone"),
        (replace(WALL, zone="../etc/passwd"), "deadlines[0].wall.zone"),
        (replace(WALL, wall_time=None), "deadlines[0].wall.clock"),
        (replace(WALL, weekdays=(0, 0)), "deadlines[0].wall.weekdays"),
        (replace(WALL, weekdays=(7,)), "deadlines[0].wall.weekdays"),
        (replace(WALL, task_id="a", group_id="g"), "deadlines[0].group_id"),
        (replace(WALL, task_id="z"), "deadlines[0].task_id"),
        (replace(WALL, group_id="z"), "deadlines[0].group_id"),
    ],
)
def test_what_is_wrong_with_a_deadline_is_said_by_field(deadline: Deadline, field: str) -> None:
    assert [each.field for each in check_deadlines([deadline], "deadlines", TASKS, GROUPS)] == [field]


@pytest.mark.parametrize("anchor", [Anchor.LOGICAL_DATE, Anchor.INTERVAL_END, Anchor.WALL])
def test_what_is_due_beyond_the_calendar_is_never_due(anchor: Anchor) -> None:
    """Somebody may run a DAG for the end of time; that there is a deadline does not keep him from it."""
    last = datetime(9999, 12, 31, 23, tzinfo=UTC)
    deadline = Deadline("d", anchor, 86_400.0, time(9, 15), "America/New_York")
    assert due_time(deadline, RunTimes("scheduled", last, last, last)) is None
    assert not holds(deadline, RunTimes("manual", last, last, last))


def test_two_deadlines_of_one_name_and_too_many_are_refused() -> None:
    same = [replace(WALL, name=""), replace(WALL, name=default_name(WALL))]
    assert [each.field for each in check_deadlines(same, "deadlines", TASKS, GROUPS)] == ["deadlines[1].name"]
    many = [replace(WALL, name=str(number)) for number in range(101)]
    (only,) = check_deadlines(many, "deadlines", TASKS, GROUPS)
    assert (only.field, only.expected) == ("deadlines", "at most 100 of a DAG")
