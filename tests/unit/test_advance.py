"""How a run moves: random runs against a short model of what must come out, and the commands one by one.

`World` stands for everything around `advance`: the queue, the live attempts with their fence, and the order in which
things happen, which is drawn. `expected_ends` is the model: it knows no events and no order, only graph and outcomes.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glidepath_server.core.advance import REDELIVERIES_MAX, Effects, Release, advance
from glidepath_server.core.board import Board
from glidepath_server.core.errors import IllegalTransition, StateConflict
from glidepath_server.core.events import (
    AttemptEnded,
    Event,
    RunCancelled,
    RunStarted,
    RunTimedOut,
    TasksCancelled,
    TasksCleared,
    Withdrawn,
)
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.graph import Graph, TriggerRule
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.states import TASK_FINAL, AttemptState, RunIntent, RunState, TaskState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
S, A = TaskState, AttemptState
BROKEN, HOPELESS = Failure(FailureKind.APPLICATION, message="broken"), Failure(FailureKind.BAD_INPUT, message="bad")
BAD = {S.FAILED, S.UPSTREAM_FAILED, S.CANCELLED}
Outcome = tuple[AttemptState, Failure | None]
GOOD: Outcome = (A.SUCCESS, None)
Script = Sequence[Outcome]


# ---- the model
def own_end(script: Script, policy: RetryPolicy) -> TaskState:
    """How a task ends that is let run, by what its attempts do one after another."""
    counts = dict.fromkeys(("failed", "lost", "returned"), 0)
    budgets = {"failed": policy.retries_max, "lost": policy.losses_max, "returned": REDELIVERIES_MAX}
    for outcome, failure in script:
        if outcome in (A.SUCCESS, A.SKIPPED, A.CANCELLED):
            return {A.SUCCESS: S.SUCCESS, A.SKIPPED: S.SKIPPED, A.CANCELLED: S.CANCELLED}[outcome]
        kind = outcome.value if outcome in (A.LOST, A.RETURNED) else "failed"
        counts[kind] += 1
        if counts[kind] > budgets[kind] or failure == HOPELESS:
            return S.FAILED
    return S.SUCCESS


def rule_end(rule: TriggerRule, before: Iterable[TaskState]) -> TaskState | None:
    """What a trigger rule makes of a task once all its upstreams have ended; None lets it run."""
    ends = set(before)
    if rule is TriggerRule.ONE_FAILED:
        return None if ends & BAD else S.SKIPPED
    if rule in (TriggerRule.ALWAYS, TriggerRule.ALL_DONE):
        return None
    if ends & BAD:
        return S.UPSTREAM_FAILED
    return S.SKIPPED if rule is TriggerRule.ALL_SUCCESS and S.SKIPPED in ends else None


def expected_ends(graph: Graph, scripts: Sequence[Script], fixed: Mapping[int, TaskState]) -> list[TaskState]:
    """End states of all tasks; `fixed` were ended by a command."""
    ends: list[TaskState] = []
    for task in range(graph.size):
        by_rule = rule_end(graph.rules[task], [ends[each] for each in graph.upstream[task]])
        ends.append(fixed.get(task) or by_rule or own_end(scripts[task], graph.retries[task]))
    return ends


# ---- the world around it
@dataclass
class World:
    """One run with its queue and its live attempts. Scripts are by task and generation."""

    graph: Graph
    scripts: Sequence[Sequence[Script]]
    chance: random.Random
    board: Board = field(init=False)
    queue: dict[int, Release] = field(default_factory=dict)
    live: dict[int, Release] = field(default_factory=dict)
    told_to_end: set[int] = field(default_factory=set)
    claimed: set[tuple[int, int]] = field(default_factory=set)
    ended: list[AttemptEnded] = field(default_factory=list)
    commanded: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.board = Board.fresh(self.graph.size)
        self.generation = [0] * self.graph.size
        self.used = [0] * self.graph.size

    # ---- the step
    def step(self, *events: Event) -> Effects:
        """What the step transaction does: fence, advance, withdraw, advance again, queue."""
        accepted = [each for each in events if self._accepted(each)]
        effects = advance(self.graph, self.board, accepted, NOW)
        self._note(effects)
        if back := list(self._withdrawn(effects)):
            second = advance(self.graph, self.board, back, NOW)
            self._note(second)
            effects.merge(second)
        for release in effects.releases:
            assert release.task not in self.queue and release.task not in self.live, "two at once"
            self.queue[release.task] = release
        self.restore()
        self.never_stuck()
        return effects

    def _accepted(self, event: Event) -> bool:
        if not isinstance(event, AttemptEnded):
            return True
        held = self.live.get(event.task)
        if held is None or held.attempt_number != event.attempt_number:
            return False
        del self.live[event.task]
        self.told_to_end.discard(event.task)
        self.used[event.task] += 1
        return True

    def _note(self, effects: Effects) -> None:
        for task, _, state in effects.changes:
            if state == S.SCHEDULED:  # cleared: its next generation begins
                self.generation[task] += 1
                self.used[task] = 0

    def _withdrawn(self, effects: Effects) -> Iterable[Withdrawn]:
        for task, event, _ in effects.withdrawals:
            row = self.queue.pop(task, None)
            if row is not None:
                yield Withdrawn(task, -1, row.attempt_number, event)
            else:
                assert task in self.live, "neither queued nor live"
                self.told_to_end.add(task)

    def restore(self) -> None:
        """Now and then the board comes from its stored form, as after a change of replica."""
        if self.chance.random() < 0.2:
            board = self.board
            self.board = Board.unpack(self.graph.size, board.pack(), board.state, board.intent)

    def never_stuck(self) -> None:
        out = {task for task, state in enumerate(self.board.states) if state in (S.RELEASED, S.RESTARTING)}
        assert out == self.queue.keys() | self.live.keys()
        final = self.board.state in (RunState.SUCCESS, RunState.FAILED, RunState.CANCELLED)
        assert final == (not out and self.board.state is not RunState.QUEUED), "a run that waits for nothing, or ended early"

    # ---- what happens
    def claim(self, task: int) -> None:
        release = self.queue.pop(task)
        assert (task, release.attempt_number) not in self.claimed, "an attempt number twice"
        self.claimed.add((task, release.attempt_number))
        self.live[task] = release

    def end_of(self, task: int) -> AttemptEnded:
        """The word of the worker on a live attempt, as its script has it."""
        release = self.live[task]
        outcome, failure = self.next_outcome(task)
        ended = AttemptEnded(
            task, -1, release.attempt_number, outcome, release.tries, release.losses, release.redeliveries, failure,
            cancel_requested=task in self.told_to_end)
        self.ended.append(ended)
        return ended

    def next_outcome(self, task: int) -> Outcome:
        script = self.script(task)
        return script[self.used[task]] if self.used[task] < len(script) else GOOD

    def script(self, task: int) -> Script:
        scripts = self.scripts[task]
        return scripts[self.generation[task] % len(scripts)]

    def something(self) -> None:
        """Claim one, or end up to three in one step, with a repetition of an older end among them."""
        if self.queue and (not self.live or self.chance.random() < 0.5):
            self.claim(self.chance.choice(sorted(self.queue)))
            return
        tasks = self.chance.sample(sorted(self.live), min(len(self.live), self.chance.randint(1, 3)))
        repeated = [self.chance.choice(self.ended)] if self.ended else []
        self.step(*repeated, *map(self.end_of, tasks))

    def drain(self) -> None:
        while self.queue or self.live:
            self.something()

    def command(self, event: Event) -> None:
        """An operator's command, half of the time in one step with the end of an attempt."""
        ends = [self.end_of(self.chance.choice(sorted(self.live)))] if self.live and self.chance.random() < 0.5 else []
        self.step(*ends, event)

    def cancel(self, tasks: Iterable[int]) -> None:
        chosen = tuple(sorted(tasks))
        self.commanded |= set(chosen)
        self.command(TasksCancelled(chosen))

    def cancel_run(self) -> None:
        self.commanded |= set(range(self.graph.size))
        self.command(RunCancelled())

    def clear(self, tasks: Iterable[int]) -> None:
        chosen = tuple(sorted(self.graph.closure(set(tasks))))
        self.commanded -= set(chosen)
        made = {task: max((n for t, n in self.claimed if t == task), default=0) for task in chosen}
        self.command(TasksCleared(chosen, cancel_running=True, attempts=made))

    # ---- what must hold in the end
    def check_ends(self) -> None:
        ends = [S(state) for state in self.board.states]
        fixed = {task: S.CANCELLED for task in self.commanded if ends[task] is S.CANCELLED}
        assert ends == expected_ends(self.graph, [self.script(task) for task in range(self.graph.size)], fixed)
        if self.board.intent is RunIntent.CANCEL:
            assert self.board.state is RunState.CANCELLED
        else:
            assert self.board.state is (RunState.FAILED if BAD & set(ends) else RunState.SUCCESS)


