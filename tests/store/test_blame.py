"""Whose fault it is when a step fails: one run is set aside, with all that has come for it, and nobody else."""

from __future__ import annotations

import uuid

import pytest
from replica_room import Worker, pending, replica, turn
from step_room import StepRoom

from glidepath_server import crash_points
from glidepath_server.core.events import AttemptKey
from glidepath_server.core.states import AttemptState
from glidepath_server.loops import timers
from glidepath_server.loops.engine import Engine
from glidepath_server.operations.release_dag_run import release_dag_run
from glidepath_server.operations.step_types import Report, Verdict
from glidepath_server.store import engine as store
from glidepath_server.store.database import transaction


async def quarantined(room: StepRoom) -> set[uuid.UUID]:
    return {row["dag_run_id"] for row in await room.watcher.fetch("select * from dag_run where quarantined")}


async def run_states(room: StepRoom) -> dict[uuid.UUID, str]:
    return dict(await room.watcher.fetch("select dag_run_id, state from dag_run"))


async def inbox(room: StepRoom) -> int:
    count: int = await room.watcher.fetchval("select count(*) from run_inbox")
    return count


async def make_unreadable(room: StepRoom, run_id: uuid.UUID) -> None:
    """Give the run a version that a newer server has written."""
    newer = await room.watcher.fetchval(
        """insert into dag_version (namespace, dag_id, dag_version_number, content_hash, spec, class_ids, create_time,
                                    created_by)
           select namespace, dag_id, 2, 'newer', '{"format": 2}', class_ids, create_time, created_by from dag_version
           returning dag_version_id"""
    )
    await room.watcher.execute("update dag_run set dag_version_id = $1 where dag_run_id = $2", newer, run_id)


async def release(engine: Engine, run_id: uuid.UUID) -> None:
    """An operator has looked at the incident."""
    async with transaction(engine.database.api, "test") as connection:
        assert await release_dag_run(connection, namespace="default", dag_run_id=run_id, actor="test")
    engine.add_inbox(run_id)


async def one_attempt(room: StepRoom) -> tuple[AttemptKey, Engine, Worker]:
    """A run with one live attempt, and a replica to which its worker is connected."""
    await room.store_dag(1)
    await room.start_run(1)
    session_id = await room.session()
    return await room.claim_one(session_id), await replica(room), Worker(session_id)


async def test_work_of_a_version_that_cannot_be_read_is_its_own_runs_fault(room: StepRoom) -> None:
    await room.store_dag(1)
    bad, bystander = await room.start_run(1), await room.start_run(1)
    await make_unreadable(room, bad)
    engine, worker = await replica(room), Worker(await room.session(), free=10)
    engine.replica.pullers.add(worker)
    good = [await room.create_run(1) for _ in range(3)]
    engine.runs_created(good[:2])  # the step that starts them claims what waits of the other two runs
    await turn(engine)
    assert await quarantined(room) == {bad}
    engine.replica.pullers.hope_everywhere()  # as the next poll does
    engine.runs_created(good[2:])
    await turn(engine)
    assert {each.key.dag_run_id for each in worker.assigned} == {bystander, *good}
    assert worker.free == 10 - len(worker.assigned)  # what the failed claim took was given back
    assert await quarantined(room) == {bad}


async def test_a_result_that_meets_a_damaged_board_is_kept_and_counts_after_the_release(room: StepRoom) -> None:
    key, engine, worker = await one_attempt(room)
    board = await room.watcher.fetchval("select board from dag_run")
    await room.watcher.execute("update dag_run set board = board || board")
    engine.submit([Report(key, AttemptState.SUCCESS, origin=worker)])
    await turn(engine)
    assert await quarantined(room) == {key.dag_run_id}
    # The fence needs no board: the worker has its answer, and need not keep the result for days.
    assert (worker.verdicts, await room.live(), await inbox(room)) == ([Verdict.ACCEPTED], [], 1)

    await room.watcher.execute("update dag_run set board = $1", board)
    await release(engine, key.dag_run_id)
    await turn(engine)
    assert (await run_states(room), await inbox(room)) == ({key.dag_run_id: "success"}, 0)


