"""Drops history by a schedule of its own: at a quiet hour, once over all replicas.

The loop looks every hour whether the last tick of the schedule has had its round; so one that was missed while no
server was up is made up for soon after the start, and once.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ..core.rule_times import rule_times_before
from ..core.schedule_spec import CronRule, Schedule
from ..operations.drop_history import DropHistory
from ..settings import Settings
from ..store.database import Database, database_now
from ..telemetry import get_logger
from .level import LevelLoop

LOOK_SECONDS = 3600.0
_log = get_logger("history")


def last_tick(cron: str, now: datetime) -> datetime | None:
    """The last tick not after now."""
    found = rule_times_before(Schedule(CronRule(cron), "UTC"), "history", now + timedelta(microseconds=1))
    return next((instant for instant, _ in found), None)


def history(database: Database, settings: Settings) -> LevelLoop:
    """The loop; any number of replicas may run it."""
    drop = DropHistory(database, settings.history_retention_days, settings.prune_rows_max)

    async def once() -> float | None:
        async with database.api.acquire() as connection:
            tick = last_tick(settings.history_cron, await database_now(connection))
        done = await drop(tick) if tick is not None else None
        if done is not None:
            _log.info(
                "history_dropped",
                closed=done.closed,
                dropped=done.dropped,
                runs=done.runs,
                backfills=done.backfills,
                put_off=done.put_off,
            )
        return None

    return LevelLoop("history", once, LOOK_SECONDS)
