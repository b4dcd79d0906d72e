"""A version laid out for a run that was moved to it: the tasks that the run had keep their indexes.

History, outputs, logs and dead letters name a task of a run by its index. A run that moves to another version therefore
keeps the indexes that it has: tasks of the same id stand where they stood, what the other version does not have stays
as a task that is removed, and new tasks come last. So a move rewrites no history. The tasks of a layout are in no
topological order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .board import Board
from .definition import DagSpec, Handler, TaskSpec
from .events import RunMoved
from .graph import Graph
from .states import TaskState

REMOVED_HANDLER = "removed"


def laid_out(spec: DagSpec, layout: Sequence[str]) -> DagSpec:
    """The spec with its tasks in this order; a name that it does not have stands for a task that was removed."""
    by_id = {task.task_id: task for task in spec.tasks}
    tasks = tuple(by_id.get(task_id) or TaskSpec(task_id, Handler(REMOVED_HANDLER)) for task_id in layout)
    return replace(spec, tasks=tasks)


def layout_for(current: Sequence[str], spec: DagSpec) -> tuple[str, ...]:
    """How a run with these tasks has the tasks of another version."""
    known = set(current)
    return (*current, *(task.task_id for task in spec.tasks if task.task_id not in known))


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
