"""Backfills and their dates: thin typed functions over queries/backfills.sql."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..core.backfill import BackfillDate, BackfillState, DateOutcome, Existing, Found, Pace
from ..core.states import RunState
from .database import Connection
from .sql import statements

_SQL = statements("backfills")
Row = Any


@dataclass(frozen=True, slots=True)
class StoredBackfill:
    """A row of `backfill`. `rate_runs` None: no bound; `lane` empty: versions as they were registered."""

    backfill_id: UUID
    namespace: str
    dag_id: str
    series: str
    spec: str
    existing: Existing
    keeps_version: bool
    params: str
    pace: Pace
    weight: float
    lane: bytes
    date_count: int
    create_time: datetime
    created_by: str
    state: BackfillState = BackfillState.RUNNING
    reason: str = ""
    cancel_runs: bool = False
    end_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredDate:
    """A date of a backfill. `run_state` None: it has no run, or one that is not kept any more."""

    position: int
    logical_date: datetime
    data_interval_start: datetime
    data_interval_end: datetime
    dag_version_number: int
    outcome: DateOutcome
    reason: str
    dag_run_id: UUID | None
    again: bool
    run_state: RunState | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a date. `begins`: a run begins with it, as the backfill's rate counts them."""

    position: int
    outcome: DateOutcome
    reason: str = ""
    dag_run_id: UUID | None = None
    begins: bool = True


async def insert(
    connection: Connection, backfill: StoredBackfill, dates: Sequence[BackfillDate], numbers: Sequence[int]
) -> None:
    """A new backfill, and its dates in their order with the numbers of their versions."""
    each = backfill
    await connection.execute(
        _SQL["insert_backfill"],
        *(each.backfill_id, each.namespace, each.dag_id, each.series, each.spec, each.existing.value),
        *(each.keeps_version, each.params, each.pace.runs_active_max, each.pace.rate_runs),
        each.pace.rate_seconds if each.pace.rate_runs is not None else None,
        *(each.weight, each.lane, each.date_count, each.create_time, each.created_by),
    )
    await connection.execute(
        _SQL["insert_dates"],
        each.backfill_id,
        [date.logical_date for date in dates],
        [date.data_interval_start for date in dates],
        [date.data_interval_end for date in dates],
        list(numbers),
        [date.skip for date in dates],
    )


async def get(
    connection: Connection, namespace: str, backfill_id: UUID, *, lock: bool = False
) -> StoredBackfill | None:
    """A backfill; with `lock` its row is held, behind whoever holds it."""
    row = await connection.fetchrow(_SQL["lock_backfill" if lock else "get_backfill"], namespace, backfill_id)
    return _stored(row) if row is not None else None


async def list_backfills(
    connection: Connection, namespace: str, dag_id: str, *, below: UUID, ended: bool, limit: int
) -> list[StoredBackfill]:
    """Newest first."""
    rows = await connection.fetch(_SQL["list_backfills"], namespace, dag_id, below, ended, limit)
    return [_stored(row) for row in rows]


async def set_state(
    connection: Connection, backfill_id: UUID, state: BackfillState, reason: str, *, cancel_runs: bool = False
) -> None:
    await connection.execute(_SQL["set_state"], backfill_id, state.value, reason, cancel_runs)


async def skip_waiting(connection: Connection, backfill_id: UUID, reason: str) -> None:
    await connection.execute(_SQL["skip_waiting"], backfill_id, reason)


async def retry_failed(connection: Connection, backfill_id: UUID) -> int:
    """How many dates wait again."""
    return int(await connection.fetchval(_SQL["retry_failed"], backfill_id))


