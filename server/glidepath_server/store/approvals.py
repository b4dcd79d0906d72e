"""Questions to people: thin typed functions over queries/approvals.sql."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..core.approvals import ApprovalState
from .database import Connection
from .sql import statements

_SQL = statements("approvals")


@dataclass(frozen=True, slots=True)
class Approval:
    """A question as stored, with what its run gives to its message. `answered_by` None: nobody."""

    dag_run_id: UUID
    task_index: int
    map_index: int
    attempt_number: int
    approval_id: int
    namespace: str
    dag_id: str
    task_id: str
    state: ApprovalState
    open_time: datetime
    timeout_time: datetime | None
    close_time: datetime | None
    answered_by: str | None
    note: str
    answer: str | None
    dag_version_id: int
    params: str
    run_key: str
    logical_date: datetime
    data_interval_start: datetime
    data_interval_end: datetime


async def open_approvals(connection: Connection, columns: Sequence[Sequence[Any]], now: datetime) -> None:
    """`columns`: run, task, map index, attempt number, seconds to the timeout, namespace, DAG, task id."""
    await connection.execute(_SQL["open_approvals"], *columns, now)


async def close_approvals(connection: Connection, columns: Sequence[Sequence[Any]], now: datetime) -> int:
    """`columns`: run, task, map index, attempt number, state, who, note, values, outcome, reason, output, digest.

    Returns how many of them were open.
    """
    return int(await connection.fetchval(_SQL["close_approvals"], *columns, now))


async def expired_approvals(connection: Connection, limit: int) -> list[Any]:
    rows: list[Any] = await connection.fetch(_SQL["expired_approvals"], limit)
    return rows


async def next_timeout(connection: Connection) -> float | None:
    """Seconds until the next timeout, None when there is none."""
    seconds: float | None = await connection.fetchval(_SQL["next_approval_timeout"])
    return seconds


async def list_approvals(
    connection: Connection,
    namespace: str,
    *,
    dag_id: str,
    dag_run_id: UUID | None,
    closed: bool,
    below: int,
    limit: int,
) -> list[Approval]:
    """Newest first, below an id. Empty DAG id or no run: all."""
    rows = await connection.fetch(_SQL["list_approvals"], namespace, below, dag_id or None, dag_run_id, closed, limit)
    return [_approval(row) for row in rows]


async def newest(connection: Connection, dag_run_id: UUID, task: int, map_index: int) -> Approval | None:
    """What a task instance has asked last, None when it has not asked yet."""
    row = await connection.fetchrow(_SQL["newest_approval"], dag_run_id, task, map_index)
    return _approval(row) if row is not None else None


def _approval(row: Any) -> Approval:
    return Approval(**{**row, "state": ApprovalState(row["state"])})
