"""Whatever dies and whatever is cancelled: holders are the live attempts, within their limits, and none after quiet."""

from __future__ import annotations

import pytest
from limit_world import LimitWorld
from step_room import StepRoom


async def _live(room: StepRoom, seed: int, kills: int) -> None:
    world = LimitWorld(room, seed)
    await world.open()
    try:
        await world.live_through(kills)
        await world.come_to_rest()
    finally:
        await world.close()
    assert world.full > kills / 5, "limits were hardly ever full"


@pytest.mark.timeout(180)
async def test_holders_are_what_is_live_while_replicas_die(room: StepRoom) -> None:
    await _live(room, seed=7, kills=15)


@pytest.mark.prove
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(4))
async def test_holders_are_what_is_live_over_many_deaths(room: StepRoom, seed: int) -> None:
    await _live(room, seed=seed, kills=500)
