"""What a COMMIT of unknown outcome leaves behind: an attempt that is live and was never sent."""

from __future__ import annotations

from step_room import OFFER, StepRoom

from glidepath_server.api.assignments import Assignments
from glidepath_server.api.worker_stream import Session
from glidepath_server.clock import monotonic
from glidepath_server.core.states import AttemptState
from glidepath_server.loops.engine import Engine
from glidepath_server.loops.heartbeats import Heartbeats
from glidepath_server.settings import Settings


async def claimed_but_never_sent(room: StepRoom) -> tuple[Engine, Session]:
    """A replica whose worker was given an attempt in a commit that the replica did not see."""
    await room.store_dag(1)
    await room.start_run(1)
    session_id = await room.session()
    async with room.side() as claimer:
        await claimer.seat(session_id)
        await claimer.step_and_commit()
    engine = Engine(room.database, Settings.load({}))
    session = Session(session_id, 1, OFFER, Assignments(b"key"))
    engine.replica.pullers.add(session)
    return engine, session


def taken_back(engine: Engine) -> list[AttemptState]:
    return [report.outcome for lane in engine.lanes for work in lane.pending.values() for report in work.reports]


async def test_an_attempt_that_nobody_sent_is_taken_back_once_it_is_old_enough(room: StepRoom) -> None:
    engine, _ = await claimed_but_never_sent(room)
    engine.unsettled_since = monotonic() - 60
    await Heartbeats(engine).watch()
    assert taken_back(engine) == []  # it may be on its way
    await room.shift_clock(10.0)
    engine.unsettled_since = monotonic() - 60
    await Heartbeats(engine).watch()
    assert taken_back(engine) == [AttemptState.RETURNED]
    assert engine.unsettled_since is None


async def test_what_the_worker_holds_stays_and_without_doubt_nothing_is_looked_at(room: StepRoom) -> None:
    engine, session = await claimed_but_never_sent(room)
    await room.shift_clock(10.0)
    await Heartbeats(engine).watch()
    assert taken_back(engine) == []
    (key,) = await room.live()
    session.held[session.assignments.token(key)] = 10.0
    engine.unsettled_since = monotonic() - 60
    await Heartbeats(engine).watch()
    assert taken_back(engine) == []
