"""A run that does not succeed says why, whatever the step is that ends it."""

from __future__ import annotations

from collections.abc import Sequence

from run_world import BROKEN, NOW, A, graph_of

from glidepath_server.core.advance import advance
from glidepath_server.core.board import Board
from glidepath_server.core.events import (
    AttemptEnded,
    Event,
    RunCancelled,
    RunStarted,
    RunTimedOut,
    TasksCancelled,
    TasksCleared,
)
from glidepath_server.core.graph import Graph
from glidepath_server.core.moves import REASON_CHARACTERS_MAX
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.states import RunState
from glidepath_server.core.trigger_rules import TriggerRule


def side_by_side(size: int) -> tuple[Graph, Board]:
    """A started run of tasks that do not know each other: "t0", "t1", ..."""
    graph = graph_of([[]] * size, [TriggerRule.ALL_SUCCESS] * size, [RetryPolicy()] * size)
    board = Board.fresh(size)
    advance(graph, board, [RunStarted()], NOW)
    return graph, board


def end(task: int, outcome: A = A.SUCCESS, number: int = 1, reason: str = "") -> Event:
    return AttemptEnded(task, -1, number, outcome, 0, 0, 0, BROKEN if outcome is A.FAILED else None, reason)


def reason_of(graph: Graph, board: Board, *steps: Event) -> tuple[RunState, str]:
    """State and reason after a step for each event, with the board stored and read again in between."""
    reason = ""
    for event in steps:
        board = Board.unpack(graph.size, board.pack(), board.state, board.intent, board.reason)
        reason = advance(graph, board, [event], NOW).reason
    return board.state, reason


def names(graph: Graph, tasks: Sequence[int]) -> list[str]:
    return [graph.task_ids[task] for task in tasks]


def test_what_failed_first_is_told_when_something_else_ends_the_run() -> None:
    graph, board = side_by_side(2)
    first, _ = names(graph, [0, 1])
    state, reason = reason_of(graph, board, end(0, A.FAILED), end(1))
    assert (state, reason) == (RunState.FAILED, f"{first}: attempts used: 1 of 1: {BROKEN.summary()}")


def test_all_that_failed_is_told() -> None:
    graph, board = side_by_side(3)
    _, reason = reason_of(graph, board, end(0, A.FAILED), end(2, A.FAILED), end(1))
    assert [part.partition(":")[0] for part in reason.split("; ")] == names(graph, [0, 2])


def test_a_cancelled_run_keeps_who_cancelled_it_until_its_last_attempt_has_ended() -> None:
    graph, board = side_by_side(2)
    steps = [RunCancelled("by ann"), end(0, A.CANCELLED), end(1, A.CANCELLED)]
    assert reason_of(graph, board, *steps) == (RunState.CANCELLED, "by ann")


def test_a_timeout_is_told_behind_what_had_failed_before() -> None:
    graph, board = side_by_side(2)
    state, reason = reason_of(graph, board, end(0, A.FAILED), RunTimedOut(), end(1, A.CANCELLED))
    assert state is RunState.FAILED and reason.endswith("; run timeout")


def test_a_single_task_that_was_cancelled_is_named() -> None:
    graph, board = side_by_side(2)
    steps = [TasksCancelled((1,), "by ann"), end(1, A.CANCELLED), end(0)]
    assert reason_of(graph, board, *steps) == (RunState.FAILED, f"{graph.task_ids[1]}: cancelled")


def test_a_clear_forgets_what_it_mends_and_what_is_still_bad_is_named() -> None:
    graph, board = side_by_side(2)
    steps = [end(0, A.FAILED), end(1, A.FAILED), TasksCleared((0,), attempts={0: 1}), end(0, number=2)]
    assert reason_of(graph, board, *steps) == (RunState.FAILED, f"{graph.task_ids[1]}: failed")


def test_a_run_of_many_failures_tells_as_much_as_a_person_reads() -> None:
    graph, board = side_by_side(400)
    state, reason = reason_of(graph, board, *(end(task, A.FAILED) for task in range(400)))
    assert state is RunState.FAILED and reason.endswith(" more")
    assert len(reason) + 100 > REASON_CHARACTERS_MAX and len(reason) < 2_000
