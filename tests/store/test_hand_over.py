"""Direct hand-off: what is released beside a free worker is live at once, and passes by nobody and no cap."""

from __future__ import annotations

from step_room import StepRoom

from glidepath_server.core.events import RunStarted
from glidepath_server.operations.step_types import RunWork
from glidepath_server.store import limits

STARTED = RunStarted()


async def test_pausing_waits_for_a_hand_off_and_counts_it(room: StepRoom) -> None:
    await room.store_dag(1)
    run_id = await room.create_run(1)
    async with room.side() as giver, room.side() as pauser:
        await giver.seat(await room.session())
        (assigned,) = (await giver.step({run_id: RunWork(events=[STARTED])})).assigned
        await pauser.begin()
        pause = await pauser.waits(limits.set_paused(pauser.connection, room.tasks_limit, True))
        await giver.commit()
        await pause
        await pauser.commit()
    assert (await room.live(), await room.holders(room.tasks_limit)) == ([assigned.key], [0])


async def test_what_waits_goes_before_what_is_released_now(room: StepRoom) -> None:
    await room.store_dag(1)
    waiting, released = await room.start_run(1), await room.create_run(1)
    async with room.side() as side:
        await side.seat(await room.session(), free=1)
        outcome = await side.step_and_commit({released: RunWork(events=[STARTED])})
    assert [each.key.dag_run_id for each in outcome.assigned] == [waiting]
