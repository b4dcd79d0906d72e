"""Pairs of transactions that meet: one is held open at a statement while the other comes, in both orders.

What must hold after any pair: a released task instance is in the queue or live, never both and never neither; no limit
has more holders than slots; nothing stays parked on a limit that has room.
"""

from __future__ import annotations

import asyncio
import uuid

import pytest
from step_room import OFFER, StepRoom, command, ends

from glidepath_server.core.errors import StateConflict
from glidepath_server.core.events import RunCancelled, TasksCleared
from glidepath_server.core.states import AttemptState
from glidepath_server.operations import sessions as session_operations
from glidepath_server.operations.step_runs import Step
from glidepath_server.operations.step_types import Report, RunWork, Verdict
from glidepath_server.store import engine, limits, sessions
from glidepath_server.store.database import database_now

AN_HOUR = 3600.0


# ---- claim and the end of a session
async def test_a_session_that_is_getting_work_is_judged_with_that_work(room: StepRoom) -> None:
    await room.store_dag(1)
    run_id = await room.start_run(1)
    session_id = await room.session()
    async with room.side() as claimer:
        await claimer.seat(session_id)
        (assigned,) = (await claimer.step()).assigned
        await room.shift_clock(AN_HOUR)
        # The judge steps over a session that a claim holds; it must not end it with nothing found live.
        assert await session_operations.expire(room.database.worker) == []
        await claimer.commit()
    (verdict,) = await session_operations.expire(room.database.worker)
    assert (verdict.key, verdict.judged, verdict.outcome) == (assigned.key, session_id, AttemptState.LOST)
    async with room.side() as side:
        await side.step_and_commit({run_id: RunWork(reports=[verdict])})
    assert (await room.live(), await room.history()) == ([], ["lost"])


async def test_a_session_that_is_being_judged_gets_no_work(room: StepRoom) -> None:
    await room.store_dag(1)
    await room.start_run(1)
    session_id = await room.session()
    async with room.side() as judge, room.side() as claimer:
        seat = await claimer.seat(session_id)
        await judge.begin()
        await room.shift_clock(AN_HOUR)
        found = await sessions.lock_expired(judge.connection, 10)
        assert await sessions.expire(judge.connection, found) == [session_id]
        await room.shift_clock(0)  # for the claim, whose replica has not noticed yet, the session may get work
        claim = await claimer.waits(claimer.step())
        await judge.commit()
        assert (await claim).assigned == []
        await claimer.commit()
    assert (await room.live(), await room.queued(), seat.free) == ([], {0: 0}, 1)


@pytest.mark.parametrize(("incarnation", "outcome"), [("1", AttemptState.RETURNED), ("2", AttemptState.LOST)])
async def test_hello_waits_for_a_claim_and_judges_what_it_gave(
    room: StepRoom, incarnation: str, outcome: AttemptState
) -> None:
    await room.store_dag(1)
    await room.start_run(1)
    session_id = await room.session()
    async with room.side() as claimer:
        await claimer.seat(session_id)
        (assigned,) = (await claimer.step()).assigned
        hello = asyncio.ensure_future(room.hello(incarnation))
        await room.until_waiting("%worker_session%", hello)
        await claimer.commit()
    greeting = await hello
    assert [(each.key, each.outcome, each.judged) for each in greeting.verdicts] == [
        (assigned.key, outcome, session_id)
    ]


async def test_a_claim_waits_for_hello_and_gives_nothing_to_the_old_generation(room: StepRoom) -> None:
    await room.store_dag(1)
    await room.start_run(1)
    session_id = await room.session()
    async with room.side() as greeter, room.side() as claimer:
        await claimer.seat(session_id, generation=1)
        await greeter.begin()
        await sessions.lock_sessions_of_worker(greeter.connection, "default", "worker")
        now = await database_now(greeter.connection)
        assert await sessions.raise_generation(greeter.connection, session_id, now, 60, OFFER) == 2
        claim = await claimer.waits(claimer.step())
        await greeter.commit()
        assert (await claim).assigned == []
        await claimer.commit()
    assert (await room.live(), await room.queued()) == ([], {0: 0})


# ---- claim and withdrawal
async def test_what_is_claimed_before_a_cancel_is_told_to_end(room: StepRoom) -> None:
    await room.store_dag(2)
    run_id = await room.start_run(2)
    session_id = await room.session()
    async with room.side() as claimer, room.side() as canceller:
        await claimer.seat(session_id)
        (assigned,) = (await claimer.step()).assigned
        await canceller.begin()
        cancel = await canceller.waits(canceller.step(command(run_id, RunCancelled("stop"))))
        await claimer.commit()
        outcome = await cancel
        await canceller.commit()
    assert [(order.key, order.session_id) for order in outcome.cancels] == [(assigned.key, session_id)]
    assert (await room.live(), await room.queued()) == ([assigned.key], {})
    assert await room.watcher.fetchval("select cancel_requested_time is not null from live_attempt")


