"""Every task instance that is not final says what it waits for."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.board import Board
from glidepath_server.core.compile import with_roles
from glidepath_server.core.explain import (
    Explanation,
    Facts,
    LimitFacts,
    RunBefore,
    RunFacts,
    SessionFacts,
    Wait,
    explain,
)
from glidepath_server.core.graph import Graph, TaskRole
from glidepath_server.core.matching import Offer, TaskClass
from glidepath_server.core.past import TaskBefore
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.run_view import (
    EndedRow,
    LiveRow,
    RunRows,
    ViewState,
    WaitingRow,
    task_counts,
    task_instance_views,
)
from glidepath_server.core.states import AttemptState, RunIntent, RunState, TaskState
from glidepath_server.core.trigger_rules import TriggerRule

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
# load -> train -> report, check (all_done over load and train)
GRAPH = Graph(
    ("load", "train", "report", "check"),
    ((), (0,), (1,), (0, 1)),
    ((1, 3), (2, 3), (), ()),
    (TriggerRule.ALL_SUCCESS,) * 3 + (TriggerRule.ALL_DONE,),
    (RetryPolicy(),) * 4,
)
RUN = RunFacts("churn", RunState.RUNNING, RunIntent.RUN, True, False, False, 1, None)
NEEDS = TaskClass(7, "default", "churn", 1, "gpu", "python:train:main", "abc123", {"zone": "eu"}, {"gpu": 2.0}, 1)
OFFER = Offer("default", frozenset({"gpu"}), {"zone": "eu"}, {"gpu": 2.0}, (("python:*", frozenset({"*"})),))
S, R, OK, BAD = TaskState.SCHEDULED, TaskState.RELEASED, TaskState.SUCCESS, TaskState.FAILED


def waiting(**changes: Any) -> WaitingRow:
    row = WaitingRow(
        0, -1, 1, class_id=7, queue_id=1, order_key=1.0, queue_time=NOW, available_time=NOW, due=True, parked_on=0
    )
    return replace(row, **changes)


def ended(task: int, state: AttemptState, **changes: Any) -> EndedRow:
    return replace(EndedRow(task, -1, 1, state, "w1", NOW, NOW, NOW), **changes)


def of_first(states: list[int], rows: RunRows, facts: Facts) -> Explanation:
    views = task_instance_views(GRAPH, Board(bytearray(states)), rows, [0])
    return explain(GRAPH, bytes(states), views, rows, facts)[0]


def released(row: WaitingRow, **facts: Any) -> tuple[Wait, str, str]:
    known = Facts(**{"run": RUN, "now": NOW, "classes": {7: NEEDS}} | facts)
    found = of_first([R, S, S, S], RunRows(waiting={0: row}), known)
    return found.wait, found.message, found.hint


def test_a_task_waits_for_the_upstreams_that_are_still_open() -> None:
    rows = RunRows(live={0: LiveRow(0, -1, 1, "w1", NOW, NOW)})
    states = bytes([R, S, S, S])
    found = explain(GRAPH, states, task_instance_views(GRAPH, Board(bytearray(states)), rows), rows, Facts(RUN, NOW))
    assert [(e.wait, e.message) for e in found] == [
        (Wait.RUNNING, "running on worker w1 for 0 s (attempt 1)"),
        (Wait.UPSTREAM, "waits for 1 of 1 upstream tasks: load"),
        (Wait.UPSTREAM, "waits for 1 of 1 upstream tasks: train"),
        (Wait.UPSTREAM, "waits for 2 of 2 upstream tasks: load, train (trigger rule all_done)"),
    ]


def test_a_running_task_says_where_since_when_and_how_far() -> None:
    live = LiveRow(0, -1, 2, "w1", NOW, NOW - timedelta(minutes=3, seconds=5), NOW, 40.0, "epoch 4")
    found = of_first([R, S, S, S], RunRows(live={0: live}), Facts(RUN, NOW))
    assert found.message == "running on worker w1 for 3 min 5 s (attempt 2, 40 % done); it was told to end"


def test_a_retry_waits_for_its_time_and_says_what_failed() -> None:
    row = waiting(attempt_number=2, due=False, available_time=NOW + timedelta(seconds=90))
    failure = {"kind": "application", "type": "ValueError", "message": "bad row\nmore"}
    failed = ended(0, AttemptState.FAILED, failure=failure)
    found = of_first([R, S, S, S], RunRows(waiting={0: row}, ended={0: failed}), Facts(RUN, NOW))
    assert (found.state, found.wait) == (ViewState.UP_FOR_RETRY, Wait.DELAY)
    assert found.message == (
        "attempt 2 may start at 2026-01-01 12:01:30 UTC, in 1 min 30 s after: "
        "attempt 1 ended failed: ValueError: bad row"
    )


def test_a_full_limit_says_how_full_and_who_has_it() -> None:
    limit = LimitFacts("pool", "gpus", 2, False, 2, ("other/9f/train", "other/a0/train"))
    assert released(waiting(parked_on=5), limits={5: limit}) == (
        Wait.LIMIT,
        "pool gpus is full: 2 of 2 in use; held by other/9f/train, other/a0/train",
        "glidepath pool set gpus 3  # or wait for a holder",
    )


def test_more_slots_are_as_many_as_the_task_takes() -> None:
    limit = LimitFacts("pool", "big gpus", 4, False, 3)
    found = released(
        waiting(parked_on=5), limits={5: limit}, classes={7: replace(NEEDS, pool_limit_id=5, pool_slots=2)}
    )
    assert found[2].startswith("glidepath pool set 'big gpus' 5  #")


def test_a_wait_says_how_the_attempt_before_ended() -> None:
    rows = RunRows(waiting={0: waiting(attempt_number=2)}, ended={0: ended(0, AttemptState.LOST, reason="lease ended")})
    found = of_first([R, S, S, S], rows, Facts(RUN, NOW, classes={7: NEEDS}, sessions=(SessionFacts("w", OFFER),)))
    assert found.message.endswith("none has room yet; attempt 1 ended lost: lease ended")


def test_a_bad_end_says_where_its_cause_can_be_read() -> None:
    states = bytes([BAD, TaskState.UPSTREAM_FAILED, TaskState.UPSTREAM_FAILED, OK])
    rows = RunRows(ended={0: ended(0, AttemptState.LOST, reason="the worker left")})
    run = replace(RUN, state=RunState.FAILED, dag_run_id="9f")
    load, _, report, check = explain(
        GRAPH, states, task_instance_views(GRAPH, Board(bytearray(states)), rows), rows, Facts(run, NOW)
    )
    assert (load.message, load.hint) == ("ended: failed; the worker left", "glidepath run logs 9f --task load")
    assert (report.hint, check.hint) == ("glidepath run logs 9f --task load", "")


def test_a_paused_dag_says_so() -> None:
    assert released(waiting(), run=replace(RUN, paused=True)) == (
        Wait.PAUSED,
        "the DAG churn is paused",
        "glidepath dag unpause churn",
    )


def test_a_run_over_the_cap_says_how_many_are_active() -> None:
    run = replace(RUN, state=RunState.QUEUED, admitted=False, runs_active=3, runs_active_max=3)
    found = of_first([S, S, S, S], RunRows(), Facts(run, NOW))
    assert (found.wait, found.message) == (Wait.LIMIT, "the run is not admitted yet: 3 of 3 runs of churn are active")


def test_a_run_that_goes_in_order_says_which_run_it_waits_for() -> None:
    first = RunBefore("0193", NOW, active=True)
    run = replace(RUN, state=RunState.QUEUED, admitted=False, runs_active=1, runs_active_max=1, first=first)
    found = of_first([S, S, S, S], RunRows(), Facts(run, NOW))
    order = "the runs of churn go one after the other, by logical date: run 0193 (2026-01-01 12:00:00 UTC)"
    assert (found.wait, found.message) == (Wait.LIMIT, f"{order} has yet to end")
    assert found.hint == "glidepath run explain 0193"
    waits = replace(run, first=replace(first, active=False, quarantined=True))
    found = of_first([S, S, S, S], RunRows(), Facts(waits, NOW))
    assert found.message == f"{order} goes first, and is quarantined"
    assert found.hint == "glidepath run release 0193"


@pytest.mark.parametrize(
    ("state", "message", "hint"),
    [
        (TaskState.RELEASED, "waits for the same task in the run before, {}, which has yet to end", "run explain 0193"),
        (
            TaskState.UPSTREAM_FAILED,
            "waits for the same task in the run before, {}: upstream_failed",
            "run clear 0193 --task load  # or glidepath run mark",
        ),
        (TaskState.SKIPPED, "it has ended well in the run before, {}; it goes on with its next step", ""),
    ],
)
def test_a_task_that_depends_on_the_past_names_the_run_before(state: TaskState, message: str, hint: str) -> None:
    facts = Facts(RUN, NOW, before={0: TaskBefore("0193", NOW, state)})
    found = of_first([S, S, S, S], RunRows(), facts)
    assert found.wait is Wait.PAST
    assert found.message.removeprefix("depends on the past: ") == message.format("run 0193 (2026-01-01 12:00:00 UTC)")
    assert found.hint.removeprefix("glidepath ") == hint
    paused = replace(facts, run=replace(RUN, pauses={0: "alice"}))
    assert of_first([S, S, S, S], RunRows(), paused).wait is Wait.PAUSED


def test_without_any_worker_it_says_what_is_needed() -> None:
    wait, message, hint = released(waiting())
    assert wait is Wait.WORKER
    assert message == (
        "no worker is connected; it needs queue gpu, handler python:train:main version abc123, label zone=eu, 2 gpu"
    )
    assert hint == "glidepath worker --queue gpu --label zone=eu --resource gpu=2"


def test_a_handler_that_only_a_worker_of_ones_own_offers_is_no_matter_of_options() -> None:
    hint = released(waiting(), classes={7: replace(NEEDS, handler_name="go:train")})[2]
    assert hint == "glidepath workers  # start a worker of yours that offers handler go:train"


def test_a_worker_for_another_namespace_and_an_odd_label_is_a_command_that_a_shell_can_read() -> None:
    odd = replace(NEEDS, namespace="team", worker_selector={"site": "Den Haag; rm"}, resources={})
    assert shlex.split(released(waiting(), classes={7: odd})[2]) == [
        *("glidepath", "worker", "--queue", "gpu", "--namespace", "team"),
        *("--label", "site=Den Haag; rm"),
    ]


@pytest.mark.parametrize(
    ("changes", "miss"),
    [
        ({"queue_names": frozenset({"gpus"})}, "serves queues gpus, not gpu"),
        ({"handlers": (("shell", frozenset({"*"})),)}, "does not offer handler python:train:main"),
        (
            {"handlers": (("python:train:main", frozenset({"old"})),)},
            "has handler python:train:main in versions old, not abc123",
        ),
        ({"labels": {"zone": "us"}}, "label zone is us, not eu"),
        ({"resources": {"gpu": 1.0}}, "has 1 gpu, 2 needed"),
    ],
)
def test_the_nearest_worker_is_named_with_what_it_lacks(changes: dict[str, Any], miss: str) -> None:
    far = SessionFacts("far", replace(OFFER, queue_names=frozenset({"x"}), handlers=(), labels={}, resources={}))
    near = SessionFacts("near", replace(OFFER, **changes))
    wait, message, _ = released(waiting(), sessions=(far, near))
    assert wait is Wait.WORKER
    assert message.endswith(f"the nearest, near: {miss}")


def test_a_queue_name_that_looks_misspelt_gets_a_hint() -> None:
    sessions = (SessionFacts("w", replace(OFFER, queue_names=frozenset({"gpus"}))),)
    assert released(waiting(), sessions=sessions)[2].endswith("  # queue gpus is served: is gpu a misspelling?")


def test_what_no_queue_can_be_called_is_not_pasted_into_a_shell() -> None:
    """A worker says what it serves in its own words, and a hint is for the shell of somebody with other rights."""
    needs = replace(NEEDS, queue_name="training-on-gpus")
    sessions = (SessionFacts("w", replace(OFFER, queue_names=frozenset({"training-on-gpus\nreboot #"}))),)
    hint = released(waiting(), classes={7: needs}, sessions=sessions)[2]
    assert hint == "glidepath worker --queue training-on-gpus --label zone=eu --resource gpu=2"


def test_a_draining_worker_takes_nothing() -> None:
    assert released(waiting(), sessions=(SessionFacts("w", OFFER, draining=True),))[1].endswith("w: is draining")


def test_what_could_run_says_how_many_go_first() -> None:
    sessions = (SessionFacts("w", OFFER),)
    assert released(waiting(), sessions=sessions, ahead={0: 12})[:2] == (
        Wait.ORDER,
        "queued on gpu behind 12 others; 1 worker can run it",
    )
    assert released(waiting(), sessions=sessions)[1] == "next on queue gpu; 1 worker can run it, none has room yet"


def test_a_quarantined_run_points_to_its_incident() -> None:
    run = replace(RUN, quarantined=True, reason="board of 3 bytes", dag_run_id="9f")
    wait, message, hint = released(waiting(), run=run)
    assert (wait, message) == (Wait.QUARANTINED, "the run is quarantined: board of 3 bytes")
    assert hint.startswith("glidepath run release 9f  # ") and "incident" in hint


def test_a_view_shows_the_newest_attempt_only_while_it_counts() -> None:
    rows = RunRows(ended={0: ended(0, AttemptState.FAILED, reason="attempts used"), 1: ended(1, AttemptState.SUCCESS)})
    states = bytes([BAD, S, TaskState.UPSTREAM_FAILED, TaskState.SKIPPED])
    load, train, report, check = task_instance_views(GRAPH, Board(bytearray(states)), rows)
    assert (load.state, load.reason, load.end_time) == (ViewState.FAILED, "attempts used", NOW)
    # Cleared after it had succeeded: the number goes on, the old times are gone.
    assert (train.state, train.attempt_number, train.end_time) == (ViewState.SCHEDULED, 1, None)
    assert (report.state, report.reason) == (
        ViewState.UPSTREAM_FAILED,
        "an upstream task had ended badly, which is no longer so: rerun goes on from here",
    )
    assert (check.state, check.reason) == (ViewState.SKIPPED, "its trigger rule all_done did not hold")


def test_a_released_task_without_rows_is_queued_and_a_deferred_one_says_so() -> None:
    later = waiting(due=False, available_time=NOW + timedelta(hours=1), attempt_number=2)
    rows = RunRows(waiting={0: later}, ended={0: ended(0, AttemptState.DEFERRED)})
    views = task_instance_views(GRAPH, Board(bytearray([R, R, S, S])), rows, [0, 1])
    assert [view.state for view in views] == [ViewState.DEFERRED, ViewState.QUEUED]


@given(st.lists(st.sampled_from(list(TaskState)), max_size=50), st.data())
def test_counts_of_any_board_sum_to_its_size(states: list[TaskState], data: st.DataObject) -> None:
    released = sum(state in (TaskState.RELEASED, TaskState.RESTARTING) for state in states)
    live = data.draw(st.integers(0, released))
    retries = data.draw(st.integers(0, released - live))
    counts = task_counts(bytes(states), live, retries, 0)
    assert sum(counts.values()) == len(states)
    assert all(counts.values())


def test_counts_tell_released_apart() -> None:
    states = bytes([OK, OK, BAD, R, R, R, TaskState.RESTARTING, S])
    assert task_counts(states, live=2, up_for_retry=1, deferred=0) == {
        "success": 2,
        "failed": 1,
        "running": 2,
        "up_for_retry": 1,
        "queued": 1,
        "scheduled": 1,
    }
    assert task_counts(b"", 0, 0, 0) == {}


# ---- tasks that steer others
STEERED = with_roles(
    Graph(
        ("choose", "left", "right", "later", "cleanup"),
        ((), (0,), (0,), (2,), (1,)),
        ((1, 2), (4,), (3,), (), ()),
        (TriggerRule.ALL_SUCCESS,) * 5,
        (RetryPolicy(),) * 5,
    ),
    [TaskRole.SHORT_CIRCUIT, TaskRole.SETUP, TaskRole.WORK, TaskRole.WORK, TaskRole.TEARDOWN],
)


def test_what_was_left_out_names_the_branch() -> None:
    board = Board(bytearray([OK, *[TaskState.SKIPPED] * 4]), choices={0: ()})
    reasons = [view.reason for view in task_instance_views(STEERED, board, RunRows())]
    assert reasons[1:] == ["left out by choose"] * 3 + ["what it takes down was not set up"]


def test_what_waits_names_the_short_circuit_above_it() -> None:
    board = Board(bytearray([R, S, S, S, S]))
    views = task_instance_views(STEERED, board, RunRows())
    assert [view.reason for view in views[3:]] == ["waits for right, choose", "waits for left, choose"]
    found = explain(STEERED, board.states, views, RunRows(), Facts(RUN, NOW))
    assert found[3].message == "waits for 2 of 2 upstream tasks: right, choose"
    assert found[4].message == "waits for 2 of 2 upstream tasks: left, choose (teardown)"


def test_a_marked_task_says_who_marked_it_and_keeps_the_times_of_its_attempt() -> None:
    rows = RunRows(ended={0: ended(0, AttemptState.FAILED, reason="attempts used")})
    board = Board(bytearray([OK, TaskState.SKIPPED, S, S]), said={0: "loaded by hand (by ada)", 1: ""})
    load, train, *_ = task_instance_views(GRAPH, board, rows)
    assert (load.state, load.reason) == (ViewState.SUCCESS, "marked: loaded by hand (by ada)")
    assert load.end_time == NOW
    assert (train.state, train.reason) == (ViewState.SKIPPED, "marked by an operator")


def test_a_task_that_was_cancelled_while_it_waited_has_not_waited_too_long() -> None:
    rows = RunRows(ended={task: ended(task, AttemptState.DEFERRED) for task in (0, 1)})
    board = Board(bytearray([TaskState.CANCELLED, BAD, S, S]))
    load, train, *_ = task_instance_views(GRAPH, board, rows)
    assert (load.reason, train.reason) == ("", "waited as long, or as often, as it may")
