"""What a worker has free is derived from what it runs: no reconnect and no lost answer makes it more or less."""

from __future__ import annotations

import asyncio
import uuid

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


async def tasks_for_a_gpu(room: StepRoom, count: int) -> Engine:
    """Waiting tasks that each need the only gpu of the worker."""
    await room.store_dag(count)
    await room.watcher.execute("""update task_class set resources = '{"gpu": 1}'""")
    await room.start_run(count)
    return await replica(room)


async def connect(room: StepRoom, engine: Engine, *held: AttemptKey) -> Worker:
    """The worker says hello and its stream is attached."""
    greeting = await sessions.hello(room.database.worker, FACTS, held, uuid.uuid4(), TTL_SECONDS)
    assert greeting.bound == {*held}
    worker = Worker(greeting.session_id, generation=greeting.generation, free=10, offer=GPU)
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
