"""A stream whose session has moved on to a newer generation judges nothing: it knows not what that one was given."""

from __future__ import annotations

import uuid

from step_room import OFFER, TTL_SECONDS, StepRoom

from glidepath_server.api.assignments import Assignments
from glidepath_server.api.worker_stream import Session
from glidepath_server.clock import monotonic
from glidepath_server.core.events import AttemptKey
from glidepath_server.loops.engine import Engine
from glidepath_server.loops.heartbeats import Heartbeats
from glidepath_server.operations import sessions
from glidepath_server.operations.step_types import Report, RunWork
from glidepath_server.settings import Settings
from glidepath_server.store import sessions as store
from glidepath_server.store.sessions import WorkerFacts


def submitted(engine: Engine) -> list[Report]:
    return [report for lane in engine.lanes for work in lane.pending.values() for report in work.reports]


async def old_stream(room: StepRoom, session_id: uuid.UUID) -> tuple[Engine, Session]:
    """A replica with the half-open stream of generation 1."""
    engine = Engine(room.database, Settings.load({}))
    session = Session(session_id, 1, OFFER, Assignments(b"key"))
    engine.replica.pullers.add(session)
    return engine, session


async def hello_elsewhere(room: StepRoom, *held: AttemptKey) -> sessions.Greeting:
    facts = WorkerFacts("worker", "1", OFFER, "test", "0", "host", 1)
    return await sessions.hello(room.database.worker, facts, list(held), uuid.uuid4(), TTL_SECONDS)


async def judge(room: StepRoom, reports: list[Report]) -> None:
    async with room.side() as side:
        for report in reports:
            await side.step_and_commit({report.key.dag_run_id: RunWork(reports=[report])})


async def one_attempt(room: StepRoom) -> tuple[uuid.UUID, AttemptKey]:
    await room.store_dag(1)
    await room.start_run(1)
    session_id = await room.session()
    return session_id, await room.claim_one(session_id)


async def test_what_hello_bound_elsewhere_is_not_taken_back_as_unaccepted(room: StepRoom) -> None:
    session_id, key = await one_attempt(room)
    engine, session = await old_stream(room, session_id)
    token = session.assignments.token(key)
    session.held[token], session.unaccepted[token] = 10.0, monotonic() - 60  # `accepted` was lost with the link
    greeting = await hello_elsewhere(room, key)
    assert (greeting.generation, greeting.bound) == (2, {key})
    await Heartbeats(engine).watch()
    assert submitted(engine) == []
    assert session.closed


async def test_a_verdict_of_before_the_hello_changes_nothing_after_it(room: StepRoom) -> None:
    session_id, key = await one_attempt(room)
    engine, session = await old_stream(room, session_id)
    token = session.assignments.token(key)
    session.held[token], session.unaccepted[token] = 10.0, monotonic() - 60
    await Heartbeats(engine).watch()
    (verdict,) = submitted(engine)
    assert (verdict.judged, verdict.judged_generation) == (session_id, 1)
    await hello_elsewhere(room, key)
    await judge(room, [verdict])
    assert await room.live() == [key]


async def test_a_sweep_leaves_alone_what_a_newer_generation_was_given(room: StepRoom) -> None:
    await room.store_dag(1)
    await room.start_run(1)
    session_id = await room.session()
    engine, session = await old_stream(room, session_id)
    await hello_elsewhere(room)
    async with room.side() as elsewhere:
        await elsewhere.seat(session_id, generation=2)
        await elsewhere.step_and_commit()
    await room.shift_clock(10.0)
    engine.unsettled_since = monotonic() - 60
    await Heartbeats(engine).sweep([session])
    assert submitted(engine) == []
    await Heartbeats(engine).watch()
    assert submitted(engine) == []
    assert session.closed
    assert len(await room.live()) == 1


async def test_an_ended_session_is_not_judged_by_its_stream(room: StepRoom) -> None:
    session_id, key = await one_attempt(room)
    engine, session = await old_stream(room, session_id)
    token = session.assignments.token(key)
    session.held[token], session.unaccepted[token] = 10.0, monotonic() - 60
    await sessions.leave(room.database.worker, session_id, 1)
    await Heartbeats(engine).watch()
    assert submitted(engine) == []
    assert session.closed


async def test_of_two_streams_of_a_session_at_one_replica_only_the_newer_goes_on(room: StepRoom) -> None:
    """In whatever order they get there: the hello of the older one may be answered late."""
    session_id = await room.session()
    assert (await hello_elsewhere(room)).generation == 2
    for newer_first in (False, True):
        engine = Engine(room.database, Settings.load({}))
        older, newer = (Session(session_id, number, OFFER, Assignments(b"key")) for number in (1, 2))
        for session in (newer, older) if newer_first else (older, newer):
            engine.attach(session)
        assert (older.closed, newer.closed) == (True, False)
        assert engine.replica.pullers.by_session == {session_id: newer}
        engine.detach(older)  # as its handler does at its end
        assert engine.replica.pullers.by_session == {session_id: newer}
        await engine.stop()


async def test_a_hello_that_was_overtaken_binds_nothing(room: StepRoom) -> None:
    session_id, key = await one_attempt(room)
    assert (await hello_elsewhere(room)).generation == 2
    async with room.database.worker.acquire() as connection:
        for generation, bound in ((1, set()), (2, {key})):
            assert bound == await store.rebind(connection, [key], session_id, generation, "default", "worker")
