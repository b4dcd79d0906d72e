"""The compiled graph of a DAG version: indices instead of names, made once and kept for ever."""

from __future__ import annotations

from dataclasses import dataclass

from .retry import RetryPolicy
from .trigger_rules import TriggerRule


@dataclass(frozen=True, slots=True)
class Graph:
    """Tasks in topological order; every tuple is indexed by task index. Upstream indices are always smaller."""

    task_ids: tuple[str, ...]
    upstream: tuple[tuple[int, ...], ...]
    downstream: tuple[tuple[int, ...], ...]
    rules: tuple[TriggerRule, ...]
    retries: tuple[RetryPolicy, ...]

    @property
    def size(self) -> int:
        return len(self.task_ids)

    def closure(self, indices: set[int]) -> set[int]:
        """`indices` and everything downstream of them."""
        found = set(indices)
        stack = list(indices)
        while stack:
            for follower in self.downstream[stack.pop()]:
                if follower not in found:
                    found.add(follower)
                    stack.append(follower)
        return found
