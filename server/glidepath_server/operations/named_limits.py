"""Named limits: how much of something the task instances of all DAGs of a namespace take at once, and how fast.

A pool is a limit of which a task takes one kind of slot by `pool`; a task may name several limits. Claims treat both
alike.
"""

from __future__ import annotations

import re
from dataclasses import asdict

from ..core.errors import InvalidInput, StateConflict, Violation
from ..core.limit_checks import SLOTS_MAX
from ..store import administration, named_limits
from ..store.database import Connection, database_now
from ..store.named_limits import Limit, Terms
from .audit import append_audit

RATE_STARTS_MAX = 100_000
RATE_SECONDS_MIN, RATE_SECONDS_MAX = 0.1, 86_400.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


async def set_limit(
    connection: Connection, *, namespace: str, name: str, terms: Terms, actor: str
) -> tuple[Limit, set[int]]:
    """Create a limit or replace its terms, inside the caller's transaction. Nothing that runs is cancelled.

    Returns the limit as it is now, and the ids of queues in which rows may go on: tell the engine after the commit.
    """
    _check(name, terms)
    before, queues = None, set[int]()
    limit_id = await named_limits.insert_limit(connection, namespace, name, terms)
    if limit_id is None:
        found = await named_limits.lock_limit(connection, namespace, name)
        if found is None:
            raise StateConflict(f"limit {name!r} was deleted just now", hint="try again")
        limit_id, before = found
    if before != terms:
        if before is not None:
            queues = await named_limits.change_limit(connection, limit_id, terms)
        await append_audit(
            connection,
            namespace=namespace,
            actor=actor,
            action="limit.set",
            target=f"limit/{name}",
            detail={**asdict(terms), "before": asdict(before) if before else None},
            now=await database_now(connection),
        )
    return (await named_limits.list_limits(connection, namespace, limit_id=limit_id))[0], queues


async def delete_limit(connection: Connection, *, namespace: str, name: str, actor: str) -> None:
    """Delete a limit that nobody names and nobody holds, inside the caller's transaction.

    A limit that does not exist is deleted already. Raises StateConflict with who names it or how many hold it.
    """
    found = await named_limits.lock_limit(connection, namespace, name)
    if found is None:
        return
    limit_id, _ = found
    users = await named_limits.limit_users(connection, namespace, limit_id)
    if users:
        named = [f"{dag_id} version {number}" for dag_id, number in users[:3]] + ["..."] * (len(users) > 3)
        raise StateConflict(
            f"limit {name!r} is named by {', '.join(named)}, and any version can be run",
            hint="set its slots to 0 to admit nothing",
        )
    if holders := await administration.pool_holders(connection, limit_id):
        raise StateConflict(
            f"limit {name!r} is held by {holders} attempts", hint="set its slots to 0 and wait for them to end"
        )
    await named_limits.delete_limit(connection, limit_id)
    await append_audit(
        connection,
        namespace=namespace,
        actor=actor,
        action="limit.delete",
        target=f"limit/{name}",
        detail={},
        now=await database_now(connection),
    )


def _check(name: str, terms: Terms) -> None:
    wrong = []
    if not _NAME.fullmatch(name):
        wrong.append(Violation("limit_name", repr(name[:140]), "1 to 128 letters, digits, dots, dashes or underscores"))
    if terms.capacity is not None and not 0 <= terms.capacity <= SLOTS_MAX:
        wrong.append(Violation("slots", str(terms.capacity), f"0 to {SLOTS_MAX}"))
    if terms.rate_starts is not None and not 1 <= terms.rate_starts <= RATE_STARTS_MAX:
        wrong.append(Violation("rate.starts", str(terms.rate_starts), f"1 to {RATE_STARTS_MAX}"))
    if terms.rate_seconds is not None and not RATE_SECONDS_MIN <= terms.rate_seconds <= RATE_SECONDS_MAX:
        expected = f"{RATE_SECONDS_MIN:g} to {RATE_SECONDS_MAX:g} s"
        wrong.append(Violation("rate.per", f"{terms.rate_seconds:g} s", expected))
    if terms.capacity is None and terms.rate_starts is None:
        wrong.append(Violation("slots", "nothing", "slots, or a rate"))
    if wrong:
        raise InvalidInput("; ".join(map(str, wrong)), violations=wrong)
