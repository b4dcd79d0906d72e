"""NOTIFY and LISTEN. Payloads under 8,000 bytes; the listener has a connection of its own, outside the pools."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg

from .database import SERVER_SETTINGS, Database

CHANNEL = "glidepath"


async def notify(database: Database, payloads: Sequence[str]) -> None:
    """Send payloads to every listening replica, from the worker pool."""
    async with database.worker.acquire() as connection:
        await connection.execute("select pg_notify($1, p) from unnest($2::text[]) p", CHANNEL, list(payloads))


async def listen(database: Database, hear: Callable[[str], None]) -> None:
    """Call `hear` for each payload until the connection is lost; then return."""
    connection = await asyncpg.connect(database.url, timeout=10, server_settings=SERVER_SETTINGS)
    lost = asyncio.Event()
    try:
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(CHANNEL, lambda _c, _pid, _ch, payload: hear(_text(payload)))
        await lost.wait()
    finally:
        await connection.close(timeout=5)


def _text(payload: Any) -> str:
    return str(payload)
