"""A version as a run has it that is not simply a run of it: one that was moved to it, or one of a part of its tasks.

History, outputs, logs and dead letters name a task of a run by its index. A run that moves to another version therefore
keeps the indexes that it has: tasks of the same id stand where they stood, what the other version does not have stays
as a task that is removed, and new tasks come last. So a move rewrites no history. The tasks of a layout are in no
topological order.

A run of a part of the DAG (core/parts.py) has the others as removed, too, from its start.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .board import Board
from .definition import DagSpec, Handler, TaskSpec
from .events import RunMoved
from .graph import Graph
from .states import TaskState
from .trigger_rules import TriggerRule

REMOVED_HANDLER = "removed"


@dataclass(frozen=True, slots=True)
class Layout:
    """The tasks of a run in the order of their indexes, and which of them its version has but the run leaves out."""

    task_ids: tuple[str, ...]
    left_out: frozenset[str] = frozenset()

    def to_json(self) -> str:
        """A list of the names, unless some are left out: the form that is stored, and whose hash names the layout."""
        text = [*self.task_ids] if not self.left_out else {"order": self.task_ids, "leftOut": sorted(self.left_out)}
        return json.dumps(text, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Layout:
        stored = json.loads(text)
        if isinstance(stored, list):
            return Layout(tuple(stored))
        return Layout(tuple(stored["order"]), frozenset(stored["leftOut"]))


def laid_out(spec: DagSpec, layout: Layout) -> DagSpec:
    """The spec with its tasks in the layout's order. What it leaves out, and a name that the spec does not have, stands
    for a task that was removed; no task waits for it."""
    by_id = {task.task_id: task for task in spec.tasks if task.task_id not in layout.left_out}
    tasks = (by_id.get(task_id) or TaskSpec(task_id, Handler(REMOVED_HANDLER)) for task_id in layout.task_ids)
    if layout.left_out:
        tasks = (_without(task, layout.left_out) for task in tasks)
    return replace(spec, tasks=tuple(tasks))


def _without(task: TaskSpec, left_out: frozenset[str]) -> TaskSpec:
    """The task as one that never had these upstream. With none left it starts as any task without upstream does: a rule
    that speaks of ends has nothing to speak of."""
    stay = tuple(each for each in task.upstream_task_ids if each not in left_out)
    if len(stay) == len(task.upstream_task_ids):
        return task
    return replace(task, upstream_task_ids=stay, trigger_rule=task.trigger_rule if stay else TriggerRule.ALL_SUCCESS)


def layout_for(current: Sequence[str], spec: DagSpec) -> Layout:
    """How a run with these tasks has the tasks of another version."""
    known = set(current)
    return Layout((*current, *(task.task_id for task in spec.tasks if task.task_id not in known)))


def move(board: Board, graph: Graph, event: RunMoved) -> RunMoved:
    """Give the board the size of the new graph, and say in the event what is removed and what is there again."""
    grown = Board(bytearray(board.states) + bytes(graph.size - len(board.states)))
    board.states = grown.states
    if board.bases is not None:
        board.bases.extend([0] * (graph.size - len(board.bases)))
    board.tally = None
    removed = tuple(task for task in sorted(graph.removed) if board.states[task] != TaskState.REMOVED)
    restored = tuple(
        task for task, state in enumerate(board.states) if state == TaskState.REMOVED and task not in graph.removed
    )
    return replace(event, removed=removed, restored=restored)
