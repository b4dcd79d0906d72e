"""A Postgres of the test session's own, and a migrated database of each test's own.

The cluster lives in a temporary directory, in memory where there is enough, reached through a socket; it gives up
durability for speed. A database is made as a copy of files: in memory that takes a fortieth of what it does on a disk.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import structlog

from glidepath_server.store import migrate
from glidepath_server.store.embedded import EmbeddedPostgres

# Tracebacks as a server writes them: with the values of all variables each would hold up the test for half a second.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("%Y-%m-%d %H:%M:%S", utc=False),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)
FASTER = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
MEMORY_BYTES_MIN = 4 * 2**30
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a database that is never used by a test itself, as superuser, in a cluster that ends with the session."""
    # Not under pytest's own directory, which only its user may enter: as root, Postgres runs as somebody else.
    directory = Path(tempfile.mkdtemp(prefix="glidepath-test-", dir=_memory()))
    directory.chmod(0o711)
    postgres = EmbeddedPostgres.start(directory, max_connections=200, settings=FASTER)
    try:
        yield postgres.url
    finally:
        postgres.stop()
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
    with _database(postgres_url, database_template) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(postgres_url: str, database_template: str) -> Iterator[str]:
    """The same for all tests of a module, which see to it that they do not see each other's rows."""
    with _database(postgres_url, database_template) as url:
        yield url


@contextmanager
def _database(postgres_url: str, database_template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _run(_execute(postgres_url, f"create database {name} template {database_template} strategy file_copy"))
    yield _with_database(postgres_url, name)
    _run(_execute(postgres_url, f"drop database {name} with (force)"))


def _memory() -> Path | None:
    """A file system in memory with room for a few clusters; None: the usual place for what is temporary."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > MEMORY_BYTES_MIN else None


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
