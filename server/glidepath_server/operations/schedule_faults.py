"""Schedules that cannot be dealt with: one whose zone is not known to this server, whose plan or text cannot be read.

Such a one is told of, put off and looked at again; the others never wait for it. Its ticks are late then, not lost.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ..store import identity
from ..store import schedules as store
from ..store.database import Connection
from ..store.schedules import ScheduleRow
from ..telemetry import get_logger

KIND = "schedule_failed"
PUT_OFF = timedelta(seconds=60)
REASON_CHARACTERS_MAX = 2000
_log = get_logger("scheduler")


async def note_fault(connection: Connection, row: ScheduleRow, error: Exception, now: datetime) -> None:
    """Say that a schedule could not be dealt with: in the log and as an incident, inside the caller's transaction."""
    _log.error("schedule_failed", dag_id=row.dag_id, schedule_name=row.schedule_name, exc_info=error)
    await append_incident(connection, row, KIND, f"{type(error).__name__}: {error}".replace("\0", "?"), now)


async def put_off(connection: Connection, row: ScheduleRow, error: Exception, now: datetime) -> None:
    """Look at a schedule that was due again after PUT_OFF; the caller holds its row."""
    await note_fault(connection, row, error, now)
    await store.put_off(connection, row.key, now + PUT_OFF)


async def append_incident(connection: Connection, row: ScheduleRow, kind: str, reason: str, now: datetime) -> None:
    await identity.append_incident(
        connection,
        namespace=row.namespace,
        dag_run_id=None,
        kind=kind,
        message=f"schedule {row.schedule_name} of DAG {row.dag_id}: {reason[:REASON_CHARACTERS_MAX]}",
        now=now,
    )
