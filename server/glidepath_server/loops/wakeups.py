"""Wake-ups between replicas: NOTIFY, coalesced and outside the step; LISTEN on a connection of its own.

A wake-up is never the fact: rows are, and every loop polls behind it. So a lost connection is only slower. One channel;
payloads are a letter and a list: `q 3,7` rows in queues, `c` cancels to deliver, `l` limits or classes changed,
`r` runs to admit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ..store.database import CONNECTION_ERRORS
from ..store.wakeups import CHANNEL, listen, notify
from .engine import Engine

log = structlog.get_logger()
COALESCE_SECONDS = 0.01
RECONNECT_SECONDS = 1.0


class WakeUps:
    """Sends and receives. `on_cancels` and `on_limits` are called when another replica speaks."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.on_cancels: Callable[[], None] = lambda: None
        self.on_limits: Callable[[], None] = lambda: None
        self.on_admission: Callable[[], None] = lambda: None
        self._queues: set[int] = set()
        self._letters: set[str] = set()
        self._something = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._receive())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- sending
    def queues(self, queue_ids: set[int]) -> None:
        """Rows wait that nobody here took."""
        self._queues |= queue_ids
        self._something.set()

    def say(self, letter: str) -> None:
        self._letters.add(letter)
        self._something.set()

    async def _send(self) -> None:
        while True:
            await self._something.wait()
            await asyncio.sleep(COALESCE_SECONDS)
            self._something.clear()
            queues, self._queues = self._queues, set()
            letters, self._letters = self._letters, set()
            payloads = [*letters, *(["q " + ",".join(map(str, sorted(queues)[:500]))] if queues else [])]
            try:
                await notify(self.engine.database, payloads)
            except CONNECTION_ERRORS as error:
                log.warning("notify_failed", error=repr(error))

    # ---- receiving
    async def _receive(self) -> None:
        while True:
            try:
                await listen(self.engine.database, self._hear)
            except CONNECTION_ERRORS as error:
                log.warning("listen_failed", channel=CHANNEL, error=repr(error))
            await asyncio.sleep(RECONNECT_SECONDS)

    def _hear(self, payload: str) -> None:
        letter, _, rest = payload.partition(" ")
        if letter == "q":
            self.engine.look_for_work({int(number) for number in rest.split(",") if number})
        elif letter == "c":
            self.on_cancels()
        elif letter == "l":
            self.on_limits()
        elif letter == "r":
            self.on_admission()
