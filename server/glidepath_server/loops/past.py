"""The loops behind the wake-ups of tasks that wait for the run before: see operations/past.py."""

from __future__ import annotations

from ..store import past as store
from ..store.database import transaction
from .engine import Engine
from .level import LevelLoop

ROWS_MAX = 1_000
SWEEP_SECONDS = 5.0


def past_checks(engine: Engine) -> LevelLoop:
    """Looks once more at the runs that tasks have begun to wait for, after that was committed."""

    async def once() -> float | None:
        async with engine.database.worker.acquire() as connection:
            waited_for = await store.unchecked(connection, ROWS_MAX)
        for run_id in waited_for:
            async with transaction(engine.database.worker, "past_check") as connection:
                woken = await store.check(connection, run_id)
            for each in woken:
                engine.add_inbox(each)
        return 0.0 if len(waited_for) == ROWS_MAX else None

    return LevelLoop("past_checks", once, engine.settings.poll_interval_seconds)


def past_sweeper(engine: Engine) -> LevelLoop:
    """Wakes who waits for a run that is not the run before any more, or that has told nobody."""

    async def once() -> float | None:
        async with engine.database.worker.acquire() as connection:
            woken = await store.sweep(connection, ROWS_MAX)
        for run_id in woken:
            engine.add_inbox(run_id)
        return 0.0 if len(woken) == ROWS_MAX else None

    return LevelLoop("past_sweeper", once, SWEEP_SECONDS)
