"""The server as a process: `python -m glidepath_server`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from serving import bearer, open_channel

from glidepath_proto.admin.v1 import admin_service_pb2 as pb
from glidepath_proto.admin.v1 import admin_service_pb2_grpc
from glidepath_server.store import migrate

pytestmark = pytest.mark.asyncio
STOP_SECONDS = 15


@asynccontextmanager
async def process(*arguments: str, **more: str) -> AsyncIterator[Process]:
    """A server process without settings from the environment of the test, except for `more`; killed at the end if it
    still runs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GLIDEPATH_")}
    command = (sys.executable, "-m", "glidepath_server", "--address", "127.0.0.1:0", *arguments)
    started = await asyncio.create_subprocess_exec(*command, stderr=PIPE, env={**environment, **more})
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def event(started: Process, name: str) -> dict[str, Any]:
    """The next log line of that event."""
    assert started.stderr is not None
    while line := await started.stderr.readline():
        if line.startswith(b"{") and (found := json.loads(line))["event"] == name:
            return found
    raise AssertionError(f"the process ended ({await started.wait()}) without {name}")


async def test_a_server_starts_writes_its_token_serves_and_stops_when_asked(database_url: str, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    async with process(
        "--database-url", database_url, "--auto-upgrade", "--bootstrap-token-file", str(token_file)
    ) as started:
        address = (await event(started, "server_started"))["address"]
        async with open_channel(address) as channel:
            admin = admin_service_pb2_grpc.AdminServiceStub(channel)
            await admin.ListTokens(pb.ListTokensRequest(), metadata=bearer(token_file.read_text().strip()))
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            started.send_signal(signal.SIGTERM)
            assert (await event(started, "signal_received"))["signal"] == "SIGTERM"
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            watch.cancel()
            await event(started, "server_stopped")
        assert await asyncio.wait_for(started.wait(), STOP_SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_second_signal_ends_it_at_once(database_url: str, number: signal.Signals) -> None:
    async with process("--database-url", database_url, "--auto-upgrade") as started:
        address = (await event(started, "server_started"))["address"]
        async with open_channel(address) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            await watch.read()
            started.send_signal(number)
            await event(started, "signal_received")
            started.send_signal(number)
            assert await asyncio.wait_for(started.wait(), STOP_SECONDS) != 0


async def test_what_is_in_the_way_of_a_start_is_said_in_a_line_with_its_exit_code(
    database_url: str, postgres_url: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    no_file = str(tmp_path / "file" / "token")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        in_use = f"127.0.0.1:{taken.getsockname()[1]}"
        for arguments, code, said in (
            (("--database-url", postgres_url), 6, "run glidepath db upgrade"),  # a database without the schema
            (("--database-url", database_url, "--address", "0.0.0.0:0"), 2, "GLIDEPATH_TLS_CERTIFICATE_FILE"),
            (
                ("--database-url", database_url, "--auth", "off", "--worker-address", "0.0.0.0:0"),
                2,
                "GLIDEPATH_AUTH=required",
            ),
            (("--database-url", database_url, "--auto-upgrade", "--address", in_use), 6, "Address already in use"),
            (("--database-url", database_url, "--bootstrap-token-file", no_file), 6, no_file),
            (("--database-url", "postgresql://nobody@127.0.0.1:1/none"), 5, "Postgres does not answer"),
            (("--database-url", "postgresql://me:secret@host:port/none"), 2, "database_url: got"),
            (("--database-url", "secret"), 2, "database_url: got"),
            ((), 2, "GLIDEPATH_DATABASE_URL"),
            (("--odd",), 2, "--odd"),
        ):
            async with process(*arguments) as started:
                _, text = await started.communicate()
                assert (started.returncode, said in text.decode()) == (code, True), text.decode()
                assert "Traceback" not in text.decode() and "secret" not in text.decode()


async def test_a_database_that_is_lost_during_the_start_is_said_in_a_line_with_its_exit_code(database_url: str) -> None:
    lost = {"GLIDEPATH_CRASH_POINT": "server_key.before_commit=fail"}
    async with process("--database-url", database_url, "--auto-upgrade", **lost) as started:
        _, text = await started.communicate()
        assert (started.returncode, "Postgres does not answer any more" in text.decode()) == (5, True), text.decode()
        assert "Traceback" not in text.decode()


async def test_a_killed_server_leaves_a_database_that_the_next_one_serves(database_url: str) -> None:
    async with process("--database-url", database_url, "--auto-upgrade", "--auth", "off") as started:
        address = (await event(started, "server_started"))["address"]
        async with open_channel(address) as channel:
            await admin_service_pb2_grpc.AdminServiceStub(channel).SetPool(pb.SetPoolRequest(pool_name="gpu", slots=7))
        started.kill()
        assert await started.wait() == -signal.SIGKILL
    assert await migrate.check(database_url) == migrate.head()
    async with process("--database-url", database_url, "--auth", "off") as started:
        address = (await event(started, "server_started"))["address"]
        async with open_channel(address) as channel:
            pools = await admin_service_pb2_grpc.AdminServiceStub(channel).ListPools(pb.ListPoolsRequest())
        assert [(each.pool_name, each.slots) for each in pools.pools] == [("gpu", 7)]