async def test_what_not_even_the_inbox_takes_is_held_back_for_the_release(room: StepRoom) -> None:
    key, engine, worker = await one_attempt(room)
    other = await room.create_run(1)
    report = Report(key, AttemptState.LOST, reason="Postgres holds no \0 in a text", origin=worker)
    engine.submit([report])
    engine.runs_created([other])
    await turn(engine)
    assert await quarantined(room) == {key.dag_run_id}
    assert ((await run_states(room))[other], worker.acks, pending(engine)) == ("running", [], [])

    report.reason = ""
    await release(engine, key.dag_run_id)
    await turn(engine)
    assert (await room.history(), worker.verdicts) == (["lost"], [Verdict.ACCEPTED])


async def test_the_timeout_of_a_run_in_quarantine_waits_for_its_release(room: StepRoom) -> None:
    await room.store_dag(1)
    run_id = await room.start_run(1)
    engine = await replica(room)
    round_of_timeouts = timers.run_timeouts(engine).once
    await room.watcher.execute("update dag_run set quarantined = true, timeout_time = glidepath_now() - interval '1 s'")
    for _ in range(3):
        # Nothing is due either: the loop would come round at once, for ever.
        assert await round_of_timeouts() is None
        await turn(engine)
    assert await inbox(room) == 0
    await release(engine, run_id)
    await round_of_timeouts()
    await turn(engine)
    assert await run_states(room) == {run_id: "failed"}


async def test_a_quarantine_that_meets_an_absent_database_is_tried_again(
    room: StepRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, engine, worker = await one_attempt(room)
    await room.watcher.execute("update dag_run set board = board || board")
    monkeypatch.setattr(crash_points, "armed", crash_points.parse("quarantine.before_commit=fail"))
    engine.submit([Report(key, AttemptState.SUCCESS, origin=worker)])
    await turn(engine)
    assert await quarantined(room) == {key.dag_run_id}
    # Nobody is to blame for the data: the worker has its answer, as if the first try had gone well.
    assert (worker.verdicts, await room.live(), await inbox(room)) == ([Verdict.ACCEPTED], [], 1)
    assert not engine.held_back


async def test_what_is_parked_on_a_limit_when_its_run_is_set_aside_starts_only_when_that_is_released(
    room: StepRoom,
) -> None:
    await room.store_dag(2, pool_slots=1)
    run_id = await room.start_run(2)
    engine, worker = await replica(room), Worker(await room.session(), free=2)
    engine.replica.pullers.add(worker)
    await turn(engine)
    (live,) = worker.assigned
    assert list((await room.queued()).values()) == [room.pool_limit]
    await store.quarantine(room.watcher, run_id, "broken")
    engine.submit([Report(live.key, AttemptState.SUCCESS, origin=worker)])
    await turn(engine)
    await timers.limit_sweeper(engine).once()
    await turn(engine)
    assert worker.tasks == [live.key.task] and list((await room.queued()).values()) == [-1]
    await release(engine, run_id)
    engine.replica.pullers.hope_everywhere()
    await turn(engine)
    assert len(worker.tasks) == 2


async def test_a_run_that_is_blamed_again_leaves_the_queues_again(room: StepRoom) -> None:
    """Else a row that cannot be given out would be met by each claim from its queue, for ever."""
    await room.store_dag(1)
    run_id = await room.start_run(1)
    await store.quarantine(room.watcher, run_id, "broken")
    await room.watcher.execute("update task_queue set parked_on = 0")
    await store.quarantine(room.watcher, run_id, "broken still")
    assert await room.queued() == {0: -1}
    assert await room.watcher.fetchval("select count(*) from incident") == 1
