"""The priority of a run's queued work: over queries/priorities.sql."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from ..core.order import PRIORITY_UNITS
from ..core.priorities import Priorities, from_text, to_text
from .database import Connection
from .sql import statements

_SQL = statements("priorities")


async def lock_run(connection: Connection, namespace: str, dag_run_id: UUID) -> tuple[int, Priorities] | None:
    """The run's version and what was said of its priority, its row held; None when there is no such run."""
    row = await connection.fetchrow(_SQL["lock_run"], namespace, dag_run_id)
    return (row["dag_version_id"], from_text(row["priorities"])) if row else None


async def set_priorities(connection: Connection, dag_run_id: UUID, said: Priorities) -> None:
    """What later releases of the run go by; the caller holds it."""
    await connection.execute(_SQL["set_priorities"], dag_run_id, to_text(said))


async def reorder(connection: Connection, dag_run_id: UUID, priorities: Mapping[int, int]) -> int:
    """Move what of these tasks waits in its queue. Returns how many rows were moved."""
    tasks, wanted = list(priorities), list(priorities.values())
    status = await connection.execute(_SQL["reorder"], dag_run_id, tasks, wanted, PRIORITY_UNITS)
    return int(status.split()[-1])
