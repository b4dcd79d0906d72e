"""The count of preempted attempts goes by every way from one attempt's row to the next one's."""

from __future__ import annotations

import pytest
from step_room import StepRoom, ends
from test_ends import claimed, step

from glidepath_server.core.events import AttemptKey, RunPaused, RunResumed
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.states import AttemptState
from glidepath_server.operations.step_types import Command, RunWork
from glidepath_server.store import engine, runs_read, worker_feed

TAKEN = Failure(FailureKind.PREEMPTED, "Preempted", "the machine of its worker is taken away")


async def preempt(room: StepRoom, key: AttemptKey) -> None:
    await step(room, ends([key], AttemptState.FAILED, failure=TAKEN))


async def counted(room: StepRoom) -> tuple[int, int, int]:
    """Of the live attempt: its number, preemptions and tries."""
    row = await room.watcher.fetchrow("select attempt_number, preemptions, tries from live_attempt")
    return tuple(row)  # type: ignore[return-value]


@pytest.mark.parametrize("dag", [{}, {"pool_slots": 1}], ids=["unlimited", "of a pool"])
async def test_a_claim_knows_the_count(room: StepRoom, dag: dict[str, int]) -> None:
    key = await claimed(room, **dag)
    await preempt(room, key)
    assert await room.watcher.fetchval("select preemptions from task_queue") == 1
    again = await room.claim_one(await room.session("other"))
    assert (again.attempt_number, await counted(room)) == (2, (2, 1, 0))
    await preempt(room, again)
    await room.claim_one(await room.session("third"))
    assert await counted(room) == (3, 2, 0)


async def test_an_attempt_that_is_handed_over_knows_the_count(room: StepRoom) -> None:
    key = await claimed(room)
    async with room.side() as side:
        await side.seat(await room.session("free"))
        (assigned,) = (await side.step_and_commit(ends([key], AttemptState.FAILED, failure=TAKEN))).assigned
    assert (assigned.key.attempt_number, await counted(room)) == (2, (2, 1, 0))


async def test_a_pause_keeps_the_count(room: StepRoom) -> None:
    key = await claimed(room)
    await preempt(room, key)
    for event in (RunPaused((), "alice"), RunResumed((), "alice")):
        await step(room, {key.dag_run_id: RunWork(command=Command(event))})
    await room.claim_one(await room.session("other"))
    assert await counted(room) == (2, 1, 0)


async def test_a_preempted_attempt_leaves_its_checkpoint_to_the_next(room: StepRoom) -> None:
    key = await claimed(room)
    await worker_feed.put_progress(room.watcher, {key: (10.0, "", b"page 7")}, "*")
    await preempt(room, key)
    again = await room.claim_one(await room.session("other"))
    [row] = await engine.read_checkpoints(room.watcher, [key.dag_run_id], [key.task])
    assert row["checkpoint"] == b"page 7"
    await worker_feed.put_progress(room.watcher, {again: (20.0, "", b"")}, "*")
    [row] = await engine.read_checkpoints(room.watcher, [key.dag_run_id], [key.task])
    assert row["checkpoint"] == b"page 7"


async def test_a_task_whose_machines_are_taken_away_too_often_is_a_dead_letter(room: StepRoom) -> None:
    key = await claimed(room)
    await room.watcher.execute("update live_attempt set preemptions = 10")
    await preempt(room, key)
    [letter] = await runs_read.dead_letters(room.watcher, "default", "", 2**63 - 1, 10)
    assert (letter.budget, letter.attempt_number) == ("preemptions", 1)
    assert letter.reason.startswith("its machine was taken away 11 times")
