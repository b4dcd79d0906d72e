"""Renewing the sessions that are heard on this replica, and watching over what was sent to them.

Renewals are collected and written in one statement per flush: heartbeats cost a row per worker, never one per task. A
session is confirmed to its worker only after the commit, so a frozen database renews nobody. Cancels are repeated until
the attempt has ended, and an assignment that its worker has not accepted in time is taken back as `returned`: the
session's credits fall to zero until it speaks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

from ..clock import monotonic
from ..core.events import AttemptKey
from ..core.skew import ClockOffset, HostReading, offset_of
from ..core.states import AttemptState
from ..crash_points import reach
from ..operations.pullers import Puller
from ..operations.step_types import CancelOrder, Report
from ..store import sessions
from .engine import Engine
from .level import LevelLoop


class Heard(Puller, Protocol):
    """A puller that keeps a session alive. `clock_offset` is what is stored of its host's clock."""

    clock_offset: ClockOffset | None

    def confirm(self, nonce: bytes) -> None: ...
    def withhold(self) -> None: ...
    def unaccepted_since(self, instant: float) -> list[AttemptKey]: ...
    def unknown(self, live: Iterable[AttemptKey]) -> list[AttemptKey]: ...


class Heartbeats:
    """Collects echoes; `flush` renews, `watch` repeats cancels and takes back what did not arrive."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._echoes: dict[UUID, tuple[Heard, bytes]] = {}
        self._readings: dict[UUID, HostReading] = {}
        self.flush_loop = LevelLoop("renewals", self.flush, engine.settings.poll_interval_seconds)
        self.watch_loop = LevelLoop("assignments", self.watch, engine.settings.poll_interval_seconds)

    def heard(self, puller: Heard, nonce: bytes, reading: HostReading | None = None) -> None:
        """The worker echoed, and may have told its clock: its session is renewed with the next flush."""
        self._echoes[puller.session_id] = (puller, nonce)
        if reading is not None:
            self._readings[puller.session_id] = reading
        self.flush_loop.wake()

    async def flush(self) -> float | None:
        echoes, self._echoes = self._echoes, {}
        if not echoes:
            return None
        readings, self._readings = self._readings, {}
        asked_at = monotonic()
        try:
            renewed = await self._renew(puller for puller, _ in echoes.values())
        except Exception:
            self._echoes = {**echoes, **self._echoes}  # they count still, if nothing newer has come
            raise
        heard_at = monotonic()
        for session_id, (puller, nonce) in echoes.items():
            if session_id in renewed:
                puller.confirm(nonce)
            else:
                puller.ended()
        offsets = {
            session_id: offset_of(readings[session_id], now, asked_at, heard_at)
            for session_id, now in renewed.items()
            if session_id in readings
        }
        await self._note_clocks({session_id: echoes[session_id][0] for session_id in offsets}, offsets)
        return 0.05

    async def _note_clocks(self, pullers: Mapping[UUID, Heard], offsets: Mapping[UUID, ClockOffset]) -> None:
        """What is new of the clocks of hosts: seldom anything."""
        news = {each: found for each, found in offsets.items() if found.tells_more_than(pullers[each].clock_offset)}
        if news:
            async with self.engine.database.worker.acquire() as connection:
                await sessions.note_clocks(connection, news)
            for session_id, offset in news.items():
                pullers[session_id].clock_offset = offset

    async def _renew(self, pullers: Iterable[Heard]) -> Mapping[UUID, datetime]:
        """Those of them whose sessions go on, with the database's time."""
        async with self.engine.database.worker.acquire() as connection:
            reach("renewal.before_commit", backend=connection)
            renewed = await sessions.renew(connection, *_names(pullers), self.engine.settings.lease_ttl_seconds)
            reach("renewal.after_commit", backend=connection)
        return renewed

    async def watch(self) -> float | None:
        pullers = await self._current()
        if pullers:
            async with self.engine.database.worker.acquire() as connection:
                rows = await sessions.wanted_cancels(connection, list(pullers))
            for row in rows:
                order = CancelOrder(sessions.key_of(row), row["session_id"], row["cancel_reason"])
                pullers[row["session_id"]].cancel([order])
        self._take_back(pullers.values())
        unsettled = self.engine.unsettled_since
        if unsettled is not None and monotonic() - unsettled > self.engine.settings.accept_timeout_seconds:
            await self.sweep(pullers.values())
            if self.engine.unsettled_since == unsettled:
                self.engine.unsettled_since = None
        return None

    async def _current(self) -> dict[UUID, Heard]:
        """The sessions here that go on. One that has ended, or moved to a newer stream, is not ours to judge."""
        pullers: dict[UUID, Heard] = dict(self.engine.replica.pullers.by_session)  # type: ignore[arg-type]
        if not pullers:
            return {}
        async with self.engine.database.worker.acquire() as connection:
            current = await sessions.current(connection, *_names(pullers.values()))
        for session_id in pullers.keys() - current:
            pullers.pop(session_id).ended()
        return pullers

    def _take_back(self, pullers: Iterable[Heard]) -> None:
        latest = monotonic() - self.engine.settings.accept_timeout_seconds
        for puller in pullers:
            late = puller.unaccepted_since(latest)
            if late:
                puller.withhold()
                self.engine.submit(_returned(late, puller, "the worker did not accept it"))

    async def sweep(self, pullers: Iterable[Heard]) -> None:
        """Take back live attempts that these sessions do not know: what an unknown COMMIT may have left."""
        by_session = {puller.session_id: puller for puller in pullers}
        async with self.engine.database.worker.acquire() as connection:
            rows = await sessions.settled_of_sessions(
                connection, *_names(by_session.values()), self.engine.settings.accept_timeout_seconds
            )
        for session_id, puller in by_session.items():
            live = [sessions.key_of(row) for row in rows if row["session_id"] == session_id]
            self.engine.submit(_returned(puller.unknown(live), puller, "the assignment was never sent"))


def _names(pullers: Iterable[Heard]) -> tuple[list[UUID], list[int]]:
    pullers = list(pullers)
    return [each.session_id for each in pullers], [each.generation for each in pullers]


def _returned(keys: Iterable[AttemptKey], puller: Heard, reason: str) -> list[Report]:
    """Verdicts by what this stream knows: they say of which generation it is, because a newer one knows better."""
    return [
        Report(key, AttemptState.RETURNED, judged=puller.session_id, judged_generation=puller.generation, reason=reason)
        for key in keys
    ]
