"""Schedules and what becomes of their ticks: thin typed functions over queries/schedules.sql."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from .database import Connection
from .sql import statements

_SQL = statements("schedules")
Row = Any


class ScheduleKey(NamedTuple):
    """Names a schedule, also one that was deleted."""

    namespace: str
    dag_id: str
    schedule_name: str


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule as it is stored; see schema.sql."""

    namespace: str
    dag_id: str
    schedule_name: str
    origin: str
    spec: str
    params: str
    version_number: int | None
    alias: str | None
    paused: bool
    deleted: bool
    last_tick_time: datetime
    resume_time: datetime | None
    planned: str
    next_due_time: datetime | None
    plan_due: bool
    waiting: int
    active_max: int
    in_sequence: bool
    runs_made: int
    create_time: datetime
    update_time: datetime
    updated_by: str
    dag_paused: bool = False

    @property
    def key(self) -> ScheduleKey:
        return ScheduleKey(self.namespace, self.dag_id, self.schedule_name)


@dataclass(frozen=True, slots=True)
class TickRow:
    """What became of a tick. state: run, met, skip or waiting."""

    namespace: str
    dag_id: str
    schedule_name: str
    tick_time: datetime
    logical_date: datetime
    data_interval_start: datetime
    data_interval_end: datetime
    state: str
    dag_run_id: UUID | None = None
    reason: str = ""
    decide_time: datetime | None = None

    @property
    def key(self) -> ScheduleKey:
        return ScheduleKey(self.namespace, self.dag_id, self.schedule_name)


@dataclass(frozen=True, slots=True)
class Advance:
    """Where a schedule stands after some of its ticks got their outcomes."""

    key: ScheduleKey
    last_tick_time: datetime
    planned: str
    next_due_time: datetime | None
    plan_due: bool
    waiting: int
    runs_made: int


class LastTick(NamedTuple):
    """A tick with the end of its run. `end_time` is None while it has not ended, or when it is no longer kept."""

    state: str
    decide_time: datetime
    end_time: datetime | None


# ---- what the loop does
async def claim_due(connection: Connection, oldest_max: int, newest_max: int) -> list[ScheduleRow]:
    """Schedules with something due, held until the transaction ends."""
    return [ScheduleRow(**row) for row in await connection.fetch(_SQL["claim_due"], oldest_max, newest_max)]


async def claim_waiting(connection: Connection, schedules_max: int) -> list[ScheduleRow]:
    """Schedules with a tick that waits and room for it, held until the transaction ends."""
    return [ScheduleRow(**row) for row in await connection.fetch(_SQL["claim_waiting"], schedules_max)]


async def anything_waits(connection: Connection) -> bool:
    found: bool = await connection.fetchval(_SQL["anything_waits"])
    return found


async def next_due(connection: Connection) -> float | None:
    """Seconds until the next tick of any schedule; None without one."""
    found: float | None = await connection.fetchval(_SQL["next_due"])
    return found


async def how_late(connection: Connection) -> tuple[int, float]:
    """How many schedules have something due now, and for how many seconds the first of them has waited."""
    row: Row = await connection.fetchrow(_SQL["how_late"])
    return row["behind"], row["seconds"]


async def claim_plan_due(connection: Connection, schedules_max: int) -> list[ScheduleRow]:
    return [ScheduleRow(**row) for row in await connection.fetch(_SQL["claim_plan_due"], schedules_max)]


async def paused_dags(connection: Connection, keys: Iterable[ScheduleKey]) -> set[tuple[str, str]]:
    """Of the DAGs of these schedules the paused ones, as (namespace, dag id)."""
    dags = sorted({(key.namespace, key.dag_id) for key in keys})
    rows = await connection.fetch(_SQL["paused_dags"], *_columns(dags, 2))
    return {(row["namespace"], row["dag_id"]) for row in rows}


async def save_plans(connection: Connection, plans: Sequence[tuple[ScheduleKey, str, datetime | None]]) -> None:
    """Of each schedule the ticks that come, and when the first of them is due. The caller holds the rows."""
    await connection.execute(_SQL["save_plans"], *_columns([(*key, text, due) for key, text, due in plans], 5))


async def put_off(connection: Connection, key: ScheduleKey, until: datetime) -> None:
    """Look at it again then. The caller holds the row."""
    await connection.execute(_SQL["put_off"], *key, until)


async def active_runs(connection: Connection, keys: Sequence[ScheduleKey]) -> dict[ScheduleKey, list[UUID]]:
    """The runs of each schedule that have not ended, the oldest first."""
    rows = await connection.fetch(_SQL["active_runs"], *_columns(keys, 3))
    return {_key(row): row["run_ids"] for row in rows}


async def blocked(connection: Connection, keys: Sequence[ScheduleKey]) -> set[ScheduleKey]:
    """Of these schedules those whose newest run, made or met, has not succeeded."""
    return {_key(row) for row in await connection.fetch(_SQL["blocked"], *_columns(keys, 3))}


async def last_tick(connection: Connection, key: ScheduleKey) -> LastTick | None:
    """The newest tick of a schedule; None before the first."""
    row = await connection.fetchrow(_SQL["last_tick"], *key)
    return LastTick(row["state"], row["decide_time"], row["end_time"]) if row else None


