"""How a run moves: random runs against the model of run_world.py, and the commands one by one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from run_world import BAD, BROKEN, GOOD, NOW, A, S, Script, World, graph_of, started

from glidepath_server.core.advance import advance
from glidepath_server.core.board import Board
from glidepath_server.core.effects import Effects, Release
from glidepath_server.core.errors import IllegalTransition, StateConflict
from glidepath_server.core.events import (
    AttemptEnded,
    RunCancelled,
    RunStarted,
    RunTimedOut,
    TasksCancelled,
    TasksCleared,
)
from glidepath_server.core.failure import Failure
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.states import MARKS, TASK_FINAL, AttemptState, RunIntent, RunState, TaskState
from glidepath_server.core.trigger_rules import TriggerRule

SEEDS = st.integers(0, 2**32 - 1)
many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(seed=SEEDS, size=st.integers(1, 200), order=SEEDS)
@example(seed=1041278, size=105, order=0)
def test_every_task_ends_as_its_rule_and_its_attempts_say(seed: int, size: int, order: int) -> None:
    world = started(seed, size, order)
    world.drain()
    world.check_ends()


@many
@given(seed=SEEDS, size=st.integers(1, 60), orders=st.tuples(SEEDS, SEEDS))
def test_ends_do_not_depend_on_the_order_of_what_happens(seed: int, size: int, orders: tuple[int, int]) -> None:
    ends = []
    for order in orders:
        world = started(seed, size, order)
        world.drain()
        ends.append((bytes(world.board.states), world.board.state, sorted(world.claimed)))
    assert ends[0][:2] == ends[1][:2]
    assert ends[0][2] == ends[1][2], "the same attempts are made, too"


@pytest.mark.parametrize("seed", range(4))
def test_large_runs_end_as_the_model_says(seed: int) -> None:
    world = started(seed, 2_000, seed)
    world.drain()
    world.check_ends()


@many
@given(seed=SEEDS, size=st.integers(1, 60), order=SEEDS)
def test_whatever_operators_do_meanwhile_the_ends_follow_from_the_last_generations(
    seed: int,
    size: int,
    order: int,
) -> None:
    world = started(seed, size, order)
    for _ in range(world.chance.randint(1, 8)):
        for _ in range(world.chance.randint(0, 2 * size)):
            if world.queue or world.live:
                world.something()
        _operate(world)
    world.drain()
    world.check_ends()


def _operate(world: World) -> None:
    tasks = world.chance.sample(range(world.graph.size), world.chance.randint(1, min(world.graph.size, 5)))
    running = world.board.state is RunState.RUNNING
    ends = running and world.board.intent is not RunIntent.RUN
    kind = world.chance.choice(["cancel", "clear", "clear", "cancel run", "mark"])
    if kind == "cancel" and running:
        world.cancel(tasks)
    elif kind == "mark" and running and not ends:
        world.mark(tasks, world.chance.choice(sorted(MARKS)))
    elif kind == "cancel run" and running:
        world.cancel_run()
    elif kind == "clear" and not ends:
        world.clear(tasks)


# ---- one by one
PLAIN = RetryPolicy()


def chain(size: int, policy: RetryPolicy = PLAIN, scripts: Sequence[Script] | None = None) -> World:
    """A started run of tasks one after another."""
    upstream = [[task - 1] if task else [] for task in range(size)]
    graph = graph_of(upstream, [TriggerRule.ALL_SUCCESS] * size, [policy] * size)
    world = World(graph, [[script] for script in scripts or [[]] * size], random.Random(0))
    world.step(RunStarted())
    return world


def states(world: World) -> list[TaskState]:
    return [S(state) for state in world.board.states]


def end(world: World, task: int, outcome: AttemptState = A.SUCCESS, failure: Failure | None = None) -> Effects:
    """Claim the task if need be, and end its attempt."""
    if task in world.queue:
        world.claim(task)
    held = world.live[task]
    return world.step(
        AttemptEnded(
            task,
            -1,
            held.attempt_number,
            outcome,
            held.tries,
            held.losses,
            held.redeliveries,
            failure,
            cancel_requested=task in world.told_to_end,
        )
    )


def test_a_second_start_changes_nothing() -> None:
    world = chain(2)
    effects = world.step(RunStarted())
    assert not effects.releases and not effects.changes


def test_an_end_that_was_accepted_once_is_not_accepted_again() -> None:
    world = chain(2, RetryPolicy(retries_max=3))
    world.claim(0)
    ended = AttemptEnded(0, -1, 1, A.FAILED, 0, 0, 0, BROKEN)
    world.step(ended)
    world.step(ended)
    assert world.queue[0].attempt_number == 2
    assert world.queue[0].tries == 1


def test_an_end_of_what_is_not_out_is_a_bug() -> None:
    world = chain(2)
    with pytest.raises(IllegalTransition):
        advance(world.graph, world.board, [AttemptEnded(1, -1, 1, A.FAILED, 0, 0, 0, BROKEN)], NOW)


def test_a_retry_waits_as_long_as_its_policy_says() -> None:
    world = chain(1, RetryPolicy(retries_max=2, delay_seconds=30, backoff=2))
    end(world, 0, A.FAILED, BROKEN)
    assert world.queue[0].at == NOW + timedelta(seconds=30)
    end(world, 0, A.FAILED, BROKEN)
    assert world.queue[0].at == NOW + timedelta(seconds=60)
    assert end(world, 0, A.FAILED, BROKEN).run_state is RunState.FAILED


def test_losses_and_take_backs_use_no_tries() -> None:
    world = chain(1, RetryPolicy(retries_max=0, losses_max=2))
    for outcome in (A.LOST, A.RETURNED, A.LOST):
        end(world, 0, outcome)
    assert world.queue[0] == Release(0, -1, 4, tries=0, losses=2, redeliveries=1)
    end(world, 0, A.LOST)
    assert states(world) == [S.FAILED]


def test_cancelling_a_run_withdraws_what_waits_and_tells_what_is_live() -> None:
    graph = graph_of([[], [], [0, 1]], [TriggerRule.ALL_SUCCESS] * 3, [PLAIN] * 3)
    world = World(graph, [[[]]] * 3, random.Random(0))
    world.step(RunStarted())
    world.claim(0)
    world.step(RunCancelled("enough"))
    assert states(world) == [S.RELEASED, S.CANCELLED, S.CANCELLED]
    assert world.told_to_end == {0} and not world.queue
    effects = end(world, 0, A.FAILED, BROKEN)
    assert effects.run_state is RunState.CANCELLED
    assert states(world)[0] is S.CANCELLED


def test_what_succeeds_in_spite_of_a_cancel_has_succeeded() -> None:
    world = chain(1)
    world.claim(0)
    world.step(RunCancelled())
    assert end(world, 0).run_state is RunState.CANCELLED
    assert states(world) == [S.SUCCESS]


def test_a_cancel_stops_the_retry_of_an_attempt_that_ends_in_the_same_step() -> None:
    for command in (RunCancelled(), TasksCancelled((0,))):
        world = chain(1, RetryPolicy(retries_max=3))
        world.claim(0)
        effects = world.step(AttemptEnded(0, -1, 1, A.FAILED, 0, 0, 0, BROKEN), command)
        assert not effects.releases and not effects.withdrawals
        assert states(world) == [S.CANCELLED]


def test_a_cancel_of_a_queued_run_ends_it() -> None:
    graph = graph_of([[], [0]], [TriggerRule.ALL_SUCCESS] * 2, [PLAIN] * 2)
    board = Board.fresh(2)
    effects = advance(graph, board, [RunCancelled("never mind")], NOW)
    assert (effects.run_state, effects.reason) == (RunState.CANCELLED, "never mind")
    assert set(board.states) == {S.CANCELLED}


def test_a_run_that_was_told_to_end_before_it_began_does_not_begin() -> None:
    """Both in one step, of a run of a part of its DAG, whose other tasks are taken out as it begins."""
    graph = replace(graph_of([[], [0]], [TriggerRule.ALL_SUCCESS] * 2, [PLAIN] * 2), removed=frozenset({0}))
    board = Board.fresh(2)
    effects = advance(graph, board, [RunCancelled("never mind"), RunStarted()], NOW)
    assert effects.run_state is RunState.CANCELLED
    assert set(board.states) == {S.CANCELLED}


def test_tasks_of_a_queued_run_cannot_be_cancelled() -> None:
    graph = graph_of([[]], [TriggerRule.ALL_SUCCESS], [PLAIN])
    with pytest.raises(StateConflict, match="has not started"):
        advance(graph, Board.fresh(1), [TasksCancelled((0,))], NOW)


def test_a_cancelled_task_fails_what_needs_it_and_the_run() -> None:
    world = chain(3)
    effects = world.step(TasksCancelled((1,)))
    assert states(world) == [S.RELEASED, S.CANCELLED, S.UPSTREAM_FAILED]
    assert effects.run_state is None
    assert end(world, 0).run_state is RunState.FAILED


def test_a_task_cancelled_together_with_its_upstream_never_starts() -> None:
    rules = [TriggerRule.ALL_SUCCESS, TriggerRule.ALL_SUCCESS, TriggerRule.ALL_DONE]
    graph = graph_of([[], [0], [1]], rules, [PLAIN] * 3)
    world = World(graph, [[[]]] * 3, random.Random(0))
    world.step(RunStarted())
    world.step(TasksCancelled((1, 2)))
    assert states(world) == [S.RELEASED, S.CANCELLED, S.CANCELLED]


def test_a_cancel_takes_the_place_of_a_clear_that_waits_for_the_attempt_to_end() -> None:
    world = chain(1)
    world.claim(0)
    world.clear([0])
    world.step(TasksCancelled((0,)))
    end(world, 0, A.CANCELLED)
    assert states(world) == [S.CANCELLED]
    assert not world.queue


def test_clear_lets_ended_tasks_run_again_with_numbers_that_were_never_used() -> None:
    world = chain(2, RetryPolicy(retries_max=1))
    for outcome, failure in ((A.FAILED, BROKEN), GOOD):
        end(world, 0, outcome, failure)
    assert end(world, 1).run_state is RunState.SUCCESS
    world.clear([0])
    assert world.board.state is RunState.RUNNING
    assert states(world) == [S.RELEASED, S.SCHEDULED]
    assert world.queue[0] == Release(0, -1, 3), "a new generation has all its tries"
    world.drain()
    assert world.claimed == {(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)}


def test_clear_of_what_is_queued_keeps_its_number() -> None:
    world = chain(1)
    world.clear([0])
    assert world.queue[0].attempt_number == 1


def test_clear_of_what_is_live_waits_for_its_end_whatever_that_is() -> None:
    for outcome in (A.SUCCESS, A.FAILED, A.LOST, A.CANCELLED, A.RETURNED, A.SKIPPED):
        world = chain(2)
        world.claim(0)
        world.clear([0])
        assert states(world) == [S.RESTARTING, S.SCHEDULED]
        assert world.told_to_end == {0}
        end(world, 0, outcome)
        assert states(world) == [S.RELEASED, S.SCHEDULED]
        assert world.queue[0] == Release(0, -1, 2)


def test_clear_is_refused_while_the_run_is_being_cancelled() -> None:
    world = chain(1)
    world.claim(0)
    world.step(RunCancelled())
    with pytest.raises(StateConflict, match="being cancelled"):
        advance(world.graph, world.board, [TasksCleared((0,))], NOW)


def test_a_cancelled_run_runs_again_after_a_clear() -> None:
    world = chain(2)
    assert world.step(RunCancelled()).run_state is RunState.CANCELLED
    world.clear([0])
    world.drain()
    assert world.board.state is RunState.SUCCESS


def test_run_timeout_fails_the_run_once_nothing_of_it_is_live() -> None:
    world = chain(2)
    world.claim(0)
    effects = world.step(RunTimedOut("run timeout of 60 s"))
    assert effects.run_state is None
    assert states(world) == [S.RELEASED, S.CANCELLED]
    effects = end(world, 0, A.CANCELLED)
    assert effects.run_state is RunState.FAILED


def test_a_cancel_after_a_timeout_leaves_the_run_failed() -> None:
    world = chain(1)
    world.claim(0)
    world.step(RunTimedOut())
    world.step(RunCancelled())
    assert end(world, 0, A.CANCELLED).run_state is RunState.FAILED


def test_a_run_timeout_after_the_end_changes_nothing() -> None:
    world = chain(1)
    end(world, 0)
    effects = world.step(RunTimedOut())
    assert effects.run_state is None and world.board.state is RunState.SUCCESS


def test_a_long_chain_fails_without_recursion() -> None:
    world = chain(20_000)
    assert end(world, 0, A.FAILED, BROKEN).run_state is RunState.FAILED
    assert set(states(world)[1:]) == {S.UPSTREAM_FAILED}


def test_every_final_state_is_an_end_of_the_model() -> None:
    assert {S.SUCCESS, S.SKIPPED, S.REMOVED} | BAD == TASK_FINAL
