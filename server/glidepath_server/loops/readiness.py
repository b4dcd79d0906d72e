"""Whether this replica should get calls. Ready means: the database answers workers, and the engine moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ..store import identity
from ..store.database import Database
from ..telemetry import get_logger
from .level import LevelLoop

CHECK_INTERVAL_SECONDS = 1.0
CHECK_TIMEOUT_SECONDS = 5.0

_log = get_logger("readiness")


class Readiness:
    """Looks, and tells `set_ready` whenever the answer has changed."""

    def __init__(
        self, database: Database, engine_moves: Callable[[], bool], set_ready: Callable[[bool], Awaitable[None]],
    ) -> None:
        self._database, self._engine_moves, self._set_ready = database, engine_moves, set_ready
        self._ready: bool | None = None
        self.loop = LevelLoop("readiness", self.once, CHECK_INTERVAL_SECONDS)

    async def once(self) -> float | None:
        """Look once."""
        ready = self._engine_moves() and await self._database_answers()
        if ready != self._ready:
            self._ready = ready
            await self._set_ready(ready)
            _log.info("health_changed", ready=ready)
        return None

    async def _database_answers(self) -> bool:
        # The workers' pool: a dashboard that keeps the other one busy does not make a replica unfit for work.
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS), self._database.worker.acquire() as connection:
                await identity.database_now(connection)
        except Exception as error:
            _log.warning("readiness_failed", error=repr(error))
            return False
        return True
