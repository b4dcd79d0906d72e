"""A run for tests of `advance`: the world around it, and a short model of what must come out.

`World` stands for everything around `advance`: the queue, the live attempts with their fence, and the order in which
things happen, which is drawn. `expected_ends` is the model: it knows no events and no order, only graph and outcomes.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from glidepath_server.core.advance import advance
from glidepath_server.core.board import FINAL, Board
from glidepath_server.core.compile import with_roles
from glidepath_server.core.effects import Effects, Release
from glidepath_server.core.events import (
    AttemptEnded,
    Event,
    RunCancelled,
    RunRetried,
    RunStarted,
    TasksCancelled,
    TasksCleared,
    TasksMarked,
    Withdrawn,
)
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.graph import Graph, MapPolicy, TaskRole
from glidepath_server.core.next_attempt import REDELIVERIES_MAX
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.states import MARKS, AttemptState, RunIntent, RunState, TaskEvent, TaskState
from glidepath_server.core.trigger_rules import TriggerRule
from tests.trigger_rule_table import verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
S, A = TaskState, AttemptState
BROKEN, HOPELESS = Failure(FailureKind.APPLICATION, message="broken"), Failure(FailureKind.BAD_INPUT, message="bad")
BAD = {S.FAILED, S.UPSTREAM_FAILED, S.CANCELLED}
Outcome = tuple[AttemptState, Failure | None]
GOOD: Outcome = (A.SUCCESS, None)
Script = Sequence[Outcome]
Choice = tuple[int, ...]


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
    states = [end.name.lower() for end in before]
    return {"run": None, "skip": S.SKIPPED, "fail": S.UPSTREAM_FAILED}[verdict(rule, states)] if states else None


@dataclass(frozen=True)
class MapModel:
    """A mapped task: what its instances do, and what becomes of their ends. `over` is the task whose output it is
    mapped over, None for a literal."""

    scripts: Sequence[Script]
    window: int
    ratio: float = 1.0
    empty_skips: bool = True
    over: int | None = None


def end_of_map(ends: Sequence[TaskState], ratio: float, empty_skips: bool) -> TaskState:
    """What a mapped task comes to whose instances have ended so."""
    if not ends:
        return S.SKIPPED if empty_skips else S.SUCCESS
    tried = [end for end in ends if end is not S.SKIPPED]
    if not tried:
        return S.SKIPPED
    if tried.count(S.SUCCESS) >= ratio * len(tried) - 1e-9:
        return S.SUCCESS
    return S.FAILED if S.FAILED in tried else S.CANCELLED


def expected_ends(
    graph: Graph,
    scripts: Sequence[Script],
    fixed: Mapping[int, TaskState],
    choices: Mapping[int, Choice],
    maps: Mapping[int, MapModel] | None = None,
) -> list[TaskState]:
    """End states of all tasks; `fixed` were ended by a command, `choices` are what branches follow that succeed."""
    ends: list[TaskState] = []
    read: dict[int, list[TaskState]] = {}  # ends of the instances of maps whose lists were read
    for task in range(graph.size):
        not_run = _left_out_end(graph, task, ends, choices) or _not_run_end(graph, task, ends, read)
        end = fixed.get(task) or not_run
        if end is None and task in (maps or {}):
            end = _own_end_of_map(graph, task, maps or {}, ends, read)
        ends.append(end or own_end(scripts[task], graph.retries[task]))
    return ends


def _own_end_of_map(
    graph: Graph, task: int, maps: Mapping[int, MapModel], ends: list[TaskState], read: dict[int, list[TaskState]]
) -> TaskState:
    """A map over what has no output fails; one over a map that was read has its list, however that has ended."""
    model = maps[task]
    if model.over is not None and model.over not in read and (model.over in maps or ends[model.over] is not S.SUCCESS):
        return S.FAILED
    read[task] = [own_end(script, graph.retries[task]) for script in model.scripts]
    return end_of_map(read[task], model.ratio, model.empty_skips)


def _left_out_end(graph: Graph, task: int, ends: list[TaskState], choices: Mapping[int, Choice]) -> TaskState | None:
    """SKIPPED for what a branch directly upstream, or a short circuit anywhere upstream, leaves out."""
    if task in graph.teardowns or graph.rules[task] is TriggerRule.ALWAYS:
        return None
    for gate, chosen in choices.items():
        if gate >= task or ends[gate] is not S.SUCCESS:
            continue
        if gate in graph.short_circuits:
            left_out = not chosen and task in graph.closure([gate])
        else:
            left_out = task in graph.downstream[gate] and task not in graph.closure(chosen)
        if left_out:
            return S.SKIPPED
    return None


def _not_run_end(
    graph: Graph, task: int, ends: list[TaskState], read: Mapping[int, list[TaskState]]
) -> TaskState | None:
    if task in graph.teardowns:
        return None if all(ends[setup] is S.SUCCESS for setup in graph.teardowns[task]) else S.SKIPPED
    # A map that has failed is seen as its instances.
    seen = ((read.get(each) if ends[each] is S.FAILED else None) or [ends[each]] for each in graph.upstream[task])
    return rule_end(graph.rules[task], [state for states in seen for state in states])


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
    marked: dict[int, TaskState] = field(default_factory=dict)
    run_retries: int = 0

    def __post_init__(self) -> None:
        self.board = Board.fresh(self.graph.size)
        self.generation = [0] * self.graph.size
        self.used = [0] * self.graph.size

    # ---- the step
    def step(self, *events: Event) -> Effects:
        """What the step transaction does: fence, advance, withdraw, advance again, queue."""
        accepted = [each for each in events if self._accepted(each)]
        effects = advance(self.graph, self.board, accepted, NOW)
        noted = self._note(effects, 0)
        asked: set[int] = set()
        while any(each.task not in asked for each in effects.withdrawals):
            back = list(self._withdrawn(effects, asked))
            advance(self.graph, self.board, back, NOW, effects)
            noted = self._note(effects, noted)
        if effects.run_again:
            self.run_retries += 1
            self.marked = {task: state for task, state in self.marked.items() if task not in effects.run_again}
            again = RunRetried(effects.run_again, self.made(effects.run_again))
            advance(self.graph, self.board, [again], NOW, effects)
            self._note(effects, noted)
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

    def _note(self, effects: Effects, noted: int) -> int:
        """Note the changes behind the first so many; returns how many there are now."""
        for task, _, state in effects.changes[noted:]:
            if state == S.SCHEDULED:  # cleared: its next generation begins
                self.generation[task] += 1
                self.used[task] = 0
        return len(effects.changes)

    def _withdrawn(self, effects: Effects, asked: set[int]) -> Iterable[Withdrawn]:
        """Take back what was not asked for before, in this step."""
        for task, event, *_ in list(effects.withdrawals):
            if task in asked:
                continue
            asked.add(task)
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
            self.board = Board.unpack(
                self.graph.size, board.pack(), board.state, board.intent, board.reason, board.seed
            )

    def never_stuck(self) -> None:
        out = {task for task, state in enumerate(self.board.states) if state in (S.RELEASED, S.RESTARTING)}
        assert out == self.queue.keys() | self.live.keys()
        final = self.board.state in (RunState.SUCCESS, RunState.FAILED, RunState.CANCELLED)
        waits = self.board.state is RunState.QUEUED or bool(out)
        assert final != waits, "a run that waits for nothing, or that ended early"

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
            task,
            -1,
            release.attempt_number,
            outcome,
            release.tries,
            release.losses,
            release.redeliveries,
            failure,
            cancel_requested=task in self.told_to_end,
            choice=self.choice(task) if outcome is A.SUCCESS else None,
        )
        self.ended.append(ended)
        return ended

    def next_outcome(self, task: int) -> Outcome:
        script = self.script(task)
        return script[self.used[task]] if self.used[task] < len(script) else GOOD

    def choice(self, task: int) -> Choice | None:
        """What a branch follows in its generation of now; None for a task that is none."""
        if task not in self.graph.gated:
            return None
        chance, after = random.Random(f"{task} {self.generation[task]}"), self.graph.downstream[task]
        return tuple(sorted(chance.sample(after, chance.randint(0, len(after)))))

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

    def mark(self, tasks: Iterable[int], mark: TaskEvent) -> None:
        """An operator says how tasks end that have not ended yet: what has followed from an end is left as it is."""
        chosen = tuple(task for task in sorted(tasks) if self.board.states[task] not in FINAL)
        self.marked |= dict.fromkeys(chosen, MARKS[mark])
        self.step(TasksMarked(chosen, mark))

    def clear(self, tasks: Iterable[int]) -> None:
        chosen = tuple(sorted(self.board.with_surroundings(self.graph, self.graph.closure(tasks))))
        self.commanded -= set(chosen)
        for task in chosen:
            self.marked.pop(task, None)
        self.command(TasksCleared(chosen, cancel_running=True, attempts=self.made(chosen)))

    def made(self, tasks: Iterable[int]) -> dict[int, int]:
        """Attempts that were made of each."""
        return {task: max((n for t, n in self.claimed if t == task), default=0) for task in tasks}

    # ---- what must hold in the end
    def check_ends(self) -> None:
        ends = [S(state) for state in self.board.states]
        fixed = {task: S.CANCELLED for task in self.commanded if ends[task] is S.CANCELLED}
        # A cancel that comes after a mark makes it void, if the attempt has not ended by then.
        fixed |= {
            task: state for task, state in self.marked.items() if task not in self.commanded or ends[task] is state
        }
        assert all(ends[task] is state for task, state in self.marked.items() if task not in self.commanded)
        scripts = [self.script(task) for task in range(self.graph.size)]
        # A branch that was marked as done has chosen nothing: all of it is followed.
        chosen = {task: self.choice(task) for task in range(self.graph.size) if task not in self.marked}
        choices = {task: choice for task, choice in chosen.items() if choice is not None}
        assert ends == expected_ends(self.graph, scripts, fixed, choices)
        if self.board.intent is RunIntent.CANCEL:
            assert self.board.state is RunState.CANCELLED
        else:
            work = {end for task, end in enumerate(ends) if task not in self.graph.teardowns}
            assert self.board.state is (RunState.FAILED if BAD & work else RunState.SUCCESS)


def graph_of(
    upstream: Sequence[Sequence[int]],
    rules: Sequence[TriggerRule],
    policies: Sequence[RetryPolicy],
    *,
    waits: Sequence[float] = (),
    fail_fast: bool = False,
    run_retries_max: int = 0,
    maps: Mapping[int, MapPolicy] | None = None,
) -> Graph:
    downstream: list[list[int]] = [[] for _ in upstream]
    for task, before in enumerate(upstream):
        for each in before:
            downstream[each].append(task)
    return Graph(
        tuple(f"t{task}" for task in range(len(upstream))),
        tuple(map(tuple, upstream)),
        tuple(map(tuple, downstream)),
        tuple(rules),
        tuple(policies),
        waits=tuple(waits),
        fail_fast=fail_fast,
        run_retries_max=run_retries_max,
        maps=maps or {},
    )


OUTCOMES: list[Outcome] = [
    GOOD,
    GOOD,
    GOOD,
    (A.FAILED, BROKEN),
    (A.FAILED, HOPELESS),
    (A.FAILED, None),
    (A.TIMED_OUT, BROKEN),
    (A.LOST, None),
    (A.LOST, None),
    (A.RETURNED, None),
    (A.SKIPPED, None),
    (A.CANCELLED, None),
]


def random_run(seed: int, size: int) -> tuple[Graph, list[list[Script]]]:
    """A graph of `size` tasks with rules and policies, and for each task the scripts of three generations."""
    chance = random.Random(seed)
    width = chance.choice([1, 2, 4, size])
    upstream, rules = [], []
    for task in range(size):
        near = range(max(0, task - 2 * width), task)
        upstream.append(sorted(chance.sample(near, min(len(near), chance.choice([0, 1, 1, 2, 3])))))
        rule = chance.choice([TriggerRule.ALL_SUCCESS, *TriggerRule])
        rules.append(rule if upstream[-1] else TriggerRule.ALL_SUCCESS)
    policies = [RetryPolicy(retries_max=chance.randint(0, 3), losses_max=chance.randint(0, 2)) for _ in range(size)]
    mostly_good = chance.random() < 0.5
    scripts = [[_script(chance, mostly_good) for _ in range(3)] for _ in range(size)]
    graph = graph_of(upstream, rules, policies, run_retries_max=chance.choice([0, 0, 0, 1, 2]))
    return with_roles(graph, _roles(chance, upstream)), scripts


def _roles(chance: random.Random, upstream: Sequence[Sequence[int]]) -> list[TaskRole]:
    """In every other run a few tasks steer the others."""
    if chance.random() < 0.5:
        return [TaskRole.WORK] * len(upstream)
    roles = chance.choices([TaskRole.WORK, *TaskRole], [10, 0, 2, 1, 2, 2], k=len(upstream))
    return [
        TaskRole.WORK if role is TaskRole.TEARDOWN and not upstream[task] else role for task, role in enumerate(roles)
    ]


def _script(chance: random.Random, mostly_good: bool) -> Script:
    if mostly_good and chance.random() < 0.8:
        return [GOOD]
    return [(A.RETURNED, None)] * 7 if chance.random() < 0.05 else chance.choices(OUTCOMES, k=chance.randint(1, 8))


def started(seed: int, size: int, order: int) -> World:
    graph, scripts = random_run(seed, size)
    world = World(graph, scripts, random.Random(order))
    world.step(RunStarted())
    return world
