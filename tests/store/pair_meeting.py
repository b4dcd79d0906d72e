"""Two operations that meet: each runs its real code over a connection that can stop before any statement.

The first is stopped before its k-th statement. The second then runs until it has ended, or has come to the commit at
which it was told to stop, or waits for the first; which of these, Postgres says. Then both go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pair_world import State, World, offer
from step_room import SOON_SECONDS, Seat

from glidepath_server.core.events import AttemptKey
from glidepath_server.operations.sessions import Greeting
from glidepath_server.operations.step_runs import Step
from glidepath_server.operations.step_types import Report, RunWork, StepOutcome, Verdict
from glidepath_server.store.sql import statements

_AGGREGATES = ("engine", "sessions", "approvals", "calls", "limits", "named_limits")
_NAMES = {text: name for aggregate in _AGGREGATES for name, text in statements(aggregate).items()}
_NAMES["select glidepath_now()"] = "now"
COMMIT = "commit"


def _name_of(statement: str) -> str:
    """The name that a statement has in the store."""
    return "lock_timeout" if statement.startswith("set local lock_timeout") else _NAMES[statement]


class SteppedConnection:
    """A connection that notes its statements and stops before one of them. Stands in for a pool of one, too."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.noted: list[str] = []
        self.stop_at: int | str | None = None
        self.stopped, self.go = asyncio.Event(), asyncio.Event()

    async def _before(self, name: str) -> None:
        number = len(self.noted)
        self.noted.append(name)
        if self.stop_at in (number, name) and not self.stopped.is_set():
            self.stopped.set()
            await self.go.wait()

    async def fetch(self, statement: str, *arguments: Any) -> Any:
        await self._before(_name_of(statement))
        return await self.connection.fetch(statement, *arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> Any:
        await self._before(_name_of(statement))
        return await self.connection.fetchrow(statement, *arguments)

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        await self._before(_name_of(statement))
        return await self.connection.fetchval(statement, *arguments)

    async def execute(self, statement: str, *arguments: Any) -> Any:
        await self._before(_name_of(statement))
        return await self.connection.execute(statement, *arguments)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        async with self.connection.transaction():
            yield
            await self._before(COMMIT)

    # What a pool does: `async with acquire()`, or `await acquire()` and `release`.
    def acquire(self) -> SteppedConnection:
        return self

    def __await__(self) -> Generator[Any, None, SteppedConnection]:
        yield from ()
        return self

    async def __aenter__(self) -> SteppedConnection:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def release(self, connection: SteppedConnection) -> None: ...


@dataclass
class Ledger:
    """What the operations and what follows them were told by their commits."""

    told: list[Report] = field(default_factory=list)  # ends that workers told
    acks: list[tuple[Report, Verdict]] = field(default_factory=list)
    assigned: list[AttemptKey] = field(default_factory=list)
    seats: list[Seat] = field(default_factory=list)
    credits: int = 0
    greetings: list[Greeting] = field(default_factory=list)
    missed: list[dict[UUID, RunWork]] = field(default_factory=list)  # to be stepped again
    quarantined: list[tuple[UUID, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # commands that the state did not allow
    queues: set[int] = field(default_factory=set)

    def note(self, outcome: StepOutcome) -> None:
        self.acks += outcome.acks
        self.assigned += [each.key for each in outcome.assigned]
        self.quarantined += outcome.quarantined
        self.queues |= outcome.queues
        if outcome.missed:
            self.missed.append(outcome.missed)


@dataclass(frozen=True)
class Operation:
    """What a replica does; its statements when nobody is in its way; the session that it needs for that."""

    run: Doing
    name: str
    statements: Sequence[str]
    session: State


class Actor:
    """One of the two: an operation, the run that it is about, and its connection."""

    def __init__(self, world: World, ledger: Ledger, operation: Operation, run_id: UUID, connection: Any) -> None:
        self.world, self.ledger, self.operation, self.run_id = world, ledger, operation, run_id
        self.pid = connection.get_server_pid()
        # A stand-in for connection and pool: what the operations use of both.
        self.connection: Any = SteppedConnection(connection)
        self.task: asyncio.Task[None] | None = None
        # Of two hellos of one worker the one that comes second knows of more.
        self.comes_second = False

    def start(self, stop_at: int | str | None = None) -> None:
        self.connection.stop_at = stop_at
        self.task = asyncio.create_task(self._run(), name=self.operation.name)

    async def _run(self) -> None:
        await self.operation.run(self)

    async def step(self, batch: dict[UUID, RunWork], *, credits: int = 0, wait_seconds: float | None = None) -> None:
        """A step of a replica of its own, as a lane does it, with the session of the world for `credits`."""
        seats = [Seat(self.world.session_id, 1, credits, offer())] if credits else []
        step = Step(self.world.replica(*seats), batch, wait_seconds=wait_seconds)
        async with self.connection.transaction():
            outcome = await step.run(self.connection)
        self.ledger.seats += seats
        self.ledger.credits += credits
        self.ledger.note(outcome)

    # ---- meeting
    @property
    def is_quiet(self) -> bool:
        """It has ended, or stands where it was told to stop."""
        assert self.task is not None
        return self.task.done() or (self.connection.stopped.is_set() and not self.connection.go.is_set())

    async def until_stopped(self) -> None:
        """Until it stands at its statement; raises what ended it before."""
        assert self.task is not None
        stopped = asyncio.ensure_future(self.connection.stopped.wait())
        await asyncio.wait([self.task, stopped], timeout=SOON_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done():
            stopped.cancel()
            await self.task
            raise AssertionError(f"{self.operation.name} ended before its statement {self.connection.stop_at}")

    async def until_quiet(self, other: Actor) -> bool:
        """Until it has ended or stopped (False), or waits for a lock of the other (True)."""
        async with asyncio.timeout(SOON_SECONDS):
            while not self.is_quiet:
                if await self._waits_for(other):
                    return True
        return False

    async def _waits_for(self, other: Actor) -> bool:
        waits: bool = await self.world.watcher.fetchval("select $1 = any(pg_blocking_pids($2))", other.pid, self.pid)
        return waits

    def go_on(self) -> None:
        self.connection.go.set()

    async def end(self) -> None:
        """Let it go on to its end; raises what it raises."""
        assert self.task is not None
        self.connection.stop_at = None
        self.go_on()
        async with asyncio.timeout(SOON_SECONDS):
            await self.task

    async def abandon(self) -> None:
        """After a failure: out of the way of the next test."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)


Doing = Callable[[Actor], Awaitable[None]]


async def meet(first: Actor, second: Actor, stop_at: int, *, stays_open: bool) -> bool:
    """Run the second while the first stands before statement `stop_at`; then both to their ends.

    With `stays_open` the second stands before its first commit until the first has ended or waits for it. Returns
    whether the second waited for the first, so that `stays_open` makes no difference.
    """
    second.comes_second = True
    try:
        first.start(stop_at)
        await first.until_stopped()
        second.start(COMMIT if stays_open else None)
        waited = await second.until_quiet(first)
        first.go_on()
        if stays_open:
            await first.until_quiet(second)
        await asyncio.gather(first.end(), second.end())
        return waited
    finally:
        await first.abandon()
        await second.abandon()
