"""Replicas that are killed, and backends that are ended, between the writes of a tick: one run per tick."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from schedule_room import ScheduleRoom, open_room

from glidepath_server.core.schedules import Catchup, CronRule, Overlap, Schedule, ticks_between
from glidepath_server.crash_points import VARIABLE

REPLICA = Path(__file__).with_name("tick_replica.py")
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
REPLICAS, SCHEDULES = 3, 12
POINTS = ("tick.before_commit", "tick.after_commit", "plan_schedules.before_commit", "plan_schedules.after_commit")
SOON_SECONDS = 60.0


@asynccontextmanager
async def replica(url: str, armed: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A scheduler that dies at a place."""
    environment = {**os.environ, VARIABLE: armed}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(REPLICA),
        url,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def one_round(schedules: ScheduleRoom, url: str, number: int, chance: random.Random) -> int:
    """Three hours of ticks, given their outcomes by replicas that die at them; how many died."""
    end = START + timedelta(hours=3 * (number + 1))
    armed = [f"{chance.choice(POINTS)}=kill@{chance.randint(1, 4)}" for _ in range(REPLICAS - 1)]
    armed.append(f"{chance.choice(POINTS[:2])}=fail@{chance.randint(1, 3)}")
    async with replica(url, armed[0]) as one, replica(url, armed[1]) as two, replica(url, armed[2]) as three:
        for each in (one, two, three):
            assert each.stdout is not None
            await asyncio.wait_for(each.stdout.readline(), SOON_SECONDS)
        await schedules.be(end)
        await schedules.watcher.execute(
            """select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid() and application_name = 'glidepath'
                 and random() < 0.3"""
        )
        # The third does not die: it finishes what the others have begun.
        async with asyncio.timeout(SOON_SECONDS):
            while await schedules.watcher.fetchval(
                "select exists (select from schedule where plan_due or next_due_time <= glidepath_now())"
            ):
                await asyncio.sleep(0.05)
        return sum(each.returncode is not None for each in (one, two))


async def rounds(url: str, count: int, seed: int) -> None:
    chance = random.Random(seed)
    said = {
        f"s{number}": Schedule(
            CronRule(f"*/{chance.choice([10, 15, 20])} * * * *"),
            chance.choice(["UTC", "Asia/Kolkata", "America/St_Johns"]),
            catchup=Catchup.ALL,
            overlap=chance.choice([Overlap.ALLOW, Overlap.CANCEL_OLDER]),
        )
        for number in range(SCHEDULES)
    }
    async with open_room(url) as schedules:
        for name, schedule in said.items():
            await schedules.set_schedule(name, schedule)
        died = 0
        for number in range(count):
            died += await one_round(schedules, url, number, chance)
        now = START + timedelta(hours=3 * count)
        for name, schedule in said.items():
            wanted = [
                tick.tick_time
                for tick in ticks_between(schedule, f"default/dag/{name}", START + timedelta(seconds=1), now)
            ]
            assert list(await schedules.outcomes(name)) == wanted, (name, seed)
        made = await schedules.watcher.fetchval("select count(*) from schedule_tick where state = 'run'")
        runs = await schedules.watcher.fetchval("select count(distinct run_key) from dag_run")
        assert made == runs == await schedules.watcher.fetchval("select count(*) from dag_run")
        assert died > 0, "the premise: replicas were killed"


async def test_replicas_that_are_killed_between_the_writes_of_ticks_give_each_tick_one_outcome(
    module_database_url: str,
) -> None:
    await rounds(module_database_url, 2, seed=1)


@pytest.mark.prove
@pytest.mark.timeout(1800)
async def test_a_hundred_rounds_of_killed_replicas(module_database_url: str) -> None:
    await rounds(module_database_url, 100, seed=2)
