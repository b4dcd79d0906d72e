"""What differs between two versions of a DAG, field by field, over their canonical texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .json_text import from_json, to_json

_ABSENT = object()


class Change(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Difference:
    """`path` is dotted, with tasks by id; `before` and `after` are JSON, "" where there was nothing."""

    change: Change
    path: str
    before: str
    after: str


def diff_specs(before: str, after: str) -> list[Difference]:
    """Differences between two canonical texts, by path. Lists are compared as a whole."""
    return sorted(_differences("", _by_name(before), _by_name(after)), key=lambda each: each.path)


def _by_name(text: str) -> dict[str, Any]:
    """The content with tasks by id, and the params schema as the value that it is."""
    value: dict[str, Any] = from_json(text)
    value["tasks"] = {task.pop("task_id"): task for task in value["tasks"]}
    if "params_schema" in value:
        value["params_schema"] = from_json(value["params_schema"])
    return value


def _differences(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            at = f"{path}.{name}" if path else name
            yield from _differences(at, before.get(name, _ABSENT), after.get(name, _ABSENT))
    elif before is _ABSENT:
        yield Difference(Change.ADDED, path, "", to_json(after))
    elif after is _ABSENT:
        yield Difference(Change.REMOVED, path, to_json(before), "")
    elif to_json(before) != to_json(after):
        yield Difference(Change.CHANGED, path, to_json(before), to_json(after))
