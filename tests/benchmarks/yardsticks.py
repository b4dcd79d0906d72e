"""What this machine can do at best, without Glidepath: the figures to read the others by."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any

import asyncpg
import grpc.aio
from measures import Figures, quantile

SECONDS = 2.0
ROWS = 20_000
CALLS_AT_A_TIME = 32
METHOD, STREAM = "/bench.Echo/Call", "/bench.Echo/Stream"


def measure(database_url: str, seconds: float = SECONDS) -> Figures:
    """All of them; each takes about `seconds`."""
    return {
        **asyncio.run(_database(database_url, seconds)),
        **_grpc(seconds),
        "bare_forks_per_second": _forks(seconds / 2),
    }


async def _database(database_url: str, seconds: float) -> Figures:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("drop table if exists bench_yardstick")
        await connection.execute("create table bench_yardstick (id bigint primary key, note text not null)")
        took = await _commits(connection, seconds)
        rows = [(number, "x" * 40) for number in range(1_000_000, 1_000_000 + ROWS)]
        begun = time.monotonic()
        await connection.copy_records_to_table("bench_yardstick", records=rows)
        copied = ROWS / (time.monotonic() - begun)
        await connection.execute("drop table bench_yardstick")
    finally:
        await connection.close()
    return {
        "commits_per_second": len(took) / sum(took),
        "commit_p99_ms": quantile(took, 0.99) * 1e3,
        "batch_insert_rows_per_second": copied,
    }


async def _commits(connection: Any, seconds: float) -> list[float]:
    """Seconds of each single-row transaction, one after the other."""
    took: list[float] = []
    statement = await connection.prepare("insert into bench_yardstick values ($1, 'x')")
    end = time.monotonic() + seconds
    while (begun := time.monotonic()) < end:
        await statement.fetch(len(took))
        took.append(time.monotonic() - begun)
    return took


def _grpc(seconds: float) -> Figures:
    """Against a server process that answers what it gets."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    server = spawn.Process(target=_serve_echo, args=(theirs,), daemon=True)
    server.start()
    try:
        return asyncio.run(_calls(f"127.0.0.1:{ours.recv()}", seconds))
    finally:
        ours.send(None)
        server.join()


async def _calls(address: str, seconds: float) -> Figures:
    async with grpc.aio.insecure_channel(address) as channel:
        unary: Any = channel.unary_unary(METHOD)
        stream: Any = channel.stream_stream(STREAM)()
        await unary(b"warm", wait_for_ready=True)

        async def exchange() -> None:
            await stream.write(b"x" * 100)
            await stream.read()

        one = await _rate(lambda: unary(b"x" * 100), seconds, CALLS_AT_A_TIME)
        many = await _rate(exchange, seconds, 1)
        await stream.done_writing()
    return {"grpc_unary_per_second": one, "grpc_stream_messages_per_second": many}


async def _rate(call: Callable[[], Awaitable[Any]], seconds: float, at_a_time: int) -> float:
    """Calls per second, `at_a_time` of them open."""
    begun = time.monotonic()

    async def lane() -> int:
        done = 0
        while time.monotonic() - begun < seconds:
            await call()
            done += 1
        return done

    done = await asyncio.gather(*(lane() for _ in range(at_a_time)))
    return sum(done) / (time.monotonic() - begun)


def _serve_echo(parent: Connection) -> None:
    asyncio.run(_echo(parent))


async def _echo(parent: Connection) -> None:
    async def call(request: bytes, _: Any) -> bytes:
        return request

    async def stream(_: Any, context: Any) -> None:
        while (message := await context.read()) is not grpc.aio.EOF:
            await context.write(message)

    handlers: dict[str, Any] = {
        "Call": grpc.unary_unary_rpc_method_handler(call),
        "Stream": grpc.stream_stream_rpc_method_handler(stream),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", handlers),))
    parent.send(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    await asyncio.to_thread(parent.recv)
    await server.stop(None)


def _forks(seconds: float) -> float:
    """Processes started and waited for per second, one at a time, that do nothing."""
    done, begun = 0, time.monotonic()
    while time.monotonic() - begun < seconds:
        if not (child := os.fork()):
            os._exit(0)
        os.waitpid(child, 0)
        done += 1
    return done / (time.monotonic() - begun)
