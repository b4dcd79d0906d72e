"""The engine as operations on runs and the API see it. The real one is loops/engine.py; wiring hands it down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol
from uuid import UUID

from ..core.events import (
    ApprovalAnswered,
    InstancesMarked,
    RunCancelled,
    RunMoved,
    RunPaused,
    RunResumed,
    TasksCancelled,
    TasksCleared,
    TasksMarked,
)
from ..store.database import Connection

Command = (
    RunCancelled
    | TasksCancelled
    | TasksCleared
    | TasksMarked
    | InstancesMarked
    | ApprovalAnswered
    | RunMoved
    | RunPaused
    | RunResumed
)
Within = Callable[[Connection, datetime, Command], Awaitable[None]]
"""Writes what belongs to a command (audit, request row) in the transaction of its step: at the step's time, of the
event as it was completed under the run's lock."""


class RunEngine(Protocol):
    """What moves runs."""

    def runs_created(self, run_ids: Sequence[UUID], /) -> None:
        """Admitted runs were committed. Only makes their start earlier: the stored state is the fact."""

    async def command(self, dag_run_id: UUID, event: Command, within: Within, /) -> None:
        """Carry out an operator's command in one step of the run, `within` in the same transaction.

        Raises what the step or `within` raises (StateConflict, Unavailable, ...); then nothing has changed.
        """

    def subscribe(self, dag_run_id: UUID, /) -> AbstractAsyncContextManager[asyncio.Event]:
        """An event that is set after each committed step or claim of the run on this replica; the reader clears it."""
