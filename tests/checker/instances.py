"""Instances of mapped tasks, played again: which have been released, and what has become of them.

Written from proto/glidepath/registry/v1/dag.proto and docs/adr/0003-mapped-tasks.md, not from the code that is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.checker.facts import Audit, RunEvent, Task

GOOD = frozenset({"success", "skipped"})


@dataclass
class Instances:
    """Of one mapped task: the state of each that was released since its lists were read."""

    task: Task
    states: dict[int, str] = field(default_factory=dict)
    chosen: bool = False
    """Some were chosen to run again, beside the window."""
    _first: int = 0

    @property
    def next(self) -> int:
        """Whose turn it is to be released: the first to which nothing has happened."""
        while self._first in self.states:
            self._first += 1
        return self._first

    def note(self, index: int, now: str) -> None:
        """What was given an end before its turn had come may lose it again."""
        if now == "scheduled":
            self.states.pop(index, None)
            self._first = min(self._first, index)
        else:
            self.states[index] = now

    @property
    def out(self) -> int:
        return sum(state == "released" for state in self.states.values())

    def count(self, state: str) -> int:
        return sum(each == state for each in self.states.values())

    def cleared(self, event: RunEvent, was: str, order: Audit | None, *, retried: bool) -> None:
        """The task is scheduled again: some of its instances stay as they are, or its lists are read anew."""
        if was != "restarting" and (order is not None or retried) and self._keeps(event, order):
            self.chosen = True
        else:
            self.states, self.chosen, self._first = {}, False, 0

    def _keeps(self, event: RunEvent, order: Audit | None) -> bool:
        """Only what an order names, or what did not succeed, runs again; unless something upstream does, too."""
        name = self.task.task_id
        again = {task_id for task_id, state in event.changes if state in ("scheduled", "restarting")}
        if again & set(self.task.upstream) or (name, "released") not in event.changes:
            return False
        if order is not None and name in named_instances(order):
            return True
        if order is not None and order.action != "dag_run.rerun" and not order.detail.get("only_failed"):
            return False
        released = {index for _, task_id, index, state in event.instances if (task_id, state) == (name, "released")}
        return not any(self.states.get(index) in GOOD for index in released)

    def comes_to(self, length: int = 0) -> str:
        """What the ends of all instances make of the task; of a longer one, the others were never released."""
        tried = max(len(self.states), length) - self.count("skipped")
        if not self.states or self.task.map is None:
            return ""
        if not tried:
            return "skipped"
        if self.count("success") + 1e-9 >= self.task.map.success_ratio_min * tried:
            return "success"
        return "failed" if self.count("failed") else "cancelled"

    def seen(self) -> list[str]:
        """What a trigger rule sees of the task when it has failed by them."""
        return ["failed", *(state for state in sorted(GOOD) if state in self.states.values())]


def named_instances(order: Audit) -> dict[str, list[int]]:
    """By task; of many the audit trail names the first hundred."""
    named = order.detail.get("map_indexes", {})
    assert isinstance(named, dict)
    return named


def in_order(event: RunEvent) -> Iterator[tuple[str, int, str]]:
    """All changes of a step as (task id, map index, state)."""
    instances = [*event.instances]
    for place in range(len(event.changes) + 1):
        while instances and instances[0][0] == place:
            yield instances.pop(0)[1:]
        if place < len(event.changes):
            task_id, state = event.changes[place]
            yield task_id, -1, state
