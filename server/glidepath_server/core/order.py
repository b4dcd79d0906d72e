"""In which order released task instances are claimed: one static key per row, smaller first.

Start-time fair queueing (Goyal, Vin, Cheng 1996) with a virtual clock per queue. A flow is what shares: a DAG, or one
backfill. Its next key is `max(V, the flow's last key) + cost / weight`; V is the base key of what was last claimed, so
a flow that was idle does not save up and one that floods does not get ahead. A point of priority is worth 60 units,
which makes waiting age by itself: what is released later starts from a later V.

A run that may be late goes a little first: up to URGENCY_UNITS, by the slack that its task has left. Its flow's base
goes on as ever, so this moves its starts forward by so many turns, once, and takes nothing of its neighbours' shares.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

PRIORITY_UNITS = 60.0
URGENCY_UNITS = 5.0
FLOWS_KEPT_MAX = 100_000


def urgency(slack: float, left: float) -> float:
    """0 to 1: how much of the time `left` until its deadline a task cannot wait (the critical ratio of dispatching).
    `slack` and `left` in seconds."""
    if left <= 0:
        return 1.0
    return min(max(1.0 - slack / left, 0.0), 1.0)


class FlowClock:
    """Keys of one queue, in one replica's memory. Losing it costs fairness for one round, never correctness."""

    def __init__(self) -> None:
        self.virtual_time = 0.0
        self._last: OrderedDict[object, float] = OrderedDict()

    def key(
        self, flow: object, *, priority: int = 0, weight: float = 1.0, cost: float = 1.0, urgency: float = 0.0
    ) -> float:
        """The order key of the flow's next row. `urgency`: 0 to 1."""
        base = max(self.virtual_time, self._last.get(flow, 0.0)) + cost / weight
        self._last[flow] = base
        self._last.move_to_end(flow)
        if len(self._last) > FLOWS_KEPT_MAX:
            self._last.popitem(last=False)
        return base - priority * PRIORITY_UNITS - urgency * URGENCY_UNITS

    def served(self, order_key: float, priority: int = 0) -> None:
        """A row with this key was claimed: the queue has come this far."""
        self.virtual_time = max(self.virtual_time, order_key + priority * PRIORITY_UNITS)


class Shares:
    """Whose turn it is among flows that each have a line of their own: namespaces that share a fleet of workers.

    The same fair queueing, by start times: of those with work goes first who has had least for its weight. The virtual
    time is that of whoever is furthest behind of those that had work all along; who had none begins there, so nothing
    is saved up. In one replica's memory, as above.
    """

    def __init__(self) -> None:
        self.virtual_time = 0.0
        self._last: dict[str, float] = {}
        self._asked: frozenset[str] = frozenset()

    def allot(self, count: int, weights: Mapping[str, float]) -> dict[str, int]:
        """How many of `count` turns are each one's, if all of them have work; the next in turn first."""
        behind = min((self._last.get(flow, 0.0) for flow in weights.keys() & self._asked), default=None)
        if behind is None:
            behind = max(self._last.values(), default=0.0)
        self.virtual_time, self._asked = max(self.virtual_time, behind), frozenset(weights)
        starts = {flow: self._start(flow) for flow in weights}
        turns = dict.fromkeys(sorted(weights, key=lambda flow: (starts[flow], flow)), 0)
        for _ in range(count):
            flow = min(turns, key=lambda each: starts[each])
            starts[flow] += 1 / weights[flow]
            turns[flow] += 1
        return turns

    def served(self, flow: str, weight: float) -> None:
        """The flow has had a turn."""
        self._last[flow] = self._start(flow) + 1 / weight

    def idle(self, flow: str) -> None:
        """The flow has had no work for a turn that was its."""
        self._asked -= {flow}

    def _start(self, flow: str) -> float:
        return max(self.virtual_time, self._last.get(flow, 0.0))
