"""Whether this replica should get calls. Ready means: the database answers workers, and every loop makes its rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ..clock import monotonic
from ..store.database import Database, database_now
from ..telemetry import get_logger
from .level import LevelLoop

CHECK_INTERVAL_SECONDS = 1.0
CHECK_TIMEOUT_SECONDS = 5.0
# A loop that has not made a round for its interval and this much more does not move.
LATE_SECONDS = 30.0

_log = get_logger("readiness")


class Readiness:
    """Looks, and tells `set_ready` whenever the answer has changed."""

    def __init__(
        self,
        database: Database,
        loops: Sequence[LevelLoop],
        set_ready: Callable[[bool], Awaitable[None]],
    ) -> None:
        self._database, self._loops, self._set_ready = database, loops, set_ready
        self._ready: bool | None = None
        self.loop = LevelLoop("readiness", self.once, CHECK_INTERVAL_SECONDS)

    @property
    def ready(self) -> bool:
        """What was found the last time."""
        return self._ready is True

    async def once(self) -> float | None:
        """Look once."""
        ready = self._loops_move() and await self._database_answers()
        if ready != self._ready:
            self._ready = ready
            await self._set_ready(ready)
            _log.info("health_changed", ready=ready)
        return None

    def _loops_move(self) -> bool:
        now = monotonic()
        late = [each.name for each in self._loops if now - each.beat > each.interval_seconds + LATE_SECONDS]
        if late:
            _log.warning("readiness_failed", loop=", ".join(late), reason="no round for too long")
        return not late

    async def _database_answers(self) -> bool:
        # The workers' pool: a dashboard that keeps the other one busy does not make a replica unfit for work.
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS), self._database.worker.acquire() as connection:
                await database_now(connection)
        except Exception as error:
            _log.warning("readiness_failed", error=repr(error))
            return False
        return True
