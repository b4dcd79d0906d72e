"""The board that a run is created with, where it was asked for with more than everything scheduled."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from ..core.board import Board
from ..core.errors import Violation
from .plans import Plan
from .read_runs import index_of

PAUSES_MAX = 1_000


def first_board(plan: Plan, pause_at: Sequence[str], actor: str) -> bytes | None:
    """None: nothing but one zero byte per task. A name that is none is told of by `wrong_names`."""
    if not pause_at:
        return None
    board, index = Board.fresh(plan.graph.size), index_of(plan.graph)
    board.pauses = {index[task_id]: actor for task_id in pause_at if task_id in index}
    return board.pack()


def wrong_names(plan: Plan, field: str, task_ids: Sequence[str], most: int = PAUSES_MAX) -> Iterator[Violation]:
    """What is wrong with names of tasks of the version that a run is to have."""
    if len(task_ids) > most:
        yield Violation(field, f"{len(task_ids)} task ids", f"at most {most} task ids")
        return
    known = index_of(plan.graph) if task_ids else {}
    for task_id in task_ids:
        if task_id not in known:
            close = difflib.get_close_matches(task_id[:200], known, n=1)
            near = f"; did you mean {close[0]}?" if close else ""
            yield Violation(field, repr(task_id[:80]), f"a task of DAG {plan.dag_id}{near}")
