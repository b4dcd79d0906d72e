"""Named limits, as operators see and change them: over queries/named_limits.sql."""

from __future__ import annotations

from dataclasses import dataclass

from . import limits
from .database import Connection
from .sql import statements

_SQL = statements("named_limits")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a limit allows: `capacity` slots at once, `rate_starts` starts in any `rate_seconds`. None: without."""

    capacity: int | None
    rate_starts: int | None = None
    rate_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A named limit with its use: `used` is the sum over live holders, `waiting` the task instances parked on it,
    `started` what counts against its rate now."""

    limit_id: int
    namespace: str
    name: str
    capacity: int | None
    rate_starts: int | None
    rate_seconds: float | None
    used: int
    waiting: int
    started: int


async def insert_limit(connection: Connection, namespace: str, name: str, terms: Terms) -> int | None:
    """The id of the new limit; None when it exists."""
    found: int | None = await connection.fetchval(
        _SQL["insert"], namespace, name, terms.capacity, terms.rate_starts, terms.rate_seconds
    )
    return found


async def list_limits(
    connection: Connection, namespace: str, *, after: str = "", limit_id: int | None = None, limit: int = 1
) -> list[Limit]:
    """By name, those behind `after`; only one when `limit_id` is given."""
    return [Limit(**row) for row in await connection.fetch(_SQL["list"], namespace, after, limit_id, limit)]


async def lock_limit(connection: Connection, namespace: str, name: str) -> tuple[int, Terms] | None:
    """The limit's id and terms, its row locked until the transaction ends."""
    row = await connection.fetchrow(_SQL["lock"], namespace, name)
    return (row["limit_id"], Terms(row["capacity"], row["rate_starts"], row["rate_seconds"])) if row else None


async def change_limit(connection: Connection, limit_id: int, terms: Terms) -> set[int]:
    """Set the terms; the caller holds the row. Returns the ids of queues whose rows may go on."""
    await connection.execute(_SQL["change"], limit_id, terms.capacity, terms.rate_starts, terms.rate_seconds)
    return await limits.unpark_free(connection, limit_id)


async def limit_users(connection: Connection, namespace: str, limit_id: int) -> list[tuple[str, int]]:
    """A few of the DAG versions that name the limit: (dag_id, dag_version_number)."""
    return [(row[0], row[1]) for row in await connection.fetch(_SQL["users"], namespace, limit_id)]


async def delete_limit(connection: Connection, limit_id: int) -> None:
    await connection.execute(_SQL["delete"], limit_id)
