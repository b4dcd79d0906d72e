"""One stream to the server after another: hello, frames both ways, liveness, leaving.

A session is about liveness only; what is true of an attempt is decided by its token. So a stream may end at any time
without harm: the next hello lists what is held and what is finished, and the server answers for each. What may go
wrong:

- The stream breaks, or the server sends it away: hello again after a short, jittered wait, at the next address if
  there are several.
- Nothing is heard for two heartbeat intervals although the stream looks open (a half-open connection, a hung replica):
  this side leaves, on the clock that counts suspend, and says hello elsewhere.
- The server refuses the worker itself (token, namespace, protocol version): before the first welcome that is an error
  for the person who started it; afterwards it may be a change in progress, so the worker keeps trying.
- Another incarnation of this identity has said hello: a late word of one that is gone does so once, so hello again;
  soon after that once more means that two live workers share the identity and end each other's tasks. This one stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
import grpc.aio

from glidepath.client.channel import call_metadata, open_async_channel
from glidepath.client.connection import Connection
from glidepath.client.status import cause
from glidepath.errors import GlidepathError
from glidepath.worker.backoff import Backoff
from glidepath.worker.crash_points import reach
from glidepath.worker.leases import Lease, boottime
from glidepath.worker.outbox import Outbox
from glidepath_proto.worker.v1.worker_service_pb2 import Hello, Welcome, WorkRequest, WorkResponse
from glidepath_proto.worker.v1.worker_service_pb2_grpc import WorkerServiceStub

logger = logging.getLogger(__name__)

WELCOME_SECONDS = 15.0
EVICTED_AGAIN_SECONDS = 300.0
FRAME_SECONDS = 0.003
REFUSALS = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
)


class WorkerNotAdmitted(GlidepathError):
    """The server refuses this worker; the message is the server's."""


class IdentityTaken(WorkerNotAdmitted):
    """Another live worker has this one's identity."""


class StreamEvents(Protocol):
    """What the worker does with a stream."""

    def hello(self) -> Hello:
        """What to say now."""

    def welcomed(self, welcome: Welcome) -> None:
        """A session is open; the outbox is empty and may be filled."""

    def renewed(self, lease_end: float) -> None:
        """The lease now ends at this instant of the boot clock."""

    def received(self, response: WorkResponse) -> None:
        """A frame with anything but a heartbeat."""


