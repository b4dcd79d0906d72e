"""What is asked of the database for those who watch: thin typed functions over queries/telemetry.sql."""

from __future__ import annotations

from typing import Any

from .database import Connection
from .sql import statements

_SQL = statements("telemetry")
Row = Any


async def queue_depths(connection: Connection, queues_max: int) -> list[Row]:
    """namespace, queue_name, due, later, parked (rows), oldest (seconds) of at most so many queues, fullest first."""
    return await connection.fetch(_SQL["queue_depths"], queues_max)


async def clock_offset_max(connection: Connection) -> float:
    """Seconds by which the clock of a connected worker's host is off at most; 0 when none has told."""
    found: float = await connection.fetchval(_SQL["clock_offset_max"])
    return found
