"""Connections to Postgres: the pools, their budget, and what an error of the database means.

Budget. A replica opens at most

    lanes + 1 (engine) + worker_pool + api_pool + 1 (LISTEN)

connections: by default 3 + 4 + 6 + 1 = 14, so that six replicas fit the 100 connections of an untuned Postgres. The
pools are apart on purpose: a dashboard under load must not take the connections by which workers report.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from typing import Any

import asyncpg

from ..core.errors import Unavailable
from ..crash_points import reach

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
Pool = asyncpg.Pool
# SQLSTATE classes of "not now": connection, transaction rollback, resources, intervention, system, lock not available.
RETRYABLE_CLASSES = frozenset({"08", "25", "40", "53", "55", "57", "58"})
# Classes that blame the data of the statement: only these may quarantine a run.
DATA_CLASSES = frozenset({"22", "23"})

LISTENERS = 1
IDLE_SECONDS = 5.0
# The least of what the cluster, the role and the database allow; what is in use by others is not counted.
_CONNECTIONS_ALLOWED = """
select least(current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer,
             nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1))
from pg_roles r, pg_database d
where r.rolname = current_user and d.datname = current_database()
"""

# What a connection raises that was lost or refused, or whose driver was in the middle of something when it was.
BROKEN = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError)
CONNECTION_ERRORS = (*BROKEN, asyncpg.PostgresError)

SERVER_SETTINGS = {
    "application_name": "glidepath",
    "timezone": "UTC",
    "jit": "off",
    "statement_timeout": "60000",
    # Plans of the array statements do not depend on the arrays; planning them anew each time costs more than it gains.
    "plan_cache_mode": "force_generic_plan",
}
# Read by the statements that end attempts and runs: see trace_feed in schema.sql.
TRACED = {"glidepath.traced": "on"}


class Database:
    """The pools of one replica. `engine` for lanes, `worker` for worker traffic, `api` for everybody else."""

    def __init__(self, engine: asyncpg.Pool, worker: asyncpg.Pool, api: asyncpg.Pool, url: str) -> None:
        self.engine, self.worker, self.api, self.url = engine, worker, api, url

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        engine_size: int = 3,
        worker_size: int = 4,
        api_size: int = 6,
        idle_seconds: float = IDLE_SECONDS,
        traced: bool = False,
    ) -> Database:
        """Connect all pools. Raises Unavailable when Postgres does not answer, or could never give this replica its
        whole budget: an operator learns it at the start and not under the first load.

        A transaction that waits `idle_seconds` for its next statement is rolled back: who does not go on with it is
        frozen or cut off, and its locks keep other replicas from the same runs and sessions.

        `traced`: what ends in steps is noted in `trace_feed`, to be sent as spans.
        """
        pools: list[asyncpg.Pool] = []
        try:
            for size, noted in ((engine_size, traced), (worker_size, False), (api_size, False)):
                pools.append(await _pool(url, size, idle_seconds, TRACED if noted else {}))
            await _check_budget(pools[-1], engine_size + worker_size + api_size + LISTENERS)
        except BaseException as error:
            for pool in pools:
                pool.terminate()
            if not isinstance(error, CONNECTION_ERRORS):
                raise
            raise Unavailable(
                f"Postgres does not answer: {error}", hint="check the database URL and that it runs"
            ) from error
        engine, worker, api = pools
        return cls(engine, worker, api, url)

    async def close(self) -> None:
        """Close all pools, waiting at most 5 s for what is in flight."""
        for pool in (self.engine, self.worker, self.api):
            try:
                await asyncio.wait_for(pool.close(), timeout=5)
            except (TimeoutError, asyncpg.PostgresError, OSError):
                pool.terminate()


async def _check_budget(pool: asyncpg.Pool, needed: int) -> None:
    allowed: int = await pool.fetchval(_CONNECTIONS_ALLOWED)
    if needed > allowed:
        raise Unavailable(
            f"this server opens up to {needed} connections, Postgres allows it {allowed}",
            hint="raise max_connections (or the limit of the role or database), or lower engine_lanes, "
            "worker_pool_size and api_pool_size",
        )


async def _pool(url: str, size: int, idle_seconds: float, further: dict[str, str]) -> asyncpg.Pool:
    return await asyncpg.create_pool(
        url,
        min_size=min(2, size),
        max_size=size,
        command_timeout=60,
        timeout=10,
        statement_cache_size=512,
        max_cached_statement_lifetime=0,
        server_settings={
            **SERVER_SETTINGS,
            **further,
            "idle_in_transaction_session_timeout": f"{idle_seconds * 1000:.0f}",
        },
    )


def sqlstate_class(error: BaseException) -> str:
    """Two-letter class of a database error; "08" for a broken connection of any kind, "" for anything else."""
    state: Any = getattr(error, "sqlstate", None)
    if isinstance(state, str) and len(state) == 5:
        return state[:2]
    if isinstance(error, BROKEN):
        return "08"
    return ""


def is_retryable(error: BaseException) -> bool:
    """True when the same statement may succeed later, unchanged."""
    # A migration changed a table under a prepared statement: the driver prepares it anew the next time.
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return True
    return sqlstate_class(error) in RETRYABLE_CLASSES


@contextmanager
def loss_is_unavailable() -> Iterator[None]:
    """For who cannot go on without the database: Unavailable instead of what its loss in the middle of work raises."""
    try:
        yield
    except Exception as error:
        if not is_retryable(error):
            raise
        raise Unavailable(f"Postgres does not answer any more: {error}", hint="start again once it runs") from error


@asynccontextmanager
async def transaction(
    pool: asyncpg.Pool, name: str, parts: Callable[[], Iterable[str]] = tuple
) -> AsyncIterator[Connection]:
    """A connection inside one transaction: committed at the end, rolled back on any exception.

    `name` is that of its crash points; those of `parts`, which are asked for at its end, are at the same places.
    """
    async with _lent(pool) as connection:
        async with connection.transaction():
            yield connection
            reach(*_places("before_commit", name, *parts()), backend=connection)
        reach(*_places("after_commit", name, *parts()), backend=connection)


@asynccontextmanager
async def _lent(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """A connection of the pool. One that turns out to be broken when it is given back is the pool's affair: what was
    committed on it stays committed."""
    connection = await pool.acquire()
    try:
        yield connection
    finally:
        with suppress(*CONNECTION_ERRORS):
            await pool.release(connection)


def _places(place: str, *names: str) -> Iterable[str]:
    return (f"{name}.{place}" for name in names)


async def database_now(connection: Connection) -> datetime:
    """The time that counts: the database's clock, which tests can move."""
    now: datetime = await connection.fetchval("select glidepath_now()")
    return now
