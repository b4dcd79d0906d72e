"""A run with a mapped task in the middle, and the world around it: queue, live attempts, lists that are read.

The world keeps of each instance what its rows would say, so that a test can hold the board's counts against it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from run_world import GOOD, NOW, A, Outcome, S, graph_of

from glidepath_server.core.advance import advance
from glidepath_server.core.board import FINAL, Board
from glidepath_server.core.effects import Effects, Release, Withdraw
from glidepath_server.core.events import (
    AttemptEnded,
    Event,
    InstancesMarked,
    MapPart,
    Mapped,
    RunRetried,
    RunStarted,
    Withdrawn,
)
from glidepath_server.core.graph import Graph, MapPolicy
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.states import TaskEvent
from glidepath_server.core.trigger_rules import TriggerRule

BEFORE, MAPPED, AFTER = range(3)
Key = tuple[int, int]
STAYS = {S.SUCCESS, S.SKIPPED}


def map_graph(
    policy: MapPolicy, *, rule: TriggerRule = TriggerRule.ALL_SUCCESS, retries: int = 0, **fields: object
) -> Graph:
    """before -> mapped -> after; `rule` is that of the last."""
    all_success = TriggerRule.ALL_SUCCESS
    tries = RetryPolicy(retries, losses_max=1)
    return graph_of([[], [0], [1]], [all_success, all_success, rule], [tries] * 3, maps={MAPPED: policy}, **fields)


@dataclass
class MapWorld:
    """`scripts` say what the attempts of an instance do, one after another; then they succeed."""

    graph: Graph
    length: int
    scripts: Mapping[int, Sequence[Outcome]] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    problem: str = ""
    board: Board = field(init=False)
    queue: dict[Key, Release] = field(default_factory=dict)
    live: dict[Key, Release] = field(default_factory=dict)
    told: set[Key] = field(default_factory=set)
    made: dict[Key, int] = field(default_factory=dict)
    states: dict[int, int] = field(default_factory=dict)
    most_out: int = 0

    def __post_init__(self) -> None:
        self.board = Board.fresh(self.graph.size)
        self.used: dict[int, int] = {}

    # ---- the step
    def step(self, *events: Event) -> Effects:
        effects = advance(self.graph, self.board, events, NOW)
        seen = self._note(effects, 0)
        while True:
            if effects.withdrawals:
                wanted, effects.withdrawals = effects.withdrawals, []
                more: list[Event] = [back for each in wanted for back in self._taken_back(each)]
            elif effects.expansions:
                wanted_lists, effects.expansions = effects.expansions, {}
                length = 0 if self.problem else self.length
                more = [Mapped(task, length, self.problem, at) for task, at in wanted_lists.items()]
            elif effects.run_again:
                tasks = effects.run_again
                more = [RunRetried(tasks, self.attempts(tasks), self.parts(tasks))]
            else:
                break
            advance(self.graph, self.board, more, NOW, effects)
            seen = self._note(effects, seen)
        for release in effects.releases:
            stopped = release.map_index >= 0 and self.board.maps[release.task].stopped
            assert not stopped, "released after its task was told to end"
            key = (release.task, release.map_index)
            assert key not in self.queue and key not in self.live, f"{key} is released twice"
            assert self.board.paused_by(release.task) is None, f"{key} is released though it is paused"
            assert release.attempt_number > self.made.get(key, 0), f"{key} repeats attempt {release.attempt_number}"
            self.queue[key] = release
        self._check()
        return effects

    def _note(self, effects: Effects, seen: int) -> int:
        for task, index, state in effects.changes[seen:]:
            if task == MAPPED and index >= 0 and state == S.SCHEDULED:
                del self.states[index]
            elif task == MAPPED and index >= 0:
                self.states[index] = state
            elif task == MAPPED and state == S.SCHEDULED and task not in self.board.maps:
                self.states, self.used = {}, {}
        return len(effects.changes)

    def _taken_back(self, each: Withdraw) -> list[Withdrawn]:
        keys = [key for key in self.queue if key[0] == each.task and each.map_index in (-1, key[1])]
        if each.event is not TaskEvent.HOLD:
            self.told |= {key for key in self.live if key[0] == each.task and each.map_index in (-1, key[1])}
        rows = [self.queue.pop(key) for key in keys]
        return [Withdrawn(*row[:3], each.event, row, each.reason) for row in rows]

    def _check(self) -> None:
        """The board's counts are what the rows say; stored, they come back."""
        packed = Board.unpack(
            self.graph.size, self.board.pack(), self.board.state, self.board.intent, self.board.reason, self.board.seed
        )
        assert packed.maps == self.board.maps
        counts = self.board.maps.get(MAPPED)
        out = {index for task, index in (*self.queue, *self.live) if task == MAPPED and index >= 0}
        if counts is None:
            assert not out
            return
        ended = [state for state in self.states.values() if state in FINAL]
        assert not out & counts.held.keys()
        out |= counts.held.keys()
        assert counts.released + len(counts.ahead) == len(self.states) and counts.out == len(out)
        assert all(self.states[index] in FINAL and index >= counts.released for index in counts.ahead)
        assert all((MAPPED, index) in self.live for index in counts.marks)
        assert (counts.success, counts.failed) == (ended.count(S.SUCCESS), ended.count(S.FAILED))
        assert (counts.skipped, counts.cancelled) == (ended.count(S.SKIPPED), ended.count(S.CANCELLED))
        if self.board.states[MAPPED] in FINAL:
            assert not out
        elif self.board.states[MAPPED] == S.RELEASED and not self.board.pauses:
            assert out, "a mapped task that is under way has something out"
        self.most_out = max(self.most_out, len(out))

    # ---- what happens
    def start(self) -> None:
        self.step(RunStarted())

    def claim(self, key: Key) -> None:
        release = self.live[key] = self.queue.pop(key)
        self.made[key] = release.attempt_number

    def end(self, key: Key, outcome: Outcome | None = None) -> Effects:
        release = self.live.pop(key)
        told = key in self.told
        self.told.discard(key)
        state, failure = outcome or self._scripted(key)
        if told and self.chance.random() < 0.5:
            state = A.CANCELLED
        return self.step(
            AttemptEnded(
                *(release.task, release.map_index, release.attempt_number, state),
                *(release.tries, release.losses, release.redeliveries),
                failure,
                cancel_requested=told,
            )
        )

    def _scripted(self, key: Key) -> Outcome:
        if key[0] != MAPPED:
            return GOOD
        number = self.used[key[1]] = self.used.get(key[1], 0) + 1
        script = self.scripts.get(key[1], ())
        return script[number - 1] if number <= len(script) else GOOD

    def happen(self) -> bool:
        """One claim or one end, by chance; False when there is nothing."""
        possible = [*self.queue, *self.live]
        if not possible:
            return False
        key = self.chance.choice(possible)
        if key in self.queue:
            self.claim(key)
        else:
            self.end(key)
        return True

    def finish(self) -> None:
        while self.happen():
            pass

    # ---- what a command is completed with
    def mark(self, mark: TaskEvent, *indexes: int, reason: str = "ann") -> Effects:
        """What an operator says of instances."""
        states = {index: self.states[index] for index in indexes if index in self.states}
        return self.step(InstancesMarked(MAPPED, indexes, mark, reason, states))

    def attempts(self, tasks: Sequence[int]) -> dict[int, int]:
        return {task: max((n for key, n in self.made.items() if key[0] == task), default=0) for task in tasks}

    def parts(self, tasks: Sequence[int], indexes: Sequence[int] | None = None) -> dict[int, MapPart]:
        """Of the mapped task the instances that did not succeed, or these."""
        counts = self.board.maps.get(MAPPED)
        if MAPPED not in tasks or counts is None or BEFORE in tasks:
            return {}
        if indexes is None and self.board.states[MAPPED] not in FINAL:
            return {}
        wanted = [index for index in (self.states if indexes is None else indexes) if index in self.states]
        out = frozenset(index for index in wanted if self.states[index] == S.RELEASED)
        again = {
            index: (max(self.made.get((MAPPED, index), 0), self.board.base(MAPPED)) + 1, self.states[index])
            for index in wanted
            if index not in out and (indexes is not None or self.states[index] not in STAYS)
        }
        there = again or out or counts.released < counts.length
        return {MAPPED: MapPart(again, out)} if there else {}
