"""The partitions of history: which there are, closing the open one, dropping one that is past.

All tables of history are partitioned alike, by the run's id. The last partition is open: it takes whatever comes, also
when a clock leaps, so an insert never fails for want of a partition. Closing it gives it an end that lies in the future
and puts an empty open one behind it. Statements that change a table of history wait for its lock no longer than
LOCK_TIMEOUT: others would queue behind them. A round that did not get it is tried again at the next.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from ..core.history import Span, first_id, time_of
from .database import Connection
from .sql import statements

_SQL = statements("history")
# What makes a round put off a partition: a table in use, an id that lies after the end that was meant.
BUSY = (asyncpg.LockNotAvailableError, asyncpg.CheckViolationError)
TABLES = (
    "artifact_use",
    "dag_run_event",
    "instance_mark",
    "map_items",
    "task_attempt",
    "task_log_chunk",
    "task_output",
    "task_reuse",
    "xcom",
)
LOCK_TIMEOUT = "500ms"
# A statement that only reads may take its time, while it blocks nobody.
VALIDATION_SECONDS = 1800
_BOUNDS = re.compile(r"FOR VALUES FROM \((?P<begin>[^)]*)\) TO \((?P<end>[^)]*)\)")


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition of one table."""

    table: str
    name: str
    span: Span


async def partitions(connection: Connection) -> list[Partition]:
    """All partitions of all tables of history."""
    rows = await connection.fetch(_SQL["partitions"], list(TABLES))
    return [Partition(row["parent"], row["partition"], _span(row["bounds"])) for row in rows]


async def take_turn(connection: Connection) -> bool:
    """Whether this connection is now the only one that works on history; until `give_turn`, or until it is lost."""
    return bool(await connection.fetchval(_SQL["take_turn"]))


async def give_turn(connection: Connection) -> None:
    await connection.execute(_SQL["give_turn"])


async def clean(connection: Connection) -> None:
    """Take away what a process left that died while it closed a partition: it would refuse ids of the next month. Only
    for whoever has the turn."""
    for row in await connection.fetch(_SQL["left_over"]):
        async with connection.transaction():
            await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
            await connection.execute(f"alter table {row['name']} drop constraint closing")


async def is_due(connection: Connection, name: str, tick: datetime) -> bool:
    """Whether nobody has been through with the round of this tick, or of a later one."""
    return bool(await connection.fetchval(_SQL["is_due"], name, tick))


async def note_round(connection: Connection, name: str, tick: datetime) -> None:
    await connection.execute(_SQL["note_round"], name, tick)


async def delete_runs(connection: Connection, span: Span, ended_before: datetime, rows_max: int) -> int:
    """Forget runs of a closed span that ended before a time, at most `rows_max`; how many."""
    begin, end = _ids(span)
    deleted: int = await connection.fetchval(_SQL["delete_runs"], begin, end, ended_before, rows_max)
    return deleted


async def stragglers(connection: Connection, span: Span) -> list[UUID]:
    """Runs of a closed span that are still there."""
    return [row["dag_run_id"] for row in await connection.fetch(_SQL["stragglers"], *_ids(span))]


async def past_backfills(connection: Connection, ended_before: datetime, behind: UUID, limit: int) -> list[UUID]:
    """Backfills that ended before a time and whose runs are forgotten, by id, behind one."""
    return [row["backfill_id"] for row in await connection.fetch(_SQL["past_backfills"], ended_before, behind, limit)]


async def delete_backfill(connection: Connection, backfill_id: UUID, ended_before: datetime) -> int:
    """Forget one that was found past, with its dates, which are 10,000 at most; 0 when it is past no more."""
    return int(await connection.fetchval(_SQL["delete_backfill"], backfill_id, ended_before))


async def validate_end(connection: Connection, partition: Partition, end: datetime) -> None:
    """Have Postgres see, outside the lock that follows, that all rows of the open partition lie before `end`.

    Raises asyncpg.CheckViolationError when one does not. Call it outside a transaction.
    """
    begin_id, end_id = _ids(Span(partition.span.begin, end))
    check = f"dag_run_id >= '{begin_id}' and dag_run_id < '{end_id}'"
    name = partition.name
    async with connection.transaction():
        await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
        await connection.execute(f"alter table {name} add constraint closing check ({check}) not valid")
    async with connection.transaction():
        await connection.execute(f"set local statement_timeout = '{VALIDATION_SECONDS}s'")
        await connection.execute(f"alter table {name} validate constraint closing", timeout=VALIDATION_SECONDS)


async def close(connection: Connection, partition: Partition, end: datetime) -> None:
    """Give the open partition its end and put an open one behind it, inside the caller's transaction, after
    `validate_end`: so nothing is read under the lock."""
    table, name = partition.table, partition.name
    begin_id, end_id = _ids(Span(partition.span.begin, end))
    begin = "minvalue" if partition.span.begin is None else f"'{begin_id}'"
    await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
    await connection.execute(f"alter table {table} detach partition {name}")
    await connection.execute(f"alter table {table} attach partition {name} for values from ({begin}) to ('{end_id}')")
    await connection.execute(f"alter table {name} drop constraint closing")
    await connection.execute(
        f"create table {table}_from_{end:%Y%m%d} partition of {table} for values from ('{end_id}') to (maxvalue)"
    )


async def drop(connection: Connection, partition: Partition) -> None:
    """Drop a partition whose runs are forgotten, inside the caller's transaction."""
    await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
    await connection.execute(f"alter table {partition.table} detach partition {partition.name}")
    await connection.execute(f"drop table {partition.name}")


async def rows_of(connection: Connection, partition: Partition, run_ids: Sequence[UUID], most: int) -> int | None:
    """How many rows of a partition are these runs', counted up to `most` + 1; None when there are no others."""
    name = partition.name
    others = f"select exists (select from {name} where dag_run_id <> all($1::uuid[]))"
    if not await connection.fetchval(others, run_ids):
        return None
    counted = f"select count(*) from (select from {name} where dag_run_id = any($1::uuid[]) limit $2) r"
    count: int = await connection.fetchval(counted, run_ids, most + 1)
    return count


async def keep_only(connection: Connection, partition: Partition, run_ids: Sequence[UUID]) -> None:
    """Drop the rows of all other runs: the partition is replaced by one with the rows of these, inside the caller's
    transaction. They are few, or the lock would be long."""
    table, name, (begin_id, end_id) = partition.table, partition.name, _ids(partition.span)
    begin = "minvalue" if partition.span.begin is None else f"'{begin_id}'"
    await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
    await connection.execute(f"alter table {table} detach partition {name}")
    await connection.execute(f"alter table {name} rename to {name}_past")
    await connection.execute(f"create table {name} partition of {table} for values from ({begin}) to ('{end_id}')")
    await connection.execute(
        f"insert into {name} select * from {name}_past where dag_run_id = any($1::uuid[])", run_ids
    )
    await connection.execute(f"drop table {name}_past")


def _ids(span: Span) -> tuple[UUID, UUID]:
    begin = UUID(int=0) if span.begin is None else first_id(span.begin)
    return begin, UUID(int=2**128 - 1) if span.end is None else first_id(span.end)


def _span(bounds: str) -> Span:
    found = _BOUNDS.fullmatch(bounds)
    assert found is not None, bounds
    return Span(_time(found["begin"]), _time(found["end"]))


def _time(bound: str) -> datetime | None:
    return None if bound in ("MINVALUE", "MAXVALUE") else time_of(UUID(bound.strip("'")))
