"""Pauses over the pure rules: what is paused starts only when it is resumed, and nothing is lost meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.advance import advance
from glidepath_server.core.approvals import ApprovalSpec
from glidepath_server.core.board import Board
from glidepath_server.core.compile import compile_graph
from glidepath_server.core.definition import DagSpec, Handler, ResolvedPolicy, TaskSpec
from glidepath_server.core.effects import Effects, Release
from glidepath_server.core.errors import StateConflict
from glidepath_server.core.events import (
    AttemptEnded,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunStarted,
    TasksCancelled,
    TasksCleared,
    TasksMarked,
    Withdrawn,
)
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.graph import TaskRole
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.states import AttemptState, RunState, TaskEvent, TaskState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
S = TaskState


def task(name: str, *upstream: str, **fields: object) -> TaskSpec:
    policy = ResolvedPolicy(retry=RetryPolicy(retries_max=3, delay_seconds=60))
    return TaskSpec(name, Handler("test:task"), upstream_task_ids=upstream, policy=policy, **fields)  # type: ignore[arg-type]


# a, b and then c after both; asks last.
GRAPH = compile_graph(
    DagSpec(
        "dag",
        (task("a"), task("b"), task("c", "a", "b"), task("d", "c", approval=ApprovalSpec("Go on?"))),
    )
)
A, B, C, D = range(4)


def started(*events: object) -> tuple[Board, Effects]:
    board = Board.fresh(GRAPH.size)
    return board, step(board, RunStarted(), *events)


def step(board: Board, *events: object, now: datetime = NOW) -> Effects:
    """One step, over the stored form of the board."""
    found = Board.unpack(GRAPH.size, board.pack(), board.state, board.intent, board.reason, board.seed)
    effects = advance(GRAPH, found, events, now)  # type: ignore[arg-type]
    for name in board.__slots__:
        setattr(board, name, getattr(found, name))
    return effects


def success(task: int, number: int = 1) -> AttemptEnded:
    return AttemptEnded(task, -1, number, AttemptState.SUCCESS, 0, 0, 0)


def failure(task: int, number: int, tries: int) -> AttemptEnded:
    return AttemptEnded(
        task, -1, number, AttemptState.FAILED, tries, 0, 0, Failure(FailureKind.APPLICATION, "E", "broken")
    )


def released(effects: Effects) -> list[int]:
    return [each.task for each in effects.releases]


def test_what_is_queued_is_taken_back_and_what_runs_goes_on() -> None:
    board, _ = started()
    effects = step(board, RunPaused((), "alice"))
    assert [(each.task, each.event) for each in effects.withdrawals] == [(A, TaskEvent.HOLD), (B, TaskEvent.HOLD)]
    # a was in the queue, b is live.
    step(board, Withdrawn(A, -1, 1, TaskEvent.HOLD, Release(A, -1, 1)))
    assert list(board.states[:2]) == [S.SCHEDULED, S.RELEASED] and not board.held
    assert not released(step(board, success(B)))
    assert released(step(board, RunResumed((), "alice"))) == [A]
    assert not board.pauses


def test_a_paused_task_waits_when_it_becomes_ready_and_others_do_not() -> None:
    board, _ = started(RunPaused((C,), "alice: look first"))
    assert not released(step(board, success(A), success(B)))
    assert board.states[C] == S.SCHEDULED and board.paused_by(C) == "alice: look first" and board.paused_by(A) is None
    assert released(step(board, RunResumed((C,), "bob"))) == [C]


def test_a_retry_that_a_pause_holds_knows_its_tries_and_its_time() -> None:
    board, _ = started(RunPaused((A,), "alice"))
    board, _ = started()
    step(board, RunPaused((A,), "alice"))
    assert not released(step(board, failure(A, 1, 0)))
    held = Release(A, -1, 2, tries=1, at=NOW + timedelta(seconds=60))
    assert board.states[A] == S.SCHEDULED and board.held == {A: held}
    early, late = NOW + timedelta(seconds=10), NOW + timedelta(hours=1)
    copy = Board.unpack(GRAPH.size, board.pack(), board.state, board.intent)
    assert step(copy, RunResumed((), "bob"), now=early).releases == [held]
    assert step(board, RunResumed((), "bob"), now=late).releases == [held._replace(at=None)]


def test_what_a_step_releases_and_a_pause_meets_in_it_is_held_back() -> None:
    board, effects = started(RunPaused((A,), "alice"))
    assert released(effects) == [B] and not effects.withdrawals and board.states[A] == S.SCHEDULED


def test_an_approval_that_is_paused_does_not_ask() -> None:
    board, _ = started()
    step(board, success(A), success(B))
    step(board, RunPaused((D,), "alice"))
    assert not step(board, success(C)).asked
    assert [each.task for each in step(board, RunResumed((), "alice")).asked] == [D]


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (TasksCancelled((A,)), S.CANCELLED),
        (TasksMarked((A,), TaskEvent.MARK_SUCCESS), S.SUCCESS),
        (RunCancelled(), S.CANCELLED),
    ],
)
def test_what_an_operator_says_of_a_held_task_holds(event: object, state: TaskState) -> None:
    board, _ = started(RunPaused((A,), "alice"))
    board, _ = started()
    step(board, RunPaused((A,), "alice"), failure(A, 1, 0))
    step(board, event)
    assert board.states[A] == state and not board.held


def test_a_clear_of_a_held_task_begins_anew_when_it_is_resumed() -> None:
    board, _ = started()
    step(board, RunPaused((A,), "alice"), failure(A, 1, 0))
    step(board, TasksCleared((A,), attempts={A: 1}))
    assert step(board, RunResumed((), "alice")).releases == [Release(A, -1, 2)]


def test_who_ends_a_run_lifts_its_pauses_so_that_teardowns_run() -> None:
    graph = compile_graph(
        DagSpec(
            "dag",
            (
                task("up", role=TaskRole.SETUP),
                task("work", "up"),
                task("down", "up", "work", role=TaskRole.TEARDOWN),
            ),
        )
    )
    board = Board.fresh(graph.size)
    advance(graph, board, [RunStarted()], NOW)
    advance(graph, board, [AttemptEnded(0, -1, 1, AttemptState.SUCCESS, 0, 0, 0)], NOW)
    advance(graph, board, [AttemptEnded(1, -1, 1, AttemptState.SUCCESS, 0, 0, 0), RunPaused((2,), "alice")], NOW)
    assert board.states[2] == S.SCHEDULED
    assert released(advance(graph, board, [RunCancelled()], NOW)) == [2]


def test_pauses_are_refused_where_they_mean_nothing() -> None:
    board, _ = started()
    step(board, RunPaused((), "alice"))
    with pytest.raises(StateConflict, match="the whole run is paused by alice"):
        step(board, RunResumed((A,), "bob"))
    step(board, RunCancelled())
    with pytest.raises(StateConflict, match="the run is ending"):
        step(board, RunPaused((), "alice"))
    board.state = RunState.CANCELLED
    with pytest.raises(StateConflict, match="has already ended: cancelled"):
        step(board, RunPaused((), "alice"))


def test_a_run_that_has_not_started_starts_paused() -> None:
    board = Board.fresh(GRAPH.size)
    board.pauses = {A: "alice"}
    assert released(step(board, RunStarted())) == [B]


@given(
    st.lists(
        st.sampled_from(["pause", "pause a", "resume", "resume a", "end a", "end b", "fail a", "claim"]), max_size=14
    )
)
def test_whatever_happens_nothing_paused_starts_and_all_ends_once_it_is_resumed(words: list[str]) -> None:
    board, effects = started()
    queued = {each.task: each for each in effects.releases}
    live: dict[int, Release] = {}

    def take(effects: Effects) -> None:
        for withdrawal in effects.withdrawals:
            if withdrawal.task in queued:
                row = queued.pop(withdrawal.task)
                take(step(board, Withdrawn(row.task, -1, row.attempt_number, withdrawal.event, row)))
        for release in effects.releases:
            assert board.paused_by(release.task) is None and release.task not in queued | live
            queued[release.task] = release

    def end(task: int, outcome: AttemptState) -> None:
        row = live.pop(task)
        why = Failure(FailureKind.APPLICATION, "E", "broken") if outcome is AttemptState.FAILED else None
        take(step(board, AttemptEnded(task, -1, row.attempt_number, outcome, row.tries, 0, 0, why)))

    for word in words:
        match word.split():
            case ["pause"]:
                take(step(board, RunPaused((), "alice")))
                assert not queued
            case ["pause", "a"]:
                take(step(board, RunPaused((A,), "alice")))
                assert A not in queued
            case ["resume"]:
                take(step(board, RunResumed((), "alice")))
            case ["resume", "a"] if -1 not in board.pauses:
                take(step(board, RunResumed((A,), "alice")))
            case ["claim"]:
                live |= queued
                queued.clear()
            case ["end", name] if "ab".index(name) in live:
                end("ab".index(name), AttemptState.SUCCESS)
            case ["fail", "a"] if A in live:
                end(A, AttemptState.FAILED)
    take(step(board, RunResumed((), "alice")))
    while queued or live:
        live |= queued
        queued.clear()
        for each in list(live):
            end(each, AttemptState.SUCCESS)
    assert board.states[D] == S.WAITING or S.FAILED in board.states
