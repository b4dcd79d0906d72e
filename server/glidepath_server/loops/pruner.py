"""Forgets what has a term: answers to request ids. What keeps things unique for ever (run keys) is not touched."""

from __future__ import annotations

from ..settings import Settings
from ..store import identity
from ..store.database import Database
from ..telemetry import get_logger
from .periodic import Periodic

_log = get_logger("pruner")


def pruner(database: Database, settings: Settings) -> Periodic:
    """The loop; any number of replicas may run it, each passes over rows that another one deletes."""

    async def round_once() -> None:
        await prune_requests(database, settings)

    return Periodic("pruner", settings.prune_interval_seconds, round_once)


async def prune_requests(database: Database, settings: Settings) -> int:
    """Delete all request ids past their retention, in bounded statements; how many."""
    total, deleted = 0, settings.prune_rows_max
    while deleted == settings.prune_rows_max:
        async with database.api.acquire() as connection:
            deleted = await identity.prune_requests(connection, settings.request_retention_days, settings.prune_rows_max)
        total += deleted
    if total:
        _log.info("pruned", count=total)
    return total
