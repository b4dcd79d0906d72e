"""The rules of child runs: how a caller ends, what it is given, what follows, and the stored form of the fact."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.calls import (
    REASON_CHARACTERS_MAX,
    ChildOutput,
    combined,
    end_of_caller,
    last_tasks,
    passed_on,
)
from glidepath_server.core.effects import Release
from glidepath_server.core.events import AttemptEnded, ChildEnded, event_from_json, event_to_json
from glidepath_server.core.failure import FailureKind
from glidepath_server.core.graph import Graph
from glidepath_server.core.next_attempt import DEFERRALS_MAX, next_attempt
from glidepath_server.core.retry import Budget, GiveUp, RetryPolicy
from glidepath_server.core.states import AttemptState, RunState
from glidepath_server.core.trigger_rules import TriggerRule

ENDS = [RunState.SUCCESS, RunState.FAILED, RunState.CANCELLED]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def graph(*upstream: tuple[int, ...], teardowns: tuple[int, ...] = ()) -> Graph:
    size = len(upstream)
    downstream = tuple(tuple(t for t in range(size) if each in upstream[t]) for each in range(size))
    return Graph(
        tuple(f"t{n}" for n in range(size)),
        upstream,
        downstream,
        (TriggerRule.ALL_SUCCESS,) * size,
        (RetryPolicy(),) * size,
        teardowns=dict.fromkeys(teardowns, ()),
        waits=(60.0,) * size,
    )


@pytest.mark.parametrize(
    ("state", "cancelled", "problem", "outcome", "error"),
    [
        (RunState.SUCCESS, False, "", AttemptState.SUCCESS, ""),
        (RunState.SUCCESS, True, "", AttemptState.SUCCESS, ""),
        (RunState.SUCCESS, False, "too much", AttemptState.FAILED, "CallRefused"),
        (RunState.FAILED, False, "", AttemptState.FAILED, "ChildRunFailed"),
        (RunState.FAILED, True, "", AttemptState.CANCELLED, ""),
        (RunState.CANCELLED, False, "", AttemptState.FAILED, "ChildRunCancelled"),
        (RunState.CANCELLED, True, "", AttemptState.CANCELLED, ""),
    ],
)
def test_a_caller_ends_as_its_child_run_unless_it_was_told_to_end(
    state: RunState, cancelled: bool, problem: str, outcome: AttemptState, error: str
) -> None:
    found, failure = end_of_caller(
        state, resume=False, cancelled=cancelled, child="run x of DAG d", reason="no data", problem=problem
    )
    assert (found, failure.type if failure else "") == (outcome, error)
    if error.startswith("Child"):
        assert failure is not None and "run x of DAG d" in failure.message and "no data" in failure.message


@pytest.mark.parametrize("state", ENDS)
@pytest.mark.parametrize("cancelled", [False, True])
def test_who_is_to_be_called_again_is_whatever_the_end_unless_he_was_told_to_end(
    state: RunState, cancelled: bool
) -> None:
    found, failure = end_of_caller(state, resume=True, cancelled=cancelled, child="c", reason="", problem="")
    assert (found, failure) == (AttemptState.CANCELLED if cancelled else AttemptState.CALLED, None)


def test_what_cannot_be_given_on_is_a_bad_input_and_a_cancel_by_hand_is_not_tried_again() -> None:
    _, refused = end_of_caller(RunState.SUCCESS, resume=False, cancelled=False, child="c", reason="", problem="much")
    _, by_hand = end_of_caller(RunState.CANCELLED, resume=False, cancelled=False, child="c", reason="", problem="")
    assert refused is not None and refused.kind is FailureKind.BAD_INPUT
    assert by_hand is not None and by_hand.retryable is False


def test_the_last_tasks_are_those_after_which_only_teardowns_come() -> None:
    assert last_tasks(graph((), (0,), (0,))) == (1, 2)
    assert last_tasks(graph((), (0,), (1,), teardowns=(2,))) == (1,)
    assert last_tasks(graph(())) == (0,)


def test_outputs_are_put_together_by_task_and_those_of_a_mapped_one_in_order() -> None:
    outputs = {
        "one": [ChildOutput(-1, "application/json", b'{"a": 1}', None, 8)],
        "mapped": [
            ChildOutput(1, "application/json", b"2", None, 1),
            ChildOutput(0, "application/json", b"1", None, 1),
        ],
        "bytes": [ChildOutput(-1, "application/octet-stream", b"\x00", None, 1)],
        "large": [ChildOutput(-1, "application/json", None, "artifact:x", 99)],
        "broken": [ChildOutput(-1, "application/json", b"{", None, 1)],
    }
    assert json.loads(combined(outputs)) == {
        "one": {"a": 1},
        "mapped": [1, 2],
        "bytes": {"content_type": "application/octet-stream", "base64": "AA=="},
        "large": {"content_type": "application/json", "uri": "artifact:x", "size_bytes": 99},
        "broken": {"content_type": "application/json", "base64": "ew=="},
    }


@given(st.sampled_from(ENDS), st.text(), st.text())
def test_the_fact_of_an_end_is_read_as_it_was_written(state: RunState, reason: str, problem: str) -> None:
    event = ChildEnded(uuid.uuid4(), state, reason, problem)
    assert event_from_json(event_to_json(event)) == event


def test_reasons_that_are_passed_on_from_run_to_run_stay_short() -> None:
    reason = "stop"
    for _ in range(10):
        reason = passed_on(reason, uuid.uuid4(), "dag")
        assert reason.startswith("ended by its caller, run ")
    assert len(reason) <= REASON_CHARACTERS_MAX


def ended(deferrals: int) -> AttemptEnded:
    return AttemptEnded(0, 7, 3, AttemptState.CALLED, 1, 2, 3, deferrals=deferrals, waiting_since=NOW)


def test_after_a_call_with_resume_the_next_attempt_goes_at_once_and_uses_no_budget() -> None:
    assert next_attempt(graph(()), ended(4), NOW, b"") == Release(0, 7, 4, 1, 2, 3, None, 5, NOW)


def test_a_task_calls_only_so_often() -> None:
    given_up = next_attempt(graph(()), ended(DEFERRALS_MAX), NOW, b"")
    assert isinstance(given_up, GiveUp) and given_up.budget is Budget.NONE
