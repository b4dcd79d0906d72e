"""Creating runs: thin typed functions over queries/trigger.sql, each for any number of runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from .database import Connection
from .sql import statements

_SQL = statements("trigger")
Row = Any


@dataclass(frozen=True, slots=True)
class Selector:
    """What a caller calls a version: by number, by alias, or (both None) the latest."""

    dag_id: str
    number: int | None = None
    alias: str | None = None
    # Laid out for something (store/layouts.py); empty: as it was registered.
    layout_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a selector means. The ids are None when there is no such version; `dag_exists` tells which of the two."""

    dag_exists: bool
    dag_version_id: int | None
    dag_version_number: int | None
    latest_version_number: int | None
    runs_limit_id: int | None
    has_deadlines: bool = False


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be stored."""

    dag_run_id: UUID
    dag_version_id: int
    admitted: bool
    task_count: int
    dag_id: str
    run_key: str
    params: str
    logical_date: datetime
    data_interval_start: datetime
    data_interval_end: datetime
    traceparent: str
    refresh_cache: bool
    # None: everything is scheduled.
    board: bytes | None = None
    run_type: str = "manual"
    # Its DAG has some; the caller writes them.
    has_deadlines: bool = False
    backfill_id: UUID | None = None


async def resolve(connection: Connection, namespace: str, selectors: Sequence[Selector]) -> list[Resolved]:
    """What each selector means, in order."""
    rows = await connection.fetch(
        _SQL["resolve_versions"],
        namespace,
        [each.dag_id for each in selectors],
        [each.number for each in selectors],
        [each.alias for each in selectors],
        [each.layout_hash for each in selectors],
    )
    return [Resolved(*tuple(row)[1:]) for row in rows]


async def capped_limits(connection: Connection, limit_ids: Iterable[int]) -> set[int]:
    """The limits on active runs that have a cap; none gets or loses one until the transaction ends."""
    rows = await connection.fetch(_SQL["capped_runs_limits"], sorted(set(limit_ids)))
    return {row["limit_id"] for row in rows if row["capped"]}


async def dag_ids(connection: Connection, namespace: str) -> list[str]:
    return [row["dag_id"] for row in await connection.fetch(_SQL["names_like"], namespace)]


async def aliases(connection: Connection, namespace: str, dag_id: str) -> list[str]:
    return [row["alias"] for row in await connection.fetch(_SQL["aliases_of"], namespace, dag_id)]


async def take_keys(connection: Connection, namespace: str, keys: Sequence[tuple[str, str, UUID]]) -> set[UUID]:
    """Give each free (dag id, run key) to its run; the runs that got theirs."""
    rows = await connection.fetch(_SQL["take_keys"], namespace, *_columns(keys, 3))
    return {row["dag_run_id"] for row in rows}


async def insert_runs(
    connection: Connection, namespace: str, now: datetime, created_by: str, runs: Sequence[NewRun]
) -> None:
    """Store runs, queued. Nothing is checked: their keys were taken in the same transaction."""
    columns = _columns(
        [
            (
                r.dag_run_id,
                r.dag_version_id,
                r.admitted,
                r.task_count,
                r.dag_id,
                r.run_key,
                r.params,
                r.logical_date,
                r.data_interval_start,
                r.data_interval_end,
                r.traceparent,
                r.refresh_cache,
                r.board,
                r.run_type,
                r.has_deadlines,
                r.backfill_id,
            )
            for r in runs
        ],
        16,
    )
    await connection.execute(_SQL["insert_runs"], namespace, now, created_by, *columns)


async def runs_by_key(
    connection: Connection, namespace: str, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Row]:
    """The runs that have these (dag id, run key) pairs."""
    rows = await connection.fetch(_SQL["runs_by_key"], namespace, *_columns(keys, 2))
    return {(row["dag_id"], row["run_key"]): row for row in rows}


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
