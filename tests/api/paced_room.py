"""A server whose backfills are paced by the test alone, one look or one deed at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from backfill_room import DAY, FIRST, at, key
from runs_room import Room, open_room

from glidepath_proto.run.v1 import backfill_pb2
from glidepath_server.core.backfill import Rerun
from glidepath_server.operations.pace_backfills import PaceBackfills, _ToRerun
from glidepath_server.store import backfills as store
from glidepath_server.store.backfills import StoredBackfill, StoredDate

Spec = backfill_pb2.BackfillSpec


@asynccontextmanager
async def open_paced_room(database_url: str) -> AsyncIterator[Room]:
    """A server without workers, whose pacer does nothing by itself."""
    async with open_room(database_url) as room:
        await room.server.backfill_pacer.stop()
        yield room


def pacer(room: Room) -> PaceBackfills:
    found: PaceBackfills = room.server.backfill_pacer.once
    return found


async def runs(room: Room, dag_id: str) -> int:
    count: int = (await room.rows("select count(*) from dag_run where dag_id = $1", dag_id))[0][0]
    return count


async def cancelled(room: Room, dag_id: str, count: int) -> list[str]:
    """Runs of the first days that were cancelled."""
    found = []
    for number in range(count):
        date = FIRST + DAY * number
        found.append(await room.start(dag_id, run_key=key(date), logical_date=at(date)))
        await room.call("CancelDagRun", dag_run_id=found[-1])
        await room.watch(found[-1])
    return found


async def to_rerun(room: Room, backfill_id: str) -> tuple[StoredBackfill, list[_ToRerun]]:
    """What a pacer has decided that looked just now."""
    async with room.database.api.acquire() as connection:
        backfill = await store.get(connection, "default", UUID(backfill_id))
        dates = await store.waiting_dates(connection, UUID(backfill_id), 100)
        keys = await store.runs_of_keys(connection, "default", backfill.dag_id if backfill else "", map(_key, dates))
    assert backfill is not None
    return backfill, [_ToRerun(date, Rerun(keys[_key(date)].dag_run_id, whole=False), "") for date in dates]


def _key(date: StoredDate) -> str:
    return key(date.logical_date)


async def reruns(room: Room, run_ids: list[str]) -> int:
    targets = [f"dag_run/{run_id}" for run_id in run_ids]
    rows = await room.rows("select 1 from audit_event where action = 'dag_run.rerun' and target = any($1)", targets)
    return len(rows)
