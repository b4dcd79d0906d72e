"""What the output of a branch or of a short circuit says: which of the tasks after it are followed.

A branch's output is JSON: the id of a task or of a group directly downstream, a list of such ids, or null for none. A
short circuit's output is any JSON: it goes on unless the value is false, null, 0, "", [] or {}, as in Python.
"""

from __future__ import annotations

import json

from .definition import DagSpec
from .graph import Graph, TaskRole

CHOICE_BYTES_MAX = 64 * 1024
NAMED_MAX = 10
SHOWN_CHARACTERS_MAX = 200


class NoChoice(Exception):
    """The output of a branch does not say what to follow; the message is for the branch's author."""


def choice_of(spec: DagSpec, graph: Graph, task: int, output: bytes | None) -> tuple[int, ...]:
    """The tasks directly downstream of `task` that it follows. `output` is None for a task that returned nothing.

    Raises NoChoice for an output that is no JSON, that is too long, or that names what is not directly downstream.
    """
    value = _read(output)
    if spec.tasks[task].role is TaskRole.SHORT_CIRCUIT:
        return graph.downstream[task] if value else ()
    names = [] if value is None else value if isinstance(value, list) else [value]
    followed: set[int] = set()
    for name in names:
        found = [each for each in graph.downstream[task] if isinstance(name, str) and _is_named(spec, each, name)]
        if not found:
            raise NoChoice(_unknown(graph, task, name))
        followed.update(found)
    return tuple(sorted(followed))


def _is_named(spec: DagSpec, task: int, name: str) -> bool:
    """Whether `name` is the task's id or that of a group around it."""
    task_id, group_id = spec.tasks[task].task_id, spec.tasks[task].group_id
    return name == task_id or f"{group_id}.".startswith(f"{name}.")


def _read(output: bytes | None) -> object:
    if output is None:
        return None
    if len(output) > CHOICE_BYTES_MAX:
        raise NoChoice(f"the branch returned {len(output)} bytes; expected at most {CHOICE_BYTES_MAX}")
    try:
        return json.loads(output)
    except ValueError:
        raise NoChoice("the branch returned something that is no JSON; expected ids of tasks to follow") from None


def _unknown(graph: Graph, task: int, name: object) -> str:
    shown = json.dumps(name)[:SHOWN_CHARACTERS_MAX]
    ids = [graph.task_ids[each] for each in graph.downstream[task][:NAMED_MAX]]
    more = len(graph.downstream[task]) - len(ids)
    expected = ", ".join(ids) + (f" and {more} more" if more else "") or "nothing, no task comes after it"
    return f"the branch returned {shown}; expected ids of tasks directly downstream: {expected}"
