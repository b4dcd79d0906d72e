"""Wrong calls about single instances of mapped tasks, in the scene of wrong_calls.py."""

from __future__ import annotations

from typing import Any

from wrong_calls import Code, WrongCall

STEERING: dict[str, dict[str, Any]] = {
    "CancelTaskInstances": {},
    "ClearTaskInstances": {},
    "MarkTaskInstances": {"state": "TASK_STATE_SUCCESS"},
}


def _each(why: str, fields: dict[str, Any], code: Any, message: str) -> list[WrongCall]:
    """The same wrong call of all methods that take instances."""
    return [
        WrongCall(f"{why}, {method}", method, {"dag_run_id": "{run}", **fields, **more}, code, message)
        for method, more in STEERING.items()
    ]


WRONG_INSTANCES = (
    *_each(
        "an instance of a task that has none",
        {"task_ids": ["load"], "map_indexes": [3]},
        Code.NOT_FOUND,
        "task load has no instances: it is not mapped (name the task itself)",
    ),
    *_each(
        "instances of two tasks",
        {"task_ids": ["load", "train"], "map_indexes": [3]},
        Code.INVALID_ARGUMENT,
        "task_ids: got 2 tasks, expected one task, whose map_indexes these are",
    ),
    *_each(
        "too many instances",
        {"task_ids": ["load"], "map_indexes": list(range(10_001))},
        Code.INVALID_ARGUMENT,
        "map_indexes: got 10001 indexes, expected at most 10000 indexes",
    ),
)
