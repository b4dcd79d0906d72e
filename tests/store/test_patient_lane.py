"""Runs whose lock somebody else has: they wait beside the lanes, which go on with what can be stepped."""

from __future__ import annotations

import asyncio

import pytest
from replica_room import Worker, pending, replica, turn
from step_room import SOON_SECONDS, StepRoom

from glidepath_server.core.errors import Unavailable
from glidepath_server.core.events import RunCancelled
from glidepath_server.core.states import AttemptState
from glidepath_server.loops import lanes
from glidepath_server.loops.engine import Engine
from glidepath_server.operations.step_types import Report, RunWork, StepOutcome, Verdict

HOLD = "select from dag_run where dag_run_id = $1 for no key update"


async def state_of(room: StepRoom, run_id: object) -> str:
    state: str = await room.watcher.fetchval("select state from dag_run where dag_run_id = $1", run_id)
    return state


async def two_runs(room: StepRoom, monkeypatch: pytest.MonkeyPatch) -> tuple[Engine, object, object]:
    """A replica with one lane, and two runs to start."""
    monkeypatch.setattr(lanes, "LOCK_WAIT_SECONDS", SOON_SECONDS)
    await room.store_dag(1)
    engine = await replica(room, engine_lanes=1)
    return engine, await room.create_run(1), await room.create_run(1)


async def test_what_was_missed_twice_waits_for_its_lock_beside_the_lane(
    room: StepRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, held, other = await two_runs(room, monkeypatch)
    async with room.side() as elsewhere:
        await elsewhere.begin()
        await elsewhere.connection.fetch(HOLD, held)
        engine.runs_created([held])
        await turn(engine)  # ends: the lane does not ask for ever
        assert (pending(engine), list(engine.patient._works)) == ([], [held])
        patience = asyncio.create_task(engine.patient._turn())
        await room.until_waiting("%for no key update%", patience)
        engine.runs_created([other])
        await turn(engine)
        assert await state_of(room, other) == "running"
        await elsewhere.commit()
    await patience
    assert (await state_of(room, held), list(engine.patient._works)) == ("running", [])


async def test_patience_ends_and_the_run_goes_back_into_its_lane(
    room: StepRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, held, _ = await two_runs(room, monkeypatch)
    monkeypatch.setattr(lanes, "LOCK_WAIT_SECONDS", 0.05)
    async with room.side() as elsewhere:
        await elsewhere.begin()
        await elsewhere.connection.fetch(HOLD, held)
        engine.runs_created([held])
        await turn(engine)
        await engine.patient._turn()
        assert (pending(engine), list(engine.patient._works)) == ([held], [])
        await elsewhere.commit()
    await turn(engine)
    assert await state_of(room, held) == "running"


async def test_commands_that_the_stop_leaves_undone_are_answered(
    room: StepRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, held, other = await two_runs(room, monkeypatch)
    await engine.start()
    async with room.side() as elsewhere:
        await elsewhere.begin()
        await elsewhere.connection.fetch(HOLD, held)
        under_way = asyncio.create_task(engine.command(held, RunCancelled("stop")))
        await room.until_waiting("%for no key update%", under_way)
        behind_it = asyncio.create_task(engine.command(other, RunCancelled("stop")))
        stopping = asyncio.create_task(engine.stop())
        await asyncio.sleep(0)  # both have begun
        await elsewhere.commit()
    async with asyncio.timeout(SOON_SECONDS):
        await stopping
        await under_way
        with pytest.raises(Unavailable, match="stopping"):
            await behind_it
    assert (await state_of(room, held), await state_of(room, other)) == ("cancelled", "queued")


async def test_a_command_on_a_run_that_is_gone_is_answered(room: StepRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, gone, _ = await two_runs(room, monkeypatch)
    await room.watcher.execute("delete from dag_run where dag_run_id = $1", gone)
    await engine.start()
    async with asyncio.timeout(SOON_SECONDS):
        with pytest.raises(Unavailable, match="not there any more"):
            await engine.command(gone, RunCancelled("stop"))
    await engine.stop()


async def test_who_was_not_told_after_the_commit_is_told_by_the_lane(
    room: StepRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.store_dag(1)
    await room.start_run(1)
    key = await room.claim_one(await room.session())
    engine, worker = await replica(room, engine_lanes=1), Worker(await room.session("another"), deaf=True)
    engine.patient.wait_for(key.dag_run_id, RunWork(reports=[Report(key, AttemptState.SUCCESS, origin=worker)]))
    settle = engine.settle

    def failing(outcome: StepOutcome) -> None:
        monkeypatch.setattr(engine, "settle", settle)
        raise RuntimeError("no memory")

    monkeypatch.setattr(engine, "settle", failing)
    await engine.patient._turn()
    assert (await room.history(), worker.verdicts) == (["success"], [])
    worker.deaf = False
    await turn(engine)
    assert worker.verdicts == [Verdict.DUPLICATE]
