"""Pools, workers and quarantined runs, as operators see and change them: over queries/administration.sql."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from .database import Connection
from .sql import statements

_SQL = statements("administration")


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool with its use: `used` is the sum over live holders, `waiting` the task instances parked on it."""

    limit_id: int
    namespace: str
    name: str
    capacity: int
    used: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker session."""

    session_id: UUID
    namespace: str
    worker_identity: str
    incarnation: str
    draining: bool
    state: str
    queue_names: Sequence[str]
    labels: dict[str, str]
    connect_time: datetime
    lease_expire_time: datetime
    sdk_name: str
    sdk_version: str
    host_name: str
    other_namespaces: Sequence[str]
    clock_offset_seconds: float | None
    clock_bound_seconds: float | None
    attempts_live: int


@dataclass(frozen=True, slots=True)
class PoolId:
    """A pool's limit and its capacity, read under the lock."""

    limit_id: int
    capacity: int


async def insert_pool(connection: Connection, namespace: str, name: str, capacity: int) -> int | None:
    """The id of the new limit; None when it exists."""
    found: int | None = await connection.fetchval(_SQL["insert_pool"], namespace, name, capacity)
    return found


async def list_pools(
    connection: Connection,
    namespace: str,
    *,
    after: str = "",
    limit_id: int | None = None,
    limit: int = 1,
) -> list[Pool]:
    """By name, those behind `after`; only one when `limit_id` is given."""
    return [Pool(**row) for row in await connection.fetch(_SQL["list_pools"], namespace, after, limit_id, limit)]


async def lock_pool(connection: Connection, namespace: str, name: str) -> PoolId | None:
    """The pool's limit, its row locked until the transaction ends."""
    row = await connection.fetchrow(_SQL["lock_pool"], namespace, name)
    return PoolId(**row) if row else None


async def pool_users(connection: Connection, limit_id: int) -> list[tuple[str, int]]:
    """A few of the DAG versions that name the pool: (dag_id, dag_version_number)."""
    return [(row[0], row[1]) for row in await connection.fetch(_SQL["pool_users"], limit_id)]


async def pool_holders(connection: Connection, limit_id: int) -> int:
    """How many live attempts hold slots."""
    return int(await connection.fetchval(_SQL["pool_holders"], limit_id))


async def delete_pool(connection: Connection, limit_id: int) -> None:
    await connection.execute(_SQL["delete_pool"], limit_id)


async def list_workers(
    connection: Connection,
    namespace: str,
    *,
    before: UUID | None,
    include_gone: bool,
    limit: int,
) -> list[Worker]:
    """Newest first, below the id `before`."""
    rows = await connection.fetch(_SQL["list_workers"], namespace, before, include_gone, limit)
    return [Worker(**{**row, "labels": _json(row["labels"])}) for row in rows]


async def lock_run_for_release(connection: Connection, namespace: str, dag_run_id: UUID) -> bool | None:
    """Whether the run is quarantined, its row locked; None when there is no such run."""
    found: bool | None = await connection.fetchval(_SQL["lock_run_for_release"], namespace, dag_run_id)
    return found


async def release_run(connection: Connection, namespace: str, dag_run_id: UUID) -> None:
    await connection.execute(_SQL["release_run"], namespace, dag_run_id)


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
