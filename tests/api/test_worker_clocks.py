"""What workers tell of their clocks: shown with their sessions, corrected as they change, no matter how wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from runs_room import Room, open_room
from serving import until
from worker_room import Stream, Workers, hello, open_workers

from glidepath_proto.admin.v1 import admin_service_pb2, admin_service_pb2_grpc
from glidepath_proto.worker.v1 import worker_service_pb2 as pb

QUICK = {"heartbeat_interval_seconds": 0.1, "lease_ttl_seconds": 60.0}


class Clocked(Stream):
    """A worker whose clock is off by so many seconds."""

    shift_seconds: float | None = None

    async def send(self, **fields: Any) -> None:
        if "heartbeat" in fields and self.shift_seconds is not None:
            told = Timestamp()
            told.FromDatetime(datetime.now(UTC) + timedelta(seconds=self.shift_seconds))
            fields["heartbeat"] = pb.HeartbeatEcho(nonce=fields["heartbeat"].nonce, host_time=told)
        await super().send(**fields)


async def connect(workers: Workers, shift_seconds: float | None) -> Clocked:
    stream = Clocked(workers.stub, workers.metadata)
    stream.shift_seconds = shift_seconds
    await stream.say_hello(hello(f"w{shift_seconds}"))
    return stream


async def listed(room: Room) -> dict[str, Any]:
    stub: Any = admin_service_pb2_grpc.AdminServiceStub(room.api_channel)
    answer = await stub.ListWorkers(admin_service_pb2.ListWorkersRequest(), metadata=room.metadata)
    return {each.worker_identity: each for each in answer.workers}


async def until_offset(room: Room, identity: str, seconds: float) -> Any:
    """Wait until the worker's clock is known to be so far behind the database's."""
    found: dict[str, Any] = {}

    async def known() -> bool:
        found.update(await listed(room))
        offset, bound = found[identity].clock_offset, found[identity].clock_bound
        return abs(offset.ToTimedelta().total_seconds() - seconds) < 1 and bound.ToNanoseconds() > 0

    await until(known, 10)
    return found[identity]


async def test_the_clock_of_a_workers_host_is_known_and_known_anew_when_it_is_set(database_url: str) -> None:
    async with open_room(database_url, **QUICK) as room, open_workers(room) as workers:
        streams = [await connect(workers, shift) for shift in (600.0, -600.0, None)]
        ahead = await until_offset(room, "w600.0", -600)
        await until_offset(room, "w-600.0", 600)
        assert ahead.clock_bound.ToTimedelta().total_seconds() < 1
        assert not (await listed(room))["wNone"].HasField("clock_offset")
        streams[0].shift_seconds = 3600.0
        await until_offset(room, "w600.0", -3600)
        for stream in streams:
            stream.cut()


@pytest.mark.parametrize(("seconds", "nanos"), [(2**60, 0), (-(2**60), 0), (0, -5), (0, 2_000_000_000)])
async def test_a_clock_that_tells_nonsense_costs_the_worker_nothing(
    database_url: str, seconds: int, nanos: int
) -> None:
    async with open_room(database_url, **QUICK) as room, open_workers(room) as workers:
        stream = Clocked(workers.stub, workers.metadata)
        stream.echoes = False
        await stream.say_hello(hello())
        await until(lambda: heard(stream), 10)
        await stream.send(
            heartbeat=pb.HeartbeatEcho(nonce=await nonce_of(room), host_time=Timestamp(seconds=seconds, nanos=nanos))
        )
        await until(lambda: confirmed(stream), 10)
        assert (await listed(room))["worker"].state == "open"
        stream.cut()


async def heard(stream: Stream) -> bool:
    return bool(stream.confirmed)


async def confirmed(stream: Stream) -> bool:
    """The echo was taken: its renewal is committed."""
    return bool(stream.confirmed[-1])


async def nonce_of(room: Room) -> bytes:
    (session,) = room.server.engine.replica.pullers.by_session.values()
    return next(reversed(session.nonces))
