"""The engine as the worker API sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from ..core.events import AttemptKey
from ..core.skew import HostReading
from .pullers import Puller
from .step_types import Output, Report


class WorkerEngine(Protocol):
    """Reports in, work out; what a live attempt may read."""

    def submit(self, reports: Iterable[Report]) -> None: ...
    def attach(self, puller: Puller) -> None: ...
    def detach(self, puller: Puller) -> None: ...
    def credits_changed(self) -> None: ...
    def look_for_work(self, queues: set[int] | None = None) -> None: ...
    async def upstream_output(self, key: AttemptKey, task_id: str) -> Output: ...
    async def upstream_xcom(self, key: AttemptKey, task_id: str, map_index: int, xcom_key: str) -> str: ...
    async def namespace_of(self, key: AttemptKey) -> str: ...


class WorkerHeartbeats(Protocol):
    """Where an echo goes."""

    def heard(self, puller: Any, nonce: bytes, reading: HostReading | None = None) -> None: ...