async def counts(connection: Connection, backfill_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """By backfill, how many dates are waiting, skipped, gone, or have a run in each state."""
    found: dict[UUID, dict[str, int]] = {each: {} for each in backfill_ids}
    for row in await connection.fetch(_SQL["counts"], backfill_ids):
        found[row["backfill_id"]][row["place"]] = row["dates"]
    return found


async def run_seconds(connection: Connection, namespace: str, dag_id: str, backfill_id: UUID | None) -> float | None:
    """The mean length of the newest successful runs: of the backfill, or else of the DAG. None: there is none."""
    found: float | None = None
    if backfill_id is not None:
        found = await connection.fetchval(_SQL["run_seconds"], backfill_id)
    if found is None:
        found = await connection.fetchval(_SQL["dag_run_seconds"], namespace, dag_id)
    return found


async def list_dates(
    connection: Connection, backfill_id: UUID, *, after: int, outcomes: Sequence[str], failed: bool, limit: int
) -> list[StoredDate]:
    """In the backfill's order, behind a position."""
    rows = await connection.fetch(_SQL["list_dates"], backfill_id, after, list(outcomes), failed, limit)
    return [_date(row, row["run_state"]) for row in rows]


async def versions(connection: Connection, namespace: str, dag_id: str) -> list[tuple[int, datetime]]:
    """(number, create time) of the versions of a DAG, by number."""
    return [tuple(row) for row in await connection.fetch(_SQL["versions"], namespace, dag_id)]


async def runs_of_keys(connection: Connection, namespace: str, dag_id: str, keys: Iterable[str]) -> dict[str, Found]:
    """The runs that have these keys, by key."""
    rows = await connection.fetch(_SQL["runs_of_keys"], namespace, dag_id, list(keys))
    return {
        row["run_key"]: Found(
            row["dag_run_id"],
            RunState(row["state"]) if row["state"] is not None else None,
            row["quarantined"],
            row["dag_version_number"],
        )
        for row in rows
    }


async def queues(connection: Connection, namespace: str) -> dict[str, int]:
    return {row["queue_name"]: row["queue_id"] for row in await connection.fetch(_SQL["queues"], namespace)}


async def pool_names(connection: Connection, namespace: str) -> list[str]:
    return [row["name"] for row in await connection.fetch(_SQL["pool_names"], namespace)]


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """What a backfill takes from a schedule. Both version fields None: the latest."""

    spec: str
    params: str
    version_number: int | None
    alias: str | None


async def schedule(connection: Connection, namespace: str, dag_id: str, name: str) -> StoredSchedule | None:
    row = await connection.fetchrow(_SQL["schedule"], namespace, dag_id, name)
    return StoredSchedule(**row) if row is not None else None


async def schedule_names(connection: Connection, namespace: str, dag_id: str) -> list[str]:
    return [row["schedule_name"] for row in await connection.fetch(_SQL["schedule_names"], namespace, dag_id)]


# ---- the pacer
async def hungry(connection: Connection, limit: int) -> list[UUID]:
    """Backfills for which there may be something to do."""
    return [row["backfill_id"] for row in await connection.fetch(_SQL["hungry_backfills"], limit)]


async def take(connection: Connection, backfill_id: UUID) -> StoredBackfill | None:
    """Hold a backfill that runs, or has runs to cancel; None when it does not, or another replica holds it."""
    row = await connection.fetchrow(_SQL["take_backfill"], backfill_id)
    return _stored(row) if row is not None else None


async def hold_running(connection: Connection, backfill_id: UUID) -> StoredBackfill | None:
    """Hold a backfill, behind whoever holds it; None when it does not run any more."""
    row = await connection.fetchrow(_SQL["hold_running"], backfill_id)
    return _stored(row) if row is not None else None


async def active_runs(connection: Connection, backfill_id: UUID, limit: int) -> list[UUID]:
    return [row["dag_run_id"] for row in await connection.fetch(_SQL["active_runs"], backfill_id, limit)]


async def count_active(connection: Connection, backfill_id: UUID) -> int:
    return int(await connection.fetchval(_SQL["count_active"], backfill_id))


async def active_ages(connection: Connection, backfill_id: UUID) -> list[float]:
    """For how many seconds each active run has gone."""
    return [row["age"] for row in await connection.fetch(_SQL["active_ages"], backfill_id)]


async def start_ages(connection: Connection, backfill_id: UUID, limit: int) -> list[float]:
    """Seconds since the latest starts, the latest first; a date that was retried has several."""
    return [row["age"] for row in await connection.fetch(_SQL["start_ages"], backfill_id, limit)]


async def waiting_dates(connection: Connection, backfill_id: UUID, limit: int) -> list[StoredDate]:
    """The next dates in the backfill's order."""
    return [_date(row, None) for row in await connection.fetch(_SQL["waiting_dates"], backfill_id, limit)]


async def write_outcomes(connection: Connection, backfill_id: UUID, outcomes: Sequence[Outcome], now: datetime) -> int:
    """Give dates that wait their outcomes. Returns how many of them did wait."""
    if not outcomes:
        return 0
    return int(
        await connection.fetchval(
            _SQL["write_outcomes"],
            backfill_id,
            [each.position for each in outcomes],
            [each.outcome.value for each in outcomes],
            [each.reason for each in outcomes],
            [each.dag_run_id for each in outcomes],
            now,
            [each.begins and each.outcome is not DateOutcome.SKIPPED for each in outcomes],
        )
    )


async def adopt_runs(connection: Connection, backfill_id: UUID, run_ids: Sequence[UUID]) -> set[UUID]:
    """Runs that have ended belong to the backfill from now on; those that could be had."""
    return {row["dag_run_id"] for row in await connection.fetch(_SQL["adopt_runs"], backfill_id, run_ids)}


async def cancels_told(connection: Connection, backfill_id: UUID) -> None:
    await connection.execute(_SQL["cancels_told"], backfill_id)


async def weights(connection: Connection, backfill_ids: Iterable[UUID]) -> dict[UUID, float]:
    rows = await connection.fetch(_SQL["weights"], list(backfill_ids))
    return {row["backfill_id"]: row["weight"] for row in rows}


def _stored(row: Row) -> StoredBackfill:
    values = dict(row)
    rate = (values.pop("rate_runs"), values.pop("rate_seconds") or 0.0)
    pace = Pace(values.pop("runs_active_max"), *rate)
    state, existing = BackfillState(values.pop("state")), Existing(values.pop("existing"))
    return StoredBackfill(pace=pace, state=state, existing=existing, **values)


def _date(row: Row, run_state: str | None) -> StoredDate:
    return StoredDate(
        *(row["position"], row["logical_date"], row["data_interval_start"], row["data_interval_end"]),
        *(row["dag_version_number"], DateOutcome(row["outcome"]), row["reason"], row["dag_run_id"], row["again"]),
        RunState(run_state) if run_state is not None else None,
    )


async def dag_is_full(connection: Connection, namespace: str, dag_id: str) -> bool:
    return bool(await connection.fetchval(_SQL["dag_is_full"], namespace, dag_id))
