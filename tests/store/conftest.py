from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from step_room import StepRoom

from glidepath_server.store.database import Database


@pytest.fixture
async def room(database_url: str) -> AsyncIterator[StepRoom]:
    """A database for steps, and a connection that watches it."""
    database = await Database.open(database_url)
    watcher = await asyncpg.connect(database_url)
    yield StepRoom(database, watcher)
    await watcher.close()
    await database.close()
