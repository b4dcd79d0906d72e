"""A server runs each of its loops, and each once."""

from __future__ import annotations

import inspect
from collections import Counter

from serving import Api

from glidepath_server.loops import timers
from glidepath_server.loops.level import LevelLoop


async def test_every_timer_is_started_once(api: Api) -> None:
    running = Counter(each.name for each in api.server._loops)
    assert set(running.values()) == {1}, running
    made = {
        each.__name__
        for _, each in inspect.getmembers(timers, inspect.isfunction)
        if each.__module__ == timers.__name__ and each.__annotations__.get("return") == LevelLoop.__name__
    }
    assert len(made) > 5 and made <= set(running)


async def test_ticks_and_tries_of_alerts_are_counted(api: Api) -> None:
    server = api.server
    assert server.scheduler._on_tick == server.metrics.tick
    assert server.alerts._on_try == server.metrics.delivery
