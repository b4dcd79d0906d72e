"""Between a look and a deed things change: a backfill is paused, another replica was faster, its places are taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio
from backfill_room import Backfills, days
from paced_room import Spec, cancelled, open_paced_room, pacer, reruns, runs, to_rerun
from runs_room import CHAIN, Room, dag

from glidepath_server.core.backfill import DateOutcome
from glidepath_server.store import backfills as store
from glidepath_server.store.backfills import Outcome

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(module_database_url: str) -> AsyncIterator[Room]:
    async with open_paced_room(module_database_url) as room:
        yield room


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def fills(room: Room) -> Backfills:
    return Backfills(room)


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
