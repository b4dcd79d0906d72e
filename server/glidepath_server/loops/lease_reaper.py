"""Judging worker sessions whose lease has ended.

Who is authoritative: `worker_session.lease_expire_time`, by the database's clock. A worker's own deadline counts from
when it SENT the echo whose renewal was committed, so it ends before ours.

The judge must have been awake. A lease may seem to have ended only because nobody could renew it: the database was
frozen or away, or this replica was stalled. So a replica judges nothing until it has seen, by its monotonic clock, one
whole TTL of rounds of its own that came on time and were answered. Healthy replicas go on judging meanwhile; they use
the database too, so a stall of the database stays every judge.

What may be left behind: a session marked lost whose attempts were not yet judged because the replica died. `orphans`
finds live attempts of sessions that are not open, and judges them by the same verdict.
"""

from __future__ import annotations

from ..clock import monotonic
from ..operations import sessions as operations
from ..operations.step_types import Report
from ..store import sessions
from .engine import Engine
from .level import LevelLoop

INTERVAL_SECONDS = 1.0
# A round that comes or is answered later than this says that the judge slept.
STALL_SECONDS = 3.0
ATTEMPTS_MAX = 2000


class LeaseReaper:
    """State of one judge: since when it has been awake without a break."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        # Also of a short lease, the longest sleep that goes unnoticed is a part that its renewals leave to spare.
        quarter = engine.settings.lease_ttl_seconds / 4
        self.interval_seconds, self.stall_seconds = min(INTERVAL_SECONDS, quarter), min(STALL_SECONDS, quarter)
        self.awake_since = monotonic()
        self.last_round = monotonic()
        self.loop = LevelLoop("lease_reaper", self.once, self.interval_seconds)

    async def once(self) -> float | None:
        begun = monotonic()
        reports = await self._judge(begun) if self._was_awake(begun) else []
        reports += await self._orphans()
        if not self._in_time(begun):
            self.awake_since = monotonic()
        self.last_round = monotonic()
        self.engine.submit(reports)
        return None

    def _was_awake(self, begun: float) -> bool:
        if begun - self.last_round > self.stall_seconds + self.interval_seconds:
            self.awake_since = begun
        return begun - self.awake_since >= self.engine.settings.lease_ttl_seconds

    def _in_time(self, begun: float) -> bool:
        return monotonic() - begun <= self.stall_seconds

    async def _judge(self, begun: float) -> list[Report]:
        return await operations.expire(self.engine.database.worker, lambda: self._in_time(begun))

    async def _orphans(self) -> list[Report]:
        async with self.engine.database.worker.acquire() as connection:
            rows = await sessions.orphans(connection, ATTEMPTS_MAX)
        return operations.lost(rows, "the worker's session ended")
