"""Deadlines: thin typed functions over queries/deadlines.sql."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from ..core.deadlines import Deadline, DeadlineState, Watched, deadline_from_json, deadline_to_json
from ..core.facts import FactKind
from .database import Connection
from .sql import statements

_SQL = statements("deadlines")
Row = Any
ID_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class DagDeadline:
    """A deadline that a DAG has. `declared` with it, or set by itself."""

    dag_id: str
    deadline: Deadline
    declared: bool
    update_time: datetime
    updated_by: str


class NewDeadline(NamedTuple):
    """A deadline of a run to be stored; no run: a promise of one with this key."""

    namespace: str
    dag_id: str
    run_key: str
    deadline: Deadline
    dag_run_id: UUID | None
    due_time: datetime | None


@dataclass(frozen=True, slots=True)
class HeldDeadline:
    """A deadline of a run, its row held by this transaction."""

    deadline_id: int
    namespace: str
    dag_id: str
    run_key: str
    dag_run_id: UUID | None
    deadline: Deadline
    watched: Watched


@dataclass(frozen=True, slots=True)
class RunDeadline:
    """A deadline of a run, as it was read."""

    deadline_id: int
    dag_id: str
    run_key: str
    dag_run_id: UUID | None
    deadline: Deadline
    state: DeadlineState
    due_time: datetime | None
    create_time: datetime
    state_time: datetime


@dataclass(frozen=True, slots=True)
class OwingSchedule:
    """A schedule that may owe runs for ticks after `promised_time`; None: it was never looked at."""

    namespace: str
    dag_id: str
    schedule_name: str
    spec: str
    version_number: int | None
    alias: str | None
    runs_made: int
    last_tick_time: datetime
    update_time: datetime
    promised_time: datetime | None


# ---- of DAGs
async def dag_deadlines(connection: Connection, namespace: str, dag_ids: Iterable[str]) -> list[DagDeadline]:
    rows = await connection.fetch(_SQL["dag_deadlines"], namespace, sorted(set(dag_ids)))
    return [
        DagDeadline(
            row["dag_id"],
            deadline_from_json(row["deadline_name"], row["content"]),
            row["origin"] == "dag",
            row["update_time"],
            row["updated_by"],
        )
        for row in rows
    ]


async def put_dag_deadlines(
    connection: Connection,
    namespace: str,
    dag_id: str,
    deadlines: Sequence[Deadline],
    *,
    declared: bool,
    now: datetime,
    by: str,
) -> list[str]:
    """The names of those that are new or other than they were."""
    rows = await connection.fetch(
        _SQL["put_dag_deadlines"],
        namespace,
        dag_id,
        [each.name for each in deadlines],
        [deadline_to_json(each) for each in deadlines],
        "dag" if declared else "api",
        now,
        by,
    )
    return [row["deadline_name"] for row in rows]


async def delete_dag_deadline(connection: Connection, namespace: str, dag_id: str, name: str) -> bool:
    """Whether there was one."""
    return await connection.fetchrow(_SQL["delete_dag_deadline"], namespace, dag_id, name) is not None


async def delete_undeclared(connection: Connection, namespace: str, dag_id: str, names: Sequence[str]) -> list[str]:
    """Delete what was declared with the DAG, but for `names`; what that was."""
    rows = await connection.fetch(_SQL["delete_undeclared"], namespace, dag_id, names)
    return [row["deadline_name"] for row in rows]


# ---- of runs
async def insert_deadlines(connection: Connection, now: datetime, deadlines: Sequence[NewDeadline]) -> None:
    columns: list[list[Any]] = [[] for _ in range(7)]
    for each in deadlines:
        row = (
            *(each.namespace, each.dag_id, each.run_key, each.deadline.name),
            *(each.dag_run_id, deadline_to_json(each.deadline), each.due_time),
        )
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    await connection.execute(_SQL["insert_deadlines"], *columns, now)


async def promise_deadlines(connection: Connection, now: datetime, deadlines: Sequence[NewDeadline]) -> None:
    """Those of runs that schedules owe, unless there is the run, or the promise."""
    columns: list[list[Any]] = [[] for _ in range(6)]
    for each in deadlines:
        row = (each.namespace, each.dag_id, each.run_key, each.deadline.name, deadline_to_json(each.deadline))
        for column, value in zip(columns, (*row, each.due_time), strict=True):
            column.append(value)
    await connection.execute(_SQL["promise_deadlines"], *columns, now)


async def owing_schedules(connection: Connection, limit: int) -> list[OwingSchedule]:
    """Nothing is held."""
    return [OwingSchedule(**row) for row in await connection.fetch(_SQL["owing_schedules"], limit)]


async def save_promises(
    connection: Connection, now: datetime, looked_at: Sequence[tuple[OwingSchedule, datetime]]
) -> None:
    """Up to now the ticks of these schedules are promised; and when they are to be looked at next."""
    await connection.execute(
        _SQL["save_promises"],
        [each.namespace for each, _ in looked_at],
        [each.dag_id for each, _ in looked_at],
        [each.schedule_name for each, _ in looked_at],
        [upcoming for _, upcoming in looked_at],
        now,
    )


async def forget_promises(connection: Connection, ids: Sequence[int]) -> None:
    """Promises of runs that exist, and were created without these deadlines."""
    await connection.execute(_SQL["forget_promises"], ids)


async def hold_unsettled(connection: Connection, run_ids: Sequence[UUID]) -> list[HeldDeadline]:
    """Of runs whose locks the caller holds: the deadlines that have no last outcome."""
    return list(map(_held, await connection.fetch(_SQL["unsettled"], run_ids)))


async def due(connection: Connection, limit: int) -> list[Row]:
    """Open ones whose instant has passed, by it: `deadline_id`, `dag_run_id`, `run_exists`."""
    return await connection.fetch(_SQL["due"], limit)


async def hold_runs(
    connection: Connection, run_ids: Sequence[UUID], *, wait_seconds: float | None = None
) -> dict[UUID, str]:
    """States of the runs, held; without those that others hold, unless `wait_seconds` is given."""
    name = "hold_runs"
    if wait_seconds is not None:
        await connection.execute(f"set local lock_timeout = {int(wait_seconds * 1000)}")
        name = "hold_run_waiting"
    return {row["dag_run_id"]: row["state"] for row in await connection.fetch(_SQL[name], sorted(set(run_ids)))}


async def hold_due(connection: Connection, ids: Sequence[int]) -> list[HeldDeadline]:
    return list(map(_held, await connection.fetch(_SQL["hold_due"], ids)))


async def hold_for_risk(connection: Connection, ids: Sequence[int]) -> list[HeldDeadline]:
    return list(map(_held, await connection.fetch(_SQL["hold_for_risk"], ids)))


async def foreseeable(connection: Connection, limit: int) -> list[HeldDeadline]:
    """Open ones of runs under way that are not yet due, the next first; they are not held."""
    return list(map(_held, await connection.fetch(_SQL["foreseeable"], limit)))


async def next_of_run(connection: Connection, dag_run_id: UUID) -> datetime | None:
    """By when the run as a whole has to be done; None: no open deadline says so."""
    found: datetime | None = await connection.fetchval(_SQL["next_of_run"], dag_run_id)
    return found


async def write_deadlines(connection: Connection, now: datetime, changed: Sequence[tuple[int, Watched]]) -> None:
    """Rows that the caller holds."""
    await connection.execute(
        _SQL["write_deadlines"],
        [deadline_id for deadline_id, _ in changed],
        [watched.state.value for _, watched in changed],
        [watched.due_time for _, watched in changed],
        [",".join(sorted(watched.told)) for _, watched in changed],
        now,
    )


async def next_due(connection: Connection) -> float | None:
    """Seconds until the next one is due, by the database's clock."""
    found: float | None = await connection.fetchval(_SQL["next_due"])
    return found


