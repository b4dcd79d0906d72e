"""When an attempt that deferred is resumed, what that uses up, and how long a task may wait in all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_world import BROKEN, NOW, A, S, graph_of

from glidepath_server.core.advance import advance
from glidepath_server.core.board import Board
from glidepath_server.core.effects import Effects
from glidepath_server.core.events import (
    AttemptEnded,
    Deferral,
    RunCancelled,
    RunStarted,
    event_from_json,
    event_to_json,
)
from glidepath_server.core.next_attempt import DEFERRALS_MAX
from glidepath_server.core.retry import Budget, RetryPolicy
from glidepath_server.core.states import AttemptState, RunState
from glidepath_server.core.trigger_rules import TriggerRule

WAIT_SECONDS = 600.0


class Waiting:
    """A run of one task whose attempts mostly defer; `at` is the instant of the last step."""

    def __init__(self, *, retries: int = 0, wait_seconds: float = WAIT_SECONDS) -> None:
        policy = RetryPolicy(retries, losses_max=1)
        self.graph = graph_of([[]], [TriggerRule.ALL_SUCCESS], [policy], waits=(wait_seconds,))
        self.board = Board.fresh(1)
        self.at = NOW
        [self.live] = advance(self.graph, self.board, [RunStarted()], NOW).releases

    def end(
        self,
        outcome: AttemptState = A.DEFERRED,
        deferral: Deferral | None = None,
        *,
        later: float = 0.0,
        **fields: object,
    ) -> Effects:
        """The live attempt ends so many seconds after it could start."""
        self.at = max(self.at, self.live.at or self.at) + timedelta(seconds=later)
        live = self.live
        ended = AttemptEnded(
            0,
            -1,
            live.attempt_number,
            outcome,
            live.tries,
            live.losses,
            live.redeliveries,
            deferral=deferral,
            deferrals=live.deferrals,
            waiting_since=live.waiting_since,
            **fields,  # type: ignore[arg-type]
        )
        effects = advance(self.graph, self.board, [ended], self.at)
        if effects.releases:
            [self.live] = effects.releases
        return effects


def after(seconds: float) -> Deferral:
    return Deferral(None, seconds)


def test_a_deferral_uses_nothing_up_and_is_resumed_when_it_asked() -> None:
    run = Waiting()
    run.end(deferral=after(30))
    assert run.live == (0, -1, 2, 0, 0, 0, NOW + timedelta(seconds=30), 1, NOW, 0)
    until = NOW + timedelta(seconds=90)
    run.end(deferral=Deferral(until))
    assert (run.live.at, run.live.deferrals, run.live.waiting_since) == (until, 2, NOW)
    assert run.end(A.SUCCESS).run_state is RunState.SUCCESS


def test_what_lies_in_the_past_or_asks_for_nothing_waits_for_a_second() -> None:
    for deferral in (None, after(0), Deferral(NOW - timedelta(days=1))):
        run = Waiting()
        run.end(deferral=deferral)
        assert run.live.at == NOW + timedelta(seconds=1)


def test_the_wait_goes_on_through_retries_losses_and_hand_backs() -> None:
    run = Waiting(retries=1)
    run.end(deferral=after(5))
    for outcome in (A.FAILED, A.LOST, A.RETURNED):
        run.end(outcome, failure=BROKEN if outcome is A.FAILED else None)
        assert (run.live.deferrals, run.live.waiting_since) == (1, NOW)
    assert run.live[2:6] == (5, 1, 1, 1)


def test_the_last_look_is_at_the_end_of_the_wait() -> None:
    run = Waiting(retries=3)
    run.end(deferral=after(400))
    run.end(deferral=after(400))
    assert run.live.at == NOW + timedelta(seconds=WAIT_SECONDS), "not after 800 s"
    effects = run.end(deferral=after(1))
    assert S(run.board.states[0]) is S.FAILED, "no retry is used for it"
    assert effects.dead_letters[0].budget is Budget.NONE
    assert "waited 600 s in all, as long as its wait_timeout allows" in effects.reason


def test_what_the_last_look_finds_counts() -> None:
    run = Waiting()
    run.end(deferral=after(10_000))
    assert run.end(A.SUCCESS).run_state is RunState.SUCCESS


def test_a_wait_that_may_last_for_a_moment_only_is_given_one_look() -> None:
    run = Waiting(wait_seconds=0.001)
    run.end(deferral=after(60))
    assert run.live.at == NOW + timedelta(seconds=1)
    assert run.end(deferral=after(60)).run_state is RunState.FAILED


def test_deferrals_are_bounded() -> None:
    run = Waiting(wait_seconds=1e9)
    run.live = run.live._replace(deferrals=DEFERRALS_MAX, waiting_since=NOW)
    assert f"deferred {DEFERRALS_MAX} times" in run.end(deferral=after(1)).reason


def test_a_cancelled_run_resumes_nothing() -> None:
    run = Waiting()
    advance(run.graph, run.board, [RunCancelled()], NOW)
    assert run.end(deferral=after(1), cancel_requested=True).run_state is RunState.CANCELLED


@given(
    waits=st.lists(st.floats(0, 1_000), min_size=1, max_size=40),
    takes=st.floats(0, 50),
    bound=st.floats(1, 2_000),
)
def test_a_wait_ends_within_its_bound(waits: list[float], takes: float, bound: float) -> None:
    run = Waiting(wait_seconds=bound)
    first: datetime | None = None
    for seconds in waits:
        before = run.at
        effects = run.end(deferral=after(seconds), later=takes)
        first = first or run.at
        if effects.run_state is not None:
            assert run.at >= first + timedelta(seconds=bound)
            return
        assert run.live.at is not None and run.live.at > before
        assert run.live.at <= max(first + timedelta(seconds=bound), run.at + timedelta(seconds=1))


@pytest.mark.parametrize("deferral", [Deferral(), Deferral(datetime(2026, 5, 1, 3, tzinfo=UTC)), after(2.5)])
def test_a_deferral_is_kept_where_an_event_waits(deferral: Deferral) -> None:
    event = AttemptEnded(1, -1, 2, A.DEFERRED, 0, 0, 0, deferral=deferral, deferrals=3, waiting_since=NOW)
    assert event_from_json(event_to_json(event)) == event
