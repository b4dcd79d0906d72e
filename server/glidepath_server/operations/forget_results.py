"""Forgets the kept results of a DAG's tasks, so that equal calls run anew."""

from __future__ import annotations

import difflib

from ..core.canonical import from_canonical_json
from ..core.errors import NotFound
from ..store import caching, registry
from ..store.database import Connection, database_now
from .audit import append_audit
from .find_dag import get_dag

# Rows that one statement holds and changes.
RESULTS_AT_ONCE = 5_000


async def forget_results(connection: Connection, *, namespace: str, dag_id: str, task_id: str, actor: str) -> int:
    """Forget what was kept of the DAG, or of one task (empty: all), inside the caller's transaction; how many results.

    Idempotent. Raises NotFound for a DAG, or for a task that has nothing kept and is not in the latest version.
    """
    dag = await get_dag(connection, namespace, dag_id)
    forgotten = 0
    while True:
        count = await caching.forget_results(connection, namespace, dag_id, task_id or None, RESULTS_AT_ONCE)
        forgotten += count
        if count < RESULTS_AT_ONCE:
            break
    if task_id and not forgotten:
        await _check_task(connection, namespace, dag_id, dag.latest_version_number, task_id)
    await append_audit(
        connection,
        namespace=namespace,
        actor=actor,
        action="dag.forget_results",
        target=f"dag/{dag_id}",
        detail={"task_id": task_id, "count": forgotten},
        now=await database_now(connection),
    )
    return forgotten


async def _check_task(connection: Connection, namespace: str, dag_id: str, number: int, task_id: str) -> None:
    version = await registry.version_by_number(connection, namespace, dag_id, number)
    names = [task.task_id for task in from_canonical_json(version.text).tasks] if version is not None else []
    if task_id not in names:
        close = difflib.get_close_matches(task_id, names, n=1)
        hint = f"did you mean {close[0]}?" if close else "look at its tasks"
        raise NotFound(f"DAG {dag_id} has no task {task_id!r} in its latest version", hint=hint)
