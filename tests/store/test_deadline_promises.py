"""What schedules owe is watched from each tick on: a run that nobody creates has missed its deadline as another has."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from deadline_world import DEADLINES, DeadlineWorld, Life
from step_room import StepRoom

from glidepath_server.core.deadlines import Anchor, Deadline
from glidepath_server.core.schedules import (
    ContinuousRule,
    DatesRule,
    IntervalRule,
    Schedule,
    run_key,
    schedule_to_json,
)
from glidepath_server.loops.deadlines import promises
from glidepath_server.operations import promise_deadlines as operation
from glidepath_server.settings import Settings
from glidepath_server.store import deadlines as store

OWED = Deadline("owed", Anchor.INTERVAL_END, 30.0)
HOURLY = Schedule(IntervalRule(3600.0, datetime(2020, 1, 1, tzinfo=UTC)), "UTC")


class PromiseWorld(DeadlineWorld):
    """A DAG with a schedule that nobody ticks."""

    async def open(self, schedule: Schedule = HOURLY, *deadlines: Deadline) -> datetime:
        """The time of the next full hour; the clock stands five seconds before."""
        await self.build(deadlines=deadlines or [OWED])
        now = self.began
        hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)
        self.hour, self.began = hour, hour - timedelta(seconds=5)
        await self.clock(0)
        await self.room.watcher.execute("update dag_deadline set update_time = update_time - interval '1 day'")
        await self.put(schedule)
        self.loop = promises(self.room.database, self.replica.plans, Settings())
        await self.look()
        return hour

    async def put(self, schedule: Schedule, **fields: object) -> None:
        await self.room.watcher.execute(
            """insert into schedule as s (namespace, dag_id, schedule_name, origin, spec, params, last_tick_time,
                                          create_time, update_time, updated_by)
               select 'default', 'dag', 'main', 'api', $1, '', t, t, t, 'test' from glidepath_now() as t
               on conflict (namespace, dag_id, schedule_name) do update
               set spec = excluded.spec, update_time = excluded.update_time""",
            schedule_to_json(schedule),
        )
        for name, value in fields.items():
            await self.room.watcher.execute(f"update schedule set {name} = $1, update_time = glidepath_now()", value)

    async def look(self) -> None:
        await self.loop.once()
        for each in self.loops:
            await self.round(each)

    async def at(self, second: float) -> list[tuple[str, str]]:
        """Kinds of facts and run keys, after a look at so many seconds behind the hour."""
        await self.clock(5 + second)
        await self.look()
        return [(each["kind"], each["body"]["run_key"]) for each in await self.facts()]


@pytest.fixture
def world(room: StepRoom) -> PromiseWorld:
    return PromiseWorld(room, random.Random(0))


async def test_a_run_that_nobody_creates_has_missed_its_deadline(world: PromiseWorld) -> None:
    hour = await world.open()
    key = run_key("main", hour)
    assert await world.at(1) == []
    assert await world.states() == {(key, "owed"): "on_track"}
    assert await world.at(31) == [("missed", key)]
    assert await world.at(40) == [("missed", key)]
    (fact,) = await world.facts()
    assert fact["dag_run_id"] is None and "was not even created by 30s after" in fact["body"]["summary"]


async def test_a_run_that_is_created_in_time_takes_the_promise(world: PromiseWorld) -> None:
    hour = await world.open()
    await world.at(1)
    life = Life("", run_key("main", hour), [])
    world.lives.append(life)
    world.began, began = hour, world.began
    for what in ("create", "start", "success0", "success1"):
        await world.act(life, what)
    world.began = began
    assert await world.at(31) == []
    assert await world.states() == {(life.run_key, "owed"): "met"}


async def test_what_counts_from_creation_or_start_is_not_owed(world: PromiseWorld) -> None:
    await world.open(HOURLY, DEADLINES[0], DEADLINES[2])
    assert await world.at(4000) == []
    assert (
        await world.states() == {} and await world.room.watcher.fetchval("select count(*) from deadline_promise") == 0
    )


async def test_a_paused_schedule_owes_nothing_for_its_pause_and_a_paused_dag_does(world: PromiseWorld) -> None:
    hour = await world.open()
    await world.put(HOURLY, paused=True)
    assert await world.at(1) == []
    await world.clock(1800)
    await world.put(HOURLY, paused=False)
    await world.room.watcher.execute("update dag set paused = true")
    following = run_key("main", hour + timedelta(hours=1))
    assert await world.at(3600 + 31) == [("missed", following)]


async def test_excluded_ticks_and_those_of_a_continuous_rule_are_not_owed(world: PromiseWorld) -> None:
    today = datetime.now(UTC).date()
    days = tuple(today + timedelta(days=number) for number in range(-1, 3))
    await world.open(replace(HOURLY, excluded_dates=tuple(map(date.fromisoformat, map(str, days)))))
    assert await world.at(40) == []
    await world.put(Schedule(ContinuousRule(), "UTC"))
    assert await world.at(4000) == []


async def test_a_schedule_that_is_changed_owes_what_it_owes_from_then_on(world: PromiseWorld) -> None:
    hour = await world.open(replace(HOURLY, rule=IntervalRule(86_400.0, datetime(2020, 1, 1, 12, 34, tzinfo=UTC))))
    await world.clock(5 + 1800)
    await world.put(HOURLY)
    assert await world.at(1831) == []
    assert await world.at(3600 + 31) == [("missed", run_key("main", hour + timedelta(hours=1)))]


async def test_a_deadline_is_not_owed_for_ticks_before_it_was_set(world: PromiseWorld) -> None:
    hour = await world.open()
    await world.clock(5 + 10)
    now = await world.room.watcher.fetchval("select glidepath_now()")
    late = replace(OWED, name="late")
    await store.put_dag_deadlines(world.room.watcher, "default", "dag", [late], declared=True, now=now, by="test")
    assert await world.at(31) == [("missed", run_key("main", hour))]
    assert set(await world.states()) == {(run_key("main", hour), "owed")}


async def test_after_an_outage_the_newest_ticks_are_owed_and_so_are_no_more_than_the_schedule_may_make(
    world: PromiseWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = await world.open()
    monkeypatch.setattr(operation, "TICKS_MAX", 3)
    keys = [run_key("main", hour + timedelta(hours=each)) for each in (8, 9, 10)]
    assert await world.at(36_000 + 31) == [("missed", key) for key in keys]
    await world.put(replace(HOURLY, runs_max=5), runs_made=4)
    assert await world.at(50_400 + 31) == [
        ("missed", key) for key in [*keys, run_key("main", hour + timedelta(hours=11))]
    ]


async def test_the_last_run_that_a_schedule_may_make_is_owed_as_soon_as_the_others(world: PromiseWorld) -> None:
    """The run of a tick may be counted before that tick is looked at; it does not use up what the next one is owed."""
    hour = await world.open(replace(HOURLY, rule=replace(HOURLY.rule, seconds=600.0), runs_max=2))
    await world.room.watcher.execute("update schedule set runs_made = 1")
    await world.at(1)
    assert (await world.at(631))[-1] == ("missed", run_key("main", hour + timedelta(seconds=600)))


async def test_a_run_that_was_counted_uses_up_nothing_that_a_later_tick_is_owed(world: PromiseWorld) -> None:
    hour = await world.open(replace(HOURLY, runs_max=2))
    await world.room.watcher.execute("update schedule set runs_made = 1, last_tick_time = $1", hour)
    keys = [run_key("main", hour + timedelta(hours=each)) for each in (0, 1)]
    assert await world.at(3600 + 31) == [("missed", key) for key in keys]
    await world.room.watcher.execute(
        "update schedule set runs_made = 2, last_tick_time = $1", hour + timedelta(hours=1)
    )
    assert len(await world.at(7200 + 31)) == 2


async def test_a_list_of_dates_ends(world: PromiseWorld) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)
    await world.open(Schedule(DatesRule((hour,)), "UTC"))
    assert len(await world.at(31)) == 1
    assert len(await world.at(90_000)) == 1
