"""Lets a quarantined run step again."""

from __future__ import annotations

from uuid import UUID

from ..core.errors import NotFound
from ..store import administration
from ..store.database import Connection, database_now
from .audit import append_audit


async def release_dag_run(connection: Connection, *, namespace: str, dag_run_id: UUID, actor: str) -> bool:
    """Release the run, inside the caller's transaction; False when it was not quarantined. Raises NotFound.

    The engine must be told after the commit: what the run missed waits in its inbox.
    """
    quarantined = await administration.lock_run_for_release(connection, namespace, dag_run_id)
    if quarantined is None:
        raise NotFound(f"run {dag_run_id} does not exist in namespace {namespace!r}")
    if quarantined:
        await administration.release_run(connection, namespace, dag_run_id)
        await append_audit(
            connection,
            namespace=namespace,
            actor=actor,
            action="dag_run.release",
            target=f"dag_run/{dag_run_id}",
            detail={},
            now=await database_now(connection),
        )
    return quarantined
