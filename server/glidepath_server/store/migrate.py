"""The schema's revision: which one the database has, which one this server needs, and how to get from one to the other.

Revisions are a line, ordered by number, in two kinds: `NNNN_pre_name` is safe before the new code runs (it only adds),
`NNNN_post_name` only after the last old replica has gone. A server runs on a schema that lacks nothing but `post`
revisions. SQLAlchemy and Alembic are imported only when something has to be applied.
"""

from __future__ import annotations

import itertools
from importlib.resources import files
from typing import Any

import asyncpg

from ..core.errors import InvalidInput, StateConflict, Unavailable, Violation

# Held while a replica migrates, so that replicas that start together wait instead of racing.
_LOCK_KEY = 0x676C6964657061
_LOCK_WAIT_SECONDS = 600.0
VERSION_TABLE = "alembic_version"


def revisions() -> list[str]:
    """All revisions that this server knows, oldest first."""
    found = files(__package__).joinpath("migrations", "versions").iterdir()
    return sorted(path.name.removesuffix(".py") for path in found if path.name[:4].isdigit())


def head() -> str:
    """The revision that `store/schema.sql` is."""
    return revisions()[-1]


async def current(url: str) -> str | None:
    """The database's revision; None for a database without a schema. Raises Unavailable."""
    connection = await _connect(url)
    try:
        return await current_on(connection)
    finally:
        await connection.close()


async def current_on(connection: Any) -> str | None:
    """Like `current`, on a connection at hand."""
    if await connection.fetchval("select to_regclass($1)", VERSION_TABLE) is None:
        return None
    revision: str | None = await connection.fetchval(f"select version_num from {VERSION_TABLE}")
    return revision


def refusal(found: str | None) -> StateConflict | None:
    """Why this server cannot run on a schema of that revision; None when it can."""
    known = revisions()
    if found is None:
        return StateConflict("the database has no Glidepath schema", hint="run glidepath db upgrade")
    if found not in known:
        return StateConflict(
            f"this server is older than the schema: it knows revisions up to {known[-1]}, the database has {found}",
            hint="run a server of the release that upgraded the database, or a newer one",
        )
    missing = [each for each in _behind(found) if _is_pre(each)]
    if missing:
        return StateConflict(
            f"the schema is older than this server: the database has revision {found}, {missing[-1]} is needed",
            hint="run glidepath db upgrade",
        )
    return None


async def check(url: str) -> str:
    """The database's revision, when this server can run on it. Raises StateConflict with what to do, or Unavailable."""
    found = await current(url)
    refused = refusal(found)
    if refused is not None or found is None:
        raise refused or AssertionError
    return found


async def upgrade(url: str, *, only_pre: bool = False) -> list[str]:
    """Apply what is missing, one replica at a time; the revisions applied.

    `only_pre` stops before the first `post` revision: do that while old replicas still run. Raises StateConflict when
    the schema is newer than this server, Unavailable when a lock cannot be had (that revision is not applied then).
    """
    connection = await _connect(url)
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK_KEY, timeout=_LOCK_WAIT_SECONDS)
        pending = missing(await current_on(connection), only_pre=only_pre)
        if pending:
            await _apply(url, pending[-1])
        return pending
    finally:
        await connection.close()


def missing(found: str | None, *, only_pre: bool) -> list[str]:
    """The revisions that a database of revision `found` lacks, in order. Raises StateConflict when it is newer."""
    if found is not None and found not in revisions():
        raise refusal(found) or AssertionError
    behind = revisions() if found is None else _behind(found)
    return list(itertools.takewhile(_is_pre, behind)) if only_pre else behind


async def _apply(url: str, target: str) -> None:
    from .migrations.run import apply

    try:
        await apply(url, target)
    except asyncpg.LockNotAvailableError as error:
        raise Unavailable(
            f"a table is in use for too long: {error}", hint="run glidepath db upgrade again at a quieter time"
        ) from error


def _behind(found: str) -> list[str]:
    known = revisions()
    return known[known.index(found) + 1 :]


def _is_pre(revision: str) -> bool:
    return revision[5:].startswith("pre_")


async def _connect(url: str) -> Any:
    try:
        return await asyncpg.connect(url, timeout=10)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise Unavailable(
            f"Postgres does not answer: {error}", hint="check the database URL and that it runs"
        ) from error
    except (asyncpg.InterfaceError, ValueError, OverflowError) as error:
        # Nothing of the URL is shown: a mistake in it can make its password look like any other part.
        violation = Violation(
            "database_url", "text that is no URL of a Postgres", "postgresql://user@host:port/database"
        )
        raise InvalidInput(str(violation), hint="check GLIDEPATH_DATABASE_URL", violations=[violation]) from error
