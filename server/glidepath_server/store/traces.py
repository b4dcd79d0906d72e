"""What is to be sent as spans: thin typed functions over queries/traces.sql, each a transaction of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from ..core.events import AttemptKey
from ..telemetry.spans import RunRow
from .database import Connection
from .sql import statements

_SQL = statements("traces")
Row = Any


class Due(NamedTuple):
    """Something that has ended: the attempt, or (None) the run itself."""

    feed_id: int
    dag_run_id: UUID
    attempt: AttemptKey | None


async def take(connection: Connection, count: int, seconds: float) -> list[Due]:
    """The oldest that nobody is at; nobody else takes them for so long."""
    rows = await connection.fetch(_SQL["take"], count, seconds)
    return sorted(
        Due(feed_id, run_id, AttemptKey(run_id, task, map_index, number) if task is not None else None)
        for feed_id, run_id, task, map_index, number in rows
    )


async def give_back(connection: Connection, feed_ids: Sequence[int]) -> None:
    await connection.execute(_SQL["give_back"], feed_ids)


async def forget(connection: Connection, feed_ids: Sequence[int]) -> None:
    await connection.execute(_SQL["forget"], feed_ids)


async def cut(connection: Connection, kept: int) -> int:
    """Leave the newest `kept`; how many are gone."""
    count: int = await connection.fetchval(_SQL["cut"], kept)
    return count


async def runs(connection: Connection, run_ids: Iterable[UUID]) -> dict[UUID, RunRow]:
    """Those that are there still."""
    rows = await connection.fetch(_SQL["runs"], list(run_ids))
    return {row["dag_run_id"]: RunRow(**row) for row in rows}


async def attempts(connection: Connection, keys: Sequence[AttemptKey]) -> list[Row]:
    """Ended attempts with the names of their workers."""
    return await connection.fetch(_SQL["attempts"], *zip(*keys, strict=True))
