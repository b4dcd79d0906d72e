"""What one worker can make the server hold is bounded, whether it floods, does not read, or promises too much."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import grpc
import pytest
from runs_room import SOON_SECONDS, Room, dag, open_room
from serving import CHANNEL_OPTIONS, until
from test_worker_permits import TIMES
from worker_room import LIVE, Stream, Workers, hello, line, open_stream, open_workers, slots, success, until_rows

from glidepath_proto.worker.v1 import worker_service_pb2 as pb
from glidepath_proto.worker.v1 import worker_service_pb2_grpc
from glidepath_server.api import worker_stream
from glidepath_server.api.worker_feed import Feed
from glidepath_server.api.worker_outgoing import ANSWERS_BYTES_MAX, Outgoing

CALM = TIMES | {"accept_timeout_seconds": 60.0}


def session_of(room: Room) -> Any:
    """The one session that is connected."""
    (session,) = room.server.engine.replica.pullers.by_session.values()
    return session


async def one_attempt(room: Room, stream: Stream) -> bytes:
    await room.register(dag("churn", {"only": []}))
    await room.start("churn")
    (assignment,) = await stream.take("assignments")
    token: bytes = assignment.task_token
    return token


async def round_trip(stream: Stream) -> None:
    """A frame there and its answer back."""
    await stream.send(accepted_task_tokens=[b"nobody's"])
    await stream.take("result_acks")


def flood() -> Iterator[pb.WorkRequest]:
    """A hello, and acceptances of what was never assigned, each of which is answered."""
    yield pb.WorkRequest(hello=hello())
    while True:
        yield pb.WorkRequest(accepted_task_tokens=[bytes(44)] * 10_000)


async def test_a_worker_that_floods_and_does_not_read_is_sent_away(database_url: str) -> None:
    async with open_room(database_url, **CALM) as room, open_workers(room) as workers:
        sessions = room.server.engine.replica.pullers.by_session

        async def here() -> bool:
            return bool(sessions)

        async def gone() -> bool:
            return not sessions

        with grpc.insecure_channel(room.api.address, CHANNEL_OPTIONS) as channel:
            call: Any = worker_service_pb2_grpc.WorkerServiceStub(channel).Work(flood(), metadata=workers.metadata)
            await until(here, SOON_SECONDS)
            session = session_of(room)
            await until(gone, 60)
            assert session.outgoing.answers_bytes <= ANSWERS_BYTES_MAX
            with pytest.raises(grpc.RpcError):  # the status comes behind what was sent before it
                await asyncio.to_thread(list, call)
            assert call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert f"more than {ANSWERS_BYTES_MAX} bytes of answers wait to be read" in call.details()


async def test_a_message_with_too_many_results_is_refused(database_url: str) -> None:
    async with open_room(database_url, **CALM) as room, open_workers(room) as workers, workers.stream() as stream:
        await stream.send(results=[success(b"x")] * 10_001)
        assert await stream.ended() == grpc.StatusCode.INVALID_ARGUMENT
        assert await stream.details() == "results: got 10001 items, expected at most 10000 in one message"


async def test_reading_stops_while_too_many_results_are_unanswered(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_stream, "UNANSWERED_MAX", 100)
    async with open_room(database_url, **CALM) as room, open_workers(room) as workers:
        submitted = 0
        submit = room.server.engine.submit

        def count(reports: Any) -> None:
            nonlocal submitted
            reports = list(reports)
            submitted += len(reports)
            submit(reports)

        monkeypatch.setattr(room.server.engine, "submit", count)
        async with workers.stream(credits=1) as stream, workers.stream(identity="other") as other:
            token = await one_attempt(room, stream)
            holder = await asyncpg.connect(database_url)
            transaction = holder.transaction()
            await transaction.start()
            await holder.execute("select from dag_run for update")
            for _ in range(20):
                await stream.send(results=[success(token)] * 50)

            async def over() -> bool:
                return submitted > 100

            await until(over, SOON_SECONDS)
            for _ in range(20):
                await round_trip(other)
            assert submitted <= 150
            await transaction.rollback()
            await holder.close()
            await stream.take("result_acks", 1000)


@pytest.mark.prove
async def test_chunks_without_text_are_held_back_too(database_url: str) -> None:
    async with open_room(database_url, **CALM) as room, open_workers(room) as workers:
        async with workers.stream(credits=1) as stream:
            token = await one_attempt(room, stream)
            session = session_of(room)
        feed = Feed(room.database, "default", 64, session.outgoing.acknowledge_log)
        holder = await asyncpg.connect(database_url)
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("lock table task_log_chunk in access exclusive mode")
        chunks = [line(token, number, "") for number in range(60_000)]
        flood = asyncio.create_task(feed.put([], chunks, session.assignments.secret))
        await until_rows(room, "select count(*) from pg_stat_activity where wait_event_type = 'Lock'", 1)
        assert not flood.done()
        await transaction.rollback()
        await holder.close()
        await flood
        await feed.close()
        await until_rows(room, "select count(*) from task_log_chunk", 60_000)


async def test_credits_beyond_reason_are_ignored(database_url: str) -> None:
    async with open_stream(database_url, credits=2**31 - 1, **CALM) as (room, stream):
        await stream.send(credits=[*slots(2**31 - 1), *slots(-5)])
        await round_trip(stream)
        assert session_of(room).free == 10_000


async def withheld(room: Room, workers: Workers, stream: Stream) -> bytes:
    token = await one_attempt(room, stream)
    await until_rows(room, LIVE, 0)
    assert session_of(room).free == 0
    return token


async def test_only_a_word_about_work_brings_withheld_credits_back(database_url: str) -> None:
    async with (
        open_room(database_url, **TIMES) as room,
        open_workers(room) as workers,
        workers.stream(credits=3) as stream,
    ):
        stream.echoes = False
        token = await withheld(room, workers, stream)
        await stream.send(log_chunks=[line(token, 0)])
        await stream.take("log_acks")
        assert session_of(room).free == 0
        await stream.send(accepted_task_tokens=[token])
        await stream.take("assignments")


def test_a_cancel_is_repeated_only_once_it_was_sent() -> None:
    outgoing = Outgoing(1024, overflow=pytest.fail)
    cancel = pb.Cancel(task_token=b"token", reason="enough")
    for _ in range(3):
        outgoing.cancel(cancel)
        outgoing.cancel(cancel)
        assert list(outgoing.take().cancels) == [cancel]
    assert outgoing.answers_bytes == 0