@dataclass
class Stream:
    """The worker's connection. `connections` are tried in turn. `run` ends when `leave` was called."""

    connections: Sequence[Connection]
    outbox: Outbox
    events: StreamEvents
    stub: Any = None
    _leaving: asyncio.Event = field(default_factory=asyncio.Event)
    _connected: asyncio.Event = field(default_factory=asyncio.Event)
    _welcomed_once: bool = False
    _evicted_at: float = float("-inf")

    async def run(self) -> None:
        """Stay connected.

        WorkerNotAdmitted when the server refuses the worker before it was ever welcome, IdentityTaken when it must
        leave its identity to another.
        """
        backoff = Backoff()
        turn = 0
        while not self._leaving.is_set():
            connection = self.connections[turn % len(self.connections)]
            turn += 1
            try:
                if await self._converse(connection):
                    backoff.reset()
            except grpc.aio.AioRpcError as error:
                if error.code() in REFUSALS and not self._welcomed_once:
                    raise _not_admitted(connection, error) from error
                if error.code() is grpc.StatusCode.ALREADY_EXISTS:
                    self._evicted(error)
                logger.warning(
                    "stream to %s ended: %s", connection.address, cause(error.details() or error.code().name)
                )
            except Exception:  # whatever it was, what is held here is worth another stream
                logger.exception("stream to %s broke", connection.address)
            if not self._leaving.is_set():
                await self._pause(backoff.next())

    def _evicted(self, error: grpc.aio.AioRpcError) -> None:
        now = boottime()
        if now - self._evicted_at < EVICTED_AGAIN_SECONDS:
            raise IdentityTaken(f"{error.details()}; it has said hello twice: give this one another --identity")
        self._evicted_at = now

    async def connected(self) -> Any:
        """The stub of the present connection; waits while there is none."""
        await self._connected.wait()
        return self.stub

    def leave(self) -> None:
        """Close the stream, and open no other."""
        self._leaving.set()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._leaving.wait(), seconds)

    async def _converse(self, connection: Connection) -> bool:
        """One stream from hello to its end. Whether it was welcome."""
        # Anew, because the connection may be why the last stream ended: deaf one way, it would swallow the next hello.
        async with open_async_channel(connection, anew=True) as channel:
            self.stub = WorkerServiceStub(channel)
            call = self.stub.Work(metadata=call_metadata(connection))
            hello_sent_at = boottime()
            await call.write(WorkRequest(hello=self.events.hello()))
            first = await self._first(call)
            if first is None:
                return False
            interval = first.welcome.heartbeat_interval.ToTimedelta().total_seconds() or 5.0
            ttl = first.welcome.lease_ttl.ToTimedelta().total_seconds() or 15.0
            lease = Lease(ttl, hello_sent_at, boottime())
            self._open(first, lease)
            try:
                await self._exchange(call, lease, interval)
            finally:
                self._connected.clear()
        return True

    async def _first(self, call: Any) -> WorkResponse | None:
        try:
            first = await asyncio.wait_for(call.read(), WELCOME_SECONDS)
        except TimeoutError:
            call.cancel()
            return None
        return None if first is grpc.aio.EOF else first

    def _open(self, first: WorkResponse, lease: Lease) -> None:
        self._welcomed_once = True
        self.outbox.clear()
        self._connected.set()
        self.events.welcomed(first.welcome)
        self.events.renewed(lease.ends_at)
        self._handle(first, lease)

    async def _exchange(self, call: Any, lease: Lease, interval: float) -> None:
        """Read, write and watch until one of them ends the stream; raises what the server ended it with."""
        reader = asyncio.ensure_future(self._read(call, lease))
        others = [
            asyncio.ensure_future(each)
            for each in (self._write(call), self._watch(lease, interval), self._leaving.wait())
        ]
        try:
            await asyncio.wait([reader, *others], return_when=asyncio.FIRST_COMPLETED)
            if self._leaving.is_set():
                await self._say_goodbye(call, reader)
            elif others[0].done():
                await asyncio.wait([reader], timeout=1.0)  # why a write failed, the reading side knows
        finally:
            for task in (reader, *others):
                task.cancel()
            ends = await asyncio.gather(reader, *others, return_exceptions=True)
            call.cancel()
        error = next((end for end in ends if isinstance(end, Exception)), None)
        if error is not None and not self._leaving.is_set():
            raise error

    async def _say_goodbye(self, call: Any, reader: asyncio.Future[None]) -> None:
        """Write what is left and half-close; the server ends its side."""
        with contextlib.suppress(Exception):
            while (frame := self.outbox.take()) is not None:
                await call.write(frame)
            await call.done_writing()
            await asyncio.wait([reader], timeout=1.0)

    async def _read(self, call: Any, lease: Lease) -> None:
        while (response := await call.read()) is not grpc.aio.EOF:
            self._handle(response, lease)
            if response.drain:
                logger.info("the server asks this worker to say hello elsewhere")
                return

    def _handle(self, response: WorkResponse, lease: Lease) -> None:
        now = boottime()
        if response.HasField("heartbeat"):
            beat = response.heartbeat
            if lease.heard(beat.nonce, beat.confirmed_nonce, now):
                self.events.renewed(lease.ends_at)
            self.outbox.echo(beat.nonce)
        if response.assignments:
            reach("assignment.received")
        self.events.received(response)

    async def _write(self, call: Any) -> None:
        """An idle stream writes at once; a busy one writes so many frames a second and lets the rest gather."""
        clock = asyncio.get_running_loop().time
        written_at = 0.0
        while True:
            await self.outbox.waiting.wait()
            early = written_at + FRAME_SECONDS - clock()
            if early > 0 and not self.outbox.pressing:
                await asyncio.sleep(early)
            written_at = clock()
            frame = self.outbox.take()
            if frame is not None:
                await call.write(frame)
                _written(frame)

    async def _watch(self, lease: Lease, interval: float) -> None:
        silent = 0.0
        while silent < 2 * interval:
            await asyncio.sleep(min(interval / 2, 2 * interval - silent))
            silent = boottime() - lease.heard_at
        logger.warning("nothing heard from the server for %.1f s; leaving this stream", silent)


def _written(frame: WorkRequest) -> None:
    if frame.accepted_task_tokens:
        reach("assignment.accepted")
    if frame.results:
        reach("result.sent")


def _not_admitted(connection: Connection, error: grpc.aio.AioRpcError) -> WorkerNotAdmitted:
    message = f"{connection.address} refuses this worker: {error.details() or error.code().name}"
    if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        message += (
            ". A worker needs a token of the role worker in GLIDEPATH_TOKEN, or in a file that GLIDEPATH_TOKEN_FILE "
            "names: `glidepath up` leaves one in .glidepath/worker.token, `glidepath token create NAME --role worker` "
            "makes one"
        )
    return WorkerNotAdmitted(message)