async def list_deadlines(
    connection: Connection,
    namespace: str,
    *,
    dag_id: str = "",
    dag_run_id: UUID | None = None,
    states: Sequence[DeadlineState] = (),
    before: int = ID_MAX,
    limit: int,
) -> list[RunDeadline]:
    """Newest first, before an id; in some states, or all. Of a run, or a DAG, or the namespace."""
    wanted = [state.value for state in states or DeadlineState]
    name, of = "list_deadlines", list[Any]()
    if dag_run_id is not None:
        name, of = "list_of_run", [dag_run_id]
    elif dag_id:
        name, of = "list_of_dag", [dag_id]
    rows = await connection.fetch(_SQL[name], namespace, before, wanted, limit, *of)
    return [
        RunDeadline(
            row["deadline_id"],
            row["dag_id"],
            row["run_key"],
            row["dag_run_id"],
            deadline_from_json(row["deadline_name"], row["content"]),
            DeadlineState(row["state"]),
            row["due_time"],
            row["create_time"],
            row["state_time"],
        )
        for row in rows
    ]


def _held(row: Row) -> HeldDeadline:
    return HeldDeadline(
        row["deadline_id"],
        row["namespace"],
        row["dag_id"],
        row["run_key"],
        row["dag_run_id"],
        deadline_from_json(row["deadline_name"], row["content"]),
        Watched(DeadlineState(row["state"]), row["due_time"], frozenset(map(FactKind, row["told"]))),
    )


async def prune_promises(connection: Connection, retention_days: int, limit: int) -> int:
    """Forget at most so many deadlines that runs missed longer ago which were never created; how many."""
    found: int = await connection.fetchval(_SQL["prune_promises"], retention_days, limit)
    return found
