"""The board: the state of every task of a run, packed; and the tally, which is derived from it.

Stored form: one byte per task (codes of `TaskState`), and, only once something of the run was cleared, four bytes per
task (little-endian) with the number of attempts made before its newest generation. So a run that was never cleared
costs one byte per task, and attempt numbers never repeat. What few runs have follows all that, as JSON: the choices of
branches (what a branch left out stays left out, whichever of its upstreams runs again), how far mapped tasks are, the
marks of tasks, and how often the run was retried.

The tally says of every task how many of its upstreams are still open, ended badly, or were skipped, and of every
teardown how much before it is open. It is a function of
graph and board, kept beside the board of a replica so that a join of 10,000 does not cost 10,000 looks per arrival.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .effects import Release
from .graph import Graph
from .states import TASK_FINAL, TASK_NOT_SUCCESSFUL, RunIntent, RunState, TaskEvent, TaskState

FINAL = frozenset(int(state) for state in TASK_FINAL)
BAD = frozenset(int(state) for state in TASK_NOT_SUCCESSFUL)
_SKIPPED, _FAILED = int(TaskState.SKIPPED), int(TaskState.FAILED)
# In `pauses`, what stands for all tasks.
WHOLE_RUN = -1
# Fields of a board that few runs have.
_RARE = ("choices", "marks", "said", "run_retries", "anew", "pauses", "has_failed")


@dataclass(slots=True)
class MapCounts:
    """How far a mapped task is in this generation (core/maps.py).

    Its instances below `released` were released; of them so many have ended in which way. `stopped`: the task was told
    to end. `restarting` are instances that run again once the attempt they have now has ended; `held` is what a pause
    keeps from starting of what was released. `ahead` are instances that have their end, by an operator's word, and come
    behind `released`; `marks` is how instances end whose attempt has yet to end (core/map_marks.py).
    """

    length: int
    released: int = 0
    success: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0
    stopped: bool = False
    restarting: set[int] = field(default_factory=set)
    held: dict[int, Release] = field(default_factory=dict)
    ahead: set[int] = field(default_factory=set)
    marks: dict[int, TaskEvent] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        return self.success + self.failed + self.skipped + self.cancelled

    @property
    def out(self) -> int:
        """Instances that are released and have not ended."""
        return self.released + len(self.ahead) - self.ended

    @property
    def left(self) -> int:
        """Instances that were not released and have no end."""
        return self.length - self.released - len(self.ahead)

    def count(self, state: TaskState, more: int) -> None:
        """So many more instances have ended in this state."""
        name = state.name.lower()
        setattr(self, name, getattr(self, name) + more)

    def to_json(self) -> list[Any]:
        ends = [self.success, self.failed, self.skipped, self.cancelled]
        held = [release.to_json() for _, release in sorted(self.held.items())]
        known = [self.length, self.released, *ends, self.stopped, sorted(self.restarting), held]
        return [*known, sorted(self.ahead), self.marks] if self.ahead or self.marks else known

    @staticmethod
    def from_json(value: list[Any]) -> MapCounts:
        counts = MapCounts(*value[:7])
        counts.restarting = set(value[7])
        counts.held = {release.map_index: release for release in map(Release.from_json, value[8])}
        if len(value) > 9:
            counts.ahead = set(value[9])
            counts.marks = {int(index): TaskEvent(mark) for index, mark in value[10].items()}
        return counts


class Tally:
    """Counts per task over its upstreams, and over the whole board. A mapped upstream may count in several ways."""

    __slots__ = ("bad", "bad_total", "before", "good", "open", "open_total", "skipped")

    def __init__(self, graph: Graph, board: Board) -> None:
        self.open = [len(upstream) for upstream in graph.upstream]
        self.good = [0] * graph.size
        self.bad = [0] * graph.size
        self.skipped = [0] * graph.size
        self.before = dict(graph.before)
        self.open_total = graph.size
        self.bad_total = 0
        for task, state in enumerate(board.states):
            if state in FINAL:
                self.note_end(graph, task, board)

    def note_end(self, graph: Graph, task: int, board: Board) -> None:
        """Count the end of `task` into its downstream."""
        is_good, is_bad, is_skipped = board.ends(task)
        self.open_total -= 1
        # A teardown that fails does not change how the run's work has ended.
        self.bad_total += is_bad and task not in graph.teardowns
        for teardown in graph.torn_down.get(task, ()):
            self.before[teardown] -= 1
        for follower in graph.downstream[task]:
            self.open[follower] -= 1
            self.good[follower] += is_good
            self.bad[follower] += is_bad
            self.skipped[follower] += is_skipped


@dataclass(slots=True)
class Board:
    """A run as `advance` sees it.

    `bases[task]` is the highest attempt number of earlier generations (None: all 0). `choices[task]` are the tasks that
    a branch which has succeeded follows. `marks[task]` is what an operator said of a task whose attempt has yet to end,
    `said[task]` his reason, as long as the task has the end that he gave it. `reason` is what a run that goes on knows
    already of why it will not succeed; stored beside the packed form. `anew` are tasks of which an operator has cleared
    what may be kept of other calls: they run, whatever is kept. `seed` is what tells the run from others.
    `pauses` says of tasks (WHOLE_RUN: of all) who has paused them; `held[task]` what the next attempt of a task has to
    know that a pause has taken back.
    """

    states: bytearray
    state: RunState = RunState.QUEUED
    intent: RunIntent = RunIntent.RUN
    bases: array[int] | None = None
    reason: str = ""
    seed: bytes = b""
    choices: dict[int, tuple[int, ...]] = field(default_factory=dict)
    maps: dict[int, MapCounts] = field(default_factory=dict)
    marks: dict[int, TaskEvent] = field(default_factory=dict)
    said: dict[int, str] = field(default_factory=dict)
    run_retries: int = 0
    anew: tuple[int, ...] = ()
    pauses: dict[int, str] = field(default_factory=dict)
    held: dict[int, Release] = field(default_factory=dict)
    has_failed: bool = False
    tally: Tally | None = field(default=None, repr=False, compare=False)

    @staticmethod
    def fresh(size: int) -> Board:
        """The board of a run that was just created."""
        return Board(bytearray(size))

    @staticmethod
    def unpack(
        size: int, packed: bytes, state: RunState, intent: RunIntent, reason: str = "", seed: bytes = b""
    ) -> Board:
        """Read the stored form. Raises ValueError when its length does not fit a graph of `size` tasks."""
        if len(packed) == size:
            return Board(bytearray(packed), state, intent, reason=reason, seed=seed)
        if len(packed) < 5 * size:
            raise ValueError(f"board of {len(packed)} bytes does not fit a graph of {size} tasks")
        bases = array("I")
        bases.frombytes(packed[size : 5 * size])
        rest = json.loads(packed[5 * size :] or "{}")
        choices = {int(task): tuple(followed) for task, followed in rest.get("choices", {}).items()}
        marks = {int(task): TaskEvent(mark) for task, mark in rest.get("marks", {}).items()}
        said = {int(task): why for task, why in rest.get("said", {}).items()}
        maps = {int(task): MapCounts.from_json(counts) for task, counts in rest.get("maps", {}).items()}
        retries, anew = rest.get("run_retries", 0), tuple(rest.get("anew", ()))
        pauses = {int(task): by for task, by in rest.get("pauses", {}).items()}
        held = {int(task): Release.from_json(release) for task, release in rest.get("held", {}).items()}
        known = (choices, maps, marks, said, retries, anew, pauses, held, bool(rest.get("has_failed")))
        return Board(bytearray(packed[:size]), state, intent, bases, reason, seed, *known)

    def pack(self) -> bytes:
        """The stored form."""
        rest = {name: value for name in _RARE if (value := getattr(self, name))}
        if self.held:
            rest["held"] = {task: release.to_json() for task, release in self.held.items()}
        if self.maps:
            rest["maps"] = {task: counts.to_json() for task, counts in self.maps.items()}
        if self.bases is None and not rest:
            return bytes(self.states)
        bases = self.bases or self._no_bases()
        return bytes(self.states) + bases.tobytes() + (json.dumps(rest).encode() if rest else b"")

    def ends(self, task: int) -> tuple[bool, bool, bool]:
        """Whether the task, which has ended, ended well, badly, skipped: for the rules of its downstream.

        A map that has failed counts as its instances, unless an operator says that it has failed.
        """
        state = self.states[task]
        counts = self.maps.get(task)
        if counts is not None and state == _FAILED and task not in self.said:
            return counts.success > 0, True, counts.skipped > 0
        is_bad, is_skipped = state in BAD, state == _SKIPPED
        return not (is_bad or is_skipped), is_bad, is_skipped

    def left_out(self, graph: Graph, gate: int) -> frozenset[int]:
        """What a branch or short circuit leaves out; nothing while it has not succeeded."""
        chosen = self.choices.get(gate)
        if chosen is None or self.states[gate] != TaskState.SUCCESS:
            return frozenset()
        return graph.left_out(gate, chosen)

    def paused_by(self, task: int) -> str | None:
        """Who has paused a task, by itself or with its run; None: nobody."""
        return self.pauses.get(task) or self.pauses.get(WHOLE_RUN)

    def with_surroundings(self, graph: Graph, tasks: Iterable[int]) -> set[int]:
        """`tasks`, and what must run again with them because a teardown has taken it down, or is at it."""
        begun = [each for each in graph.teardowns if self.states[each] != TaskState.SCHEDULED]
        wanted = set(tasks)
        # What an operator has marked is done again only when he asks for it.
        return wanted | (graph.with_surroundings(wanted, begun) - self.said.keys()) if begun else wanted

    def base(self, task: int) -> int:
        return self.bases[task] if self.bases is not None else 0

    def raise_base(self, task: int, attempt_number: int) -> None:
        """Remember that attempts up to `attempt_number` were made before the task's next generation."""
        if self.bases is None:
            self.bases = self._no_bases()
        self.bases[task] = max(self.bases[task], attempt_number)

    def _no_bases(self) -> array[int]:
        return array("I", bytes(4 * len(self.states)))
