"""How often and how many at a time: what a task may use up, and that direct hand-off respects it like a claim."""

from __future__ import annotations

from step_room import StepRoom, ends

from glidepath_server.core.events import RunStarted
from glidepath_server.core.states import AttemptState
from glidepath_server.operations.step_types import RunWork


async def test_what_is_released_beside_a_free_worker_stays_within_its_pool(room: StepRoom) -> None:
    await room.store_dag(3, pool_slots=2)
    run_id = await room.create_run(3)
    async with room.side() as side:
        await side.seat(await room.session(), free=3)
        outcome = await side.step_and_commit({run_id: RunWork(events=[RunStarted()])})
    assert len(outcome.assigned) == 2
    assert await room.holders(room.pool_limit) == [each.key.task for each in outcome.assigned]


async def test_a_lost_attempt_does_not_give_back_the_tries_of_before(room: StepRoom) -> None:
    await room.store_dag(1, retries=1)
    await room.start_run(1)
    session_id = await room.session()
    for outcome in (AttemptState.FAILED, AttemptState.LOST, AttemptState.FAILED):
        key = await room.claim_one(session_id)
        async with room.side() as side:
            await side.step_and_commit(ends([key], outcome))
    assert (await room.history(), await room.queued(), await room.live()) == (["failed", "lost", "failed"], {}, [])
