"""Pause a DAG, or let it go on. Attempts that run go on; what is held back is the start of attempts.

Schedules of a paused DAG do not tick: of the ticks of the pause at most the last is run afterwards, as of a schedule
that was paused itself.
"""

from __future__ import annotations

from ..store import limits, registry, schedules
from ..store.database import Connection, database_now
from ..store.registry import Dag
from .audit import append_audit
from .find_dag import get_dag, lock_dag


async def set_dag_paused(
    connection: Connection,
    *,
    namespace: str,
    dag_id: str,
    paused: bool,
    actor: str,
) -> tuple[Dag, set[int] | None]:
    """Pause or unpause, inside the caller's transaction. Idempotent. Raises NotFound.

    Returns the DAG, and the ids of queues in which rows may go on: tell the engine after the commit. None when the DAG
    was so already.
    """
    dag = await lock_dag(connection, namespace, dag_id)
    queues: set[int] | None = None
    if dag.paused != paused:
        now = await database_now(connection)
        await schedules.set_dag_paused(connection, namespace, dag_id, paused, now)
        queues = await limits.set_paused(connection, dag.tasks_limit_id, paused)
        await registry.set_paused(connection, namespace, dag_id, paused)
        await append_audit(
            connection,
            namespace=namespace,
            actor=actor,
            action="dag.pause" if paused else "dag.unpause",
            target=f"dag/{dag_id}",
            detail={},
            now=now,
        )
    return await get_dag(connection, namespace, dag_id), queues
