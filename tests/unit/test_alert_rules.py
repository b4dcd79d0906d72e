"""Whom a fact concerns, what follows a try to deliver, what the end of a run has to tell."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.alerts import (
    DELIVERY_TRANSITIONS,
    DeliveryState,
    NotNow,
    Refused,
    Route,
    Sent,
    Terms,
    channels_for,
    delay_after,
    group_of,
    settle,
)
from glidepath_server.core.board import Board
from glidepath_server.core.facts import KINDS, FactKind, fact_of_end
from glidepath_server.core.states import RunState

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
ALERT = uuid.UUID(int=7)
TERMS = Terms(25, 86_400.0)


def test_every_kind_says_what_it_means() -> None:
    assert set(KINDS) == set(FactKind) and all(kind.means for kind in KINDS.values())


def test_a_channel_is_named_once_however_many_routes_lead_to_it() -> None:
    routes = [Route(("run_failed",), "b"), Route(("run_failed", "missed"), "b"), Route(("missed",), "a")]
    routes += [Route(("run_failed",), "a", "training"), Route(("run_failed",), "c", "other")]
    assert channels_for("run_failed", "training", routes) == ["a", "b"]
    assert channels_for("run_failed", "else", routes) == ["b"]
    assert channels_for("incident", "training", routes) == []


def test_facts_of_a_run_are_one_group_and_those_of_none_go_by_their_dag() -> None:
    assert group_of("training", ALERT) == group_of("other", ALERT) != group_of("training", None)
    assert group_of("training", None) != group_of("other", None)


@given(attempts=st.integers(1, 24), after=st.none() | st.floats(0, 1e12, allow_nan=False), age=st.floats(0, 86_400))
def test_what_may_go_well_later_is_tried_again_not_before_it_may_or_is_dead(
    attempts: int, after: float | None, age: float
) -> None:
    settled = settle(NotNow("busy", after), TERMS, attempts, NOON, NOON + timedelta(seconds=age), ALERT)
    assert (settled.state is DeliveryState.DEAD) == (settled.at is None)
    if settled.at is not None:
        wait = (settled.at - NOON).total_seconds() - age
        assert wait >= min(after or 0, 86_400) - 1e-3 and wait >= 9.99
        assert (settled.at - NOON).total_seconds() <= 86_400 + 1e-3
    assert "busy" in settled.error


def test_the_pauses_double_up_to_ten_minutes_and_no_two_alerts_have_the_same() -> None:
    pauses = [delay_after(attempt, ALERT) for attempt in range(1, 30)]
    assert 10 <= pauses[0] <= 12 and 20 <= pauses[1] <= 24 and 600 <= pauses[-1] <= 720
    assert len({delay_after(3, uuid.UUID(int=each)) for each in range(50)}) == 50


@pytest.mark.parametrize(
    ("outcome", "attempts", "state", "says"),
    [
        (Sent("id"), 25, DeliveryState.DELIVERED, ""),
        (Refused("unwanted"), 1, DeliveryState.DEAD, "unwanted"),
        (NotNow("busy"), 24, DeliveryState.RETRYING, "busy"),
        (NotNow("busy"), 25, DeliveryState.DEAD, "given up after 25 tries: busy"),
    ],
)
def test_each_outcome_crosses_an_arrow_of_the_table(
    outcome: Sent | NotNow | Refused, attempts: int, state: DeliveryState, says: str
) -> None:
    settled = settle(outcome, TERMS, attempts, NOON, NOON, ALERT)
    assert (settled.state, settled.error) == (state, says)
    arrows = {after for (before, _), after in DELIVERY_TRANSITIONS.items() if before is DeliveryState.RETRYING}
    assert settled.state in arrows


@pytest.mark.parametrize(
    ("was", "now", "has_failed", "told"),
    [
        (RunState.RUNNING, RunState.FAILED, False, FactKind.RUN_FAILED),
        (RunState.RUNNING, RunState.FAILED, True, FactKind.RUN_FAILED),
        (RunState.FAILED, RunState.FAILED, True, None),
        (RunState.SUCCESS, RunState.FAILED, False, FactKind.RUN_FAILED),
        (RunState.RUNNING, RunState.SUCCESS, False, None),
        (RunState.RUNNING, RunState.SUCCESS, True, FactKind.RUN_RECOVERED),
        (RunState.FAILED, RunState.SUCCESS, True, FactKind.RUN_RECOVERED),
        (RunState.RUNNING, RunState.CANCELLED, True, None),
        (RunState.QUEUED, RunState.RUNNING, True, None),
    ],
)
def test_which_ends_of_runs_are_told(was: RunState, now: RunState, has_failed: bool, told: FactKind | None) -> None:
    assert fact_of_end(was, Board(bytearray(1), now, has_failed=has_failed)) is told


def test_a_board_remembers_that_its_run_has_failed() -> None:
    board = Board(bytearray(2), RunState.RUNNING, has_failed=True)
    assert Board.unpack(2, board.pack(), RunState.RUNNING, board.intent).has_failed
    assert Board.fresh(2).pack() == bytes(2)
