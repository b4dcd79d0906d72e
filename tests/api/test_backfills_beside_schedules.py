"""A backfill over the dates of a schedule that ticks meanwhile: each date has one run, whoever came first."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest_asyncio
from backfill_room import Backfills, Doer, at, counted
from runs_room import RATE_SCHEMA, dag, open_room
from schedules_room import SchedulesRoom

from glidepath_proto.schedule.v1 import schedule_pb2
from tests.checker import read_facts
from tests.checker.judges.ticks import judge_ticks

DAY = timedelta(days=1)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURLY = {"schedule_name": "hourly", "spec": {"cron": "0 * * * *", "zone": "UTC", "catchup": "CATCHUP_ALL"}}


@pytest_asyncio.fixture
async def room(database_url: str) -> AsyncIterator[SchedulesRoom]:
    async with open_room(database_url, poll_interval_seconds=0.05) as found:
        made = SchedulesRoom(found)
        await made.be(START)
        await made.register(dag("churn", {"only": []}, params_schema=RATE_SCHEMA))
        yield made


async def test_dates_that_tick_while_they_are_filled_have_one_run(room: SchedulesRoom, database_url: str) -> None:
    await room.ask("SetSchedule", declaration={**HOURLY, "params": '{"model": "net"}'})
    fills, end = Backfills(room), START + DAY * 2
    await room.be(end)
    await Doer(room.server, slots=50).connect()
    spec = {"dag_id": "churn", "schedule_name": "hourly", "range_start": at(START - DAY), "range_end": at(end)}
    options = {"order": "ORDER_DESCENDING", "runs_active_max": 10}
    made, _ = await asyncio.gather(fills.create({**spec, **options}), room.until_ticked(48, "hourly"))
    ended = await fills.ended(made.backfill_id)
    outcomes = Counter(how for how, *_ in await fills.outcomes(made.backfill_id))
    ticks = await room.ticks("hourly")
    assert sum(outcomes.values()) == ended.date_count == 73 and len(ticks) == 48
    ticked = Counter(each.outcome for each in ticks)
    assert set(ticked) <= {schedule_pb2.TICK_OUTCOME_RUN, schedule_pb2.TICK_OUTCOME_MET}
    rows = await room.rows("select run_key, run_type, params from dag_run")
    assert len({row["run_key"] for row in rows}) == len(rows) == 73
    types = Counter(row["run_type"] for row in rows)
    assert types["backfill"] == outcomes["created"] and types["scheduled"] == ticked[schedule_pb2.TICK_OUTCOME_RUN]
    assert outcomes["skipped"] == types["scheduled"]
    # What the schedule says of params holds for both.
    assert {row["params"] for row in rows} == {'{"learning_rate":0.1,"model":"net"}'}
    verdict = judge_ticks(await read_facts(database_url))
    assert (verdict.outcome, verdict.occurred) == ("PASS", 48 + 73), verdict


async def test_a_run_of_another_content_is_met_all_the_same(room: SchedulesRoom) -> None:
    fills, date = Backfills(room), START + timedelta(hours=1)
    await room.start("churn", run_key="hourly@2026-03-01T13:00:00Z", logical_date=at(date), params='{"model": "net"}')
    await room.ask("SetSchedule", declaration=HOURLY)
    await room.be(date)
    await room.until_ticked(1, "hourly")
    spec = {"dag_id": "churn", "schedule_name": "hourly", "logical_dates": [at(date)]}
    made = await fills.create(spec)
    assert counted(await fills.ended(made.backfill_id)) == {"skipped": 1}
    [tick] = await room.ticks("hourly")
    assert tick.outcome == schedule_pb2.TICK_OUTCOME_MET
    assert (await room.rows("select count(*) from dag_run"))[0][0] == 1


async def test_the_version_is_the_schedules_unless_one_is_named(room: SchedulesRoom) -> None:
    await Doer(room.server, slots=50).connect()
    await room.register(dag("churn", {"only": [], "more": ["only"]}))
    await room.ask("SetSchedule", declaration={**HOURLY, "dag_version_number": 1})
    fills = Backfills(room)
    for dates, version, expected in ((1, "", 1), (2, "latest", 2), (3, "2", 2)):
        date = START - timedelta(hours=dates)
        spec = {"dag_id": "churn", "schedule_name": "hourly", "logical_dates": [at(date)], "dag_version": version}
        made = await fills.create(spec)
        await fills.ended(made.backfill_id)
        [found] = await fills.dates(made.backfill_id)
        assert found.dag_version_number == expected
