"""What each guard of the engine's statements refuses, where no meeting of two transactions is needed to show it."""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime
from typing import Any

import pytest
from step_room import OFFER, TTL_SECONDS, StepRoom

from glidepath_server.core.errors import StateConflict
from glidepath_server.core.events import AttemptKey, RunCancelled, RunStarted
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.states import AttemptState
from glidepath_server.operations import sessions as operations
from glidepath_server.operations.step_types import Command, Report, RunWork, Verdict
from glidepath_server.store import engine, limits, sessions
from glidepath_server.store.database import database_now
from glidepath_server.store.sessions import WorkerFacts

AN_HOUR = 3600.0


async def claimed(room: StepRoom, **dag: int) -> tuple[uuid.UUID, AttemptKey]:
    """A session with the live attempt of a run's only task."""
    await room.store_dag(1, **dag)
    await room.start_run(1)
    session_id = await room.session()
    return session_id, await room.claim_one(session_id)


async def told(room: StepRoom, *reports: Report) -> list[Verdict]:
    """The answers to reports that come in one batch, in their order."""
    async with room.side() as side:
        outcome = await side.step_and_commit({reports[0].key.dag_run_id: RunWork(reports=list(reports))})
    answers = {id(report): verdict for report, verdict in outcome.acks}
    return [answers[id(report)] for report in reports if report.origin is not None]


async def hello(room: StepRoom, *held: AttemptKey, identity: str = "worker") -> operations.Greeting:
    facts = WorkerFacts(identity, "1", OFFER, "test", "0", "host", 1)
    return await operations.hello(room.database.worker, facts, held, uuid.uuid4(), TTL_SECONDS)


async def gets_work(room: StepRoom, session_id: uuid.UUID, generation: int = 1) -> bool:
    async with room.side() as side:
        await side.seat(session_id, generation=generation)
        return bool((await side.step_and_commit()).assigned)


# ---- accept
async def test_a_late_result_says_nothing_about_a_later_attempt(room: StepRoom) -> None:
    session_id, first = await claimed(room, retries=1)
    assert await told(room, Report(first, AttemptState.FAILED, origin="worker")) == [Verdict.ACCEPTED]
    second = await room.claim_one(session_id)
    assert await told(room, Report(first, AttemptState.SUCCESS, origin="worker")) == [Verdict.FENCED]
    assert await room.live() == [second]


async def test_a_verdict_on_a_session_spares_what_was_bound_to_another_one_since(room: StepRoom) -> None:
    _, key = await claimed(room)
    await room.shift_clock(AN_HOUR)
    (verdict,) = await operations.expire(room.database.worker)
    assert (await hello(room, key)).bound == {key}
    await told(room, verdict)
    assert (await room.live(), await room.history()) == ([key], [])


async def test_of_two_ends_of_one_attempt_in_a_batch_the_workers_counts_once(room: StepRoom) -> None:
    session_id, key = await claimed(room)
    verdict = Report(key, AttemptState.LOST, judged=session_id, origin="judge")
    words = [Report(key, AttemptState.SUCCESS, origin="worker") for _ in range(2)]
    assert await told(room, verdict, *words) == [Verdict.FENCED, Verdict.ACCEPTED, Verdict.DUPLICATE]
    assert await room.history() == ["success"]


# ---- the board
async def test_a_board_that_somebody_else_has_written_is_not_overwritten(room: StepRoom) -> None:
    await room.store_dag(1)
    run_id = await room.start_run(1)

    async def write_without_the_lock(connection: Any, _: datetime, __: Any) -> None:
        await connection.execute("update dag_run set revision = revision + 1")

    async with room.side() as side:
        with pytest.raises(StateConflict, match="did not hold their lock"):
            await side.step({run_id: RunWork(command=Command(RunCancelled("stop"), write_without_the_lock))})
        await side.rollback()


# ---- who may get work
async def test_a_worker_that_drains_or_was_not_heard_gets_no_work(room: StepRoom) -> None:
    await room.store_dag(1)
    await room.start_run(1)
    quiet, draining = await room.session("quiet"), await room.session("draining")
    await room.watcher.execute(
        "update worker_session set heard_until = glidepath_now() - interval '1 s' where session_id = $1", quiet
    )
    await sessions.set_draining(room.watcher, draining, 1)
    assert [await gets_work(room, each) for each in (quiet, draining)] == [False, False]
    assert await gets_work(room, await room.session("ready"))


async def test_work_that_is_not_due_or_has_no_slot_is_not_claimed(room: StepRoom) -> None:
    session_id, key = await claimed(room, retries=1)
    failure = Failure(FailureKind.APPLICATION, retry_after_seconds=60)
    await told(room, Report(key, AttemptState.FAILED, failure, origin="worker"))
    assert not await gets_work(room, session_id)
    await room.watcher.execute("update task_queue set due = true, parked_on = $1", room.tasks_limit)
    assert not await gets_work(room, session_id)


@pytest.mark.parametrize("pool_slots", [None, 1])
async def test_work_of_a_run_in_quarantine_is_not_claimed(room: StepRoom, pool_slots: int | None) -> None:
    await room.store_dag(1, pool_slots=pool_slots)
    await engine.quarantine(room.watcher, await room.start_run(1), "its board is damaged")
    assert not await gets_work(room, await room.session())


