"""Every arrow of a tick's machine is crossed through the store, and no other."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from schedule_room import ScheduleRoom, at, open_room

from glidepath_server.core.backfill import BackfillState, DateOutcome
from glidepath_server.core.schedules import Catchup, IntervalRule, Overlap, Schedule
from glidepath_server.core.ticking import TICK_ARROWS, TICK_FINAL, TickState

ARROWS = {(was, now) for (was, _), now in TICK_ARROWS.items()}
SAID = {
    "all": Schedule(IntervalRule(600.0), "UTC", overlap=Overlap.QUEUE_ALL, catchup=Catchup.ALL),
    "newest": Schedule(IntervalRule(900.0), "UTC", overlap=Overlap.LATEST_ONLY),
    "none": Schedule(IntervalRule(420.0), "UTC", overlap=Overlap.SKIP),
}


@pytest.fixture
async def schedules(module_database_url: str) -> AsyncIterator[ScheduleRoom]:
    async with open_room(module_database_url) as found:
        yield found


class Watcher:
    """Sees how ticks change from one look to the next. What it sees of one that was not there comes from `due`."""

    def __init__(self, schedules: ScheduleRoom) -> None:
        self.schedules = schedules
        self.known: dict[tuple[str, datetime], TickState] = {}
        self.crossed: set[tuple[TickState, TickState]] = set()

    async def look(self) -> None:
        rows = await self.schedules.watcher.fetch("select schedule_name, tick_time, state from schedule_tick")
        for row in rows:
            tick, now = (row["schedule_name"], row["tick_time"]), TickState(row["state"])
            was = self.known.get(tick, TickState.DUE)
            if was is not now:
                self.crossed.add((was, now))
            self.known[tick] = now


async def take_key(schedules: ScheduleRoom, name: str, date: datetime) -> None:
    """Somebody else makes the run of a date."""
    run_id = await schedules.room.create_run(1)
    await schedules.watcher.execute(
        "insert into dag_run_key values ('default', 'dag', $1, $2)", f"{name}@{date:%Y-%m-%dT%H:%M:%SZ}", run_id
    )


async def test_every_arrow_of_a_tick_is_crossed_and_no_other(schedules: ScheduleRoom) -> None:
    for name, schedule in SAID.items():
        await schedules.set_schedule(name, schedule)
    await take_key(schedules, "all", at("2026-03-01T12:10"))
    await take_key(schedules, "all", at("2026-03-01T12:30"))
    watcher, chance = Watcher(schedules), random.Random(5)
    for number in range(24):
        await schedules.later(seconds=chance.choice([300, 600, 1500]))
        await schedules.tick_once()
        await watcher.look()
        if number % 2:
            await schedules.end_runs()
            await schedules.tick_once()
            await watcher.look()
    await schedules.delete("all")
    await watcher.look()
    assert watcher.crossed == ARROWS
    assert not {was for was, _ in watcher.crossed} & TICK_FINAL


@pytest.mark.parametrize(
    ("table", "column", "states"),
    [
        ("schedule_tick", "state", set(TickState) - {TickState.DUE}),
        ("backfill", "state", set(BackfillState)),
        ("backfill_run", "outcome", set(DateOutcome)),
    ],
)
async def test_the_store_takes_the_states_of_the_tables_and_no_other(
    schedules: ScheduleRoom, table: str, column: str, states: set[str]
) -> None:
    said = await schedules.watcher.fetchval(
        """select pg_get_constraintdef(oid) from pg_constraint
           where conrelid = $1::text::regclass and conname = $1 || '_' || $2 || '_check'""",
        table,
        column,
    )
    assert set(re.findall(r"'(\w+)'", said)) == states
