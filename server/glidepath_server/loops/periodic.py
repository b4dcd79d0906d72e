"""A loop that does one thing at an interval, and survives its failures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ..telemetry import get_logger

_log = get_logger("loops")


class Periodic:
    """Awaits `action` every `interval_seconds`, from `start` to `stop`. A round that fails is logged as
    `periodic_failed`; the next one tries again."""

    def __init__(self, name: str, interval_seconds: float, action: Callable[[], Awaitable[object]]) -> None:
        self._name, self._interval_seconds, self._action = name, interval_seconds, action
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Cancel the round in progress; a transaction in it rolls back."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._action()
            except Exception as error:
                _log.warning("periodic_failed", loop=self._name, error=repr(error))
            await asyncio.sleep(self._interval_seconds)
