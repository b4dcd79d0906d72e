"""The board: the state of every task of a run, packed; and the tally, which is derived from it.

Stored form: one byte per task (codes of `TaskState`), and, only once something of the run was cleared, four bytes per
task (little-endian) with the number of attempts made before its newest generation. So a run that was never cleared
costs one byte per task, and attempt numbers never repeat.

The tally says of every task how many of its upstreams are still open, ended badly, or were skipped. It is a function of
graph and board, kept beside the board of a replica so that a join of 10,000 does not cost 10,000 looks per arrival.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from .graph import Graph
from .states import TASK_FINAL, TASK_NOT_SUCCESSFUL, RunIntent, RunState, TaskState

FINAL = frozenset(int(state) for state in TASK_FINAL)
BAD = frozenset(int(state) for state in TASK_NOT_SUCCESSFUL)
_SKIPPED = int(TaskState.SKIPPED)


class Tally:
    """Counts per task over its upstreams, and over the whole board."""

    __slots__ = ("bad", "bad_total", "open", "open_total", "skipped")

    def __init__(self, graph: Graph, states: bytearray) -> None:
        self.open = [len(upstream) for upstream in graph.upstream]
        self.bad = [0] * graph.size
        self.skipped = [0] * graph.size
        self.open_total = graph.size
        self.bad_total = 0
        for task, state in enumerate(states):
            if state in FINAL:
                self.note_end(graph, task, state)

    def note_end(self, graph: Graph, task: int, state: int) -> None:
        """Count the end of `task` into its downstream."""
        is_bad, is_skipped = state in BAD, state == _SKIPPED
        self.open_total -= 1
        self.bad_total += is_bad
        for follower in graph.downstream[task]:
            self.open[follower] -= 1
            self.bad[follower] += is_bad
            self.skipped[follower] += is_skipped


@dataclass(slots=True)
class Board:
    """A run as `advance` sees it. `bases[task]` is the highest attempt number of earlier generations (None: all 0).

    `reason` is what a run that goes on knows already of why it will not succeed; stored beside the packed form.
    """

    states: bytearray
    state: RunState = RunState.QUEUED
    intent: RunIntent = RunIntent.RUN
    bases: array[int] | None = None
    reason: str = ""
    tally: Tally | None = field(default=None, repr=False, compare=False)

    @staticmethod
    def fresh(size: int) -> Board:
        """The board of a run that was just created."""
        return Board(bytearray(size))

    @staticmethod
    def unpack(size: int, packed: bytes, state: RunState, intent: RunIntent, reason: str = "") -> Board:
        """Read the stored form. Raises ValueError when its length does not fit a graph of `size` tasks."""
        if len(packed) == size:
            return Board(bytearray(packed), state, intent, reason=reason)
        if len(packed) != 5 * size:
            raise ValueError(f"board of {len(packed)} bytes does not fit a graph of {size} tasks")
        bases = array("I")
        bases.frombytes(packed[size:])
        return Board(bytearray(packed[:size]), state, intent, bases, reason)

    def pack(self) -> bytes:
        """The stored form."""
        return bytes(self.states) if self.bases is None else bytes(self.states) + self.bases.tobytes()

    def base(self, task: int) -> int:
        return self.bases[task] if self.bases is not None else 0

    def raise_base(self, task: int, attempt_number: int) -> None:
        """Remember that attempts up to `attempt_number` were made before the task's next generation."""
        if self.bases is None:
            self.bases = array("I", bytes(4 * len(self.states)))
        self.bases[task] = max(self.bases[task], attempt_number)
