"""An operator says how tasks have ended: wherever they are, and whatever becomes of what runs."""

from __future__ import annotations

import random

import pytest
from run_world import BROKEN, NOW, A, S, World, graph_of

from glidepath_server.core.advance import advance
from glidepath_server.core.board import Board
from glidepath_server.core.compile import with_roles
from glidepath_server.core.errors import StateConflict
from glidepath_server.core.events import (
    AttemptEnded,
    RunCancelled,
    RunStarted,
    TasksCancelled,
    TasksCleared,
    TasksMarked,
    event_from_json,
    event_to_json,
)
from glidepath_server.core.graph import TaskRole
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.states import MARKS, AttemptState, RunState, TaskEvent
from glidepath_server.core.trigger_rules import TriggerRule

SUCCESS, FAILED, SKIPPED = TaskEvent.MARK_SUCCESS, TaskEvent.MARK_FAILED, TaskEvent.MARK_SKIPPED


def chain(size: int, retries: int = 0) -> World:
    upstream = [[task - 1] if task else [] for task in range(size)]
    graph = graph_of(upstream, [TriggerRule.ALL_SUCCESS] * size, [RetryPolicy(retries)] * size)
    world = World(graph, [[[]]] * size, random.Random(0))
    world.step(RunStarted())
    return world


def end(world: World, task: int, outcome: AttemptState = A.SUCCESS) -> None:
    if task in world.queue:
        world.claim(task)
    held = world.live[task]
    counts = (held.tries, held.losses, held.redeliveries)
    failure = BROKEN if outcome is A.FAILED else None
    told = task in world.told_to_end
    world.step(AttemptEnded(task, -1, held.attempt_number, outcome, *counts, failure, cancel_requested=told))


def names(world: World) -> list[str]:
    return [S(state).name.lower() for state in world.board.states]


@pytest.mark.parametrize("mark", MARKS)
def test_a_task_that_waits_ends_as_marked(mark: TaskEvent) -> None:
    world = chain(3)
    world.step(TasksMarked((1,), mark))
    assert names(world)[1] == MARKS[mark].name.lower()
    expected = {SUCCESS: "released", FAILED: "upstream_failed", SKIPPED: "skipped"}[mark]
    assert names(world)[2] == expected


@pytest.mark.parametrize("mark", MARKS)
def test_a_queued_task_is_withdrawn(mark: TaskEvent) -> None:
    world = chain(2)
    world.step(TasksMarked((0,), mark))
    assert names(world)[0] == MARKS[mark].name.lower() and 0 not in world.queue


@pytest.mark.parametrize("outcome", [A.SUCCESS, A.FAILED, A.LOST, A.CANCELLED, A.RETURNED, A.SKIPPED, A.TIMED_OUT])
@pytest.mark.parametrize("mark", MARKS)
def test_a_live_task_ends_as_marked_whatever_its_attempt_does(mark: TaskEvent, outcome: AttemptState) -> None:
    world = chain(2, retries=3)
    world.claim(0)
    world.step(TasksMarked((0,), mark))
    assert names(world)[0] == "released" and world.told_to_end == {0}, "its slot is free once it has ended"
    board = world.board
    world.board = Board.unpack(2, board.pack(), board.state, board.intent)
    end(world, 0, outcome)
    assert names(world)[0] == MARKS[mark].name.lower()
    assert not world.board.marks and 0 not in world.queue


def test_a_failure_that_is_marked_a_success_lets_a_rerun_go_on_behind_it() -> None:
    world = chain(3)
    end(world, 0, A.FAILED)
    assert world.board.state is RunState.FAILED
    effects = world.step(TasksMarked((0,), SUCCESS))
    assert effects.run_state is RunState.FAILED, "what follows it has not run"
    assert effects.answered == [(0, -1)], "nobody needs to look any more"
    world.clear([1])
    world.drain()
    assert names(world) == ["success"] * 3 and world.board.state is RunState.SUCCESS


def test_the_last_failure_that_is_marked_a_success_makes_the_run_one() -> None:
    world = chain(1)
    end(world, 0, A.FAILED)
    assert world.step(TasksMarked((0,), SUCCESS)).run_state is RunState.SUCCESS
    assert world.step(TasksMarked((0,), FAILED)).run_state is RunState.FAILED


