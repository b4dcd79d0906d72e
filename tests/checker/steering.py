"""What branches, short circuits, setups and teardowns make of a scheduled task, in the checker's own words.

Written from proto/glidepath/registry/v1/dag.proto, not from the code that is being checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from tests.checker.facts import Task, Version
from tests.checker.machines import TASK_FINAL, rule_says

BRANCHING = frozenset({"branch", "short_circuit"})


def task_says(
    version: Version,
    task: Task,
    board: Mapping[str, str],
    left_out: Mapping[str, frozenset[str]],
    seen: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> str:
    """What becomes of a scheduled task: released, skipped, upstream_failed, or scheduled for wait.

    `left_out` are, by branch, the tasks that it left out when it succeeded last; `seen` is, by mapped task that has
    failed, what a rule sees of it: its instances.
    """
    if task.role == "teardown":
        return _teardown_says(version, task, board)
    if task.rule != "always":
        gates = gates_of(version).get(task.task_id, ())
        if any(board[gate] == "success" and task.task_id in left_out.get(gate, ()) for gate in gates):
            return "skipped"
        if any(board[gate] not in TASK_FINAL for gate in gates):
            return "scheduled"
    return rule_says(task.rule, [state for each in task.upstream for state in seen.get(each) or [board[each]]])


def _teardown_says(version: Version, task: Task, board: Mapping[str, str]) -> str:
    if any(board[each] not in TASK_FINAL for each in before(version, task.task_id)):
        return "scheduled"
    setups = [each for each in task.upstream if version.task(each).role == "setup"]
    return "released" if all(board[each] == "success" for each in setups) else "skipped"


@lru_cache(maxsize=10_000)
def gates_of(version: Version) -> dict[str, list[str]]:
    """By task, what may leave it out: branches directly upstream, short circuits anywhere upstream."""
    found: dict[str, list[str]] = {}
    for gate in version.tasks:
        if gate.role in BRANCHING:
            reach = _after(version, gate.task_id) if gate.role == "short_circuit" else _next(version, gate.task_id)
            for task_id in reach:
                found.setdefault(task_id, []).append(gate.task_id)
    return found


def left_out_by(version: Version, gate: Task, output: str | None) -> frozenset[str]:
    """The tasks that a branch or short circuit leaves out which succeeded with this output (JSON; None: nothing)."""
    value = None if output is None else json.loads(output)
    if gate.role == "short_circuit":
        return frozenset() if value else frozenset(_after(version, gate.task_id))
    names = [] if value is None else value if isinstance(value, list) else [value]
    direct = _next(version, gate.task_id)
    chosen = {each for each in direct if any(_is_called(version.task(each), name) for name in names)}
    kept = chosen.union(*(_after(version, each) for each in chosen))
    return frozenset(direct - kept)


@lru_cache(maxsize=100_000)
def before(version: Version, task_id: str) -> frozenset[str]:
    """Everything upstream, at whatever distance."""
    found: set[str] = set()
    stack = [task_id]
    while stack:
        for each in version.task(stack.pop()).upstream:
            if each not in found:
                found.add(each)
                stack.append(each)
    return frozenset(found)


def _is_called(task: Task, name: str) -> bool:
    return task.task_id == name or task.group == name or task.group.startswith(f"{name}.")


def _next(version: Version, task_id: str) -> set[str]:
    return {task.task_id for task in version.tasks if task_id in task.upstream}


def _after(version: Version, task_id: str) -> set[str]:
    """Everything downstream. Tasks come after their upstreams in a version."""
    found = {task_id}
    for task in version.tasks:
        if found & set(task.upstream):
            found.add(task.task_id)
    return found - {task_id}
