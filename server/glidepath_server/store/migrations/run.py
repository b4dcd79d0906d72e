"""Applies revisions through Alembic. Imported only to migrate, because SQLAlchemy takes half a second to import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
from alembic import command, op
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from ...crash_points import reach

HERE = Path(__file__).parent
# A revision that waits longer than this for a table would make everybody else wait behind it.
LOCK_TIMEOUT_MILLISECONDS = 5000


async def apply(url: str, target: str) -> None:
    """Apply all revisions up to `target`, each in a transaction of its own. Raises what asyncpg raises."""
    # The creator keeps asyncpg's reading of the URL (sockets, passwords, TLS) instead of SQLAlchemy's.
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url), poolclass=NullPool
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_upgrade, target)
        reach("migration.after_commit")
    finally:
        await engine.dispose()


def config() -> Config:
    """Alembic's configuration: nothing but where the revisions are."""
    found = Config()
    found.set_main_option("script_location", str(HERE))
    return found


def _upgrade(connection: Connection, target: str) -> None:
    alembic = config()
    alembic.attributes["connection"] = connection
    command.upgrade(alembic, target)


def run_file(revision: str) -> None:
    """Run `sql/<revision>.sql`, many statements at once, inside the revision's transaction."""
    statements = (HERE / "sql" / f"{revision}.sql").read_text()
    connection = op.get_bind()
    connection.execute(text(f"set local lock_timeout = {LOCK_TIMEOUT_MILLISECONDS}"))
    dbapi: Any = connection.connection.dbapi_connection
    dbapi.run_async(lambda driver: driver.execute(statements))
    reach("migration.before_commit", backend=connection.connection.driver_connection)
