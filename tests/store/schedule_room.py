"""A database with a DAG and schedules, whose clock the test sets, and the operations of a scheduler over it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from step_room import StepRoom

from glidepath_server.core.schedules import CronRule, Rule, Schedule, schedule_from_json
from glidepath_server.operations.plan_schedules import plan_schedules
from glidepath_server.operations.plans import Plans
from glidepath_server.operations.set_schedules import ChangeSchedules, Declaration
from glidepath_server.operations.tick_schedules import Ticked, tick_due, tick_waiting
from glidepath_server.store.database import Connection, Database, database_now, transaction
from glidepath_server.store.schedules import ScheduleRow
from tests.checker import Verdict, read_facts
from tests.checker.judges.ticks import judge_ticks

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURLY = CronRule("0 * * * *")


def at(text: str) -> datetime:
    """An instant of UTC: "2026-03-01T13:00"."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@asynccontextmanager
async def open_room(database_url: str) -> AsyncIterator[ScheduleRoom]:
    """The database with its one DAG and nothing that other tests have left, at the start of time."""
    database = await Database.open(database_url)
    watcher = await asyncpg.connect(database_url)
    found = ScheduleRoom(StepRoom(database, watcher), database_url)
    if not await watcher.fetchval("select exists (select from dag)"):
        await found.open()
    await watcher.execute(
        "truncate schedule, schedule_tick, dag_run, dag_run_key, run_inbox, incident, audit_event;"
        "update dag set paused = false"
    )
    await found.be(START)
    yield found
    await watcher.close()
    await database.close()


class ScheduleRoom:
    """One replica's scheduler, driven by hand. `room` has the DAG "dag" of one task."""

    def __init__(self, room: StepRoom, database_url: str = "") -> None:
        self.url = database_url
        self.room, self.database, self.watcher = room, room.database, room.watcher
        self.plans = Plans()

    async def open(self, now: datetime = START, **fields: Any) -> None:
        schema = {"type": "object", "properties": {"rate": {"type": "number"}}, "additionalProperties": False}
        await self.room.store_dag(1, params_schema=json.dumps(schema), **fields)
        await self.be(now)

    # ---- the clock
    async def be(self, now: datetime) -> None:
        """It is this instant in the database."""
        await self.watcher.execute("update clock set shift = $1::timestamptz - clock_timestamp()", now)

    async def later(self, **span: float) -> None:
        await self.watcher.execute("update clock set shift = shift + $1", timedelta(**span))

    async def now(self) -> datetime:
        return await database_now(self.watcher)

    # ---- what people do
    def changes(self, connection: Connection) -> ChangeSchedules:
        return ChangeSchedules(connection, self.plans, "default", "dag", "tester")

    async def set(
        self, rule: Rule = HOURLY, name: str = "main", zone: str = "UTC", params: str = "", **fields: Any
    ) -> ScheduleRow:
        async with transaction(self.database.api, "set_schedule") as connection:
            return await self.changes(connection).set(Declaration(name, Schedule(rule, zone, **fields), params))

    async def set_schedule(self, name: str, schedule: Schedule) -> ScheduleRow:
        async with transaction(self.database.api, "set_schedule") as connection:
            return await self.changes(connection).set(Declaration(name, schedule))

    async def row(self, name: str) -> ScheduleRow:
        async with self.database.api.acquire() as connection:
            return await self.changes(connection).get(name)

    async def exists(self, name: str) -> bool:
        found: bool = await self.watcher.fetchval(
            "select exists (select from schedule where schedule_name = $1 and not deleted)", name
        )
        return found

    @staticmethod
    def schedule_of(row: ScheduleRow) -> Schedule:
        return schedule_from_json(row.spec)

    async def pause(self, name: str = "main", paused: bool = True) -> None:
        async with transaction(self.database.api, "pause_schedule") as connection:
            await self.changes(connection).set_paused(name, paused)

    async def delete(self, name: str = "main") -> None:
        async with transaction(self.database.api, "delete_schedule") as connection:
            await self.changes(connection).delete(name)

    # ---- the scheduler
    async def tick_once(self) -> Ticked:
        """One round of each of a scheduler's transactions."""
        ticked = await tick_due(self.database, self.plans, 1000)
        waited = await tick_waiting(self.database, self.plans)
        await plan_schedules(self.database, 300)
        ticked.admitted += waited.admitted
        ticked.told += waited.told
        return ticked

    async def tick(self) -> None:
        """Until nothing is due."""
        for _ in range(200):
            await self.tick_once()
            if not await self.watcher.fetchval(
                "select exists (select from schedule where plan_due or next_due_time <= glidepath_now())"
            ):
                return
        raise AssertionError("the scheduler finds no end")

    # ---- what came of it
    async def outcomes(self, name: str = "main") -> dict[datetime, str]:
        """The state of each tick, the oldest first."""
        rows = await self.watcher.fetch(
            "select tick_time, state from schedule_tick where schedule_name = $1 order by tick_time", name
        )
        return {row["tick_time"]: row["state"] for row in rows}

    async def reasons(self, name: str = "main") -> list[str]:
        rows = await self.watcher.fetch(
            "select reason from schedule_tick where schedule_name = $1 and state = 'skip' order by tick_time", name
        )
        return [row["reason"] for row in rows]

    async def judged(self) -> Verdict:
        """What the checker says of ticks and runs, by what it knows of schedules."""
        return judge_ticks(await read_facts(self.url))

    async def states(self, name: str = "main") -> list[str]:
        return list((await self.outcomes(name)).values())

    async def run_keys(self) -> list[str]:
        return [row["run_key"] for row in await self.watcher.fetch("select run_key from dag_run order by logical_date")]

    async def active(self) -> list[UUID]:
        rows = await self.watcher.fetch("select dag_run_id from dag_run where end_time is null order by logical_date")
        return [row["dag_run_id"] for row in rows]

    async def end_runs(self, state: str = "success", run_ids: Sequence[UUID] | None = None) -> None:
        """Let runs that are active end, as a step would."""
        await self.watcher.execute(
            """update dag_run set state = $1, end_time = glidepath_now()
               where end_time is null and ($2::uuid[] is null or dag_run_id = any ($2))""",
            state,
            run_ids,
        )
