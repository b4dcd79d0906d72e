"""Changing a limit: its capacity, its pause. Claims under limits are in operations/claims.py.

The limit's row is authoritative for the capacity, `limit_holder` for the use. Lowering cancels nothing: no claim
commits over the new value. Raising and unpausing count as a release: rows that wait are let into the claim index again.
"""

from __future__ import annotations

from ..core.errors import NotFound
from . import engine
from .database import Connection
from .sql import statements

_SQL = statements("limits")


async def set_capacity(connection: Connection, limit_id: int, capacity: int | None) -> set[int]:
    """Set the capacity (None: no cap) in the caller's transaction. Returns the ids of queues whose rows may go on."""
    row = await _lock(connection, limit_id)
    return await _change(connection, limit_id, row["kind"], capacity, row["paused"])


async def set_in_order(connection: Connection, limit_id: int, in_order: bool) -> None:
    """Say of a DAG's limit on active runs whether these go by their logical dates."""
    await _lock(connection, limit_id)
    await connection.execute(_SQL["set_in_order"], limit_id, in_order)


async def set_paused(connection: Connection, limit_id: int, paused: bool) -> set[int]:
    """Pause or unpause in the caller's transaction. Returns the ids of queues whose rows may go on."""
    row = await _lock(connection, limit_id)
    return await _change(connection, limit_id, row["kind"], row["capacity"], paused)


async def release_waiting(connection: Connection, limit_id: int) -> set[int]:
    """Take the limit from what has ended, and unpark what it has room for. Returns the ids of queues that got rows."""
    await engine.lock_limits(connection, [limit_id])
    await connection.execute(_SQL["drop_ended_holders"], limit_id)
    return await unpark_free(connection, limit_id)


async def stale_limits(connection: Connection) -> list[int]:
    """Limits that `release_waiting` may have to look at."""
    return [row["limit_id"] for row in await connection.fetch(_SQL["stale_limits"])]


async def rates_waited_for(connection: Connection) -> dict[int, float]:
    """Limits with a rate on which rows wait: seconds until the next start may be made, not positive for now."""
    return {row["limit_id"]: row["seconds"] for row in await connection.fetch(_SQL["rates_waited_for"])}


async def drop_run_limits(connection: Connection, runs_max: int) -> int:
    """Forget the limits of runs that have ended, which a clear makes anew. Returns how many runs were looked at."""
    rows = await connection.fetch(_SQL["lock_ended_runs"], runs_max)
    if rows:
        await connection.execute(_SQL["drop_run_limits"], [row["dag_run_id"] for row in rows])
    return len(rows)


async def unpark_free(connection: Connection, limit_id: int) -> set[int]:
    """Unpark up to the free capacity; the caller holds the limit's row."""
    use, _ = await engine.limit_use(connection, [limit_id])
    room = use[limit_id].room if limit_id in use else 0
    return set() if room == 0 else await engine.unpark(connection, limit_id, room)


async def _lock(connection: Connection, limit_id: int) -> engine.Row:
    row = await connection.fetchrow(_SQL["lock_for_change"], limit_id)
    if row is None:
        raise NotFound(f"there is no limit {limit_id}")
    return row


async def _change(connection: Connection, limit_id: int, kind: str, capacity: int | None, paused: bool) -> set[int]:
    await connection.execute(_SQL["change"], limit_id, capacity, paused)
    if kind == "dag_tasks" and (paused or capacity is not None):
        await connection.execute(_SQL["hold_what_runs"], limit_id)
    return await unpark_free(connection, limit_id)
