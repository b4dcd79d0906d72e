"""What the checker says of child runs, by histories made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.checker.facts import Attempt, AttemptKey, Audit, ChildCall, Facts, Moment, Run, RunEvent, Task, Version
from tests.checker.judges.child_runs import broken_calls, outliving
from tests.checker.judges.progress import judge_progress
from tests.checker.judges.states import judge_rules
from tests.checker.report import FAIL
from tests.checker.story import START

PARENT, CHILD = "run-0000000p", "run-0000000c"
KEY = AttemptKey(PARENT, "call", -1, 1)
VERSION = Version(1, "default", "d", 1, (Task("call"),), START)
LATER = START + timedelta(seconds=100)


def run(run_id: str, state: str, board: str, **fields: Any) -> Run:
    return Run(run_id, 1, "default", "d", 1, state, (board,), START, **fields)


def event(run_id: str, run_state: str, state: str, note: str = "", transaction: int = 1) -> RunEvent:
    return RunEvent(run_id, 1, START, transaction, run_state, (("call", state),), note)


def facts(call: ChildCall, parent: Run, child: Run, *ended: Attempt, **fields: Any) -> Facts:
    moment = Moment(LATER, (parent, child), child_calls=(call,), waiting_events=fields.pop("waiting_events", ()))
    events = fields.pop("events", (event(CHILD, child.state, child.board[0]),))
    return Facts(versions=(VERSION,), events=events, attempts=ended, moments=(moment,), **fields)


def ended(state: str) -> Attempt:
    return Attempt(KEY, state, "s", START, START, START, transaction=2)


CALL = ChildCall(KEY, CHILD, waiting=False, state="success")
WAITS = ChildCall(KEY, CHILD, waiting=True)
GOING, DONE = run(PARENT, "running", "released"), run(PARENT, "success", "success")
CHILD_GOING, CHILD_DONE = run(CHILD, "running", "released"), run(CHILD, "success", "success")


def said(found: Facts) -> list[str]:
    return [each.says for each in (*broken_calls(found), *outliving(found))]


@pytest.mark.parametrize(
    ("call", "state"),
    [
        (CALL, "success"),
        (CALL, "failed"),
        (replace(CALL, state="failed"), "failed"),
        (replace(CALL, state="cancelled"), "timed_out"),
        (replace(CALL, resume=True), "called"),
    ],
)
def test_an_end_that_follows_from_that_of_the_child_run_is_right(call: ChildCall, state: str) -> None:
    assert said(facts(call, DONE, CHILD_DONE, ended(state))) == []


@pytest.mark.parametrize(
    ("call", "state"),
    [
        (CALL, "cancelled"),
        (replace(CALL, state="failed"), "success"),
        (replace(CALL, state="cancelled"), "success"),
        (replace(CALL, resume=True), "success"),
        (CALL, "called"),
    ],
)
def test_an_end_that_does_not_follow_is_seen(call: ChildCall, state: str) -> None:
    assert said(facts(call, DONE, CHILD_DONE, ended(state))) == [
        "an attempt has an end that is not that of its child run"
    ]


def test_a_caller_without_an_end_after_that_of_its_child_run_is_seen() -> None:
    assert said(facts(CALL, GOING, CHILD_DONE)) == ["a child run has ended, and its caller's attempt has no end"]


def test_a_caller_that_has_ended_and_still_waits_is_seen() -> None:
    assert said(facts(WAITS, GOING, CHILD_GOING, ended("cancelled"))) == [
        "an attempt has ended, and waits for a child run"
    ]


def test_a_call_without_one_of_its_runs_is_seen() -> None:
    assert said(facts(replace(WAITS, child_id="nowhere"), GOING, CHILD_GOING)) == [
        "a call of which one run is not there"
    ]


def test_a_caller_that_nobody_tells_is_seen_unless_an_event_waits_or_it_is_set_aside() -> None:
    lost = facts(WAITS, GOING, CHILD_DONE)
    assert said(lost) == ["a child run has ended, and its caller was not told"]
    assert said(facts(WAITS, GOING, CHILD_DONE, waiting_events=((PARENT, LATER),))) == []
    assert said(facts(WAITS, replace(GOING, quarantined=True), CHILD_DONE)) == []


def test_a_child_run_that_outlives_its_callers_attempt_is_seen_unless_it_was_begun_again_by_hand() -> None:
    outlives = facts(replace(CALL, state="cancelled"), DONE, CHILD_GOING, ended("cancelled"))
    assert said(outlives) == ["a child run goes on after its caller's attempt has ended"]
    cleared = Audit(1, START, 5, "default", "me", "task_instance.clear", f"dag_run/{CHILD}")
    assert said(replace(outlives, audits=(cleared,))) == []


def test_a_child_run_that_was_not_told_what_its_caller_was_is_seen() -> None:
    told = replace(WAITS, cancel_requested_time=START)
    assert said(facts(told, GOING, CHILD_GOING)) == ["a caller was told to end, and its child run was not"]
    assert said(facts(told, GOING, replace(CHILD_GOING, intent="cancel"))) == []


def seen(found: Facts) -> str:
    smallest = judge_progress(found).smallest
    return smallest.says if smallest is not None else ""


def test_a_task_that_waits_for_a_child_run_is_where_it_should_be_and_in_no_second_place() -> None:
    waits = facts(WAITS, GOING, CHILD_DONE, waiting_events=((PARENT, LATER),))
    moment = waits.moments[0]
    assert seen(waits) == ""
    nowhere = replace(waits, moments=(replace(moment, child_calls=()),))
    assert seen(nowhere) == "call is released, and neither queued nor live nor a child run"
    live = Attempt(KEY, "running", "s", LATER, LATER)
    assert seen(replace(waits, moments=(replace(moment, live=(live,)),))) == "call is in two places at once"
    left = replace(waits, moments=(replace(moment, runs=(DONE, CHILD_DONE)),))
    assert seen(left) == "a run has ended, and this is left of it"


def test_a_child_run_that_its_caller_ended_is_cancelled_for_that_reason() -> None:
    events = (event(CHILD, "cancelled", "cancelled", f"ended by its caller, run {PARENT} of DAG d: stop"),)
    child = run(CHILD, "cancelled", "cancelled", intent="cancel")
    call = replace(CALL, state="cancelled")
    told = facts(call, run(PARENT, "cancelled", "cancelled"), child, ended("cancelled"), events=events)
    alone = replace(told, moments=(replace(told.moments[0], runs=(child,)),))
    assert judge_rules(alone).outcome != FAIL, judge_rules(alone)
    unsaid = replace(alone, events=(replace(events[0], note=""),))
    assert judge_rules(unsaid).outcome == FAIL
