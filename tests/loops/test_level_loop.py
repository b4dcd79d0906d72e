"""A level-triggered loop ends when it is told to, whatever wakes it in that moment."""

from __future__ import annotations

import asyncio

import pytest

from glidepath_server.loops.level import LevelLoop


@pytest.mark.parametrize("ticks", range(6))
async def test_a_loop_that_is_woken_as_it_is_stopped_ends(ticks: int) -> None:
    rounds = 0

    async def once() -> float | None:
        nonlocal rounds
        rounds += 1
        return None

    loop = LevelLoop("quiet", once, 0.05)
    loop.start()
    while not rounds:
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)  # it waits
    loop.wake()
    for _ in range(ticks):
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await loop.stop()
    assert loop._task is not None and loop._task.done()