async def test_a_claim_steps_over_what_is_being_withdrawn(room: StepRoom) -> None:
    await room.store_dag(1)
    run_id = await room.start_run(1)
    session_id = await room.session()
    async with room.side() as canceller, room.side() as claimer:
        await claimer.seat(session_id)
        assert (await canceller.step(command(run_id, RunCancelled("stop")))).cancels == []
        assert (await claimer.step_and_commit()).assigned == []
        await canceller.commit()
    assert (await room.live(), await room.queued()) == ([], {})
    assert await room.watcher.fetchval("select state from dag_run") == "cancelled"


async def test_a_clear_that_meets_a_claim_is_refused(room: StepRoom) -> None:
    await room.store_dag(1)
    run_id = await room.start_run(1)
    session_id = await room.session()
    async with room.side() as claimer, room.side() as clearer:
        await claimer.seat(session_id)
        await claimer.step()
        await clearer.begin()
        clear = await clearer.waits(clearer.step(command(run_id, TasksCleared((0,)))))
        await claimer.commit()
        with pytest.raises(StateConflict, match="task0 is running"):
            await clear
        await clearer.rollback()
    assert (len(await room.live()), await room.queued()) == (1, {})


# ---- limits
async def test_two_claims_never_enter_a_pool_of_one_slot(room: StepRoom) -> None:
    await room.store_dag(2, pool_slots=1)
    await room.start_run(2)
    async with room.side() as one, room.side() as two:
        await one.seat(await room.session("one"))
        loser = await two.seat(await room.session("two"))
        (assigned,) = (await one.step()).assigned
        await two.begin()
        claim = await two.waits(two.step())
        await one.commit()
        assert (await claim).assigned == []
        await two.commit()
    assert await room.holders(room.pool_limit) == [assigned.key.task]
    assert (await room.queued(), loser.free) == ({1 - assigned.key.task: room.pool_limit}, 1)


async def test_a_slot_that_is_freed_reaches_the_row_that_is_being_parked(room: StepRoom) -> None:
    await room.store_dag(2, pool_slots=1)
    await room.start_run(2)
    key = await room.claim_one(await room.session("one"))
    async with room.side() as parker, room.side() as finisher:
        await parker.seat(await room.session("two"))
        assert (await parker.step()).assigned == []
        await finisher.begin()
        end = await finisher.waits(finisher.step(ends([key])))
        await parker.commit()
        assert (await end).queues == {room.queue}
        await finisher.commit()
    assert (await room.queued(), await room.holders(room.pool_limit)) == ({1 - key.task: 0}, [])


async def test_a_claim_that_waited_for_the_freed_slot_takes_it(room: StepRoom) -> None:
    await room.store_dag(2, pool_slots=1)
    await room.start_run(2)
    key = await room.claim_one(await room.session("one"))
    async with room.side() as finisher, room.side() as claimer:
        await claimer.seat(await room.session("two"))
        await finisher.step(ends([key]))
        await claimer.begin()
        claim = await claimer.waits(claimer.step())
        await finisher.commit()
        assert [each.key.task for each in (await claim).assigned] == [1 - key.task]
        await claimer.commit()
    assert (await room.queued(), await room.holders(room.pool_limit)) == ({}, [1 - key.task])


async def test_pausing_waits_for_a_claim_and_counts_it(room: StepRoom) -> None:
    await room.store_dag(2)
    await room.start_run(2)
    session_id = await room.session()
    async with room.side() as claimer, room.side() as pauser:
        await claimer.seat(session_id)
        (assigned,) = (await claimer.step()).assigned
        await pauser.begin()
        pause = await pauser.waits(limits.set_paused(pauser.connection, room.tasks_limit, True))
        await claimer.commit()
        await pause
        await pauser.commit()
        assert (await claimer.step_and_commit()).assigned == []
    assert await room.holders(room.tasks_limit) == [assigned.key.task]


async def test_a_claim_waits_for_pausing_and_takes_nothing(room: StepRoom) -> None:
    await room.store_dag(1)
    await room.start_run(1)
    session_id = await room.session()
    async with room.side() as pauser, room.side() as claimer:
        seat = await claimer.seat(session_id)
        await pauser.begin()
        await limits.set_paused(pauser.connection, room.tasks_limit, True)
        claim = await claimer.waits(claimer.step())
        await pauser.commit()
        assert (await claim).assigned == []
        await claimer.commit()
    assert (await room.live(), await room.queued(), seat.free) == ([], {0: 0}, 1)


async def test_an_attempt_that_ends_while_a_cap_is_set_keeps_no_slot(room: StepRoom) -> None:
    """Neither transaction waits for the other, so neither sees the other: the sweep puts it right."""
    await room.store_dag(2)
    await room.start_run(2)
    key = await room.claim_one(await room.session())
    async with room.side() as capper, room.side() as finisher:
        await capper.begin()
        await limits.set_capacity(capper.connection, room.tasks_limit, 1)
        await finisher.step_and_commit(ends([key]))
        await capper.commit()
    assert room.tasks_limit in await limits.stale_limits(room.watcher)
    async with room.watcher.transaction():
        await limits.release_waiting(room.watcher, room.tasks_limit)
    assert await room.holders(room.tasks_limit) == []
    assert await limits.stale_limits(room.watcher) == []