def test_an_end_that_is_undone_counts_for_what_still_waits() -> None:
    rules = [TriggerRule.ALL_SUCCESS, TriggerRule.ALL_SUCCESS, TriggerRule.NONE_SKIPPED]
    world = World(graph_of([[], [], [0, 1]], rules, [RetryPolicy()] * 3), [[[]]] * 3, random.Random(0))
    world.step(RunStarted())
    end(world, 0)
    world.step(TasksMarked((0,), SKIPPED))
    assert names(world) == ["skipped", "released", "skipped"]


def test_a_mark_that_is_there_already_changes_nothing() -> None:
    world = chain(1)
    end(world, 0)
    effects = world.step(TasksMarked((0,), SUCCESS))
    assert not effects.changes and effects.run_state is None


def test_a_cancel_or_a_clear_takes_the_place_of_a_mark() -> None:
    world = chain(1)
    world.claim(0)
    world.step(TasksMarked((0,), SUCCESS))
    world.step(TasksCancelled((0,)))
    end(world, 0, A.CANCELLED)
    assert names(world) == ["cancelled"]

    world = chain(1)
    world.claim(0)
    world.step(TasksMarked((0,), SUCCESS))
    world.step(TasksCleared((0,), cancel_running=True, attempts={0: 1}))
    end(world, 0, A.CANCELLED)
    assert names(world) == ["released"] and world.queue[0].attempt_number == 2


def test_a_mark_takes_the_place_of_a_clear_that_waits_for_the_attempt_to_end() -> None:
    world = chain(1)
    world.claim(0)
    world.clear([0])
    world.step(TasksMarked((0,), SKIPPED))
    end(world, 0, A.CANCELLED)
    assert names(world) == ["skipped"] and not world.queue


def test_a_cancelled_run_forgets_marks() -> None:
    world = chain(1)
    world.claim(0)
    world.step(TasksMarked((0,), SUCCESS))
    world.step(RunCancelled())
    end(world, 0, A.CANCELLED)
    assert names(world) == ["cancelled"] and world.board.state is RunState.CANCELLED


def test_a_branch_that_is_marked_a_success_has_all_of_it_followed() -> None:
    graph = graph_of([[], [0], [0]], [TriggerRule.ALL_SUCCESS] * 3, [RetryPolicy()] * 3)
    world = World(with_roles(graph, [TaskRole.BRANCH, TaskRole.WORK, TaskRole.WORK]), [[[]]] * 3, random.Random(0))
    world.step(RunStarted())
    world.step(TasksMarked((0,), SUCCESS))
    assert names(world) == ["success", "released", "released"]


def test_a_cancelled_run_stays_cancelled_whatever_is_said_of_its_tasks() -> None:
    world = chain(2)
    world.step(RunCancelled("enough"))
    effects = world.step(TasksMarked((0,), SUCCESS, "was done"))
    assert effects.run_state is RunState.CANCELLED and "enough" in effects.reason
    assert world.board.said == {0: "was done"}


def test_a_run_that_goes_well_in_the_end_has_no_failure_as_its_reason() -> None:
    world = chain(1, retries=0)
    graph = graph_of([[], []], [TriggerRule.ALL_SUCCESS] * 2, [RetryPolicy()] * 2)
    world = World(graph, [[[]]] * 2, random.Random(0))
    world.step(RunStarted())
    end(world, 0, A.FAILED)
    world.step(TasksMarked((0,), SUCCESS))
    world.claim(1)
    held = world.live[1]
    effects = world.step(AttemptEnded(1, -1, held.attempt_number, A.SUCCESS, 0, 0, 0))
    assert effects.run_state is RunState.SUCCESS and effects.reason == ""


def test_several_tasks_at_once() -> None:
    world = chain(4)
    world.claim(0)
    world.step(TasksMarked((0, 1, 2), SUCCESS))
    assert names(world) == ["released", "success", "success", "released"]


def test_what_cannot_be_marked_says_so() -> None:
    graph = graph_of([[]], [TriggerRule.ALL_SUCCESS], [RetryPolicy()])
    with pytest.raises(StateConflict, match="has not started"):
        advance(graph, Board.fresh(1), [TasksMarked((0,), SUCCESS)], NOW)
    world = chain(1)
    world.claim(0)
    world.step(RunCancelled())
    with pytest.raises(StateConflict, match="being cancelled"):
        advance(graph, world.board, [TasksMarked((0,), SUCCESS)], NOW)


def test_a_mark_is_kept_where_an_event_waits() -> None:
    event = TasksMarked((1, 2), SKIPPED, "known to be empty")
    assert event_from_json(event_to_json(event)) == event
