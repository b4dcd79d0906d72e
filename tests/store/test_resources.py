"""What a worker has free is derived from what it runs: no reconnect and no lost answer makes it more or less."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from typing import Any

import pytest
from replica_room import Worker, replica, turn
from step_room import OFFER, SOON_SECONDS, TTL_SECONDS, StepRoom

from glidepath_server.core.events import AttemptKey
from glidepath_server.core.matching import Offer
from glidepath_server.core.states import AttemptState
from glidepath_server.loops.engine import Engine
from glidepath_server.operations import sessions
from glidepath_server.operations.step_types import Report
from glidepath_server.store.sessions import WorkerFacts

GPU = Offer("default", frozenset({"default"}), {}, {"gpu": 1.0}, OFFER.handlers)
FACTS = WorkerFacts("worker", "1", GPU, "test", "0", "host", 1)


async def tasks_for_a_gpu(room: StepRoom, count: int, **fields: Any) -> Engine:
    """Waiting tasks that each need the only gpu of the worker."""
    await room.store_dag(count, **fields)
    await room.watcher.execute("""update task_class set resources = '{"gpu": 1}'""")
    await room.start_run(count)
    return await replica(room)


async def connect(room: StepRoom, engine: Engine, *held: AttemptKey, facts: WorkerFacts = FACTS) -> Worker:
    """The worker says hello and its stream is attached."""
    greeting = await sessions.hello(room.database.worker, facts, held, uuid.uuid4(), TTL_SECONDS)
    assert greeting.bound == {*held}
    worker = Worker(greeting.session_id, generation=greeting.generation, free=10, offer=facts.offer)
    engine.attach(worker)
    async with asyncio.timeout(SOON_SECONDS):
        await asyncio.gather(*engine._deriving)
    return worker


async def test_a_worker_that_reconnects_has_not_got_back_what_it_uses(room: StepRoom) -> None:
    engine = await tasks_for_a_gpu(room, 2)
    before = await connect(room, engine)
    await turn(engine)
    (key,) = (each.key for each in before.assigned)
    after = await connect(room, engine, key)
    await turn(engine)
    assert (after.resources_free, after.assigned, len(await room.live())) == ({"gpu": 0.0}, [], 1)


async def test_what_ended_is_free_again_whoever_told_its_end(room: StepRoom) -> None:
    engine = await tasks_for_a_gpu(room, 3)
    worker = await connect(room, engine)
    for number in range(3):
        await turn(engine)
        assert len(worker.assigned) == number + 1
        # A unary report, a verdict: not by the stream of the session.
        engine.submit([Report(worker.assigned[-1].key, AttemptState.SUCCESS)])
    await turn(engine)
    assert (await room.live(), worker.resources_free) == ([], {"gpu": 1.0})


async def test_a_worker_that_comes_back_without_its_attempt_has_its_resources(room: StepRoom) -> None:
    engine = await tasks_for_a_gpu(room, 1)
    await connect(room, engine)
    await turn(engine)
    (key,) = await room.live()
    engine.submit([Report(key, AttemptState.SUCCESS)])
    await turn(engine)
    assert (await connect(room, engine)).resources_free == {"gpu": 1.0}


PLAIN = dataclasses.replace(FACTS, identity="plain", offer=dataclasses.replace(GPU, resources={}))
LARGE = dataclasses.replace(FACTS, identity="large", offer=dataclasses.replace(GPU, resources={"gpu": 1.0, "cpu": 8.0}))


@pytest.mark.parametrize("pool_slots", [None, 2])
async def test_one_task_goes_to_one_of_two_workers_that_offer_different_things(
    room: StepRoom, pool_slots: int | None
) -> None:
    engine = await tasks_for_a_gpu(room, 1, pool_slots=pool_slots)
    small, large = await connect(room, engine), await connect(room, engine, facts=LARGE)
    await turn(engine)
    assert small.tasks + large.tasks == [0] and len(await room.live()) == 1
    idle, free = (large, {"gpu": 1.0, "cpu": 8.0}) if small.tasks else (small, {"gpu": 1.0})
    assert (idle.free, idle.resources_free) == (10, free)


async def test_a_task_that_needs_nothing_goes_once_though_tasks_with_needs_wait_beside_it(room: StepRoom) -> None:
    await room.store_dag(2)
    await room.watcher.execute(
        """with needy as (
               insert into task_class (namespace, dag_id, queue_id, handler_name, handler_version, worker_selector,
                                       resources, tasks_limit_id, pool_slots, class_hash)
               select namespace, dag_id, queue_id, handler_name, handler_version, worker_selector,
                      '{"gpu": 1}', tasks_limit_id, pool_slots, 'needy' from task_class
               returning class_id)
           update dag_version set class_ids[2] = needy.class_id from needy"""
    )
    await room.start_run(2)
    engine = await replica(room)
    gpu = await connect(room, engine)
    plain = await connect(
        room, engine, facts=dataclasses.replace(FACTS, identity="plain", offer=dataclasses.replace(GPU, resources={}))
    )
    await turn(engine)
    assert sorted(gpu.tasks + plain.tasks) == [0, 1] and gpu.tasks[-1] == 1
    assert gpu.free + plain.free == 18


async def test_what_one_kind_of_worker_has_taken_stands_in_no_other_s_way(room: StepRoom) -> None:
    engine = await tasks_for_a_gpu(room, 3, pool_slots=2)
    small, large = await connect(room, engine), await connect(room, engine, facts=LARGE)
    await turn(engine)
    assert sorted(small.tasks + large.tasks) == [0, 1] and small.tasks and large.tasks
    assert [*await room.queued()] == [2]
