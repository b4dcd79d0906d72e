"""Kept results and calls under way: thin typed functions over queries/caching.sql.

Every function takes the connection of the caller's transaction and rows as tuples, in the order of the statement's
columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from .database import Connection
from .sql import statements

_SQL = statements("caching")
Row = Any
# (namespace, cache key)
Key = tuple[str, bytes]


async def take_hits(connection: Connection, calls: Sequence[Sequence[Any]], now: datetime) -> set[int]:
    """Give each call its kept result, if there is one. `calls`: namespace, key, run, task, map index, attempt, how old
    it may be. Returns the positions of those that got one."""
    rows = await connection.fetch(_SQL["take_hits"], *_columns(calls, 7), now)
    return {row["ord"] - 1 for row in rows}


async def lock_keys(connection: Connection, keys: Iterable[tuple[str, bytes, str, str]], now: datetime) -> None:
    """Hold the rows of these keys. `keys`: namespace, key, DAG id, task id; each key once."""
    await connection.execute(_SQL["lock_keys"], *_columns(list(keys), 4), now)


async def end_calls(connection: Connection, instances: Iterable[tuple[UUID, int, int]]) -> list[Row]:
    """Calls of these (run, task, map index) that were under way."""
    return await connection.fetch(_SQL["end_calls"], *_columns(list(instances), 3))


async def keep_results(connection: Connection, results: Sequence[Sequence[Any]], now: datetime) -> None:
    """Keep outputs as the results of keys whose rows are held. `results`: namespace, key, DAG id, task id, run, task,
    map index, attempt, seconds until it expires; each key once."""
    *columns, seconds = _columns(results, 9)
    await connection.execute(_SQL["keep_results"], *columns, now, seconds)


async def look_again(connection: Connection, calls: Sequence[Sequence[Any]], now: datetime) -> list[Row]:
    """Per call (namespace, key, how old it may be) of keys whose rows are held: whether a result is kept, whether
    somebody is at it."""
    rows = await connection.fetch(_SQL["look_again"], *_columns(calls, 3), now)
    return sorted(rows, key=lambda row: row["ord"])


async def begin_calls(connection: Connection, calls: Sequence[Sequence[Any]]) -> None:
    """`calls`: namespace, key, run, task, map index, attempt, how old a result may be, whether it waits."""
    await connection.execute(_SQL["begin_calls"], *_columns(calls, 8))


async def wake_all(connection: Connection, keys: Iterable[Key], waiters_max: int) -> set[UUID]:
    """Wake those who wait for kept results; the runs that have something in their inbox now."""
    rows = await connection.fetch(_SQL["wake_all"], *_columns(list(keys), 2), waiters_max)
    return {row["dag_run_id"] for row in rows}


async def wake_next(connection: Connection, keys: Iterable[Key]) -> set[UUID]:
    """Wake one of those who wait for each key that nobody is at."""
    rows = await connection.fetch(_SQL["wake_next"], *_columns(list(keys), 2))
    return {row["dag_run_id"] for row in rows}


async def drop_empty(connection: Connection, keys: Iterable[Key]) -> None:
    await connection.execute(_SQL["drop_empty"], *_columns(list(keys), 2))


async def park_calls(connection: Connection, instances: Iterable[tuple[UUID, int, int]]) -> None:
    await connection.execute(_SQL["park_calls"], *_columns(list(instances), 3))


async def take_back_calls(connection: Connection, waiting: Iterable[tuple[UUID, int, int, int]]) -> list[Row]:
    """Of these (run, task, map index, attempt) the ones that wait for an equal call: out of the queue."""
    return await connection.fetch(_SQL["take_back_calls"], *_columns(list(waiting), 4))


async def sweep_calls(connection: Connection, waiters_max: int) -> list[UUID]:
    """Wake who waits for nothing; one run per wake-up."""
    return [row["dag_run_id"] for row in await connection.fetch(_SQL["sweep_calls"], waiters_max)]


async def prune(connection: Connection, results_max: int) -> int:
    """Delete expired results that nobody is at, the oldest first; how many."""
    return _count(await connection.execute(_SQL["prune"], results_max))


async def forget_results(
    connection: Connection, namespace: str, dag_id: str, task_id: str | None, results_max: int
) -> int:
    """Forget up to so many results of a DAG, or of one task of it; how many."""
    return _count(await connection.execute(_SQL["forget_results"], namespace, dag_id, task_id, results_max))


async def waited_for(connection: Connection, dag_run_id: UUID) -> dict[tuple[int, int], str]:
    """By (task, map index) of what waits for an equal call in a run, the run that is at it, if one is."""
    rows = await connection.fetch(_SQL["waited_for"], dag_run_id)
    return {(row["task_index"], row["map_index"]): str(run_id) for row in rows if (run_id := row["other_run_id"])}


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _count(answer: str) -> int:
    return int(answer.rpartition(" ")[2])
