"""A schedule that cannot be dealt with is told of and looked at again; no other waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import asyncpg
import pytest
from schedule_room import ScheduleRoom, at, open_room

from glidepath_server.core.schedules import Overlap
from glidepath_server.loops.engine import Engine
from glidepath_server.loops.scheduler import HELD_PAUSE_SECONDS, Scheduler
from glidepath_server.operations.promise_deadlines import promise_deadlines
from tests.full_disk import full_disk


@pytest.fixture
async def schedules(module_database_url: str) -> AsyncIterator[ScheduleRoom]:
    """A database of the module, with three schedules; the second is the one to be broken."""
    async with open_room(module_database_url) as found:
        for number in range(3):
            await found.set(name=f"s{number}", overlap=Overlap.QUEUE_ALL)
        await found.tick()
        yield found


async def break_it(schedules: ScheduleRoom, change: str) -> str:
    """Change the second schedule behind the server's back; its text as it was."""
    text: str = await schedules.watcher.fetchval("select spec from schedule where schedule_name = 's1'")
    await schedules.watcher.execute(f"update schedule set {change} where schedule_name = 's1'")
    return text


async def mend(schedules: ScheduleRoom, text: str) -> None:
    await schedules.watcher.execute("update schedule set spec = $1 where schedule_name = 's1'", text)


async def states(schedules: ScheduleRoom) -> list[list[str]]:
    return [await schedules.states(f"s{number}") for number in range(3)]


NO_ZONE = """spec = replace(spec, '"UTC"', '"Mars/Olympus"')"""


async def test_schedule_whose_plan_cannot_be_read_keeps_no_other_from_its_run(schedules: ScheduleRoom) -> None:
    await break_it(schedules, "planned = 'torn'")
    await schedules.be(at("2026-03-01T13:00:01"))
    await schedules.tick()
    assert await states(schedules) == [["run"], [], ["run"]]
    incident = await schedules.watcher.fetchrow("select namespace, kind, message from incident")
    assert (incident["namespace"], incident["kind"]) == ("default", "schedule_failed")
    assert incident["message"].startswith("schedule s1 of DAG dag: JSONDecodeError")


async def test_schedule_of_a_zone_that_is_not_known_here_is_late_and_loses_no_tick(schedules: ScheduleRoom) -> None:
    text = await break_it(schedules, f"{NO_ZONE}, planned = '', next_due_time = null, plan_due = true")
    await schedules.be(at("2026-03-01T13:00:01"))
    await schedules.tick()
    assert await states(schedules) == [["run"], [], ["run"]]
    await mend(schedules, text)
    await schedules.tick()
    assert await states(schedules) == [["run"], [], ["run"]]
    await schedules.later(seconds=61)
    await schedules.tick()
    assert await states(schedules) == [["run"], ["run"], ["run"]]


async def test_ticks_that_wait_go_beside_a_schedule_that_cannot_be_read(schedules: ScheduleRoom) -> None:
    for hour in (13, 14):
        await schedules.be(at(f"2026-03-01T{hour}:00:01"))
        await schedules.tick()
    assert await states(schedules) == [["run", "waiting"]] * 3
    await break_it(schedules, "planned = 'torn'")
    await schedules.end_runs()
    await schedules.tick()
    assert await states(schedules) == [["run", "run"], ["run", "waiting"], ["run", "run"]]


async def test_what_schedules_owe_is_promised_beside_one_that_cannot_be_read(schedules: ScheduleRoom) -> None:
    content = '{"name": "d", "anchor": "logical_date", "after_seconds": 3600}'
    await schedules.watcher.execute(
        """insert into dag_deadline (namespace, dag_id, deadline_name, content, origin, update_time, updated_by)
           values ('default', 'dag', 'd', $1, 'api', glidepath_now(), 'tester')""",
        content,
    )
    await break_it(schedules, NO_ZONE)
    await promise_deadlines(schedules.database, schedules.plans, 10)
    await schedules.be(at("2026-03-01T15:00:01"))
    await promise_deadlines(schedules.database, schedules.plans, 10)
    promised = await schedules.watcher.fetch("select distinct split_part(run_key, '@', 1) as name from deadline")
    assert {row["name"] for row in promised} == {"s0", "s2"}
    await schedules.watcher.execute("truncate deadline, dag_deadline")


async def test_schedule_that_somebody_holds_is_not_asked_for_without_a_pause(schedules: ScheduleRoom) -> None:
    replica = SimpleNamespace(plans=schedules.plans)
    settings = SimpleNamespace(poll_interval_seconds=1.0)
    engine = SimpleNamespace(
        database=schedules.database, replica=replica, settings=settings, runs_created=lambda runs: None
    )
    scheduler = Scheduler(cast(Engine, engine))
    await schedules.be(at("2026-03-01T13:00:01"))
    async with schedules.watcher.transaction():
        await schedules.watcher.execute("select from schedule for update")
        assert await scheduler.once() == HELD_PAUSE_SECONDS
    assert await scheduler.once() == 0.0
    assert await states(schedules) == [["run"]] * 3


@pytest.mark.parametrize("table", ["dag_run", "schedule_tick"])
async def test_a_full_disk_delays_ticks_and_loses_none(schedules: ScheduleRoom, table: str) -> None:
    await schedules.be(at("2026-03-01T13:00:01"))
    async with full_disk(schedules.watcher, table):
        with pytest.raises(asyncpg.DiskFullError):
            await schedules.tick_once()
        assert await states(schedules) == [[]] * 3
    await schedules.tick()
    assert await states(schedules) == [["run"]] * 3
    assert len(await schedules.run_keys()) == 3
