"""Schedules through months of a virtual clock, and through what people do to them: every tick has one outcome."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest
from schedule_room import ScheduleRoom, open_room

from glidepath_server.core.errors import StateConflict
from glidepath_server.core.schedules import (
    Catchup,
    CronRule,
    DataInterval,
    DstGap,
    DstOverlap,
    IntervalRule,
    Overlap,
    Schedule,
    ticks_between,
)

SECOND = timedelta(seconds=1)


@pytest.fixture
async def schedules(module_database_url: str) -> AsyncIterator[ScheduleRoom]:
    async with open_room(module_database_url) as found:
        yield found


# ---- through the clocks' changes
LIVES = {
    "kolkata": Schedule(CronRule("0 2 * * *"), "Asia/Kolkata", catchup=Catchup.ALL),
    "new-york": Schedule(CronRule("30 2 * * *"), "America/New_York", catchup=Catchup.LATEST),
    "new-york-skip": Schedule(CronRule("30 2 * * *"), "America/New_York", gap=DstGap.SKIP),
    "berlin-both": Schedule(CronRule("30 2 * * *"), "Europe/Berlin", overlap_hours=DstOverlap.BOTH),
    "lord-howe": Schedule(CronRule("*/30 1-3 * * *"), "Australia/Lord_Howe", overlap=Overlap.SKIP),
    "dublin": Schedule(CronRule("0 1 * * 1-5"), "Europe/Dublin", data_interval=DataInterval.BEFORE),
    "excluded": Schedule(CronRule("@daily"), "Africa/Casablanca", excluded_dates=(date(2026, 3, 29),)),
    "interval": Schedule(IntervalRule(5400.0), "UTC", catchup=Catchup.LAST_N, catchup_runs=2),
    "jitter": Schedule(CronRule("0 * * * *"), "UTC", jitter_seconds=900.0, overlap=Overlap.QUEUE_ONE),
}


async def live(schedules: ScheduleRoom, start: datetime, end: datetime, longest: timedelta, seed: int) -> None:
    """From one instant to another by leaps of any length; then every tick of that time has one outcome."""
    chance = random.Random(seed)
    await schedules.be(start)
    for name, schedule in LIVES.items():
        await schedules.set_schedule(name, schedule)
    now = start
    while now < end:
        now = min(now + longest * chance.random() ** 3 + SECOND, end)
        await schedules.be(now)
        await schedules.tick()
        if chance.random() < 0.5:
            await schedules.end_runs()
    for name, schedule in LIVES.items():
        seed_text = f"default/dag/{name}"
        due = [tick for tick in ticks_between(schedule, seed_text, start + SECOND, end) if tick.due_time <= now]
        found = await schedules.outcomes(name)
        assert list(found) == [tick.tick_time for tick in due], (name, seed)
        assert len(found) > 10, "the premise: it ticked"
        assert all(found[tick.tick_time] == "skip" for tick in due if tick.skip), (name, seed)
        runs = await schedules.watcher.fetchval(
            """select count(*) from schedule_tick t join dag_run r using (dag_run_id)
               where t.schedule_name = $1 and t.state = 'run' and r.logical_date = t.logical_date
                 and r.create_time >= t.tick_time""",
            name,
        )
        assert runs == list(found.values()).count("run"), (name, seed)
    verdict = await schedules.judged()
    assert verdict.outcome == "PASS", verdict


async def test_every_tick_of_two_weeks_around_a_change_of_clocks_has_one_outcome(schedules: ScheduleRoom) -> None:
    await live(
        schedules, datetime(2026, 3, 22, tzinfo=UTC), datetime(2026, 4, 6, tzinfo=UTC), timedelta(days=3), seed=1
    )


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(6))
async def test_every_tick_of_a_year_has_one_outcome(schedules: ScheduleRoom, seed: int) -> None:
    await live(
        schedules, datetime(2026, 3, 1, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC), timedelta(days=20), seed=seed
    )


# ---- through what people do
@dataclass
class Span:
    """From one instant to another the schedule was active and said this; whose due ticks must have an outcome."""

    schedule: Schedule
    start: datetime
    end: datetime


EDITS = [
    Schedule(CronRule("*/10 * * * *"), "UTC", catchup=Catchup.ALL),
    Schedule(CronRule("7 * * * *"), "Asia/Kolkata", overlap=Overlap.SKIP),
    Schedule(IntervalRule(420.0), "UTC", overlap=Overlap.QUEUE_ALL),
    Schedule(IntervalRule(900.0), "UTC", catchup=Catchup.LATEST, overlap=Overlap.CANCEL_OLDER),
]


async def change(schedules: ScheduleRoom, count: int, seed: int) -> None:
    """So many random changes of a live schedule and of the clock; no tick is lost or has two outcomes."""
    chance = random.Random(seed)
    spans: list[Span] = []
    current: Span | None = None
    highest = now = await schedules.now()

    def close() -> None:
        nonlocal current
        if current is not None:
            current.end = max(now, current.start)
            spans.append(current)
        current = None

    for _ in range(count):
        now = await schedules.now()
        highest = max(highest, now)
        match chance.choice(["edit", "edit", "pause", "resume", "delete", "later", "later", "later", "back", "end"]):
            case "edit":
                close()
                schedule = chance.choice(EDITS)
                row = await schedules.set_schedule("main", schedule)
                current = None if row.paused else Span(schedule, max(highest, now), now)
            case "pause" if current is not None:
                # What is due and has no outcome yet counts to the pause.
                await schedules.tick()
                close()
                await schedules.pause()
            case "resume" if await schedules.exists("main"):
                await schedules.pause(paused=False)
                if current is None:
                    row = await schedules.row("main")
                    current = Span(schedules.schedule_of(row), max(highest, now), now)
            case "delete" if await schedules.exists("main"):
                close()
                await schedules.delete()
            case "later":
                await schedules.later(seconds=chance.choice([1, 61, 600, 4000]))
                if chance.random() < 0.7:
                    await schedules.tick()
            case "back":
                await schedules.later(seconds=-chance.choice([30, 3600]))
            case "end":
                await schedules.end_runs()
    await schedules.tick()
    now = await schedules.now()
    close()
    found = await schedules.outcomes()
    for span in spans:
        for tick in ticks_between(span.schedule, "default/dag/main", span.start + SECOND, span.end - SECOND):
            assert tick.tick_time in found, (seed, span, tick)
    keys = await schedules.run_keys()
    assert len(keys) == len(set(keys)) and len(found) > count / 20
    verdict = await schedules.judged()
    assert verdict.outcome == "PASS", (seed, verdict)
    early = "select count(*) from schedule_tick where decide_time < tick_time"
    assert await schedules.watcher.fetchval(early) == 0


async def test_changes_of_a_live_schedule_lose_and_double_no_tick(schedules: ScheduleRoom) -> None:
    await change(schedules, 60, seed=3)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(4))
async def test_five_hundred_changes_lose_and_double_no_tick(schedules: ScheduleRoom, seed: int) -> None:
    await change(schedules, 500, seed=seed)


async def test_a_change_that_is_refused_changes_nothing(schedules: ScheduleRoom) -> None:
    await schedules.set_schedule("main", EDITS[0])
    await schedules.later(days=120)
    with pytest.raises(StateConflict):
        await schedules.set_schedule("main", EDITS[1])
    assert schedules.schedule_of(await schedules.row("main")) == EDITS[0]
