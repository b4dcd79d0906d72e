"""A DAG by its id, or what to say when there is none."""

from __future__ import annotations

import difflib

from ..core.errors import NotFound
from ..store import registry
from ..store.database import Connection
from ..store.registry import Dag, LockedDag


async def lock_dag(connection: Connection, namespace: str, dag_id: str) -> LockedDag:
    """The DAG's row, locked. Raises NotFound."""
    found = await registry.lock_dag(connection, namespace, dag_id)
    if found is None:
        raise await no_such_dag(connection, namespace, dag_id)
    return found


async def get_dag(connection: Connection, namespace: str, dag_id: str) -> Dag:
    """A DAG. Raises NotFound."""
    found = await registry.get_dag(connection, namespace, dag_id)
    if found is None:
        raise await no_such_dag(connection, namespace, dag_id)
    return found


async def no_such_dag(connection: Connection, namespace: str, dag_id: str) -> NotFound:
    """The error that says so, with the name that is nearest."""
    names = [each.dag_id for each in await registry.list_dags(connection, namespace, after="", tag="", limit=1000)]
    close = difflib.get_close_matches(dag_id, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"register it first, or look at the DAGs of namespace {namespace}"
    return NotFound(f"there is no DAG {dag_id!r} in namespace {namespace!r}", hint=hint)