def graph_of(upstream: Sequence[Sequence[int]], rules: Sequence[TriggerRule], policies: Sequence[RetryPolicy]) -> Graph:
    downstream: list[list[int]] = [[] for _ in upstream]
    for task, before in enumerate(upstream):
        for each in before:
            downstream[each].append(task)
    return Graph(tuple(f"t{task}" for task in range(len(upstream))), tuple(map(tuple, upstream)),
                 tuple(map(tuple, downstream)), tuple(rules), tuple(policies))


OUTCOMES: list[Outcome] = [
    GOOD, GOOD, GOOD, (A.FAILED, BROKEN), (A.FAILED, HOPELESS), (A.FAILED, None), (A.TIMED_OUT, BROKEN),
    (A.LOST, None), (A.LOST, None), (A.RETURNED, None), (A.SKIPPED, None), (A.CANCELLED, None)]


def random_run(seed: int, size: int) -> tuple[Graph, list[list[Script]]]:
    """A graph of `size` tasks with rules and policies, and for each task the scripts of three generations."""
    chance = random.Random(seed)
    width = chance.choice([1, 2, 4, size])
    upstream, rules = [], []
    for task in range(size):
        near = range(max(0, task - 2 * width), task)
        upstream.append(sorted(chance.sample(near, min(len(near), chance.choice([0, 1, 1, 2, 3])))))
        rules.append(chance.choice([TriggerRule.ALL_SUCCESS, *TriggerRule]) if upstream[-1] else TriggerRule.ALL_SUCCESS)
    policies = [RetryPolicy(retries_max=chance.randint(0, 3), losses_max=chance.randint(0, 2)) for _ in range(size)]
    mostly_good = chance.random() < 0.5
    scripts = [[_script(chance, mostly_good) for _ in range(3)] for _ in range(size)]
    return graph_of(upstream, rules, policies), scripts


