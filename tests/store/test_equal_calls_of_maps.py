"""Equal calls of mapped tasks through the store: pauses that hold instances back, and long lists of kept results."""

from __future__ import annotations

import json
import uuid

import pytest
from equal_calls_room import follow, success
from replica_room import replica
from step_room import StepRoom, command
from test_ends import step

from glidepath_server.core.definition import CachePolicy, MapInput, MapSpec, Param
from glidepath_server.core.events import RunPaused, RunResumed, RunStarted
from glidepath_server.loops import timers
from glidepath_server.operations.step_types import RunWork

OVER_DAYS = {0: MapSpec((MapInput("x", Param("days")),))}


async def started(room: StepRoom, *days: int) -> uuid.UUID:
    run_id = await room.create_run(1, json.dumps({"days": days}))
    await step(room, {run_id: RunWork(events=[RunStarted()])})
    return run_id


async def at_it(room: StepRoom) -> list[tuple[uuid.UUID, bool]]:
    rows = await room.watcher.fetch("select dag_run_id, waits from cached_call order by call_id")
    return [(row["dag_run_id"], row["waits"]) for row in rows]


async def test_an_instance_that_a_pause_has_taken_from_the_queue_is_waited_for_no_more(room: StepRoom) -> None:
    await room.store_dag(1, cache=CachePolicy(), maps=OVER_DAYS)
    first, second = await started(room, 1), await started(room, 1)
    assert await at_it(room) == [(first, False), (second, True)]
    await step(room, command(first, RunPaused((), "ada")))
    await follow(room)
    assert await at_it(room) == [(second, False)], "the other one goes on"
    key = await room.claim_one(await room.session())
    assert key.dag_run_id == second
    await step(room, success(key, 7))
    await step(room, command(first, RunResumed((), "ada")))
    assert await room.history() == ["success"] and await room.queued() == {}, "and its result is taken"


async def test_an_instance_that_a_pause_keeps_from_waiting_stands_before_nobody(room: StepRoom) -> None:
    await room.store_dag(1, cache=CachePolicy(), maps=OVER_DAYS)
    first, second, third = await started(room, 1), await started(room, 1), await started(room, 1)
    await step(room, command(second, RunPaused((), "ada")))
    assert await at_it(room) == [(first, False), (third, True)]
    await step(room, command(first, RunPaused((), "ada")))
    await timers.equal_call_sweeper(await replica(room)).once()
    await follow(room)
    assert await at_it(room) == [(third, False)]


async def test_kept_results_of_a_long_list_are_taken_a_bounded_number_per_step(
    room: StepRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glidepath_server.operations.equal_calls.HITS_MAX", 4)
    await room.store_dag(1, cache=CachePolicy(), maps={0: MapSpec((MapInput("x", Param("days")),), active_max=2)})
    days = list(range(9))
    await started(room, *days)
    for day in days:
        await step(room, success(await room.claim_one(await room.session(f"worker {day}")), 7))
    second = await started(room, *days)
    taken = "select count(*) from task_reuse where dag_run_id = $1"
    assert await room.watcher.fetchval(taken, second) == 4
    await follow(room)
    assert await room.watcher.fetchval(taken, second) == 9 and len(await room.history()) == 9
    assert await room.watcher.fetchval("select state from dag_run where dag_run_id = $1", second) == "success"