async def waiting_ticks(
    connection: Connection, keys: Sequence[ScheduleKey], ticks_max: int
) -> dict[ScheduleKey, list[TickRow]]:
    """Of each schedule the ticks that wait, the oldest first, at most `ticks_max` of each."""
    found: dict[ScheduleKey, list[TickRow]] = {}
    for row in await connection.fetch(_SQL["waiting_ticks"], *_columns(keys, 3), ticks_max):
        found.setdefault(_key(row), []).append(TickRow(**row))
    return found


async def insert_ticks(connection: Connection, ticks: Sequence[TickRow]) -> None:
    """Give ticks their outcomes, or let them wait. A tick that has one already is an error of the database."""
    rows = [
        (
            *each.key,
            each.tick_time,
            each.logical_date,
            each.data_interval_start,
            each.data_interval_end,
            each.state,
            each.dag_run_id,
            each.reason,
        )
        for each in ticks
    ]
    if rows:
        await connection.execute(_SQL["insert_ticks"], *_columns(rows, 10))


async def settle_ticks(connection: Connection, ticks: Sequence[TickRow]) -> int:
    """Give ticks that have waited their outcomes; how many had."""
    rows = [(*each.key, each.tick_time, each.state, each.dag_run_id, each.reason) for each in ticks]
    settled: int = await connection.fetchval(_SQL["settle_ticks"], *_columns(rows, 7)) if rows else 0
    return settled


async def advance(connection: Connection, advances: Sequence[Advance]) -> None:
    """Move the cursors of schedules, whose rows the caller holds. They never move back."""
    rows = [
        (*a.key, a.last_tick_time, a.planned, a.next_due_time, a.plan_due, a.waiting, a.runs_made) for a in advances
    ]
    await connection.execute(_SQL["advance"], *_columns(rows, 9))


# ---- what people do
async def lock_of_dag(connection: Connection, namespace: str, dag_id: str) -> list[ScheduleRow]:
    """All schedules that the DAG has or had, held until the transaction ends."""
    return [ScheduleRow(**row) for row in await connection.fetch(_SQL["lock_of_dag"], namespace, dag_id)]


async def lock(connection: Connection, key: ScheduleKey) -> ScheduleRow | None:
    """The schedule, held until the transaction ends. Also one that was deleted."""
    row = await connection.fetchrow(_SQL["lock"], *key)
    return ScheduleRow(**row) if row else None


async def save(
    connection: Connection,
    key: ScheduleKey,
    *,
    origin: str,
    spec: str,
    params: str,
    version_number: int | None,
    alias: str | None,
    waiting: int,
    active_max: int,
    in_sequence: bool,
    keep_missed: bool,
    now: datetime,
    actor: str,
) -> None:
    """Create a schedule, or replace what is said of it; the caller holds its row, if there is one. `keep_missed`: it
    is paused, and what is due of it is for when it goes on."""
    said = origin, spec, params, version_number, alias, waiting, active_max, in_sequence
    await connection.execute(_SQL["save"], *key, *said, now, actor, keep_missed)


async def skip_waiting(connection: Connection, key: ScheduleKey, reason: str) -> None:
    await connection.execute(_SQL["skip_waiting"], *key, reason)


async def delete(connection: Connection, key: ScheduleKey, now: datetime, actor: str) -> None:
    await connection.execute(_SQL["delete"], *key, now, actor)


async def set_paused(connection: Connection, key: ScheduleKey, paused: bool, now: datetime, actor: str) -> None:
    await connection.execute(_SQL["set_paused"], *key, paused, now, actor)


async def set_dag_paused(connection: Connection, namespace: str, dag_id: str, paused: bool, now: datetime) -> None:
    """The DAG is paused now, or goes on: so do its schedules."""
    await connection.execute(_SQL["set_dag_paused"], namespace, dag_id, paused, now)


# ---- reading
async def list_schedules(
    connection: Connection,
    namespace: str,
    dag_id: str = "",
    schedule_name: str = "",
    *,
    after: tuple[str, str] = ("", ""),
    limit: int = 1,
) -> list[ScheduleRow]:
    """By DAG and name; of one DAG, or one schedule, when it is given."""
    rows = await connection.fetch(_SQL["list"], namespace, dag_id, schedule_name, *after, limit)
    return [ScheduleRow(**row) for row in rows]


async def exists(connection: Connection, key: ScheduleKey) -> bool:
    """Whether there is or was such a schedule."""
    found: bool = await connection.fetchval(_SQL["exists"], *key)
    return found


async def list_ticks(connection: Connection, key: ScheduleKey, before: datetime | None, limit: int) -> list[TickRow]:
    """What became of its ticks, the newest first."""
    return [TickRow(**row) for row in await connection.fetch(_SQL["list_ticks"], *key, before, limit)]


async def prune_ticks(connection: Connection, retention_days: int, limit: int) -> int:
    """Forget what became of at most so many ticks that were decided longer ago; how many."""
    found: int = await connection.fetchval(_SQL["prune_ticks"], retention_days, limit)
    return found


def _key(row: Row) -> ScheduleKey:
    return ScheduleKey(row["namespace"], row["dag_id"], row["schedule_name"])


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
