"""The part of a step that writes questions to people, opened and closed with the boards that say so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ..core.approvals import Decision
from ..core.effects import Closed
from ..core.errors import StateConflict
from ..store import approvals as store
from ..store.database import Connection
from .step_types import LockedRun


async def write_approvals(connection: Connection, runs: list[LockedRun], now: datetime) -> None:
    """First what is closed: a task that was cleared may ask again in the same step."""
    closed = [_closed_row(run, each, now) for run in runs for each in run.effects.closed]
    if closed:
        written = await store.close_approvals(connection, list(zip(*closed, strict=True)), now)
        if written != len(closed):
            raise StateConflict(f"{len(closed) - written} questions were not open, though their boards say so")
    asked = [row for run in runs for row in _asked_rows(run)]
    if asked:
        await store.open_approvals(connection, list(zip(*asked, strict=True)), now)


def _closed_row(run: LockedRun, closed: Closed, now: datetime) -> tuple[Any, ...]:
    answer = closed.answer
    approved = answer is not None and answer.decision is Decision.APPROVE
    output = answer.output(now) if answer is not None and approved else None
    return (
        run.dag_run_id,
        closed.task,
        closed.map_index,
        closed.attempt_number,
        closed.state.value,
        answer.by if answer is not None else None,
        answer.note if answer is not None else "",
        answer.values if answer is not None else None,
        closed.outcome.value,
        closed.reason[:2000],
        output,
        hashlib.sha256(output).hexdigest() if output is not None else "",
    )


def _asked_rows(run: LockedRun) -> Iterator[tuple[Any, ...]]:
    plan = run.plan
    for question in run.effects.asked:
        seconds = plan.graph.approvals[question.task].timeout_seconds
        yield (run.dag_run_id, *question, seconds, plan.namespace, plan.dag_id, plan.graph.task_ids[question.task])
