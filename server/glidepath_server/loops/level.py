"""Level-triggered loops: each looks at the state of things, does what is due, and sleeps until the next due time.

A wake-up only makes a loop early; one that is lost costs at most the loop's interval. A round that fails is logged and
tried again after a pause; a loop never ends by an error. `beat` is the monotonic time of the last round that went well:
health and the age metrics read it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from ..clock import monotonic
from ..store.database import is_retryable

log = structlog.get_logger()
FAILURE_PAUSE_SECONDS = 0.5
SLEEP_MIN_SECONDS = 0.001


class LevelLoop:
    """Runs `once` for ever. `once` returns the seconds until something is due, or None for the whole interval."""

    def __init__(self, name: str, once: Callable[[], Awaitable[float | None]], interval_seconds: float) -> None:
        self.name, self.once, self.interval_seconds = name, once, interval_seconds
        self.beat = monotonic()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        # The error of the last round, if that has failed unexpectedly.
        self._told = ""

    def wake(self) -> None:
        self._wake.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"loop-{self.name}")

    async def stop(self) -> None:
        # A cancel that meets a wake-up in the same moment is lost in wait_for of Python 3.11: the flag is not.
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while not self._stopped:
            self._wake.clear()
            delay = await self._round()
            try:
                await asyncio.wait_for(self._wake.wait(), max(SLEEP_MIN_SECONDS, min(delay, self.interval_seconds)))
            except TimeoutError:
                pass

    async def _round(self) -> float:
        try:
            due = await self.once()
        except Exception as error:
            if is_retryable(error):
                log.warning("loop_retried", loop=self.name, error=repr(error))
            elif repr(error) == self._told:
                # Where it came from was said the first time.
                log.warning("loop_failed", loop=self.name, error=self._told)
            else:
                log.exception("loop_failed", loop=self.name)
                self._told = repr(error)
            return FAILURE_PAUSE_SECONDS
        self._told = ""
        self.beat = monotonic()
        return self.interval_seconds if due is None else due
