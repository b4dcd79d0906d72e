"""The rules of backfills: one decision per date, never more than the pace allows, dates in order and each once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.backfill import (
    BACKFILL_ARROWS,
    BackfillDate,
    BackfillEvent,
    BackfillState,
    Existing,
    Found,
    Keep,
    Make,
    Order,
    Pace,
    Rerun,
    Skip,
    decide_date,
    decide_room,
    estimate_seconds,
    in_order,
    latest_at,
    next_state,
)
from glidepath_server.core.errors import StateConflict
from glidepath_server.core.states import RUN_FINAL, RunState

RUN = UUID(int=7)
START = datetime(2026, 1, 1, tzinfo=UTC)
PACES = st.builds(
    Pace,
    runs_active_max=st.integers(1, 50),
    rate_runs=st.none() | st.integers(1, 20),
    rate_seconds=st.floats(1, 1000),
)


@pytest.mark.parametrize("existing", Existing)
def test_a_date_without_a_run_gets_one_and_one_whose_run_is_gone_none(existing: Existing) -> None:
    assert decide_date(existing, None) == Make()
    assert decide_date(existing, Found(RUN, None)) == Skip("its run is not kept any more", RUN)


@pytest.mark.parametrize(("existing", "state", "again"), product(Existing, RunState, (False, True)))
def test_a_run_that_is_there_is_never_doubled_and_reruns_are_of_ended_runs(
    existing: Existing, state: RunState, again: bool
) -> None:
    decision = decide_date(existing, Found(RUN, state), again)
    assert not isinstance(decision, Make)
    if isinstance(decision, Rerun):
        assert state in RUN_FINAL and decision.whole == (existing is Existing.RERUN_ALL and not again)
    if isinstance(decision, Skip):
        assert decision.reason and not again
    if again:
        failed = state in (RunState.FAILED, RunState.CANCELLED)
        assert isinstance(decision, Rerun if failed else Keep)


def test_what_is_set_aside_is_left_alone() -> None:
    for existing in Existing:
        assert decide_date(existing, Found(RUN, RunState.RUNNING, quarantined=True)) == Skip(
            "its run is quarantined", RUN
        )


@pytest.mark.parametrize(
    ("existing", "state", "expected"),
    [
        (Existing.SKIP, RunState.SUCCESS, "its run has succeeded"),
        (Existing.SKIP, RunState.FAILED, "its run has failed"),
        (Existing.SKIP, RunState.CANCELLED, "its run was cancelled"),
        (Existing.SKIP, RunState.QUEUED, "its run is queued"),
        (Existing.RERUN_FAILED, RunState.SUCCESS, "its run has succeeded"),
        (Existing.RERUN_ALL, RunState.RUNNING, "its run is running"),
    ],
)
def test_each_skip_says_why(existing: Existing, state: RunState, expected: str) -> None:
    assert decide_date(existing, Found(RUN, state)) == Skip(expected, RUN)


@given(pace=PACES, active=st.integers(0, 60), ages=st.lists(st.floats(0, 2000), max_size=40))
def test_room_never_passes_the_cap_or_the_rate(pace: Pace, active: int, ages: list[float]) -> None:
    room = decide_room(pace, active, ages)
    assert 0 <= room.runs <= max(pace.runs_active_max - active, 0)
    if pace.rate_runs is None:
        assert room.runs == max(pace.runs_active_max - active, 0) and room.wait_seconds is None
        return
    recent = [age for age in ages if age < pace.rate_seconds]
    assert room.runs <= max(pace.rate_runs - len(recent), 0)
    if room.wait_seconds is not None:
        assert room.runs == 0 and 0 <= room.wait_seconds <= pace.rate_seconds
        later = [age + room.wait_seconds + 1e-6 for age in recent]
        assert decide_room(pace, active, later).runs >= 1


@given(rate=st.integers(1, 5), seconds=st.floats(1, 50), steps=st.lists(st.floats(0, 20), max_size=60))
def test_a_rate_holds_in_every_span_whenever_it_is_asked(rate: int, seconds: float, steps: list[float]) -> None:
    pace, starts, now = Pace(1000, rate, seconds), list[float](), 0.0
    for step in steps:
        now += step
        starts += [now] * decide_room(pace, 0, [now - start for start in starts]).runs
    for first in starts:
        assert sum(first <= start < first + seconds for start in starts) <= rate


@given(days=st.lists(st.integers(0, 400)), order=st.sampled_from(Order))
def test_dates_come_in_order_and_each_once(days: list[int], order: Order) -> None:
    dates = [BackfillDate(*[START + timedelta(days=day)] * 3) for day in days]
    ordered = [each.logical_date for each in in_order(dates, order)]
    assert ordered == sorted({each.logical_date for each in dates}, reverse=order is Order.DESCENDING)


@given(days=st.lists(st.integers(0, 100), min_size=1, max_size=20), instant=st.integers(-10, 120))
def test_the_version_of_a_date_is_the_last_one_made_before_it(days: list[int], instant: int) -> None:
    versions = [(number, START + timedelta(days=day)) for number, day in enumerate(sorted(days), start=1)]
    at = START + timedelta(days=instant)
    there = [number for number, made in versions if made <= at]
    assert latest_at(versions, at) == (there[-1] if there else 1)


@pytest.mark.parametrize(
    ("runs", "pace", "each", "expected"),
    [
        (0, Pace(3), 10.0, 0.0),
        (1, Pace(3), 10.0, 10.0),
        (3, Pace(3), 10.0, 10.0),
        (4, Pace(3), 10.0, 20.0),
        (4, Pace(3), None, None),
        (10, Pace(10, 2, 60.0), 10.0, 250.0),
        (10, Pace(1, 2, 60.0), 100.0, 1000.0),
    ],
)
def test_an_estimate_is_bound_by_the_cap_or_the_rate(
    runs: int, pace: Pace, each: float | None, expected: float | None
) -> None:
    assert estimate_seconds(runs, pace, each) == expected


@pytest.mark.parametrize(
    ("waiting", "pace", "active", "starts", "expected"),
    [
        (0, Pace(3), [4.0, 1.0], [], 9.0),
        (0, Pace(3), [25.0], [], 0.0),  # it takes longer than the others did
        (1, Pace(3), [4.0, 1.0], [], 10.0),  # one place is free
        (1, Pace(2), [4.0, 1.0], [], 16.0),
        (3, Pace(2), [4.0, 1.0], [], 26.0),
        (29, Pace(3, 1, 86_400.0), [], [3_600.0], 29 * 86_400.0 - 3_600.0 + 10.0),
        (29, Pace(3, 1, 86_400.0), [], [], 28 * 86_400.0 + 10.0),
        (1, Pace(3, 2, 60.0), [], [5.0], 10.0),  # two may begin in a minute, and one has
        (2, Pace(3, 2, 60.0), [], [5.0], 65.0),
        (1, Pace(3, 2, 60.0), [], [5.0, 90.0], 10.0),
    ],
)
def test_an_estimate_counts_what_has_begun(
    waiting: int, pace: Pace, active: list[float], starts: list[float], expected: float
) -> None:
    assert estimate_seconds(waiting, pace, 10.0, active=active, starts=starts) == expected


@given(
    waiting=st.integers(0, 40),
    places=st.integers(1, 6),
    active=st.lists(st.floats(0, 12), max_size=6),
    starts=st.lists(st.floats(0, 100), max_size=6).map(sorted),
    rate=st.none() | st.integers(1, 5),
)
def test_an_estimate_is_what_comes_of_starting_each_as_soon_as_it_may(
    waiting: int, places: int, active: list[float], starts: list[float], rate: int | None
) -> None:
    free = [max(0.0, 10.0 - seconds) for seconds in active[:places]]
    begun, ends = [-seconds for seconds in starts[::-1]], list(free)
    free += [0.0] * (places - len(free))
    for _ in range(waiting):
        free.sort()
        start = max(free[0], begun[-rate] + 30.0 if rate and len(begun) >= rate else 0.0)
        begun.append(start)
        free[0] = start + 10.0
        ends.append(free[0])
    found = estimate_seconds(waiting, Pace(places, rate, 30.0), 10.0, active=active[:places], starts=starts)
    longest = max(ends, default=0.0)
    # A place that is free later delays what the rate would let begin: the estimate takes the harder bound of the two.
    assert found is not None and found <= longest + 1e-6
    if rate is None:
        assert found == pytest.approx(longest)


@pytest.mark.parametrize(("state", "event"), product(BackfillState, BackfillEvent))
def test_what_is_no_arrow_is_refused_with_what_to_do(state: BackfillState, event: BackfillEvent) -> None:
    if (state, event) in BACKFILL_ARROWS:
        assert next_state(state, event) is BACKFILL_ARROWS[state, event]
        return
    with pytest.raises(StateConflict, match=f"cannot {event.value} a backfill that"):
        next_state(state, event)


def test_a_cancelled_backfill_stays_cancelled() -> None:
    after = {to for (state, _), to in BACKFILL_ARROWS.items() if state is BackfillState.CANCELLED}
    assert after == {BackfillState.CANCELLED}
