"""Backfills that meet others: who steers one that is at work, runs that somebody else is at, DAGs that are full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest
import pytest_asyncio
from backfill_room import DAY, FIRST, Backfills, at, counted, days, key, state
from paced_room import Spec, cancelled, open_paced_room, pacer, reruns, runs, to_rerun
from runs_room import CHAIN, Room, dag
from schedules_room import SchedulesRoom

from glidepath_proto.run.v1 import backfill_pb2
from glidepath_server.core.backfill import BackfillState
from glidepath_server.store import backfills as store
from tests.full_disk import full_disk

pytestmark = pytest.mark.asyncio(loop_scope="module")
Code = grpc.StatusCode


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(module_database_url: str) -> AsyncIterator[Room]:
    async with open_paced_room(module_database_url) as room:
        yield room


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def fills(room: Room) -> Backfills:
    return Backfills(room)


async def waits(room: Room, task: asyncio.Task[Any]) -> bool:
    """Whether it comes to wait for a lock before it has ended."""
    async with asyncio.timeout(10):
        while not task.done() and not (await room.rows("select 1 from pg_locks where not granted")):
            await asyncio.sleep(0.01)
    return not task.done()


async def test_who_steers_a_backfill_goes_by_what_it_is_when_its_row_is_free(room: Room, fills: Backfills) -> None:
    await room.register(dag("steered", CHAIN))
    made = UUID((await fills.create(days(1, "steered"))).backfill_id)
    async with room.database.api.acquire() as connection, connection.transaction():
        assert await store.take(connection, made) is not None
        await store.set_state(connection, made, BackfillState.ENDED, "")
        cancel = asyncio.create_task(fills.refused("CancelBackfill", backfill_id=str(made)))
        assert await waits(room, cancel)
    code, words = await cancel
    assert code is Code.FAILED_PRECONDITION and "cannot cancel a backfill that has ended" in words


async def test_a_rerun_waits_for_who_counts_the_active_runs(room: Room, fills: Backfills) -> None:
    await room.register(dag("counted", CHAIN))
    there = await cancelled(room, "counted", 1)
    made = await fills.create(days(1, "counted", existing=Spec.EXISTING_RERUN_FAILED))
    backfill, [wanted] = await to_rerun(room, made.backfill_id)
    async with room.database.api.acquire() as connection, connection.transaction():
        assert await store.take(connection, UUID(made.backfill_id)) is not None
        rerun = asyncio.create_task(pacer(room)._rerun(backfill, wanted))
        assert await waits(room, rerun)
    assert await rerun and await reruns(room, there) == 1


async def test_a_rerun_that_was_done_is_not_done_again_when_its_run_fails_anew(room: Room, fills: Backfills) -> None:
    """Two replicas have decided it; the second comes when all that the first has begun is over."""
    await room.register(dag("late_twin", CHAIN))
    there = await cancelled(room, "late_twin", 1)
    made = await fills.create(days(1, "late_twin", existing=Spec.EXISTING_RERUN_FAILED))
    backfill, [wanted] = await to_rerun(room, made.backfill_id)
    assert await pacer(room)._rerun(backfill, wanted)
    await room.call("CancelDagRun", dag_run_id=there[0])
    await room.watch(there[0])
    assert not await pacer(room)._rerun(backfill, wanted)
    assert await reruns(room, there) == 1


async def test_a_run_that_somebody_holds_is_left_for_later(room: Room, fills: Backfills) -> None:
    await room.register(dag("busy", CHAIN))
    there = await cancelled(room, "busy", 1)
    made = UUID((await fills.create(days(1, "busy"))).backfill_id)
    async with room.database.api.acquire() as step, step.transaction():
        await step.execute("select from dag_run where dag_run_id = $1 for no key update", UUID(there[0]))
        async with asyncio.timeout(5), room.database.api.acquire() as connection:
            assert await store.adopt_runs(connection, made, [UUID(there[0])]) == set()


async def test_a_key_that_is_taken_after_the_look_leaves_its_date_for_the_next_round(
    room: Room, fills: Backfills, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.register(dag("raced_key", CHAIN))
    await room.start("raced_key", run_key=key(FIRST), logical_date=at(FIRST))
    made = await fills.create(days(2, "raced_key"))

    async def early_look(*_: object) -> dict[str, Any]:
        return {}

    with monkeypatch.context() as before:
        before.setattr(store, "runs_of_keys", early_look)
        await pacer(room).pace(UUID(made.backfill_id))
    assert [how for how, *_ in await fills.outcomes(made.backfill_id)] == ["waiting", "created"]
    await pacer(room).pace(UUID(made.backfill_id))
    assert [how for how, *_ in await fills.outcomes(made.backfill_id)] == ["skipped", "created"]


async def test_a_backfill_has_not_ended_while_a_run_of_it_is_active(room: Room, fills: Backfills) -> None:
    await room.register(dag("last_run", CHAIN))
    made = await fills.create(days(1, "last_run"))
    for _ in range(3):
        await pacer(room).pace(UUID(made.backfill_id))
    assert state(await fills.get(made.backfill_id)) == "running"
    [row] = await room.rows("select dag_run_id::text from dag_run where dag_id = 'last_run'")
    await room.call("CancelDagRun", dag_run_id=row[0])
    await room.watch(row[0])
    await pacer(room).pace(UUID(made.backfill_id))
    assert state(await fills.get(made.backfill_id)) == "ended"


async def test_a_date_that_was_skipped_is_not_retried_for_the_run_of_another(room: Room, fills: Backfills) -> None:
    await room.register(dag("not_mine", CHAIN))
    await cancelled(room, "not_mine", 1)
    made = await fills.create(days(1, "not_mine"))
    for _ in range(2):
        await pacer(room).pace(UUID(made.backfill_id))
    assert counted(await fills.get(made.backfill_id)) == {"skipped": 1}
    code, words = await fills.refused("RetryBackfill", backfill_id=made.backfill_id)
    assert code is Code.FAILED_PRECONDITION and "nothing to retry" in words


async def test_runs_of_a_cancelled_backfill_are_told_once_and_nothing_is_made(room: Room, fills: Backfills) -> None:
    await room.register(dag("told", CHAIN))
    made = await fills.create(days(3, "told", runs_active_max=1))
    await pacer(room).pace(UUID(made.backfill_id))
    await fills.call("CancelBackfill", backfill_id=made.backfill_id, cancel_runs=True)
    assert (await room.rows("select cancel_runs from backfill where dag_id = 'told'"))[0][0]
    await pacer(room).pace(UUID(made.backfill_id))
    assert not (await room.rows("select cancel_runs from backfill where dag_id = 'told'"))[0][0]
    assert await runs(room, "told") == 1
    [row] = await room.rows("select dag_run_id::text from dag_run where dag_id = 'told'")
    assert dict((await room.watch(row[0])).task_counts) == {"cancelled": 3}
    assert state(await fills.get(made.backfill_id)) == "cancelled"
    assert [how for how, *_ in await fills.outcomes(made.backfill_id)] == ["created", "skipped", "skipped"]


async def test_a_word_that_changes_nothing_leaves_no_trace(room: Room, fills: Backfills) -> None:
    await room.register(dag("again", CHAIN))
    made = await fills.create(days(1, "again"))
    for _ in range(2):
        await fills.call("PauseBackfill", backfill_id=made.backfill_id, reason="first")
    await fills.call("PauseBackfill", backfill_id=made.backfill_id, reason="second")
    rows = await room.rows("select action from audit_event where target = $1", f"backfill/{made.backfill_id}")
    assert [row[0] for row in rows] == ["backfill.create", "backfill.pause"]
    assert (await fills.get(made.backfill_id)).reason.startswith("first")


async def test_a_rerun_that_a_full_dag_refuses_is_tried_again(room: Room, fills: Backfills) -> None:
    await room.register(dag("full_dag", CHAIN, runs_active_max=1))
    there = await cancelled(room, "full_dag", 1)
    active = await room.start("full_dag", run_key="other", logical_date=at(FIRST - DAY))
    made = await fills.create(days(1, "full_dag", existing=Spec.EXISTING_RERUN_FAILED))
    await pacer(room).pace(UUID(made.backfill_id))
    assert [how for how, *_ in await fills.outcomes(made.backfill_id)] == ["waiting"]
    await room.call("CancelDagRun", dag_run_id=active)
    await room.watch(active)
    await pacer(room).pace(UUID(made.backfill_id))
    assert await reruns(room, there) == 1


async def test_reruns_of_a_backfill_keep_its_cap_while_they_run(room: Room, fills: Backfills) -> None:
    await room.register(dag("runs_on", CHAIN))
    there = await cancelled(room, "runs_on", 3)
    made = await fills.create(days(3, "runs_on", existing=Spec.EXISTING_RERUN_FAILED, runs_active_max=1))
    for _ in range(3):
        await pacer(room).pace(UUID(made.backfill_id))
    assert await reruns(room, there) == 1


async def test_a_cancel_that_comes_again_tells_the_runs_and_keeps_its_time(room: Room, fills: Backfills) -> None:
    await room.register(dag("twice_over", CHAIN))
    made = await fills.create(days(2, "twice_over", runs_active_max=1))
    await pacer(room).pace(UUID(made.backfill_id))
    first = (await fills.call("CancelBackfill", backfill_id=made.backfill_id)).backfill
    again = (await fills.call("CancelBackfill", backfill_id=made.backfill_id, cancel_runs=True)).backfill
    assert again.end_time == first.end_time
    async with room.database.api.acquire() as connection:
        await store.set_state(connection, UUID(made.backfill_id), BackfillState.CANCELLED, "once more")
    assert (await room.rows("select cancel_runs from backfill where dag_id = 'twice_over'"))[0][0]
    await pacer(room).pace(UUID(made.backfill_id))
    [row] = await room.rows("select dag_run_id::text from dag_run where dag_id = 'twice_over'")
    assert dict((await room.watch(row[0])).task_counts) == {"cancelled": 3}


async def test_dates_of_a_schedule_are_those_that_it_does_not_leave_out(room: Room, fills: Backfills) -> None:
    """A day that it leaves out is skipped from the start; a deleted schedule has no dates."""
    await room.register(dag("scheduled", CHAIN))
    schedules = SchedulesRoom(room)
    rule = {"cron": "0 0 * * *", "zone": "UTC", "excluded_weekdays": [FIRST.weekday()]}
    said = {"schedule_name": "nightly", "spec": rule}
    await schedules.ask("SetSchedule", dag_id="scheduled", declaration=said)
    made = await fills.create(days(2, "scheduled", schedule_name="nightly"))
    found = [(how, reason) for how, reason, _ in await fills.outcomes(made.backfill_id)]
    assert found == [("skipped", "excluded weekday Sunday"), ("waiting", "")]
    await schedules.ask("DeleteSchedule", dag_id="scheduled", schedule_name="nightly")
    spec = backfill_pb2.BackfillSpec(**days(2, "scheduled", schedule_name="nightly"))
    code, words = await fills.refused("CreateBackfill", spec=spec)
    assert code is Code.NOT_FOUND and "has no schedule 'nightly'" in words


async def test_a_full_disk_delays_the_runs_of_a_backfill_and_loses_none(room: Room, fills: Backfills) -> None:
    await room.register(dag("crowded", CHAIN))
    made = await fills.create(days(3, "crowded", runs_active_max=10))
    async with room.database.api.acquire() as connection, full_disk(connection, "dag_run"):
        with pytest.raises(asyncpg.DiskFullError):
            await pacer(room).pace(UUID(made.backfill_id))
        assert await runs(room, "crowded") == 0
        assert counted(await fills.get(made.backfill_id)) == {"waiting": 3}
    await pacer(room).pace(UUID(made.backfill_id))
    assert await runs(room, "crowded") == 3
