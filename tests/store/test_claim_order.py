"""Who gets the next credit: one order over what has limits and what has none, and no queue before the others.

The worker mostly has one credit at a time: the order of its tasks is the order of the claims.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from replica_room import Worker, learn, replica, turn
from step_room import HANDLER, OFFER, StepRoom

from glidepath_server.core.events import RunStarted
from glidepath_server.core.matching import Offer
from glidepath_server.loops import timers
from glidepath_server.loops.engine import Engine


async def put_in_order(room: StepRoom) -> None:
    await room.watcher.execute("update task_queue set order_key = task_index")


async def put_into_class(room: StepRoom, *tasks: int, **needs: Any) -> None:
    """Give waiting tasks a class of their own: in another queue, with a pool, with resources."""
    columns = {"queue_id": room.queue, "pool_limit_id": None, "resources": {}, **needs}
    class_id = await room.watcher.fetchval(
        """insert into task_class (namespace, dag_id, queue_id, handler_name, handler_version, worker_selector,
                                   resources, tasks_limit_id, pool_limit_id, pool_slots, class_hash)
           values ('default', 'dag', $1, $2, '', '{}', $3, $4, $5, 1, $6) returning class_id""",
        columns["queue_id"],
        HANDLER,
        json.dumps(columns["resources"]),
        room.tasks_limit,
        columns["pool_limit_id"],
        f"hash of {columns}".encode(),
    )
    await room.watcher.execute(
        "update task_queue set class_id = $1, queue_id = $2 where task_index = any($3)",
        class_id,
        columns["queue_id"],
        tasks,
    )


async def another_queue(room: StepRoom, *tasks: int) -> Offer:
    """Put waiting tasks into a second queue; a worker's offer that serves both."""
    queue_id = await room.watcher.fetchval(
        "insert into queue (namespace, queue_name) values ('default', 'other') returning queue_id"
    )
    await put_into_class(room, *tasks, queue_id=queue_id)
    return Offer("default", frozenset({"default", "other"}), {}, {}, OFFER.handlers)


async def waiting(room: StepRoom, tasks: int) -> uuid.UUID:
    await room.store_dag(tasks)
    run_id = await room.start_run(tasks)
    await put_in_order(room)
    return run_id


async def served(engine: Engine, worker: Worker, credits: int) -> list[int]:
    """The tasks that the worker gets, one credit after the other."""
    await learn(engine)
    engine.replica.pullers.add(worker)
    for _ in range(credits):
        worker.free = 1
        engine.replica.pullers.hope_everywhere()
        await turn(engine)
    return worker.tasks


async def test_a_task_that_needs_a_slot_waits_no_longer_than_one_that_needs_none(room: StepRoom) -> None:
    await waiting(room, 5)
    pool = await room.watcher.fetchval(
        """insert into concurrency_limit (namespace, kind, name, capacity) values ('default', 'pool', 'roomy', 5)
           returning limit_id"""
    )
    await put_into_class(room, 0, 2, pool_limit_id=pool)
    assert await served(await replica(room), Worker(await room.session()), 5) == [0, 1, 2, 3, 4]
    assert await room.holders(pool) == [0, 2]


async def test_what_lacks_resources_stands_in_nobodys_way(room: StepRoom) -> None:
    await waiting(room, 4)
    await put_into_class(room, 0, 1, resources={"gpu": 1})
    await put_into_class(room, 2, resources={"cpu": 1})
    offer = Offer("default", frozenset({"default"}), {}, {"gpu": 1.0, "cpu": 8.0}, OFFER.handlers)
    worker = Worker(await room.session(), offer=offer)
    worker.resources_free = dict(offer.resources)
    # The second task waits for the first one's gpu; the others do not wait for the second.
    assert await served(await replica(room), worker, 4) == [0, 2, 3]
    assert await room.queued() == {1: 0}


async def test_queues_take_turns_however_long_one_of_them_is(room: StepRoom) -> None:
    await waiting(room, 6)
    worker = Worker(await room.session(), offer=await another_queue(room, 5))
    assert 5 in await served(await replica(room), worker, 2)


async def test_queues_share_the_credits_of_one_claim(room: StepRoom) -> None:
    await waiting(room, 6)
    offer = await another_queue(room, 3, 4, 5)
    engine, worker = await replica(room), Worker(await room.session(), free=4, offer=offer)
    engine.replica.pullers.add(worker)
    await turn(engine)
    assert sorted(worker.tasks) == [0, 1, 3, 4]


async def test_a_server_that_starts_anew_puts_what_comes_behind_what_waits(room: StepRoom) -> None:
    old = await waiting(room, 3)
    await room.watcher.execute("update task_queue set order_key = order_key + 5000")  # the queue has come this far
    new = await room.create_run(3)
    engine = await replica(room)
    await timers.lost_wake_ups(engine).once()
    engine.add_event(new, RunStarted())
    await turn(engine)
    worker = Worker(await room.session())
    await served(engine, worker, 1)
    assert [each.key.dag_run_id for each in worker.assigned] == [old]


async def test_a_start_looks_at_the_heads_of_the_queues(room: StepRoom) -> None:
    await waiting(room, 1)
    await room.watcher.execute("update task_queue set order_key = 5000")
    engine = await replica(room)
    assert engine.replica.flow(room.queue).virtual_time == 0
    await engine.start()
    await engine.stop()
    assert engine.replica.flow(room.queue).virtual_time == 5000
