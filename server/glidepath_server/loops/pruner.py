"""Forgets what has a term: answers to request ids, ended worker sessions, kept results of tasks, what
became of facts, alerts and ticks.

What keeps things unique for ever (run keys) is not touched.
"""

from __future__ import annotations

from ..settings import Settings
from ..store import alerts, caching, deadlines, identity, schedules, sessions
from ..store.database import Database
from ..telemetry import get_logger
from .level import LevelLoop

_log = get_logger("pruner")


def pruner(database: Database, settings: Settings) -> LevelLoop:
    """The loop; any number of replicas may run it, each passes over rows that another one deletes."""

    async def once() -> float | None:
        rows_max = settings.prune_rows_max
        deleted = (
            await prune_requests(database, settings.request_retention_days, rows_max),
            await prune_sessions(database, settings.session_retention_days, rows_max),
            await prune_results(database, rows_max),
            await prune_facts(database, settings.fact_retention_days, rows_max),
            await prune_alerts(database, settings.alert_retention_days, rows_max),
            await prune_ticks(database, settings.history_retention_days, rows_max),
            await prune_promises(database, settings.history_retention_days, rows_max),
        )
        # A full batch: more is there, go on at once, with a round for everybody else in between.
        return 0.0 if rows_max in deleted else None

    return LevelLoop("pruner", once, settings.prune_interval_seconds)


async def prune_requests(database: Database, retention_days: int, rows_max: int) -> int:
    """Delete request ids past their retention, the oldest first, at most `rows_max`; how many."""
    async with database.api.acquire() as connection:
        deleted = await identity.prune_requests(connection, retention_days, rows_max)
    return _said("requests", deleted)


async def prune_sessions(database: Database, retention_days: int, rows_max: int) -> int:
    """Delete worker sessions that ended before their retention, the oldest first, at most `rows_max`; how many."""
    async with database.api.acquire() as connection:
        deleted = await sessions.prune(connection, retention_days, rows_max)
    return _said("sessions", deleted)


async def prune_results(database: Database, rows_max: int) -> int:
    """Delete kept results that have expired, the oldest first, at most `rows_max`; how many."""
    async with database.api.acquire() as connection:
        deleted = await caching.prune(connection, rows_max)
    return _said("results", deleted)


async def prune_facts(database: Database, retention_days: int, rows_max: int) -> int:
    """Delete facts that were routed and are past their retention, the oldest first, at most `rows_max`; how many."""
    async with database.api.acquire() as connection:
        deleted = await alerts.prune_facts(connection, retention_days, rows_max)
    return _said("facts", deleted)


async def prune_alerts(database: Database, retention_days: int, rows_max: int) -> int:
    """Delete alerts that ended before their retention, the oldest first, at most `rows_max`; how many."""
    async with database.api.acquire() as connection:
        deleted = await alerts.prune_deliveries(connection, retention_days, rows_max)
    return _said("alerts", deleted)


async def prune_ticks(database: Database, retention_days: int, rows_max: int) -> int:
    """Delete outcomes of ticks past their retention, at most `rows_max`; how many. 0 days: they are kept."""
    if not retention_days:
        return 0
    async with database.api.acquire() as connection:
        deleted = await schedules.prune_ticks(connection, retention_days, rows_max)
    return _said("ticks", deleted)


async def prune_promises(database: Database, retention_days: int, rows_max: int) -> int:
    """Delete missed deadlines of runs that were never created, past their retention, at most `rows_max`; how many.
    0 days: they are kept."""
    if not retention_days:
        return 0
    async with database.api.acquire() as connection:
        deleted = await deadlines.prune_promises(connection, retention_days, rows_max)
    return _said("promises", deleted)


def _said(what: str, deleted: int) -> int:
    if deleted:
        _log.info("pruned", what=what, count=deleted)
    return deleted
