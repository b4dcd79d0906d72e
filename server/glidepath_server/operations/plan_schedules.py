"""Compute the next ticks of schedules ahead of time, away from the transaction in which ticks are due."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from ..clock import monotonic
from ..core.schedules import ContinuousRule, Schedule, schedule_from_json
from ..core.tick_plans import TickPlan, plan_ticks, plan_to_json
from ..store import schedules as store
from ..store.database import Database, database_now, transaction
from ..store.schedules import ScheduleRow
from .schedule_faults import PUT_OFF, note_fault

# The rows are held meanwhile: longer than some seconds, and the database takes them from us.
TICKS_AT_ONCE = 3000
SECONDS_MAX = 1.0


@lru_cache(maxsize=20_000)
def schedule_of(text: str) -> Schedule:
    """A stored schedule. Many have equal content."""
    return schedule_from_json(text)


def seed_of(row: ScheduleRow) -> str:
    """What a schedule's own choices (jitter, H in cron) are made from."""
    return f"{row.namespace}/{row.dag_id}/{row.schedule_name}"


def plan_of(row: ScheduleRow, now: datetime) -> TickPlan:
    return plan_ticks(schedule_of(row.spec), seed_of(row), row.last_tick_time, now)


def first_due(row: ScheduleRow, plan: TickPlan, now: datetime) -> datetime | None:
    """When the schedule is to be looked at. A continuous one at once: what it waits for is not in its plan."""
    return now if isinstance(schedule_of(row.spec).rule, ContinuousRule) else plan.due_time


async def plan_schedules(database: Database, schedules_max: int) -> int:
    """Plan at most so many schedules whose plans have run out; how many were
    looked at. Any replica may do it, each takes others."""
    async with transaction(database.worker, "plan_schedules") as connection:
        rows = await store.claim_plan_due(connection, schedules_max)
        if rows:
            paused = await store.paused_dags(connection, [row.key for row in rows])
            now = await database_now(connection)
            idle = {row.key for row in rows if row.paused or row.deleted or (row.namespace, row.dag_id) in paused}
            # In a thread: the rows that are held are not due, so nobody waits for them but who edits one.
            plans, faults = await asyncio.to_thread(_plans, [row for row in rows if row.key not in idle], now)
            await store.save_plans(connection, [*plans, *((key, "", None) for key in sorted(idle))])
            for row, error in faults:
                await note_fault(connection, row, error, now)
    return len(rows)


_Planned = tuple[store.ScheduleKey, str, datetime | None]


def _plans(rows: Sequence[ScheduleRow], now: datetime) -> tuple[list[_Planned], list[tuple[ScheduleRow, Exception]]]:
    """Of the first rows, as many as may be computed at once. One that cannot be computed keeps what it has, and is
    looked at again."""
    found: list[_Planned] = []
    faults: list[tuple[ScheduleRow, Exception]] = []
    computed, began = 0, monotonic()
    for row in rows:
        try:
            plan = plan_of(row, now)
            found.append((row.key, plan_to_json(plan), first_due(row, plan, now)))
            computed += len(plan.ticks)
        except Exception as error:
            faults.append((row, error))
            found.append((row.key, row.planned, row.next_due_time or now + PUT_OFF))
        if computed >= TICKS_AT_ONCE or monotonic() - began > SECONDS_MAX:
            break
    return found, faults