def _script(chance: random.Random, mostly_good: bool) -> Script:
    if mostly_good and chance.random() < 0.8:
        return [GOOD]
    return [(A.RETURNED, None)] * 7 if chance.random() < 0.05 else chance.choices(OUTCOMES, k=chance.randint(1, 8))


def started(seed: int, size: int, order: int) -> World:
    graph, scripts = random_run(seed, size)
    world = World(graph, scripts, random.Random(order))
    world.step(RunStarted())
    return world


SEEDS = st.integers(0, 2**32 - 1)
many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(seed=SEEDS, size=st.integers(1, 200), order=SEEDS)
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
    seed: int, size: int, order: int,
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
    kind = world.chance.choice(["cancel", "clear", "clear", "cancel run"])
    if kind == "cancel" and running:
        world.cancel(tasks)
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
    return world.step(AttemptEnded(task, -1, held.attempt_number, outcome, held.tries, held.losses, held.redeliveries,
                                   failure, cancel_requested=task in world.told_to_end))


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
    graph = graph_of([[], [0], [1]], [TriggerRule.ALL_SUCCESS, TriggerRule.ALL_SUCCESS, TriggerRule.ALL_DONE], [PLAIN] * 3)
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
    world.step(RunCancelled())
    assert world.board.state is RunState.CANCELLED
    world.commanded = {0, 1}
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
    assert {S.SUCCESS, S.SKIPPED} | BAD == TASK_FINAL
