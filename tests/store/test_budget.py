"""A replica whose connections could never all be opened says so at its start."""

from __future__ import annotations

import asyncpg
import pytest

from glidepath_server.core.errors import Unavailable
from glidepath_server.store.database import Database


async def test_a_limit_below_the_budget_is_refused_with_both_numbers(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    name = await connection.fetchval("select quote_ident(current_database())")
    await connection.execute(f"alter database {name} connection limit 13")
    with pytest.raises(Unavailable, match="up to 14 connections, Postgres allows it 13"):
        await Database.open(database_url)
    await connection.execute(f"alter database {name} connection limit 14")
    await connection.close()
    database = await Database.open(database_url)
    await database.close()
