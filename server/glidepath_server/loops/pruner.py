"""Forgets what has a term: answers to request ids. What keeps things unique for ever (run keys) is not touched."""

from __future__ import annotations

from ..settings import Settings
from ..store import identity
from ..store.database import Database
from ..telemetry import get_logger
from .level import LevelLoop

_log = get_logger("pruner")


def pruner(database: Database, settings: Settings) -> LevelLoop:
    """The loop; any number of replicas may run it, each passes over rows that another one deletes."""

    async def once() -> float | None:
        deleted = await prune_requests(database, settings.request_retention_days, settings.prune_rows_max)
        # A full batch: more is there, go on at once, with a round for everybody else in between.
        return 0.0 if deleted == settings.prune_rows_max else None

    return LevelLoop("pruner", once, settings.prune_interval_seconds)


async def prune_requests(database: Database, retention_days: int, rows_max: int) -> int:
    """Delete request ids past their retention, the oldest first, at most `rows_max`; how many."""
    async with database.api.acquire() as connection:
        deleted = await identity.prune_requests(connection, retention_days, rows_max)
    if deleted:
        _log.info("pruned", count=deleted)
    return deleted
