"""Artifacts: what is stored comes back, and what uploads can take of the server is bounded and said."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from runs_room import SOON_SECONDS, Room, open_room
from serving import until
from test_worker_unary import start
from worker_room import Workers, open_workers

from glidepath_proto.worker.v1 import worker_service_pb2 as pb

KIB = 1024
CALM = {"lease_ttl_seconds": 60.0, "accept_timeout_seconds": 60.0}


@asynccontextmanager
async def holding(database_url: str, **settings: Any) -> AsyncIterator[tuple[Room, Workers, bytes]]:
    """A worker with one attempt, whose token is given."""
    async with (
        open_room(database_url, **CALM, **settings) as room,
        open_workers(room) as workers,
        workers.stream(credits=1) as stream,
    ):
        await start(room)
        (assignment,) = await stream.take("assignments")
        yield room, workers, assignment.task_token


def messages(token: bytes, *chunks: bytes) -> list[pb.PutArtifactRequest]:
    first = pb.PutArtifactRequest(task_token=token, content_type="text/plain", chunk=chunks[0] if chunks else b"")
    return [first, *(pb.PutArtifactRequest(chunk=chunk) for chunk in chunks[1:])]


async def put(workers: Workers, token: bytes, *chunks: bytes) -> Any:
    call = workers.stub.PutArtifact(messages(token, *chunks), metadata=workers.metadata, timeout=SOON_SECONDS)
    return (await call).artifact


async def get(workers: Workers, token: bytes, uri: str) -> bytes:
    request = pb.GetArtifactRequest(task_token=token, uri=uri)
    return b"".join([each.chunk async for each in workers.stub.GetArtifact(request, metadata=workers.metadata)])


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


@pytest.mark.parametrize("size", [0, 1, 256 * KIB, 256 * KIB + 1, 5 * 1024 * KIB])
async def test_what_is_stored_comes_back(database_url: str, size: int) -> None:
    async with holding(database_url) as (_, workers, token):
        data = bytes(number % 251 for number in range(size))
        chunks = [data[start : start + 1000 * KIB] for start in range(0, size, 1000 * KIB)]
        for _ in range(2):  # idempotent
            stored = await put(workers, token, *chunks)
            assert (stored.size_bytes, stored.content_type) == (size, "text/plain")
            assert stored.uri == f"artifact:{hashlib.sha256(data).hexdigest()}"
        assert await get(workers, token, stored.uri) == data


async def test_a_large_upload_lies_on_disk_and_not_in_memory(database_url: str) -> None:
    async with holding(database_url) as (_, workers, token):
        chunk = bytes(1000 * KIB)

        async def large() -> AsyncIterator[pb.PutArtifactRequest]:
            yield pb.PutArtifactRequest(task_token=token)
            for _ in range(100):
                yield pb.PutArtifactRequest(chunk=chunk)

        tracemalloc.start()
        try:
            answer = await workers.stub.PutArtifact(large(), metadata=workers.metadata)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert answer.artifact.size_bytes == 100 * len(chunk)
        assert peak < 40 * len(chunk)


async def test_limits_are_said(database_url: str) -> None:
    async with holding(database_url, artifact_bytes_max=2000 * KIB) as (_, workers, token):
        code, said = await refusal(put(workers, token, *[bytes(1000 * KIB)] * 2, b"x"))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert said.startswith(f"the artifact has more than {2000 * KIB} bytes")
        code, said = await refusal(put(workers, token, bytes(1024 * KIB + 1)))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert f"at most {1024 * KIB} are taken" in said


async def test_uploads_of_a_token_share_a_budget_and_give_it_back(database_url: str) -> None:
    async with holding(database_url, artifact_bytes_max=100 * KIB) as (room, workers, token):
        calls = []
        for _ in range(4):
            call = workers.stub.PutArtifact(metadata=workers.metadata)
            await call.write(pb.PutArtifactRequest(task_token=token, chunk=bytes(100 * KIB)))
            calls.append(call)
        artifacts = room.server.services[0].servicer.artifacts

        async def full() -> bool:
            return bool(artifacts.spooled_bytes == 400 * KIB)

        async def empty() -> bool:
            return bool(artifacts.spooled_bytes == 0)

        await until(full, SOON_SECONDS)
        code, said = await refusal(put(workers, token, b"x"))
        assert code is grpc.StatusCode.UNAVAILABLE
        assert f"at most {400 * KIB} are taken at a time" in said
        async with open_workers(room) as others:  # with a token of their own
            await put(others, token, b"x")
        calls[0].cancel()
        for call in calls[1:]:
            await call.done_writing()
            await call
        await until(empty, SOON_SECONDS)
        await put(workers, token, b"x")


async def store_source(room: Room, archive: bytes) -> str:
    await room.rows(
        "insert into source_bundle (namespace, content_hash, archive, create_time) "
        "values ('default', 'hash', $1, glidepath_now())",
        archive,
    )
    return "hash"


@pytest.mark.parametrize("size", [0, 1, 256 * KIB, 256 * KIB + 1])
async def test_a_source_comes_whole(database_url: str, size: int) -> None:
    async with open_room(database_url, **CALM) as room, open_workers(room) as workers:
        archive = bytes(number % 251 for number in range(size))
        request = pb.GetSourceRequest(content_hash=await store_source(room, archive))
        chunks = [each.chunk async for each in workers.stub.GetSource(request, metadata=workers.metadata)]
        assert (b"".join(chunks), max(map(len, chunks)) <= 256 * KIB) == (archive, True)


def resident() -> int:
    """Bytes of memory that this process has; the driver's are not among those that Python traces."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_sources_that_nobody_reads_on_are_not_held_in_memory(database_url: str) -> None:
    async with open_room(database_url, **CALM) as room, open_workers(room) as workers:
        size, count = 3000 * KIB, 40
        request = pb.GetSourceRequest(content_hash=await store_source(room, os.urandom(size)))
        before = resident()
        calls = [workers.stub.GetSource(request, metadata=workers.metadata) for _ in range(count)]
        for call in calls:
            await call.initial_metadata()  # its first chunk is on its way
        held = resident() - before
        for call in calls:
            call.cancel()
        assert held < count * size / 2
