"""Deadlines whose instant has passed, and those of runs that schedules owe."""

from __future__ import annotations

from collections.abc import Callable

from ..operations.judge_deadlines import judge_due
from ..operations.plans import Plans
from ..operations.promise_deadlines import promise_deadlines
from ..settings import Settings
from ..store import deadlines as store
from ..store.database import Database, transaction
from .level import LevelLoop

ROWS_MAX = 500
# A run that a step holds: looked at again soon, and then waited for.
HELD_PAUSE_SECONDS = 0.05
HELD_ROUNDS_MAX = 3
LOCK_WAIT_SECONDS = 1.0
SCHEDULES_MAX = 500


def deadlines(database: Database, settings: Settings, on_facts: Callable[[], None]) -> LevelLoop:
    """Says of each that it was missed, once, unless a step has said before that what it watches is done."""
    held_rounds = 0

    async def once() -> float | None:
        nonlocal held_rounds
        async with database.worker.acquire() as connection:
            due = await store.next_due(connection)
        if due is None or due > 0:
            return due
        wait = LOCK_WAIT_SECONDS if held_rounds >= HELD_ROUNDS_MAX else None
        # One at a time when waiting: a run that stays held must not keep the others waiting.
        held_rounds, rows_max = (0, 1) if wait else (held_rounds, ROWS_MAX)
        async with transaction(database.worker, "deadlines") as connection:
            told, left = await judge_due(connection, rows_max, wait_seconds=wait)
        if told:
            on_facts()
        held_rounds = held_rounds + 1 if left else 0
        # Without a pause, the rest of what is due.
        return HELD_PAUSE_SECONDS if left else 0.0

    return LevelLoop("deadlines", once, settings.poll_interval_seconds)


def promises(database: Database, plans: Plans, settings: Settings) -> LevelLoop:
    """Watches what schedules owe from each tick on. Looks as often as a lost wake-up may cost: nobody wakes it."""

    async def once() -> float | None:
        return 0.0 if await promise_deadlines(database, plans, SCHEDULES_MAX) == SCHEDULES_MAX else None

    return LevelLoop("promises", once, settings.poll_interval_seconds)
