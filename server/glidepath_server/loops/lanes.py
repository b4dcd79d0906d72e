"""Lanes: what feeds the step transaction of a replica.

Batches form by themselves: while one transaction commits, the next one collects. A lane never waits for a run's lock:
what it misses twice goes to the patient lane, which waits for one run at a time beside the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from ..core.errors import GlidepathError, Unavailable
from ..operations.step_types import ClaimError, Command, RunWork, Verdict
from ..store.database import is_retryable, sqlstate_class
from .telling import grouped

if TYPE_CHECKING:
    from .engine import Engine

log = structlog.get_logger()
MISSES_MAX = 2
LOCK_WAIT_SECONDS = 1.0
BACKOFF_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Lane:
    """One step at a time for the runs routed here, and claims for whoever has credits."""

    def __init__(self, engine: Engine, number: int) -> None:
        self.engine, self.number = engine, number
        self.pending: dict[UUID, RunWork] = {}
        self.wake = asyncio.Event()
        self.busy = False
        self.failures = 0
        self.stopping = False
        self._task: asyncio.Task[None] | None = None

    def work(self, run_id: UUID) -> RunWork:
        work = self.pending.get(run_id)
        if work is None:
            work = self.pending[run_id] = RunWork()
        return work

    def again(self, works: Mapping[UUID, RunWork]) -> None:
        """Put works back into the line, in front of what has arrived since."""
        for run_id, work in works.items():
            self.work(run_id).absorb(work)
        if works:
            self.wake.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"lane-{self.number}")

    async def stop(self) -> None:
        self.stopping = True
        self.wake.set()
        if self._task is not None:
            await self._task

    # ---- the loop
    async def _run(self) -> None:
        while not self.stopping:
            self.busy = False
            await self.wake.wait()
            self.wake.clear()
            self.busy = True
            while not self.stopping and self._has_work():
                batch = self._take()
                try:
                    await self._batch(batch)
                except Exception:
                    log.exception("lane_failed", lane=self.number)
                    self.again(batch)
                    await self._back_off()

    def _has_work(self) -> bool:
        return bool(self.pending) or any(True for _ in self.engine.replica.pullers.hungry())

    def _take(self) -> dict[UUID, RunWork]:
        """A batch bounded in rows and bytes, at least one report; the rest waits for the next."""
        room, room_bytes = self.engine.settings.step_events_max, self.engine.settings.step_bytes_max
        batch: dict[UUID, RunWork] = {}
        while self.pending and room > 0 and room_bytes > 0:
            run_id, work = next(iter(self.pending.items()))
            del self.pending[run_id]
            if rest := _cut(work, room, room_bytes):
                self.pending[run_id] = rest
            batch[run_id] = work
            room -= work.size
            room_bytes -= work.bytes
            if rest:
                break
        return batch

    async def _batch(self, batch: dict[UUID, RunWork], *, claiming: bool = True) -> None:
        try:
            outcome = await self.engine.step(batch, claiming=claiming)
        except Exception as error:
            await self._recover(batch, error, claiming=claiming)
            return
        self.failures = 0
        for run_id, work in outcome.missed.items():
            if work.missed >= MISSES_MAX:
                self.engine.patient.wait_for(run_id, work)
            else:
                self.again({run_id: work})
        self.engine.settle(outcome)

    # ---- trouble
    async def _recover(self, batch: dict[UUID, RunWork], error: Exception, *, claiming: bool) -> None:
        """Not now: try again. Work that cannot be given out: its owner is to blame, not the batch. Somebody's data:
        step one by one and quarantine who fails alone."""
        if is_retryable(error):
            log.warning("step_retried", lane=self.number, error=repr(error))
            self.again(batch)
            await self._back_off()
        elif isinstance(error, ClaimError) and claiming:
            log.error("claim_failed", lane=self.number, error=repr(error.__cause__), exc_info=error)
            self.engine.lose_hope()
            await self._batch(batch, claiming=False)
            for run_id in error.run_ids - batch.keys():
                await self._set_aside(run_id, RunWork(), error.__cause__ or error)
        elif len(batch) > 1:
            log.warning("batch_split", lane=self.number, runs=len(batch), error=repr(error))
            for run_id, work in batch.items():
                await self._batch({run_id: work}, claiming=False)
        elif batch:
            ((run_id, work),) = batch.items()
            await self._set_aside(run_id, work, error)
        else:
            log.error("claim_failed", lane=self.number, error=repr(error), exc_info=error)
            self.engine.lose_hope()
            await self._back_off()

    async def _set_aside(self, run_id: UUID, work: RunWork, error: BaseException) -> None:
        """Quarantine a run; when the database cannot do that now, its work comes again, and with it the blame."""
        try:
            await self.engine.quarantine(run_id, work, error)
        except Exception as second:
            if not is_retryable(second):
                raise
            log.warning("step_retried", lane=self.number, error=repr(second))
            self.engine.lane(run_id).again({run_id: work})
            await self._back_off()

    async def _back_off(self) -> None:
        delay = BACKOFF_SECONDS[min(self.failures, len(BACKOFF_SECONDS) - 1)]
        self.failures += 1
        await asyncio.sleep(delay)


class PatientLane:
    """Steps that may wait for a run's lock, one run at a time, beside the lanes that never wait: what was missed twice
    (so no replica starves), and operators' commands."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._works: dict[UUID, RunWork] = {}
        self._commands: deque[tuple[UUID, Command]] = deque()
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def wait_for(self, run_id: UUID, work: RunWork) -> None:
        """Step this run as soon as its lock can be had."""
        waiting = self._works.setdefault(run_id, work)
        if waiting is not work:
            work.absorb(waiting)
            self._works[run_id] = work
        self._wake.set()

    def command(self, run_id: UUID, command: Command) -> None:
        self._commands.append((run_id, command))
        self._wake.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="lane-patient")

    async def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
        for _, command in self._commands:
            _fail(command, Unavailable("the server is stopping", hint="try again"))

    async def _run(self) -> None:
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            while not self._stopping and (self._commands or self._works):
                try:
                    await self._turn()
                except Exception:
                    log.exception("lane_failed", lane="patient")

    async def _turn(self) -> None:
        """A command first: somebody waits for it."""
        if self._commands:
            await self._run_command(*self._commands.popleft())
            return
        run_id, work = next(iter(self._works.items()))
        del self._works[run_id]
        try:
            outcome = await self.engine.step({run_id: work}, wait_seconds=LOCK_WAIT_SECONDS, claiming=False)
            if outcome.missed:
                self._answer_gone(work)
                outcome.missed.clear()
            self.engine.settle(outcome)
        except Exception as error:
            # Held by another, or any other trouble, also after the commit (reports are duplicates then, and answered):
            # back through the lane, which knows what to do about it.
            log.warning("step_retried", lane="patient", error=repr(error))
            work.missed = 0
            self.engine.lane(run_id).again({run_id: work})

    def _answer_gone(self, work: RunWork) -> None:
        """The run is not there any more: its attempts are not live, so nothing is accepted."""
        told = [report for report in work.reports if report.origin is not None]
        for origin, reports in grouped((report.origin, report) for report in told).items():
            origin.acknowledge([(report, Verdict.FENCED) for report in reports])

    async def _run_command(self, run_id: UUID, command: Command) -> None:
        work = RunWork(command=command)
        try:
            outcome = await self.engine.step({run_id: work}, wait_seconds=LOCK_WAIT_SECONDS, claiming=False)
        except Exception as error:
            _fail(command, _for_caller(error))
            return
        if outcome.missed:
            _fail(command, Unavailable("the run is not there any more"))
        elif command.done is not None and not command.done.done():
            command.done.set_result(None)
        outcome.missed.clear()
        self.engine.settle(outcome)


def _fail(command: Command, error: Exception) -> None:
    if command.done is not None and not command.done.done():
        command.done.set_exception(error)


def _cut(work: RunWork, room: int, room_bytes: int) -> RunWork | None:
    """Leave in `work` the reports that fit, at least one; what does not is returned."""
    if len(work.reports) <= room and work.bytes <= room_bytes:
        return None
    kept, size = 0, 0
    for report in work.reports[:room]:
        size += report.bytes
        if kept and size > room_bytes:
            break
        kept += 1
    if kept == len(work.reports):
        return None
    rest = RunWork(reports=work.reports[kept:])
    work.reports = work.reports[:kept]
    return rest


def _for_caller(error: Exception) -> Exception:
    if isinstance(error, GlidepathError) or not sqlstate_class(error):
        return error
    return Unavailable("the run is busy or the database is not ready", hint="try again")
