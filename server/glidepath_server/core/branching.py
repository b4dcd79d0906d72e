"""What the output of a branch or of a short circuit says: which of the tasks after it are followed.

A branch's output is JSON: the id of a task or of a group directly downstream, a list of such ids, or null for none. A
short circuit's output is anything: it goes on unless that is none, or JSON's false, null, 0, "", [] or {}, as Python
does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from .definition import DagSpec
from .graph import Graph, TaskRole
from .json_text import from_json

CHOICE_BYTES_MAX = 64 * 1024
NAMED_MAX = 10
SHOWN_CHARACTERS_MAX = 200


class NoChoice(Exception):
    """The output of a branch does not say what to follow; the message is for the branch's author."""


def choice_of(spec: DagSpec, graph: Graph, task: int, output: bytes | None) -> tuple[int, ...]:
    """The tasks directly downstream of `task` that it follows. `output` is None for a task that returned nothing.

    Raises NoChoice for an output that is no JSON, that is too long, or that names what is not directly downstream.
    """
    if spec.tasks[task].role is TaskRole.SHORT_CIRCUIT:
        return graph.downstream[task] if _goes_on(output) else ()
    value = _read(output)
    followed: set[int] = set()
    known = _names(spec, graph.downstream[task])
    for name in [] if value is None else value if isinstance(value, list) else [value]:
        if not isinstance(name, str) or name not in known:
            raise NoChoice(_unknown(graph, task, name))
        followed |= known[name]
    return tuple(sorted(followed))


def _names(spec: DagSpec, tasks: Iterable[int]) -> dict[str, set[int]]:
    """The tasks by their ids, and by those of the groups around them."""
    known: dict[str, set[int]] = {}
    for task in tasks:
        parts = spec.tasks[task].group_id.split(".") if spec.tasks[task].group_id else []
        groups = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        for name in (spec.tasks[task].task_id, *groups):
            known.setdefault(name, set()).add(task)
    return known


def _goes_on(output: bytes | None) -> bool:
    """Whether the value is true in Python; whatever is not one of the values that are false there is."""
    if output is None or len(output) > CHOICE_BYTES_MAX:
        return output is not None
    try:
        return bool(from_json(output.decode()))
    except ValueError:
        return True


def _read(output: bytes | None) -> object:
    if output is None:
        return None
    if len(output) > CHOICE_BYTES_MAX:
        raise NoChoice(f"the branch returned {len(output)} bytes; expected at most {CHOICE_BYTES_MAX}")
    try:
        return from_json(output.decode())
    except ValueError as error:
        raise NoChoice(f"the branch returned no JSON ({error}); expected ids of tasks to follow") from None


def _unknown(graph: Graph, task: int, name: object) -> str:
    shown = json.dumps(name)[:SHOWN_CHARACTERS_MAX]
    ids = [graph.task_ids[each] for each in graph.downstream[task][:NAMED_MAX]]
    more = len(graph.downstream[task]) - len(ids)
    expected = ", ".join(ids) + (f" and {more} more" if more else "") or "nothing, no task comes after it"
    return f"the branch returned {shown}; expected ids of tasks directly downstream: {expected}"
