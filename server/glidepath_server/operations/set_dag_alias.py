"""Point an alias of a DAG at one of its versions."""

from __future__ import annotations

from dataclasses import replace

from ..core.errors import InvalidInput, NotFound
from ..store import registry
from ..store.database import Connection, database_now
from ..store.registry import Dag
from .audit import append_audit
from .find_dag import get_dag, lock_dag
from .register_dag_version import alias_violations


async def set_dag_alias(
    connection: Connection,
    *,
    namespace: str,
    dag_id: str,
    alias: str,
    number: int,
    actor: str,
) -> Dag:
    """Point the alias there, inside the caller's transaction. The last writer wins. Raises InvalidInput, NotFound."""
    wrong = [replace(each, field="alias") for each in alias_violations([alias])]
    if wrong:
        raise InvalidInput(str(wrong[0]), violations=wrong)
    dag = await lock_dag(connection, namespace, dag_id)
    if await registry.version_by_number(connection, namespace, dag_id, number) is None:
        raise NotFound(
            f"DAG {dag_id} has no version {number}", hint=f"its versions go from 1 to {dag.latest_version_number}"
        )
    if await registry.point_aliases(connection, namespace, dag_id, [alias], number):
        await append_audit(
            connection,
            namespace=namespace,
            actor=actor,
            action="dag.set_alias",
            target=f"dag/{dag_id}",
            detail={"alias": alias, "dag_version_number": number},
            now=await database_now(connection),
        )
    return await get_dag(connection, namespace, dag_id)
