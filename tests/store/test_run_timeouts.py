"""A run ends for its timeout, and not for one that it had before it was cleared."""

from __future__ import annotations

import uuid

from step_room import StepRoom, command, ends

from glidepath_server.core.canonical import canonical_json, from_canonical_json
from glidepath_server.core.events import RunTimedOut, TasksCleared
from glidepath_server.operations.step_types import RunWork

TIMEOUT_SECONDS = 60.0


async def started(room: StepRoom) -> uuid.UUID:
    """A run with one task in the queue, and a timeout."""
    await room.store_dag(1)
    spec = from_canonical_json(await room.watcher.fetchval("select spec from dag_version"))
    text = canonical_json(type(spec)(spec.dag_id, spec.tasks, run_timeout_seconds=TIMEOUT_SECONDS))
    await room.watcher.execute("update dag_version set spec = $1", text)
    return await room.start_run(1)


async def state_of(room: StepRoom, run_id: uuid.UUID) -> tuple[str, str]:
    row = await room.watcher.fetchrow("select state, intent from dag_run where dag_run_id = $1", run_id)
    return row["state"], row["intent"]


def timed_out(run_id: uuid.UUID) -> dict[uuid.UUID, RunWork]:
    """What a loop says that saw the run late; it may say it long after it looked."""
    return {run_id: RunWork(events=[RunTimedOut()])}


async def test_a_run_that_is_late_ends(room: StepRoom) -> None:
    run_id = await started(room)
    await room.shift_clock(TIMEOUT_SECONDS + 1)
    async with room.side() as side:
        await side.step_and_commit(timed_out(run_id))
    assert await state_of(room, run_id) == ("failed", "fail")


async def test_a_timer_that_saw_the_run_before_it_was_cleared_does_not_end_it(room: StepRoom) -> None:
    run_id = await started(room)
    await room.shift_clock(TIMEOUT_SECONDS + 1)
    seen = timed_out(run_id)
    async with room.side() as side:
        await side.step_and_commit(ends([await room.claim_one(await room.session())]))
        await side.step_and_commit(command(run_id, TasksCleared((0,))))
        await side.step_and_commit(seen)
    assert await state_of(room, run_id) == ("running", "run")
    assert await room.queued() == {0: 0}
