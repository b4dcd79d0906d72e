"""Two runs of a DAG whose tasks depend on the past, met in the middle of their steps."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pytest
from step_room import Side, StepRoom, command, ends

from glidepath_server.core.events import AttemptKey, RunCancelled, RunStarted, TasksCleared
from glidepath_server.core.states import AttemptState
from glidepath_server.operations.step_types import RunWork
from glidepath_server.store import past

Runs = tuple[uuid.UUID, uuid.UUID]
START = [RunStarted()]


async def two_runs(room: StepRoom) -> tuple[Runs, AttemptKey]:
    """Yesterday's run, whose task is live, and today's, which has not begun."""
    await room.store_dag(1, depends_on_past=True)
    runs = await room.create_run(1, days=-1), await room.create_run(1)
    session = await room.session()
    async with room.side() as side:
        await side.step_and_commit({runs[0]: RunWork(events=list(START))})
    return runs, await room.claim_one(session)


async def inboxes(room: StepRoom) -> list[uuid.UUID]:
    rows = await room.watcher.fetch("select distinct dag_run_id from run_inbox")
    return [row["dag_run_id"] for row in rows]


async def released(room: StepRoom) -> list[uuid.UUID]:
    return [row["dag_run_id"] for row in await room.watcher.fetch("select dag_run_id from task_queue")]


async def take_inbox(room: StepRoom, run_id: uuid.UUID) -> None:
    async with room.side() as side:
        await side.step_and_commit({run_id: RunWork(inbox=True)})


async def check(room: StepRoom) -> set[uuid.UUID]:
    """What the loop does for all that is unchecked."""
    found: set[uuid.UUID] = set()
    async with room.database.worker.acquire() as connection:
        for run_id in await past.unchecked(connection, 10):
            async with connection.transaction():
                found |= await past.check(connection, run_id)
    return found


async def sweep(room: StepRoom) -> set[uuid.UUID]:
    async with room.database.worker.acquire() as connection:
        return await past.sweep(connection, 10)


async def test_an_end_that_saw_no_wait_is_found_by_the_look_after_the_commit(room: StepRoom) -> None:
    (_first, second), key = await two_runs(room)
    async with room.side() as earlier, room.side() as later:
        await later.step({second: RunWork(events=list(START))})  # sees the task live, and is not committed
        await earlier.step_and_commit(ends([key]))
        await later.commit()
    assert await inboxes(room) == [] and await released(room) == []
    assert await check(room) == {second}
    await take_inbox(room, second)
    assert await released(room) == [second] and await room.watcher.fetchval("select count(*) from past_wait") == 0
    assert await check(room) == set() == await sweep(room)


async def test_the_look_waits_for_the_step_that_is_at_the_run_before(room: StepRoom) -> None:
    (first, second), key = await two_runs(room)
    async with room.side() as earlier, room.side() as later, room.database.worker.acquire() as connection:
        await later.step({second: RunWork(events=list(START))})
        await earlier.step(ends([key]))
        await later.commit()
        async with connection.transaction():
            looking = await Side(connection, room.watcher).waits(past.check(connection, first))
            await earlier.commit()
            assert await looking == {second}


async def test_an_end_that_sees_the_wait_wakes_it(room: StepRoom) -> None:
    (_first, second), key = await two_runs(room)
    async with room.side() as side:
        outcome = await side.step_and_commit({second: RunWork(events=list(START))})
        assert outcome.past and await check(room) == set()
        outcome = await side.step_and_commit(ends([key]))
    assert outcome.woken == {second} and await inboxes(room) == [second]
    await take_inbox(room, second)
    assert await released(room) == [second]


@pytest.mark.parametrize("outcome", [AttemptState.FAILED, AttemptState.CANCELLED])
async def test_an_end_that_is_not_well_wakes_nobody(room: StepRoom, outcome: AttemptState) -> None:
    (_first, second), key = await two_runs(room)
    async with room.side() as side:
        await side.step_and_commit({second: RunWork(events=list(START))})
        assert not (await side.step_and_commit(ends([key], outcome))).woken
    assert await check(room) == set() == await sweep(room)


async def test_a_wake_up_that_finds_another_end_waits_on(room: StepRoom) -> None:
    (first, second), key = await two_runs(room)
    async with room.side() as side:
        await side.step_and_commit({second: RunWork(events=list(START))})
        assert await check(room) == set()
        await side.step_and_commit(ends([key]))
        await side.step_and_commit(command(first, TasksCleared((0,))))  # before the wake-up is heard
    await room.watcher.execute("delete from task_queue")
    await take_inbox(room, second)
    assert await released(room) == []
    [row] = await room.watcher.fetch("select dag_run_id, previous_run_id, checked from past_wait")
    assert (row["dag_run_id"], row["previous_run_id"], row["checked"]) == (second, first, False)


async def test_child_runs_wait_for_nobody_and_hold_nobody_back(room: StepRoom) -> None:
    await room.store_dag(1, depends_on_past=True)
    runs: Sequence[uuid.UUID] = [
        await room.create_run(1, days=-3, run_type="child"),
        await room.create_run(1, days=-2),
        await room.create_run(1, days=-1, run_type="child"),
    ]
    async with room.side() as side:
        for run_id in runs:
            await side.step_and_commit({run_id: RunWork(events=list(START))})
    assert set(await released(room)) == set(runs)


async def test_a_wait_that_its_run_has_given_up_is_gone(room: StepRoom) -> None:
    (_, second), _ = await two_runs(room)
    async with room.side() as side:
        await side.step_and_commit({second: RunWork(events=list(START))})
        await side.step_and_commit(command(second, RunCancelled("no more")))
    assert await room.watcher.fetchval("select count(*) from past_wait") == 0


async def test_a_wait_that_is_needed_no_more_is_gone_once_it_is_told(room: StepRoom) -> None:
    (first, second), _ = await two_runs(room)
    async with room.side() as side:
        await side.step_and_commit(command(second, RunCancelled("no more")))
    await room.watcher.execute("insert into past_wait values ($1, 0, $1, 0)", second)
    assert await sweep(room) == {second}
    await take_inbox(room, second)
    assert await room.watcher.fetchval("select count(*) from past_wait") == 0
    assert await sweep(room) == set() == await check(room), first


async def test_a_task_that_is_cancelled_in_the_step_in_which_it_asks_does_not_wait(room: StepRoom) -> None:
    (_, second), _ = await two_runs(room)
    async with room.side() as side:
        await side.step_and_commit({second: RunWork(events=[RunStarted(), RunCancelled("no more")])})
    assert await room.watcher.fetchval("select count(*) from past_wait") == 0


async def test_a_set_aside_run_is_not_swept(room: StepRoom) -> None:
    (_first, second), key = await two_runs(room)
    async with room.side() as side:
        await side.step_and_commit({second: RunWork(events=list(START))})
        await side.step_and_commit(ends([key]))
    await room.watcher.execute("delete from run_inbox")
    await room.watcher.execute("update dag_run set quarantined = true where dag_run_id = $1", second)
    assert await sweep(room) == set()
    await room.watcher.execute("update dag_run set quarantined = false")
    assert await sweep(room) == {second}
    assert await sweep(room) == set()  # it has been told, and has not listened yet
