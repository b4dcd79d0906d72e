"""Tasks that depend on the past: such a task starts only once the same task in the run before has ended well.

A task that its rule admits stays scheduled, and the step is asked to look; what the run before lets go is judged once
more, since much may have happened in between. Nothing of this is on the board: who waits, and for which run, is said by
the rows of past_wait, and why is looked up by whoever asks.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from .events import PastChanged, PastLetsGo
from .graph import Graph
from .moves import SCHEDULED, Moves
from .states import RunState, TaskState

# Ends of the task in the run before that let it start; a task which that run does not have holds nobody back.
LETS_GO = frozenset({int(TaskState.SUCCESS), int(TaskState.SKIPPED), int(TaskState.REMOVED)})


class TaskBefore(NamedTuple):
    """The same task in the run before."""

    dag_run_id: str
    logical_date: datetime
    state: TaskState


def past_changed(moves: Moves, event: PastChanged) -> None:
    moves.effects.past_told.append(event.task)
    _judge(moves, event.task)


def past_lets_go(moves: Moves, event: PastLetsGo) -> None:
    moves.past_free.update(event.tasks)
    for task in event.tasks:
        _judge(moves, task)


def _judge(moves: Moves, task: int) -> None:
    if moves.board.state is RunState.RUNNING and moves.states[task] == SCHEDULED:
        ended: list[int] = []
        moves.judge(task, ended)
        moves.spread(ended)


def place_before(task_id: str, task: int, graph: Graph) -> int | None:
    """Where the run before, of this graph, has the task that this run has at `task`; None: nowhere."""
    if task < graph.size and graph.task_ids[task] == task_id:
        return task
    try:
        return graph.task_ids.index(task_id)
    except ValueError:
        return None
