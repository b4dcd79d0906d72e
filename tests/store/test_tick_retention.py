"""What became of ticks is forgotten after its time; no tick has a second outcome by that, no policy is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from schedule_room import ScheduleRoom, at, open_room

from glidepath_server.core.schedules import IntervalRule, Overlap
from glidepath_server.loops.pruner import prune_promises, prune_ticks

DAILY = IntervalRule(86_400.0)


@pytest.fixture
async def schedules(module_database_url: str) -> AsyncIterator[ScheduleRoom]:
    """A database of the module, without schedules and runs, at the start of time."""
    async with open_room(module_database_url) as found:
        yield found


async def live(schedules: ScheduleRoom, *, end: bool) -> None:
    """Four days, each with a tick, whose runs end or do not."""
    for day in (2, 3, 4, 5):
        await schedules.be(at(f"2026-03-0{day}T00:00:01"))
        await schedules.tick()
        if end:
            await schedules.end_runs()


async def test_old_outcomes_are_forgotten_in_batches_and_come_to_nothing_again(schedules: ScheduleRoom) -> None:
    await schedules.set(DAILY)
    await live(schedules, end=True)
    await schedules.later(days=9.5)
    for days in (0, 13):
        assert await prune_ticks(schedules.database, days, 100) == 0
    assert [await prune_ticks(schedules.database, 10, 2) for _ in range(3)] == [2, 1, 0]
    await schedules.tick()
    outcomes = await schedules.outcomes()
    assert min(outcomes) == at("2026-03-05T00:00") and len(outcomes) == 10
    assert len(await schedules.run_keys()) == 4


async def test_of_a_schedule_the_newest_tick_and_the_newest_run_stay(schedules: ScheduleRoom) -> None:
    await schedules.set(DAILY, overlap=Overlap.SKIP)
    await live(schedules, end=False)
    assert await schedules.states() == ["run", "skip", "skip", "skip"]
    await schedules.later(days=30)
    assert await prune_ticks(schedules.database, 10, 100) == 2
    assert await schedules.outcomes() == {at("2026-03-02T00:00"): "run", at("2026-03-05T00:00"): "skip"}


async def test_what_waits_is_not_forgotten(schedules: ScheduleRoom) -> None:
    await schedules.set(DAILY, overlap=Overlap.QUEUE_ALL)
    await live(schedules, end=False)
    await schedules.watcher.execute(
        "update schedule_tick set state = 'run', dag_run_id = gen_random_uuid() where tick_time = $1",
        at("2026-03-05T00:00"),
    )
    await schedules.later(days=30)
    assert await prune_ticks(schedules.database, 10, 100) == 1
    assert await schedules.states() == ["waiting", "waiting", "run"]


async def test_missed_deadlines_of_runs_that_were_never_created_are_forgotten(schedules: ScheduleRoom) -> None:
    rows = {"old": ("missed", 11, False), "new": ("missed", 9, False), "of a run": ("missed", 11, True)}
    rows |= {"open": ("on_track", 11, False)}
    for key, (state, days, of_run) in rows.items():
        await schedules.watcher.execute(
            """insert into deadline (namespace, dag_id, run_key, deadline_name, dag_run_id, content, state, due_time,
                                     create_time, state_time)
               select 'default', 'dag', $1, 'd', case when $4 then gen_random_uuid() end, '{}', $2, past, past, past
               from (select glidepath_now() - make_interval(days => $3) as past)""",
            key,
            state,
            days,
            of_run,
        )
    assert await prune_promises(schedules.database, 0, 100) == 0
    assert await prune_promises(schedules.database, 10, 100) == 1
    left = await schedules.watcher.fetch("select run_key from deadline order by 1")
    assert [row["run_key"] for row in left] == ["new", "of a run", "open"]
    await schedules.watcher.execute("truncate deadline")
