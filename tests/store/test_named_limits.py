"""Transactions that meet at named limits, at rates, at the limits of runs, and at a changed priority."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

from step_room import Side, StepRoom, command, ends

from glidepath_server.core.events import AttemptKey, RunStarted, TasksCleared
from glidepath_server.core.priorities import Priorities
from glidepath_server.operations.step_types import RunWork
from glidepath_server.store import limits, priorities
from glidepath_server.store.database import transaction

AN_HOUR = 3600.0


async def limit(room: StepRoom, *, slots: int | None = None, rate: int | None = None) -> int:
    """A named limit of which every task takes a slot."""
    found: int = await room.watcher.fetchval(
        """insert into concurrency_limit (namespace, kind, name, capacity, rate_starts, rate_seconds)
           values ('default', 'named', 'gpu', $1, $2, $3) returning limit_id""",
        slots,
        rate,
        AN_HOUR if rate is not None else None,
    )
    await room.watcher.execute("update task_class set limit_ids = array[$1::bigint], limit_slots = '{1}'", found)
    return found


async def two_waiting(room: StepRoom) -> None:
    await room.store_dag(2)
    await room.start_run(2)


async def meet(room: StepRoom, first: Side, second: Side, between: float = 0.0) -> tuple[list[int], list[int]]:
    """Two claims of one seat each: the second comes while the first is open; the clock then goes on by so much."""
    for side in (first, second):
        await side.seat(await room.session(f"worker-{id(side)}"))
    taken = [each.key.task for each in (await first.step()).assigned]
    claim = await second.waits(second.step())
    await room.shift_clock(between)
    await first.commit()
    later = [each.key.task for each in (await claim).assigned]
    await second.commit()
    return taken, later


async def test_two_claims_never_enter_a_named_limit_of_one_slot(room: StepRoom) -> None:
    await two_waiting(room)
    limit_id = await limit(room, slots=1)
    async with room.side() as first, room.side() as second:
        taken, later = await meet(room, first, second)
    assert len(taken) == 1 and later == []
    assert await room.holders(limit_id) == taken
    assert set((await room.queued()).values()) == {limit_id}


async def test_two_claims_never_start_more_than_a_rate_allows(room: StepRoom) -> None:
    await two_waiting(room)
    limit_id = await limit(room, rate=1)
    async with room.side() as first, room.side() as second:
        taken, later = await meet(room, first, second)
    assert len(taken) == 1 and later == []
    assert set((await room.queued()).values()) == {limit_id}


async def test_a_start_is_counted_from_when_the_limit_was_held_and_not_from_before_the_wait(room: StepRoom) -> None:
    await two_waiting(room)
    await limit(room, rate=2)
    async with room.side() as first, room.side() as second:
        taken, later = await meet(room, first, second, between=60.0)
    assert len(taken) == len(later) == 1
    early, late = await room.watcher.fetch("select start_time from limit_start order by start_time")
    assert late["start_time"] - early["start_time"] >= timedelta(seconds=59)
    starts = await room.watcher.fetch("select start_time from live_attempt order by start_time")
    assert [row["start_time"] for row in starts] == [early["start_time"], late["start_time"]]


async def test_an_end_gives_back_the_slot_of_a_limit_and_not_a_start_of_its_rate(room: StepRoom) -> None:
    await two_waiting(room)
    limit_id = await limit(room, slots=1, rate=1)
    key = await room.claim_one(await room.session())
    async with room.side() as side:
        await side.step_and_commit(ends([key]))
    assert await room.holders(limit_id) == []
    async with room.side() as side:
        await side.seat(await room.session("another"))
        assert (await side.step_and_commit()).assigned == []
    assert set((await room.queued()).values()) == {limit_id}
    await room.shift_clock(AN_HOUR + 1)
    async with transaction(room.database.worker, "limit_sweep") as connection:
        assert await limits.release_waiting(connection, limit_id) == {room.queue}


async def _ended_run(room: StepRoom) -> tuple[UUID, AttemptKey]:
    """A run of one task that may have one live attempt, at its end."""
    await room.store_dag(1, run_tasks_active_max=1)
    await room.watcher.execute("update task_class set run_limited = true")
    run_id = await room.start_run(1)
    key = await room.claim_one(await room.session())
    async with room.side() as side:
        await side.step_and_commit(ends([key]))
    return run_id, key


async def test_the_limit_of_a_run_that_is_being_cleared_stays(room: StepRoom) -> None:
    run_id, _ = await _ended_run(room)
    async with room.side() as clearer:
        await clearer.step(command(run_id, TasksCleared((0,), False, "again")))
        async with transaction(room.database.worker, "limit_sweep") as connection:
            assert await limits.drop_run_limits(connection, 10) == 0
        await clearer.commit()
    key = await room.claim_one(await room.session("another"))
    assert key.dag_run_id == run_id
    assert await room.watcher.fetchval("select count(*) from limit_holder") == 1


async def test_the_limit_of_a_run_that_has_ended_is_swept(room: StepRoom) -> None:
    await _ended_run(room)
    async with transaction(room.database.worker, "limit_sweep") as connection:
        assert await limits.drop_run_limits(connection, 10) == 1
    assert await room.watcher.fetchval("select count(*) from concurrency_limit where kind = 'run'") == 0


async def test_a_word_on_priority_reaches_what_a_step_is_releasing(room: StepRoom) -> None:
    await room.store_dag(2)
    run_id = await room.create_run(2)
    async with room.side() as releaser, room.side() as operator:
        await releaser.step({run_id: RunWork(events=[RunStarted()])})
        await operator.begin()
        word = await operator.waits(priorities.lock_run(operator.connection, "default", run_id))
        await releaser.commit()
        await word
        await priorities.set_priorities(operator.connection, run_id, Priorities(7))
        assert await priorities.reorder(operator.connection, run_id, {0: 7, 1: 7}) == 2
        await operator.commit()
    rows = await room.watcher.fetch("select priority from task_queue")
    assert [row["priority"] for row in rows] == [7, 7]


async def test_a_row_that_is_claimed_meanwhile_is_not_moved(room: StepRoom) -> None:
    await room.store_dag(1)
    run_id = await room.start_run(1)
    async with room.side() as claimer, room.side() as operator:
        await claimer.seat(await room.session())
        await claimer.step()
        await operator.begin()
        assert await priorities.lock_run(operator.connection, "default", run_id) is not None
        moving: asyncio.Task[int] = await operator.waits(priorities.reorder(operator.connection, run_id, {0: 7}))
        await claimer.commit()
        assert await moving == 0
        await operator.commit()
    assert len(await room.live()) == 1