async def test_a_holder_that_was_left_behind_is_taken_over_by_the_next_attempt(room: StepRoom) -> None:
    await room.store_dag(1, capacity=1)
    await room.start_run(1)
    session_id = await room.session()
    await room.watcher.execute(
        "insert into limit_holder select $1, dag_run_id, 0, -1, 1 from dag_run", room.tasks_limit
    )
    await room.watcher.execute("update concurrency_limit set capacity = 2 where limit_id = $1", room.tasks_limit)
    assert (await room.claim_one(session_id)).task == 0
    assert await room.holders(room.tasks_limit) == [0]


async def test_a_cap_is_changed_while_attempts_end_without_deadlock(room: StepRoom) -> None:
    await room.store_dag(2, capacity=1)
    await room.start_run(2)
    key = await room.claim_one(await room.session())
    async with room.side() as finisher, room.side() as capper:
        await finisher.begin()
        columns = [[key.dag_run_id], [key.task], [-1], [1], [None], [None], ["success"], [None], [""]]
        now = await database_now(finisher.connection)
        (row,) = await engine.accept(finisher.connection, columns, now)
        assert row["freed"] == [room.tasks_limit]
        await capper.begin()
        async with asyncio.timeout(5):
            await limits.set_capacity(capper.connection, room.tasks_limit, 2)
        lock = await finisher.waits(engine.lock_limits(finisher.connection, [room.tasks_limit]))
        await capper.commit()
        await lock
        await finisher.commit()
    assert await room.holders(room.tasks_limit) == []


async def test_who_stands_in_line_for_a_dags_limit_holds_no_pool(room: StepRoom) -> None:
    """A claim that holds the DAG's limit may wait for the pool, and a pause waits for the claim: nobody would go on."""
    pool = await room.watcher.fetchval(
        "insert into concurrency_limit (namespace, kind, name, capacity) values ('default', 'pool', 'older', 1) "
        "returning limit_id"
    )
    await room.store_dag(1)
    assert pool < room.tasks_limit
    async with room.side() as one, room.side() as two, room.side() as three:
        await one.begin()
        await engine.lock_limits(one.connection, [room.tasks_limit])
        await two.begin()
        in_line = await two.waits(engine.lock_limits(two.connection, [pool, room.tasks_limit]))
        await three.begin()
        async with asyncio.timeout(5):
            await engine.lock_limits(three.connection, [pool])
        await three.commit()
        await one.commit()
        await in_line
        await two.commit()


async def test_a_slot_that_a_step_without_claims_frees_is_given_on(room: StepRoom) -> None:
    """An operator's command, or a report that had to wait for its run: what is parked must not wait for the sweeper."""
    await room.store_dag(2, pool_slots=1)
    run_id = await room.start_run(2)
    key = await room.claim_one(await room.session())
    async with room.side() as side:
        await side.seat(await room.session("other"))
        assert (await side.step_and_commit()).assigned == []
        assert set((await room.queued()).values()) == {room.pool_limit}
        await side.begin()
        outcome = await Step(side.replica, ends([key]), claiming=False).run(side.connection)
        await side.commit()
    assert run_id == key.dag_run_id and outcome.queues == {room.queue}
    assert set((await room.queued()).values()) == {0}


# ---- the same report, twice
async def test_a_run_that_another_replica_holds_is_missed_and_its_report_is_then_a_duplicate(room: StepRoom) -> None:
    await room.store_dag(1)
    run_id = await room.start_run(1)
    key = await room.claim_one(await room.session())
    async with room.side() as one, room.side() as two:
        await one.step(ends([key]))
        missed = (await two.step_and_commit(ends([key]))).missed
        assert missed[run_id].missed == 1
        await one.commit()
        acks = (await two.step_and_commit(missed)).acks
    assert [verdict for _, verdict in acks] == [Verdict.DUPLICATE]
    assert await room.history() == ["success"]


async def test_a_verdict_that_comes_after_the_workers_word_changes_nothing(room: StepRoom) -> None:
    await room.store_dag(1)
    run_id = await room.start_run(1)
    session_id = await room.session()
    key = await room.claim_one(session_id)
    await room.shift_clock(AN_HOUR)
    (verdict,) = await session_operations.expire(room.database.worker)
    async with room.side() as side:
        await side.step_and_commit(ends([key]))
        other = Report(key, AttemptState.LOST, judged=uuid.uuid4())
        await side.step_and_commit({run_id: RunWork(reports=[verdict, other])})
    assert await room.history() == ["success"]
    assert await room.watcher.fetchval("select state from dag_run") == "success"
