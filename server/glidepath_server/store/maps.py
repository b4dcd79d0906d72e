"""Mapped tasks: thin typed functions over queries/maps.sql."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from .database import Connection
from .sql import statements

_SQL = statements("maps")
Row = Any


async def drop_items(connection: Connection, run_id: UUID, task: int) -> None:
    await connection.execute(_SQL["drop_items"], run_id, task)


async def drop_marks(connection: Connection, run_id: UUID, task: int) -> None:
    """Forget what operators said of the instances of a task, which is mapped anew."""
    await connection.execute(_SQL["drop_marks"], run_id, task)


async def forget_marks(connection: Connection, columns: Sequence[Sequence[Any]]) -> None:
    """`columns`: run, task, map index."""
    await connection.execute(_SQL["forget_marks"], *columns)


async def put_marks(connection: Connection, columns: Sequence[Sequence[Any]]) -> None:
    """`columns`: run, task, map index, state, reason, how many attempts are of earlier lists."""
    await connection.execute(_SQL["put_marks"], *columns)


async def instance_marks(
    connection: Connection, run_id: UUID, task: int, first: int, last: int
) -> dict[int, tuple[int, str]]:
    """The state that an operator gave instances of a range, and what he said, by map index."""
    rows = await connection.fetch(_SQL["instance_marks"], run_id, task, first, last)
    return {row["map_index"]: (row["state"], row["reason"]) for row in rows}


async def put_items(connection: Connection, run_id: UUID, task: int, length: int, chunks: Sequence[str]) -> None:
    await connection.execute(_SQL["put_items"], run_id, task, length, chunks)


async def read_items(
    connection: Connection, run_ids: Sequence[UUID], tasks: Sequence[int], chunks: Sequence[int]
) -> dict[tuple[UUID, int, int], str]:
    """Chunks of items, as JSON, by run, task and chunk."""
    rows = await connection.fetch(_SQL["read_items"], run_ids, tasks, chunks)
    return {(row["dag_run_id"], row["task_index"], row["chunk_index"]): row["items"] for row in rows}


async def lengths(connection: Connection, run_ids: Sequence[UUID], tasks: Sequence[int]) -> dict[tuple[UUID, int], int]:
    """How many instances mapped tasks have, of those whose lists were read."""
    rows = await connection.fetch(_SQL["lengths"], run_ids, tasks)
    return {(row["dag_run_id"], row["task_index"]): row["length"] for row in rows}


async def gathered(connection: Connection, run_id: UUID, task: int, first: int, end: int) -> list[Row]:
    """Outputs of the instances that have succeeded, by map index, from `first` on and below `end`."""
    return await connection.fetch(_SQL["gathered"], run_id, task, end, first)


async def instance_states(connection: Connection, run_id: UUID, task: int) -> dict[int, int]:
    """The state (a code of TaskState) of each instance, of every length that the task has had in this run."""
    return {row["map_index"]: row["state"] for row in await connection.fetch(_SQL["instance_states"], run_id, task)}


async def instance_attempts(connection: Connection, run_id: UUID, task: int, indexes: Sequence[int]) -> dict[int, int]:
    """The highest attempt number of these instances, of those that had an attempt."""
    rows = await connection.fetch(_SQL["instance_attempts"], run_id, task, indexes)
    return {row["map_index"]: row["attempt_number"] for row in rows}
