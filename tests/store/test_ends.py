"""What follows the end of an attempt: who is told, what is tried again and when, and whose output counts."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from replica_room import Worker, replica, turn
from step_room import StepRoom, command, ends

from glidepath_server.core.errors import StateConflict
from glidepath_server.core.events import AttemptKey, RunStarted, TasksCancelled, TasksCleared
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.retry import RETRY_AFTER_SECONDS_MAX
from glidepath_server.core.states import AttemptState
from glidepath_server.loops import timers
from glidepath_server.operations.step_types import Output, Report, RunWork, StepOutcome, Verdict
from glidepath_server.store import engine as store


async def claimed(room: StepRoom, **dag: int) -> AttemptKey:
    """The live attempt of a new run's only task."""
    await room.store_dag(1, **dag)
    await room.start_run(1)
    return await room.claim_one(await room.session())


async def step(room: StepRoom, batch: dict[uuid.UUID, RunWork]) -> StepOutcome:
    async with room.side() as side:
        return await side.step_and_commit(batch)


# ---- cancels and timeouts
async def end_at_the_servers_timeout(room: StepRoom) -> None:
    """The server's watch asks for the end of what its worker should have ended."""
    await room.watcher.execute("update live_attempt set timeout_time = glidepath_now() - interval '1 hour'")
    await timers.execution_timeouts(await replica(room)).once()
    assert await room.watcher.fetchval("select timed_out from live_attempt")


async def test_what_the_servers_watch_ended_has_timed_out_and_is_tried_again(room: StepRoom) -> None:
    key = await claimed(room, retries=1)
    await end_at_the_servers_timeout(room)
    await step(room, ends([key], AttemptState.CANCELLED))
    assert (await room.history(), await room.queued()) == (["timed_out"], {0: 0})


async def test_what_an_operator_cancels_after_its_timeout_is_not_tried_again(room: StepRoom) -> None:
    key = await claimed(room, retries=1)
    await end_at_the_servers_timeout(room)
    await step(room, command(key.dag_run_id, TasksCancelled((0,), "not needed")))
    await step(room, ends([key], AttemptState.CANCELLED))
    assert (await room.history(), await room.queued()) == (["cancelled"], {})


async def test_whatever_reason_an_operator_gives_a_cancel_is_a_cancel(room: StepRoom) -> None:
    key = await claimed(room, retries=1)
    await step(room, command(key.dag_run_id, TasksCancelled((0,), "execution timeout")))
    await step(room, ends([key], AttemptState.CANCELLED))
    assert (await room.history(), await room.queued()) == (["cancelled"], {})


# ---- retries
async def test_a_failure_that_asks_to_wait_for_ages_is_tried_again_within_a_month(room: StepRoom) -> None:
    key = await claimed(room, retries=1)
    failure = Failure(FailureKind.APPLICATION, retry_after_seconds=1e13)
    assert (await step(room, ends([key], AttemptState.FAILED, failure=failure))).quarantined == []
    wait = await room.watcher.fetchval("select available_time - queue_time from task_queue")
    assert wait == timedelta(seconds=RETRY_AFTER_SECONDS_MAX)


# ---- clears
async def test_a_success_without_output_leaves_none_of_an_older_one(room: StepRoom) -> None:
    key = await claimed(room)
    await step(room, ends([key], output=Output("application/json", b"1", None, 1, "")))
    assert [row["body"] for row in await store.read_outputs(room.watcher, [key.dag_run_id], [0])] == [b"1"]
    await step(room, command(key.dag_run_id, TasksCleared((0,))))
    await step(room, ends([await room.claim_one(await room.session("next"))]))
    assert await store.read_outputs(room.watcher, [key.dag_run_id], [0]) == []


@pytest.mark.parametrize("later", [False, True], ids=["of its version", "of a later version"])
async def test_clearing_a_run_that_has_ended_respects_the_cap_on_runs(room: StepRoom, later: bool) -> None:
    key = await claimed(room, runs_active_max=None if later else 1)
    await room.watcher.execute("update concurrency_limit set capacity = 1 where kind = 'dag_runs'")
    await step(room, ends([key]))
    other = await room.create_run(1)
    await step(room, {other: RunWork(events=[RunStarted()])})
    with pytest.raises(StateConflict, match="may have 1 active runs, and has 1"):
        await step(room, command(key.dag_run_id, TasksCleared((0,))))
    await step(room, ends([await room.claim_one(await room.session("next"))]))
    await step(room, command(key.dag_run_id, TasksCleared((0,))))
    states = await room.watcher.fetch("select state from dag_run where dag_run_id = $1", key.dag_run_id)
    assert [row["state"] for row in states] == ["running"]


# ---- telling
async def test_a_worker_that_cannot_be_told_costs_the_others_nothing(room: StepRoom) -> None:
    await room.store_dag(2)
    run_id = await room.start_run(2)
    engine = await replica(room)
    deaf = Worker(await room.session("deaf"), free=1, deaf=True)
    other = Worker(await room.session("other"), free=1)
    for worker in (deaf, other):
        engine.replica.pullers.add(worker)
    await turn(engine)
    assert (len(other.tasks), len(await room.live())) == (1, 2)
    engine.submit(
        Report(key, AttemptState.SUCCESS, origin=other if key.task in other.tasks else deaf)
        for key in await room.live()
    )
    await turn(engine)
    assert other.verdicts == [Verdict.ACCEPTED]
    assert await room.watcher.fetchval("select state from dag_run where dag_run_id = $1", run_id) == "success"
