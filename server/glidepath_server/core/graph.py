"""The compiled graph of a DAG version: indices instead of names, made once and kept for ever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .approvals import ApprovalSpec
from .retry import RetryPolicy
from .trigger_rules import TriggerRule


class TaskRole(StrEnum):
    """What a task is to the others (see registry/v1/dag.proto). Most do work."""

    WORK = "work"
    BRANCH = "branch"
    SHORT_CIRCUIT = "short_circuit"
    SETUP = "setup"
    TEARDOWN = "teardown"


@dataclass(frozen=True, slots=True)
class MapPolicy:
    """How a mapped task is treated: `window` instances are released at once."""

    window: int
    success_ratio_min: float = 1.0
    empty_skips: bool = True


@dataclass(frozen=True, slots=True)
class Graph:
    """Tasks in topological order; every tuple is indexed by task index. Upstream indices are always smaller.

    What few tasks have is in mappings by task index: `gated` of a branch or short circuit, the tasks that it may leave
    out; `gates` the same seen from those; `teardowns` of a teardown, the setups that it belongs to.
    """

    task_ids: tuple[str, ...]
    upstream: tuple[tuple[int, ...], ...]
    downstream: tuple[tuple[int, ...], ...]
    rules: tuple[TriggerRule, ...]
    retries: tuple[RetryPolicy, ...]
    gated: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    gates: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    short_circuits: frozenset[int] = frozenset()
    teardowns: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    # How many tasks come before each teardown, at any distance; and for each of those, the teardowns after it.
    before: Mapping[int, int] = field(default_factory=dict)
    torn_down: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    # Of mapped tasks: how many instances may be released at once, what must succeed, what nothing to map over means.
    maps: Mapping[int, MapPolicy] = field(default_factory=dict)
    # Of a layout (core/layouts.py): tasks that the version does not have.
    removed: frozenset[int] = frozenset()
    # Tasks that no worker runs: what they ask people.
    approvals: Mapping[int, ApprovalSpec] = field(default_factory=dict)
    # How long a task may wait in all when it defers, in seconds.
    waits: tuple[float, ...] = ()
    # Retries of a run that fails, and the seconds before each.
    run_retries_max: int = 0
    run_retry_delay_seconds: float = 0.0
    # The first task that fails ends the run.
    fail_fast: bool = False
    # Tasks whose results are kept and used again.
    cached: frozenset[int] = frozenset()
    # Tasks that start only once the same task in the run before has ended well (core/past.py).
    on_past: frozenset[int] = frozenset()

    @property
    def size(self) -> int:
        return len(self.task_ids)

    def closure(self, indices: Iterable[int]) -> set[int]:
        """`indices` and everything downstream of them."""
        return reached(indices, self.downstream)

    def left_out(self, gate: int, chosen: Iterable[int]) -> frozenset[int]:
        """The tasks that a branch or short circuit leaves out which follows `chosen`, some of its downstream.

        What is downstream of a chosen task too is not left out. A short circuit that follows nothing leaves out all
        that come after it.
        """
        if gate in self.short_circuits:
            return frozenset() if chosen else frozenset(self.gated[gate])
        return frozenset(self.gated[gate]) - self.closure(chosen)

    def with_surroundings(self, indices: Iterable[int], teardowns: Iterable[int]) -> set[int]:
        """`indices`, and for those between setups and one of these teardowns: these, and the way from the setups.

        What was made on what a teardown has taken down is gone: work that runs again needs all of it anew. A teardown
        alone may run again.
        """
        found = set(indices)
        pairs = [(each, self.closure(self.teardowns[each]), reached([each], self.upstream)) for each in teardowns]
        while True:
            more = set(found)
            for teardown, after, before in pairs:
                inside = (more & after & before) - {teardown}
                if inside:
                    more |= {teardown} | (after & reached(inside, self.upstream))
            if more == found:
                return found
            found = more


def reached(indices: Iterable[int], edges: tuple[tuple[int, ...], ...]) -> set[int]:
    """`indices` and everything that can be reached from them along the edges."""
    found = set(indices)
    stack = list(found)
    while stack:
        for each in edges[stack.pop()]:
            if each not in found:
                found.add(each)
                stack.append(each)
    return found
