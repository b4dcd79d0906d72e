"""A DAG as text, Mermaid or DOT. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from .output import enum_name

Tasks = Sequence[tuple[str, list[str]]]
"""(task id, its upstreams) in topological order."""


def upstreams(task: Any) -> list[str]:
    """A task's upstreams: those it names, and those whose output it takes."""
    found = dict.fromkeys(task.upstream_task_ids)
    for source in [*task.inputs.values(), *(each.source for each in task.map.inputs)]:
        found.update(dict.fromkeys(_outputs(source)))
    return list(found)


def map_text(task: Any) -> str:
    """What a task is mapped over: "day, model" side by side, "day × model" each with each; "" when it is not mapped."""
    names = [each.name for each in task.map.inputs]
    return (" × " if enum_name(task.map, "mode") == "product" else ", ").join(names)


def _outputs(source: Any) -> Iterator[str]:
    match source.WhichOneof("source"):
        case "output":
            yield source.output.task_id
        case "list":
            for item in source.list.items:
                yield from _outputs(item)


def draw(tasks: Tasks, kind: str) -> str:
    return {"text": _text, "mermaid": _mermaid, "dot": _dot}[kind](tasks)


def _text(tasks: Tasks) -> str:
    """A line per task, indented by its depth."""
    depth: dict[str, int] = {}
    lines = []
    for task_id, ups in tasks:
        depth[task_id] = 1 + max((depth.get(each, -1) for each in ups), default=-1)
        lines.append("  " * depth[task_id] + task_id + (f"  ← {', '.join(ups)}" if ups else ""))
    return "\n".join(lines)


def _mermaid(tasks: Tasks) -> str:
    # Mermaid takes some words as its own ("end"), so tasks are numbered and their ids are labels.
    names = {task_id: f"t{number}" for number, (task_id, _) in enumerate(tasks)}
    lines = [f'  {names[task_id]}["{task_id}"]' for task_id, _ in tasks]
    lines += [f"  {names[each]} --> {names[task_id]}" for task_id, ups in tasks for each in ups]
    return "\n".join(["flowchart LR", *lines])


def _dot(tasks: Tasks) -> str:
    lines = [f"  {json.dumps(task_id)};" for task_id, _ in tasks]
    lines += [f"  {json.dumps(each)} -> {json.dumps(task_id)};" for task_id, ups in tasks for each in ups]
    return "\n".join(["digraph {", "  rankdir=LR;", *lines, "}"])
