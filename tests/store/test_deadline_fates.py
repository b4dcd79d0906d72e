"""Deadlines of runs of every fate: each fact once where it is due, none elsewhere, whoever looks and whoever dies."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest
from deadline_world import DEADLINES, FATES, DeadlineWorld, Life
from step_room import StepRoom, ends

from glidepath_server import crash_points
from glidepath_server.core.deadlines import Deadline
from glidepath_server.core.events import TasksMarked
from glidepath_server.core.states import TaskEvent
from glidepath_server.operations.judge_deadlines import judge_due, set_risks
from glidepath_server.operations.step_types import Command, RunWork
from glidepath_server.store import deadlines as store


@pytest.mark.parametrize("seed", [1])
async def test_runs_of_every_fate_tell_each_fact_once(room: StepRoom, seed: int) -> None:
    world = DeadlineWorld(room, random.Random(seed))
    await world.build(replicas=2)
    await world.live(2 * len(FATES))
    found = await world.check()
    assert found["missed"] and found["met_late"]


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(3))
async def test_two_hundred_runs_of_every_fate_tell_each_fact_once(room: StepRoom, seed: int) -> None:
    world = DeadlineWorld(room, random.Random(seed))
    await world.build(replicas=2)
    await world.live(200)
    print(f"seed {seed}: {dict(await world.check())}")


# ---- one run, looked at closely
async def one(room: StepRoom, *deadlines: Deadline) -> tuple[DeadlineWorld, Life]:
    """A run that has started, of a DAG with these deadlines."""
    world = DeadlineWorld(room, random.Random(0))
    await world.build(deadlines=deadlines)
    life = Life("", "key", [])
    world.lives.append(life)
    await world.act(life, "create")
    await world.act(life, "start")
    return world, life


async def kinds(world: DeadlineWorld) -> list[str]:
    return [each["kind"] for each in await world.facts() if each["kind"] != "run_failed"]


DONE = replace(DEADLINES[0], name="done")
FIRST = replace(DEADLINES[1], name="first")
QUICK = next(each for each in DEADLINES if each.name == "quick")


async def test_a_run_that_is_done_in_time_and_then_cleared_is_told_of_by_nobody(room: StepRoom) -> None:
    world, life = await one(room, DONE)
    for what in ("success0", "success1", "clear", "failed1"):
        await world.act(life, what)
    await world.clock(1000)
    await world.round(world.loops[0])
    assert await kinds(world) == []
    assert await world.states() == {("key", "done"): "met"}


async def test_a_run_that_never_started_has_no_deadline_that_counts_from_its_start(room: StepRoom) -> None:
    """It was cancelled while it was queued; cleared later, it starts, and has it from there."""
    world = DeadlineWorld(room, random.Random(0))
    await world.build(deadlines=(QUICK,))
    life = Life("", "key", [])
    world.lives.append(life)
    await world.act(life, "create")
    await world.act(life, "cancel")
    await world.clock(1000)
    await world.round(world.loops[0])
    assert (await kinds(world), await world.states()) == ([], {("key", "quick"): "on_track"})
    await world.act(life, "clear")
    await world.clock(1000 + QUICK.after_seconds + 1)
    await world.round(world.loops[0])
    assert (await kinds(world), await world.states()) == (["missed"], {("key", "quick"): "missed"})


async def test_a_task_that_is_skipped_has_nothing_left_to_do(room: StepRoom) -> None:
    world, life = await one(room, FIRST)
    await world.step(life, RunWork(command=Command(TasksMarked((0,), TaskEvent.MARK_SKIPPED))))
    await world.act(life, "cancelled0")
    assert await world.states() == {("key", "first"): "met"}


async def test_a_step_that_holds_the_run_across_the_instant_was_in_time_however_late_it_commits(room: StepRoom) -> None:
    world, life = await one(room, FIRST)
    await world.clock(49)
    async with room.side() as side:
        side.replica = world.replica
        await side.step(ends([life.live[0]]))
        await world.clock(60)
        async with room.database.api.acquire() as judge, judge.transaction():
            assert await judge_due(judge, 10) == (False, 1), "it is left to the step that holds the run"
        await side.commit()
    await world.round(world.loops[0])
    assert (await kinds(world), await world.states()) == ([], {("key", "first"): "met"})


async def test_a_step_that_comes_after_the_judge_reads_a_later_time(room: StepRoom) -> None:
    world, life = await one(room, FIRST)
    await world.clock(49.7)
    async with room.database.api.acquire() as judge, room.side() as side:
        side.replica = world.replica
        transaction = judge.transaction()
        await transaction.start()
        await judge.fetch("select from dag_run for no key update")
        await side.begin()
        late = await side.waits(world.waiting_step(side.connection, ends([life.live[0]])))
        await world.clock(51)
        assert await judge_due(judge, 10) == (True, 0)
        await transaction.commit()
        await late
        await side.commit()
    assert await kinds(world) == ["missed", "met_late"]
    done, due = (await world.done_times())["key", "first"], (await world.due_times())["key", "first"]
    assert done > due


async def test_a_risk_is_told_once_and_so_is_its_end(room: StepRoom) -> None:
    world, _ = await one(room, DONE)
    (row,) = await store.list_deadlines(room.watcher, "default", limit=10)
    why = {"summary": "dag will be late", "tasks": ["task1"]}
    for risk in ({row.deadline_id: why}, {row.deadline_id: why}, {row.deadline_id: None}) * 2:
        async with room.database.api.acquire() as connection, connection.transaction():
            await set_risks(connection, risk)
    assert await kinds(world) == ["at_risk", "recovered"]
    assert (await world.facts())[0]["body"]["summary"] == "dag will be late"
    assert (await world.facts())[0]["body"]["tasks"] == ["task1"]


async def test_what_was_at_risk_and_is_met_has_recovered(room: StepRoom) -> None:
    world, life = await one(room, FIRST)
    async with room.database.api.acquire() as connection, connection.transaction():
        assert await set_risks(connection, {1: {}})
    await world.act(life, "success0")
    assert (await kinds(world), await world.states()) == (["at_risk", "recovered"], {("key", "first"): "met"})


@pytest.mark.parametrize("second", [51, 10])
async def test_a_prediction_has_no_say_in_what_is_due_or_settled(room: StepRoom, second: float) -> None:
    world, life = await one(room, FIRST)
    await world.clock(second)
    if second < 50:
        await world.act(life, "success0")
    async with room.database.api.acquire() as connection, connection.transaction():
        assert not await set_risks(connection, {1: {}})
    assert await kinds(world) == []


async def test_runs_that_never_start_have_no_deadline_that_counts_from_it(room: StepRoom) -> None:
    world = DeadlineWorld(room, random.Random(0))
    await world.build(deadlines=[DEADLINES[2]])
    world.lives = [life] = [Life("", "key", [])]
    await world.act(life, "create")
    await world.clock(10_000)
    await world.round(world.loops[0])
    assert await kinds(world) == []
    await world.act(life, "start")
    await world.clock(10_071)
    await world.round(world.loops[0])
    assert await kinds(world) == ["missed"]


async def test_a_deadline_of_a_task_that_the_version_does_not_have_is_no_deadline_of_the_run(room: StepRoom) -> None:
    world, _ = await one(
        room, replace(FIRST, task_id="another"), DONE, replace(FIRST, name="g", task_id="", group_id="g")
    )
    assert set(await world.states()) == {("key", "done")}


async def test_runs_of_dags_without_deadlines_have_none_and_ask_for_none(room: StepRoom) -> None:
    world, life = await one(room)
    assert not await room.watcher.fetchval("select has_deadlines from dag_run")
    await world.act(life, "success0")
    assert await world.states() == {}


async def test_a_promised_run_that_is_created_takes_what_has_become_of_its_deadlines(room: StepRoom) -> None:
    world = DeadlineWorld(room, random.Random(0))
    await world.build(deadlines=[DEADLINES[3], DONE])
    world.lives = [life] = [Life("never_created", "key", [])]
    await world.promise()
    await world.promise()
    await world.clock(91)
    await world.round(world.loops[0])
    (fact,) = await world.facts()
    assert (fact["kind"], fact["dag_run_id"]) == ("missed", None)
    assert "was not even created" in fact["body"]["summary"]
    for what in ("create", "start", "success0", "success1"):
        await world.act(life, what)
    assert await kinds(world) == ["missed", "met_late"]
    assert await world.states() == {("key", "owed"): "met_late", ("key", "done"): "met"}


async def test_nothing_is_promised_of_a_run_that_exists(room: StepRoom) -> None:
    world, life = await one(room)
    life.fate = "never_created"
    await store.put_dag_deadlines(
        room.watcher, "default", "dag", [DEADLINES[3]], declared=True, now=world.began, by="test"
    )
    await world.promise()
    assert await world.states() == {}
    # Created at the very moment at which it was promised, without the deadline: that is no miss either.
    await room.watcher.execute(
        """insert into deadline (namespace, dag_id, run_key, deadline_name, content, due_time, create_time, state_time)
           select 'default', 'dag', 'key', 'owed', '{"after_seconds":90.0,"anchor":"interval_end"}', t, t, t
           from glidepath_now() as t"""
    )
    await world.clock(10)
    await world.round(world.loops[0])
    assert (await kinds(world), await world.states()) == ([], {})


@pytest.mark.parametrize("place", ["before_commit", "after_commit"])
async def test_a_judge_that_fails_at_its_commit_tells_once(
    room: StepRoom, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _ = await one(room, DONE, FIRST)
    await world.clock(101)
    monkeypatch.setattr(crash_points, "armed", crash_points.parse(f"deadlines.{place}=fail"))
    with pytest.raises(crash_points.Failed):
        await world.loops[0].once()
    assert await kinds(world) == (["missed", "missed"] if place == "after_commit" else [])
    await world.round(world.loops[0])
    assert await kinds(world) == ["missed", "missed"]


async def test_a_run_that_stays_held_is_waited_for_and_keeps_no_other_waiting(room: StepRoom) -> None:
    world, _ = await one(room, DONE)
    other = Life("", "other", [])
    await world.act(other, "create")
    await world.clock(101)
    async with room.database.api.acquire() as holder:
        transaction = holder.transaction()
        await transaction.start()
        await holder.fetch("select from dag_run where run_key = 'key' for no key update")
        for _ in range(3):
            await world.loops[0].once()
        assert [each["body"]["run_key"] for each in await world.facts()] == ["other"]
        waiting = asyncio.ensure_future(world.loops[0].once())
        await room.until_waiting("%dag_run%for no key update%", waiting)
        await transaction.rollback()
    await waiting
    assert [each["body"]["run_key"] for each in await world.facts()] == ["other", "key"]


async def test_a_run_that_is_gone_was_not_done_in_time(room: StepRoom) -> None:
    world, _ = await one(room, DONE)
    await room.watcher.execute("delete from dag_run")
    await world.clock(101)
    await world.round(world.loops[0])
    assert await kinds(world) == ["missed"]
