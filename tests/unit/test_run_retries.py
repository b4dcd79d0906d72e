"""A run that fails begins again by itself, as often as its DAG says, with what failed and what follows from that."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta

from run_world import BROKEN, GOOD, NOW, A, S, Script, World, graph_of

from glidepath_server.core.advance import advance
from glidepath_server.core.board import Board
from glidepath_server.core.compile import with_roles
from glidepath_server.core.effects import Effects
from glidepath_server.core.events import (
    AttemptEnded,
    RunCancelled,
    RunRetried,
    RunStarted,
    RunTimedOut,
    TasksCancelled,
    TasksMarked,
)
from glidepath_server.core.graph import TaskRole
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.states import RunState, TaskEvent
from glidepath_server.core.trigger_rules import TriggerRule

FAILS: Script = [(A.FAILED, BROKEN)]
WORKS: Script = [GOOD]


def run_of(
    scripts: Sequence[Sequence[Script]],
    upstream: Sequence[Sequence[int]] = ((), (0,)),
    *,
    retries: int = 1,
    roles: Sequence[TaskRole] = (),
    fail_fast: bool = False,
) -> World:
    """A started run; of each task the scripts of its generations."""
    size = len(upstream)
    graph = graph_of(
        upstream, [TriggerRule.ALL_SUCCESS] * size, [RetryPolicy()] * size, run_retries_max=retries, fail_fast=fail_fast
    )
    world = World(with_roles(graph, [*roles, *[TaskRole.WORK] * (size - len(roles))]), scripts, random.Random(1))
    world.step(RunStarted())
    return world


def names(world: World) -> list[str]:
    return [S(state).name.lower() for state in world.board.states]


def test_a_run_that_fails_begins_again_where_it_failed() -> None:
    world = run_of([[WORKS, WORKS], [FAILS, WORKS], [WORKS]], ((), (0,), (1,)))
    world.drain()
    assert names(world) == ["success"] * 3 and world.board.state is RunState.SUCCESS
    assert world.claimed == {(0, 1), (1, 1), (1, 2), (2, 1)}, "what had succeeded is not done again"


def test_a_run_fails_once_its_retries_are_used_up() -> None:
    world = run_of([[FAILS], [WORKS]], retries=2)
    world.drain()
    assert world.run_retries == 2 and world.board.state is RunState.FAILED
    assert world.claimed == {(0, 1), (0, 2), (0, 3)}


def test_it_never_was_at_an_end_and_says_which_retry_it_is() -> None:
    world = run_of([[FAILS, WORKS], [WORKS]])
    world.claim(0)
    effects = world.step(world.end_of(0))
    assert effects.run_state is RunState.RUNNING and effects.reason == "run retry 1 of 1"
    assert "run retry 1 of 1" in effects.notes
    assert not effects.dead_letters, "nobody needs to look"
    assert world.board.reason == ""


def test_a_retry_of_the_run_waits_for_its_delay() -> None:
    world = run_of([[FAILS, WORKS], [WORKS]])
    graph = graph_of([[]], [TriggerRule.ALL_SUCCESS], [RetryPolicy()], run_retries_max=1)
    graph = type(graph)(**{**{name: getattr(graph, name) for name in graph.__slots__}, "run_retry_delay_seconds": 90.0})
    board = Board.fresh(1)
    advance(graph, board, [RunStarted()], NOW)
    effects = advance(graph, board, [AttemptEnded(0, -1, 1, A.FAILED, 0, 0, 0, BROKEN)], NOW)
    assert effects.run_again == (0,)
    later = advance(graph, board, [RunRetried((0,), {0: 1})], NOW, effects)
    assert later.releases[0][:3] == (0, -1, 2) and later.releases[0].at == NOW + timedelta(seconds=90)
    assert world.board.state is RunState.RUNNING


def test_what_a_person_or_the_clock_has_ended_is_not_retried() -> None:
    for event in (RunCancelled(), RunTimedOut()):
        world = run_of([[FAILS], [WORKS]])
        world.claim(0)
        world.step(event)
        world.drain()
        assert world.run_retries == 0
    world = run_of([[WORKS], [FAILS]], ((), ()))
    world.step(TasksCancelled((0,)))
    world.drain()
    assert world.run_retries == 0 and world.board.state is RunState.FAILED
    world = run_of([[WORKS], [WORKS]])
    world.step(TasksMarked((0,), TaskEvent.MARK_FAILED))
    assert world.run_retries == 0 and world.board.state is RunState.FAILED


def test_a_clear_gives_the_run_its_retries_anew() -> None:
    world = run_of([[FAILS], [WORKS]])
    world.drain()
    world.clear([0])
    world.drain()
    assert world.run_retries == 2


def test_the_count_outlives_the_replica() -> None:
    board = Board(bytearray([1, 10]), run_retries=3)
    assert Board.unpack(2, board.pack(), board.state, board.intent).run_retries == 3


def test_a_setup_and_its_teardown_run_again_with_the_work_between_them() -> None:
    roles = (TaskRole.SETUP, TaskRole.WORK, TaskRole.TEARDOWN)
    world = run_of([[WORKS], [FAILS, WORKS], [WORKS]], ((), (0,), (0, 1)), roles=roles)
    world.drain()
    assert world.board.state is RunState.SUCCESS
    assert world.claimed == {(task, number) for task in range(3) for number in (1, 2)}


def test_a_teardown_that_fails_retries_nothing() -> None:
    roles = (TaskRole.SETUP, TaskRole.TEARDOWN)
    world = run_of([[WORKS], [FAILS]], roles=roles)
    world.drain()
    assert world.run_retries == 0 and world.board.state is RunState.SUCCESS


def test_a_run_that_failed_fast_begins_again_with_what_was_cancelled() -> None:
    world = run_of([[FAILS, WORKS], [WORKS], [WORKS]], ((), (), (1,)), fail_fast=True)
    world.claim(0)
    world.claim(1)
    world.step(world.end_of(0))
    assert world.told_to_end == {1} and world.run_retries == 0
    effects: Effects = world.step(AttemptEnded(1, -1, 1, A.CANCELLED, 0, 0, 0, cancel_requested=True))
    assert world.run_retries == 1 and effects.run_state is RunState.RUNNING
    world.drain()
    assert names(world) == ["success"] * 3


def test_a_cancel_while_a_run_fails_fast_is_its_end() -> None:
    world = run_of([[FAILS, WORKS], [WORKS, WORKS]], ((), ()), fail_fast=True)
    world.claim(0)
    world.claim(1)
    world.step(world.end_of(0))
    assert world.step(RunCancelled("enough")).notes == ["enough"], "written, for it changes what comes"
    world.step(AttemptEnded(1, -1, 1, A.CANCELLED, 0, 0, 0, cancel_requested=True))
    assert world.run_retries == 0
    assert world.board.state is RunState.FAILED and names(world) == ["failed", "cancelled"]


def test_a_mark_on_a_run_that_has_ended_runs_nothing_again() -> None:
    world = run_of([[FAILS, WORKS], [WORKS]], ((), ()))
    world.step(TasksCancelled((1,), "not this one"))
    world.drain()
    assert world.board.state is RunState.FAILED and names(world) == ["failed", "cancelled"]
    world.step(TasksMarked((1,), TaskEvent.MARK_SUCCESS, "done by hand"))
    assert world.run_retries == 0
    assert world.board.state is RunState.FAILED and names(world) == ["failed", "success"]


def test_who_says_that_what_has_failed_has_failed_wants_no_other_try() -> None:
    world = run_of([[FAILS, WORKS], [WORKS]], ((), ()))
    world.claim(0)
    world.step(world.end_of(0))
    assert world.step(TasksMarked((0,), TaskEvent.MARK_FAILED, "no use")).notes == ["no use"]
    world.drain()
    assert world.run_retries == 0
    assert world.board.state is RunState.FAILED and names(world) == ["failed", "success"]
