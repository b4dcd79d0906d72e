"""What an operator has said of a run's priority. What is not said is as the DAG says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .json_text import from_json, to_json


@dataclass(frozen=True, slots=True)
class Priorities:
    """Of the run, and of single tasks by their index, which count before it."""

    run: int | None = None
    tasks: Mapping[int, int] = field(default_factory=dict)

    def of(self, task: int, planned: int) -> int:
        """The priority of a task whose DAG says `planned`."""
        return self.tasks.get(task, planned if self.run is None else self.run)

    def said(self, priority: int | None, tasks: Iterable[int] = ()) -> Priorities:
        """After a word on these tasks, or on the whole run: that takes back what was said of single tasks. None: as the
        run, or the DAG, says."""
        named = set(tasks)
        if not named:
            return Priorities(priority)
        kept = {task: each for task, each in self.tasks.items() if task not in named}
        return Priorities(self.run, kept if priority is None else {**kept, **dict.fromkeys(named, priority)})


UNSAID = Priorities()


def to_text(priorities: Priorities) -> str | None:
    """As it is stored; None when nothing is said."""
    if priorities == UNSAID:
        return None
    return to_json({"run": priorities.run, "tasks": {str(task): each for task, each in priorities.tasks.items()}})


def from_text(text: str | None) -> Priorities:
    if text is None:
        return UNSAID
    value = from_json(text)
    return Priorities(value["run"], {int(task): each for task, each in value["tasks"].items()})
