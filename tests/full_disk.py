"""A disk that is full as far as one table of the database goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

FULL = """
create or replace function disk_is_full() returns trigger language plpgsql as
$$ begin raise exception 'could not extend file: no space left on device' using errcode = 'disk_full'; end $$;
create trigger disk_is_full before insert on {table} for each row execute function disk_is_full()
"""


@asynccontextmanager
async def full_disk(connection: asyncpg.Connection, table: str) -> AsyncIterator[None]:
    """Nothing is inserted into the table any more, as Postgres says it of a disk without room."""
    await connection.execute(FULL.format(table=table))
    yield
    await connection.execute(f"drop trigger disk_is_full on {table}")
