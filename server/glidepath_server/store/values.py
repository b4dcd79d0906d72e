"""XComs and the uses of artifacts: thin typed functions over queries/values.sql."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..core.events import AttemptKey
from ..core.values import Use
from .database import Connection
from .sql import statements

_SQL = statements("values")


@dataclass(frozen=True, slots=True)
class StoredUse:
    """A use with the attempt whose it was; `dag_version_id` is its run's."""

    key: AttemptKey
    use_number: int
    dag_id: str
    dag_version_id: int
    time: datetime
    use: Use


async def write_xcoms(connection: Connection, rows: Sequence[tuple[AttemptKey, str, str]]) -> None:
    columns = [list(column) for column in zip(*((*key, name, value) for key, name, value in rows), strict=True)]
    await connection.execute(_SQL["write_xcoms"], *columns)


async def write_uses(connection: Connection, rows: Sequence[tuple[AttemptKey, int, Use]], now: datetime) -> None:
    """Attempt, its use's number, the use."""
    columns = [list(column) for column in zip(*((*key, number, *use) for key, number, use in rows), strict=True)]
    await connection.execute(_SQL["write_uses"], *columns, now)


async def read_xcoms(
    connection: Connection, wanted: Sequence[tuple[UUID, int, int, str]]
) -> dict[tuple[UUID, int, str], str | None]:
    """By run, task and key what (run, task, map index, key) have; None where a success pushed none, missing where
    there is no success."""
    rows = await connection.fetch(_SQL["read_xcoms"], *(list(column) for column in zip(*wanted, strict=True)))
    return {(row["dag_run_id"], row["task_index"], row["xcom_key"]): row["value"] for row in rows}


async def list_xcoms(connection: Connection, run_id: UUID, after: tuple[int, int, str], limit: int) -> list[Any]:
    """Rows behind (task, map index, key)."""
    return await connection.fetch(_SQL["list_xcoms"], run_id, *after, limit)


async def list_uses(
    connection: Connection, run_id: UUID, namespace: str, after: tuple[int, int, int, int], limit: int
) -> list[StoredUse]:
    """Behind (task, map index, attempt, number)."""
    return [use_of(row) for row in await connection.fetch(_SQL["list_uses"], run_id, namespace, *after, limit)]


async def digests_of(connection: Connection, namespace: str, uri: str, limit: int) -> list[str]:
    return [row["sha256"] for row in await connection.fetch(_SQL["digests_of"], namespace, uri, limit)]


async def uses_of(
    connection: Connection, namespace: str, digests: Sequence[str], directions: Sequence[str], limit: int
) -> list[StoredUse]:
    rows = await connection.fetch(_SQL["uses_of"], namespace, digests, directions, limit)
    return [use_of(row) for row in rows]


async def uses_by(
    connection: Connection, attempts: Sequence[AttemptKey], direction: str, limit: int
) -> list[StoredUse]:
    columns = [list(column) for column in zip(*attempts, strict=True)]
    return [use_of(row) for row in await connection.fetch(_SQL["uses_by"], *columns, direction, limit)]


async def list_metrics(
    connection: Connection, namespace: str, dag_id: str, runs_max: int, limit: int
) -> list[tuple[StoredUse, int]]:
    """Each with the number of its run's version."""
    rows = await connection.fetch(_SQL["list_metrics"], namespace, dag_id, runs_max, limit)
    return [(use_of(row), row["dag_version_number"]) for row in rows]


def use_of(row: Any) -> StoredUse:
    return StoredUse(
        AttemptKey(row["dag_run_id"], row["task_index"], row["map_index"], row["attempt_number"]),
        row["use_number"],
        row["dag_id"],
        row["dag_version_id"],
        row["use_time"],
        Use(*(row[name] for name in Use._fields)),
    )