async def test_a_cap_that_a_replica_has_not_heard_of_holds(room: StepRoom) -> None:
    await room.store_dag(2)
    run_id = await room.create_run(2)
    async with room.side() as side:
        await side.seat(await room.session(), free=2)
        async with room.watcher.transaction():
            await limits.set_paused(room.watcher, room.tasks_limit, True)
        started = {run_id: RunWork(events=[RunStarted()])}
        assert (await side.step_and_commit(started)).assigned == []
        assert (await side.step_and_commit()).assigned == []
    assert sorted(await room.queued()) == [0, 1]


async def test_a_pause_that_a_replica_has_not_heard_of_holds_beside_a_pool(room: StepRoom) -> None:
    await room.store_dag(1, pool_slots=1)
    await room.start_run(1)
    async with room.side() as side:
        await side.seat(await room.session())
        async with room.watcher.transaction():
            await limits.set_paused(room.watcher, room.tasks_limit, True)
        assert (await side.step_and_commit()).assigned == []
    assert await room.queued() == {0: room.tasks_limit}


async def test_pausing_waits_for_a_claim_that_takes_a_slot_of_a_pool(room: StepRoom) -> None:
    await room.store_dag(1, pool_slots=1)
    await room.start_run(1)
    async with room.side() as claimer, room.side() as pauser:
        await claimer.seat(await room.session())
        assert len((await claimer.step()).assigned) == 1
        await pauser.begin()
        pause = await pauser.waits(limits.set_paused(pauser.connection, room.tasks_limit, True))
        await claimer.commit()
        await pause
        await pauser.commit()
    assert await room.holders(room.tasks_limit) == [0]


# ---- sessions
async def test_only_the_newest_stream_of_an_open_session_renews_it(room: StepRoom) -> None:
    session_id = await room.session()
    assert (await room.hello()).generation == 2
    renew = sessions.renew
    assert await renew(room.watcher, [session_id], [1], TTL_SECONDS) == {}
    assert list(await renew(room.watcher, [session_id], [2], TTL_SECONDS)) == [session_id]
    await operations.leave(room.database.worker, session_id, 2)
    assert await renew(room.watcher, [session_id], [2], TTL_SECONDS) == {}


async def test_a_renewal_that_waited_for_the_judge_renews_nothing(room: StepRoom) -> None:
    session_id = await room.session()
    await room.shift_clock(AN_HOUR)
    async with room.side() as judge, room.side() as renewer:
        await judge.begin()
        found = await sessions.lock_expired(judge.connection, 10)
        assert await sessions.expire(judge.connection, found) == [session_id]
        renewal = await renewer.waits(sessions.renew(renewer.connection, [session_id], [1], TTL_SECONDS))
        await judge.commit()
        assert await renewal == {}


async def test_a_session_that_has_ended_stays_as_it_ended(room: StepRoom) -> None:
    session_id = await room.session()
    assert await sessions.expire(room.watcher, [session_id]) == []  # renewed since it was found
    await room.shift_clock(AN_HOUR)
    await operations.expire(room.database.worker)
    now = await database_now(room.watcher)
    assert await sessions.raise_generation(room.watcher, session_id, now, TTL_SECONDS, OFFER) is None
    assert await sessions.close(room.watcher, [session_id]) == []
    assert await sessions.expire(room.watcher, [session_id]) == []
    assert await room.watcher.fetchval("select state from worker_session") == "lost"


async def test_a_worker_keeps_what_it_holds_and_nothing_else(room: StepRoom) -> None:
    _, key = await claimed(room)
    assert (await hello(room, key, identity="another")).bound == set()
    assert (await hello(room, key._replace(attempt_number=2))).bound == set()
    assert (await hello(room, key)).bound == {key}


async def test_a_session_that_has_ended_binds_nothing(room: StepRoom) -> None:
    session_id, key = await claimed(room)
    await operations.leave(room.database.worker, session_id, 1)
    async with room.watcher.transaction():
        assert await sessions.rebind(room.watcher, [key], session_id, 1, "default", "worker") == set()


async def test_leaving_waits_for_a_claim_and_judges_what_it_gave(room: StepRoom) -> None:
    await room.store_dag(1)
    await room.start_run(1)
    session_id = await room.session()
    async with room.side() as claimer:
        await claimer.seat(session_id)
        (assigned,) = (await claimer.step()).assigned
        leaving = asyncio.ensure_future(operations.leave(room.database.worker, session_id, 1))
        await room.until_waiting("%worker_session%", leaving)
        await claimer.commit()
    assert [verdict.key for verdict in await leaving] == [assigned.key]


async def test_hello_binds_under_the_locks_of_the_runs(room: StepRoom) -> None:
    """It takes live rows in whatever order: only a run's lock keeps it apart from an accept that takes several."""
    _, key = await claimed(room)
    async with room.side() as stepper:
        await stepper.step({key.dag_run_id: RunWork(inbox=True)})
        greeting = asyncio.ensure_future(hello(room, key))
        await room.until_waiting("%dag_run%for no key update%", greeting)
        await stepper.commit()
    assert (await greeting).bound == {key}


async def test_what_a_judge_that_died_left_unjudged_is_found_by_the_next_one(room: StepRoom) -> None:
    session_id, key = await claimed(room)
    assert await sessions.orphans(room.watcher, 10) == []
    await room.shift_clock(AN_HOUR)
    assert await sessions.expire(room.watcher, [session_id]) == [session_id]  # and no word more
    verdicts = operations.lost(await sessions.orphans(room.watcher, 10), "its session ended")
    assert [(verdict.key, verdict.judged) for verdict in verdicts] == [(key, session_id)]
    await told(room, *verdicts)
    assert (await room.live(), await room.history()) == ([], ["lost"])
