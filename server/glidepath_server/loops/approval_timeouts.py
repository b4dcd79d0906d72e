"""Questions to people whose time is up."""

from __future__ import annotations

from ..core.events import ApprovalExpired
from ..store import approvals as store
from .engine import Engine
from .level import LevelLoop

ROWS_MAX = 2000


def approval_timeouts(engine: Engine) -> LevelLoop:
    """Hands each to its run's step, which looks again under the run's lock whether that question is open."""

    async def once() -> float | None:
        async with engine.database.worker.acquire() as connection:
            late = await store.expired_approvals(connection, ROWS_MAX)
            due = await store.next_timeout(connection)
        for row in late:
            event = ApprovalExpired(row["task_index"], row["map_index"], row["attempt_number"])
            engine.add_event(row["dag_run_id"], event)
        return None if late else due

    return LevelLoop("approval_timeouts", once, engine.settings.poll_interval_seconds)
