"""Child runs: thin typed functions over queries/calls.sql, each for any number of runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from .database import Connection
from .sql import statements

_SQL = statements("calls")
Row = Any


class NewChild(NamedTuple):
    """A child run to be stored."""

    dag_run_id: UUID
    dag_version_id: int
    admitted: bool
    task_count: int
    namespace: str
    dag_id: str
    run_key: str
    params: str
    logical_date: datetime
    data_interval_start: datetime
    data_interval_end: datetime
    traceparent: str
    created_by: str
    # Its DAG has some; the caller writes them.
    has_deadlines: bool

    @property
    def run_type(self) -> str:
        return "child"


async def author(connection: Connection, attempt: tuple[UUID, int, int, int]) -> tuple[str, str] | None:
    """Namespace of a live attempt, and who registered its version; None when it is not live."""
    row: Any = await connection.fetchrow(_SQL["author"], *attempt)
    return (row["namespace"], row["created_by"]) if row is not None else None


async def callers(connection: Connection, run_ids: Iterable[UUID]) -> dict[UUID, tuple[int, int, int]]:
    """Depth, number of child runs and version of each."""
    rows = await connection.fetch(_SQL["callers"], list(run_ids))
    return {row["dag_run_id"]: (row["depth"], row["children"], row["dag_version_id"]) for row in rows}


async def insert_runs(connection: Connection, runs: Sequence[NewChild], now: datetime) -> list[NewChild]:
    """Store child runs, queued. A key that somebody has is left to him: the run's id, which is free, is its key.

    Returns them as they are stored.
    """
    free = await _take_keys(connection, runs)
    stored = [run if run.dag_run_id in free else run._replace(run_key=str(run.dag_run_id)) for run in runs]
    if len(free) < len(runs):
        await _take_keys(connection, [run for run in stored if run.dag_run_id not in free])
    *columns, created_by, has_deadlines = zip(*stored, strict=True)
    await connection.execute(_SQL["insert_runs"], *columns, now, created_by, has_deadlines)
    return stored


async def _take_keys(connection: Connection, runs: Sequence[NewChild]) -> set[UUID]:
    rows = await connection.fetch(
        _SQL["take_keys"],
        [run.namespace for run in runs],
        [run.dag_id for run in runs],
        [run.run_key for run in runs],
        [run.dag_run_id for run in runs],
    )
    return {row["dag_run_id"] for row in rows}


async def insert_calls(connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
    """Rows: parent, task, map index, attempt, parent's DAG, task's id, child, child's DAG, depth, output task, resume;
    then as in live_attempt: session, tries, losses, redeliveries, queue, start and timeout time, deferrals, waiting
    since, preemptions."""
    await connection.execute(_SQL["insert_calls"], *zip(*rows, strict=True))


async def waited_for(connection: Connection, run_ids: Sequence[UUID]) -> list[Row]:
    return await connection.fetch(_SQL["waited_for"], run_ids)


async def outputs(connection: Connection, tasks: Sequence[tuple[UUID, int]], bytes_max: int) -> list[Row]:
    """Outputs of tasks of child runs; `bytes` is the size of all that its run has inline."""
    return await connection.fetch(_SQL["outputs"], *_columns(tasks, 2), bytes_max)


async def write_outputs(connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
    """Rows: run, task, map index, attempt, content type, body, URI, size, digest."""
    if rows:
        await connection.execute(_SQL["write_outputs"], *zip(*rows, strict=True))


async def end_waits(connection: Connection, ends: Sequence[tuple[UUID, UUID, str, str]]) -> list[Row]:
    """Take the waits that these ends (caller, child run, state, reason) end."""
    return await connection.fetch(_SQL["end_waits"], *_columns(ends, 4))


async def end_attempts(
    connection: Connection, rows: Sequence[tuple[UUID, str, str | None, str]], now: datetime
) -> None:
    """Append attempts to the history: child run, state, failure, reason."""
    if rows:
        await connection.execute(_SQL["end_attempts"], *_columns(rows, 4), now)


async def outputs_of_calls(connection: Connection, attempts: Sequence[tuple[UUID, int, int, int]]) -> list[Row]:
    return await connection.fetch(_SQL["outputs_of_calls"], *_columns(attempts, 4))


async def overdue(connection: Connection, rows_max: int) -> list[Row]:
    return await connection.fetch(_SQL["overdue"], rows_max)


async def next_overdue(connection: Connection) -> float | None:
    seconds: float | None = await connection.fetchval(_SQL["next_overdue"])
    return seconds


async def ends_for(connection: Connection, instances: Sequence[tuple[UUID, int, int]]) -> list[Row]:
    """How the child runs ended that these live attempts are to be told of."""
    return await connection.fetch(_SQL["ends_for"], *_columns(instances, 3))


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
