"""What the tests of the worker contract share: workers played by hand over the real wire, by stream or call by call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from runs_room import HANDLER, SOON_SECONDS, Room, open_room
from serving import bearer, open_channel, until

from glidepath_proto.worker.v1 import task_pb2, worker_service_pb2_grpc
from glidepath_proto.worker.v1 import worker_service_pb2 as pb

LISTS = ("assignments", "result_acks", "cancels", "start_permits", "log_acks")


def hello(identity: str = "worker", **fields: Any) -> pb.Hello:
    return pb.Hello(
        **{
            "worker_identity": identity,
            "incarnation": "1",
            "protocol_version": 1,
            "handlers": [pb.HandlerOffer(name=HANDLER, versions=["*"])],
            **fields,
        }
    )


def slots(amount: int) -> list[pb.Credit]:
    return [pb.Credit(resource="slots", amount=amount)]


def success(token: bytes, data: bytes = b"") -> task_pb2.AttemptResult:
    result = task_pb2.AttemptResult(task_token=token)
    result.success.SetInParent()
    if data:
        result.success.output.data = data
    return result


def failure(token: bytes) -> task_pb2.AttemptResult:
    result = task_pb2.AttemptResult(task_token=token)
    result.failed.message = "broken"
    return result


def line(token: bytes, number: int, text: str = "a line") -> task_pb2.LogChunk:
    return task_pb2.LogChunk(
        task_token=token, sequence_number=number, entries=[task_pb2.LogEntry(stream="stdout", text=text)]
    )


class Stream:
    """One stream of a worker. What the server sends is filed by field; heartbeats are echoed unless `echoes` is off."""

    def __init__(self, stub: Any, metadata: Any) -> None:
        self._call = stub.Work(metadata=metadata)
        self.welcome = pb.Welcome()
        self.echoes, self.drained = True, False
        self.frame_sizes: list[int] = []
        self.confirmed: list[bytes] = []
        self.got: dict[str, list[Any]] = {name: [] for name in LISTS}
        self._changed, self._writing = asyncio.Condition(), asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None

    async def say_hello(self, greeting: pb.Hello) -> pb.Welcome:
        await self.send(hello=greeting)
        first = await self._call.read()
        self.welcome = first.welcome
        self._reader = asyncio.create_task(self._read())
        return self.welcome

    async def send(self, **fields: Any) -> None:
        async with self._writing:  # an echo may be on its way
            await self._call.write(pb.WorkRequest(**fields))

    async def half_close(self) -> None:
        """Say no more; the server ends its side."""
        self.echoes = False
        async with self._writing:
            await self._call.done_writing()

    def cut(self) -> None:
        self._call.cancel()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON_SECONDS), self._changed:
            await self._changed.wait_for(condition)

    async def take(self, name: str, count: int = 1) -> list[Any]:
        """Wait for so many of a field, and take them out."""
        found = self.got[name]
        await self.until(lambda: len(found) >= count)
        taken, found[:] = found[:count], found[count:]
        return taken

    async def ended(self) -> grpc.StatusCode:
        """Wait for the server to end the stream."""
        async with asyncio.timeout(SOON_SECONDS):
            code: grpc.StatusCode = await self._call.code()
            return code

    async def details(self) -> str:
        """What the server says about the end of the stream."""
        return await self._call.details() or ""

    async def _read(self) -> None:
        try:
            while (frame := await self._call.read()) is not grpc.aio.EOF:
                await self._file(frame)
        except grpc.aio.AioRpcError:
            return

    async def _file(self, frame: pb.WorkResponse) -> None:
        self.frame_sizes.append(frame.ByteSize())
        self.drained = self.drained or frame.drain
        for name in LISTS:
            self.got[name].extend(getattr(frame, name))
        if frame.HasField("heartbeat"):
            self.confirmed.append(frame.heartbeat.confirmed_nonce)
            if self.echoes:
                await self.send(heartbeat=pb.HeartbeatEcho(nonce=frame.heartbeat.nonce))
        async with self._changed:
            self._changed.notify_all()


class Workers:
    """Workers of one room."""

    def __init__(self, room: Room, channel: grpc.aio.Channel, token: str) -> None:
        self.room = room
        self.metadata = bearer(token)
        self.stub: Any = worker_service_pb2_grpc.WorkerServiceStub(channel)

    @asynccontextmanager
    async def stream(self, credits: int = 0, **fields: Any) -> AsyncIterator[Stream]:
        """A connected worker with so many credits."""
        stream = Stream(self.stub, self.metadata)
        await stream.say_hello(hello(**fields))
        if credits:
            await stream.send(credits=slots(credits))
        try:
            yield stream
        finally:
            stream.cut()

    async def call(self, method: str, **fields: Any) -> Any:
        """Call a method by name."""
        request = getattr(pb, f"{method}Request")(**fields)
        return await getattr(self.stub, method)(request, metadata=self.metadata, timeout=SOON_SECONDS)


@asynccontextmanager
async def open_workers(room: Room, *, namespace: str = "*") -> AsyncIterator[Workers]:
    """Workers with a token and a connection of their own."""
    async with open_channel(room.api.address) as channel:
        yield Workers(room, channel, await room.api.token("worker", namespace=namespace))


@asynccontextmanager
async def open_stream(database_url: str, *, credits: int = 0, **settings: Any) -> AsyncIterator[tuple[Room, Stream]]:
    """A server with these settings, and one worker's stream with these credits."""
    async with (
        open_room(database_url, **settings) as room,
        open_workers(room) as workers,
        workers.stream(credits=credits) as stream,
    ):
        yield room, stream


async def until_rows(room: Room, query: str, expected: Any) -> None:
    """Wait until a query of one value gives this."""

    async def holds() -> bool:
        return bool((await room.rows(query))[0][0] == expected)

    await until(holds, SOON_SECONDS)


LIVE = "select count(*) from live_attempt"
QUEUED = "select count(*) from task_queue where due"
