"""Pools: named capacities that task instances of many DAGs share."""

from __future__ import annotations

import re

from ..core.errors import InvalidInput, StateConflict, Violation
from ..store import administration, limits
from ..store.administration import Pool
from ..store.database import Connection, database_now
from .audit import append_audit

SLOTS_MAX = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


async def set_pool(
    connection: Connection,
    *,
    namespace: str,
    name: str,
    slots: int,
    actor: str,
) -> tuple[Pool, set[int]]:
    """Create a pool or change its slots, inside the caller's transaction. Nothing that runs is cancelled.

    Returns the pool as it is now, and the ids of queues in which rows may go on: tell the engine after the commit.
    """
    _check(name, slots)
    before, queues = None, set[int]()
    limit_id = await administration.insert_pool(connection, namespace, name, slots)
    if limit_id is None:
        found = await administration.lock_pool(connection, namespace, name)
        if found is None:
            raise StateConflict(f"pool {name!r} was deleted just now", hint="try again")
        limit_id, before = found.limit_id, found.capacity
    if before != slots:
        if before is not None:
            queues = await limits.set_capacity(connection, limit_id, slots)
        await append_audit(
            connection,
            namespace=namespace,
            actor=actor,
            action="pool.set",
            target=f"pool/{name}",
            detail={"slots": slots, "slots_before": before},
            now=await database_now(connection),
        )
    return (await administration.list_pools(connection, namespace, limit_id=limit_id))[0], queues


async def delete_pool(connection: Connection, *, namespace: str, name: str, actor: str) -> None:
    """Delete a pool that nobody names and nobody uses, inside the caller's transaction.

    A pool that does not exist is deleted already. Raises StateConflict with who names it or how many hold it.
    """
    found = await administration.lock_pool(connection, namespace, name)
    if found is None:
        return
    users = await administration.pool_users(connection, found.limit_id)
    if users:
        named = [f"{dag_id} version {number}" for dag_id, number in users[:3]] + ["..."] * (len(users) > 3)
        raise StateConflict(
            f"pool {name!r} is named by {', '.join(named)}, and any version can be run",
            hint="set its slots to 0 to admit nothing",
        )
    holders = await administration.pool_holders(connection, found.limit_id)
    if holders:
        raise StateConflict(
            f"pool {name!r} is held by {holders} attempts", hint="set its slots to 0 and wait for them to end"
        )
    await administration.delete_pool(connection, found.limit_id)
    await append_audit(
        connection,
        namespace=namespace,
        actor=actor,
        action="pool.delete",
        target=f"pool/{name}",
        detail={},
        now=await database_now(connection),
    )


def _check(name: str, slots: int) -> None:
    wrong = []
    if not _NAME.fullmatch(name):
        wrong.append(Violation("pool_name", repr(name), "1 to 128 letters, digits, dots, dashes or underscores"))
    if not 0 <= slots <= SLOTS_MAX:
        wrong.append(Violation("slots", str(slots), f"0 to {SLOTS_MAX}"))
    if wrong:
        raise InvalidInput("; ".join(map(str, wrong)), violations=wrong)
