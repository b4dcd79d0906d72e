"""Between a look and a deed things change: a backfill is paused, another replica was faster, its places are taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio
from backfill_room import DAY, FIRST, Backfills, at, days, key
from runs_room import CHAIN, Room, dag, open_room

from glidepath_proto.run.v1 import backfill_pb2
from glidepath_server.core.backfill import DateOutcome, Rerun
from glidepath_server.operations.pace_backfills import PaceBackfills, _ToRerun
from glidepath_server.store import backfills as store
from glidepath_server.store.backfills import Outcome, StoredBackfill, StoredDate

pytestmark = pytest.mark.asyncio(loop_scope="module")
Spec = backfill_pb2.BackfillSpec


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(module_database_url: str) -> AsyncIterator[Room]:
    """A server without workers, whose pacer does nothing by itself."""
    async with open_room(module_database_url) as room:
        await room.server.backfill_pacer.stop()
        yield room


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def fills(room: Room) -> Backfills:
    return Backfills(room)


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


async def test_a_backfill_that_was_paused_meanwhile_makes_nothing(room: Room, fills: Backfills) -> None:
    await room.register(dag("paused", CHAIN))
    made = await fills.create(days(3, "paused"))
    await fills.call("PauseBackfill", backfill_id=made.backfill_id)
    await pacer(room).pace(UUID(made.backfill_id))
    assert await runs(room, "paused") == 0


async def test_a_backfill_that_another_replica_holds_is_passed_over(room: Room, fills: Backfills) -> None:
    await room.register(dag("held", CHAIN))
    made = await fills.create(days(3, "held", runs_active_max=10))
    async with room.database.api.acquire() as connection, connection.transaction():
        assert await store.take(connection, UUID(made.backfill_id)) is not None
        async with asyncio.timeout(5):
            await pacer(room).pace(UUID(made.backfill_id))
        assert await runs(room, "held") == 0
    await pacer(room).pace(UUID(made.backfill_id))
    assert await runs(room, "held") == 3


async def test_replicas_that_pace_at_once_make_each_date_once_and_keep_the_cap(room: Room, fills: Backfills) -> None:
    await room.register(dag("raced", CHAIN))
    made = await fills.create(days(9, "raced", runs_active_max=4))
    await asyncio.gather(*(pacer(room).pace(UUID(made.backfill_id)) for _ in range(6)))
    assert await runs(room, "raced") == 4


async def test_a_rerun_that_was_decided_is_not_done_after_a_pause(room: Room, fills: Backfills) -> None:
    await room.register(dag("late_pause", CHAIN))
    there = await cancelled(room, "late_pause", 1)
    made = await fills.create(days(1, "late_pause", existing=Spec.EXISTING_RERUN_FAILED))
    backfill, [wanted] = await to_rerun(room, made.backfill_id)
    await fills.call("PauseBackfill", backfill_id=made.backfill_id)
    assert not await pacer(room)._rerun(backfill, wanted)
    assert await reruns(room, there) == 0


async def test_a_rerun_that_two_replicas_have_decided_is_done_once(room: Room, fills: Backfills) -> None:
    await room.register(dag("twice", CHAIN))
    there = await cancelled(room, "twice", 1)
    made = await fills.create(days(1, "twice", existing=Spec.EXISTING_RERUN_FAILED))
    backfill, [wanted] = await to_rerun(room, made.backfill_id)
    for _ in range(2):
        await pacer(room)._rerun(backfill, wanted)
    assert await reruns(room, there) == 1
    assert [how for how, *_ in await fills.outcomes(made.backfill_id)] == ["rerun"]


async def test_reruns_keep_the_cap_too(room: Room, fills: Backfills) -> None:
    await room.register(dag("full", CHAIN))
    there = await cancelled(room, "full", 2)
    made = await fills.create(days(2, "full", existing=Spec.EXISTING_RERUN_FAILED, runs_active_max=1))
    await pacer(room).pace(UUID(made.backfill_id))
    assert await reruns(room, there) == 1
    backfill, [left] = await to_rerun(room, made.backfill_id)
    assert not await pacer(room)._rerun(backfill, left)
    assert await reruns(room, there) == 1


async def test_a_run_that_began_again_is_not_taken_for_one_that_has_ended(room: Room, fills: Backfills) -> None:
    await room.register(dag("began", CHAIN))
    active, (ended,) = await room.start("began", run_key="other"), await cancelled(room, "began", 1)
    made = await fills.create(days(1, "began"))
    async with room.database.api.acquire() as connection:
        adopted = await store.adopt_runs(connection, UUID(made.backfill_id), [UUID(active), UUID(ended)])
    assert adopted == {UUID(ended)}


async def test_a_date_that_has_its_outcome_gets_no_other(room: Room, fills: Backfills) -> None:
    await room.register(dag("settled", CHAIN))
    made = await fills.create(days(2, "settled", runs_active_max=1))
    await pacer(room).pace(UUID(made.backfill_id))
    async with room.database.api.acquire() as connection:
        now = await connection.fetchval("select glidepath_now()")
        outcomes = [Outcome(number, DateOutcome.SKIPPED, "late") for number in range(2)]
        assert await store.write_outcomes(connection, UUID(made.backfill_id), outcomes, now) == 1
    assert [how for how, *_ in await fills.outcomes(made.backfill_id)] == ["created", "skipped"]
