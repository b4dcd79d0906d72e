"""Rows of schedules and backfills as facts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tests.checker.tick_facts import Backfill, Calendar, Date, MadeRun, Plan, RunKey, ScheduleName, Tick

_TICKS = """
select *, xmin::text::bigint as transaction from schedule_tick order by namespace, dag_id, schedule_name, tick_time"""
_RUNS = "select dag_run_id, namespace, dag_id, run_key, run_type, logical_date from dag_run order by dag_run_id"


async def read_calendar(fetch: Callable[[str], Awaitable[list[Any]]]) -> Calendar:
    """All of it; `fetch` answers queries of one snapshot."""
    return Calendar(
        plans=tuple(
            Plan(_schedule(row), row["last_tick_time"], row["deleted"]) for row in await fetch("select * from schedule")
        ),
        ticks=tuple(map(_tick, await fetch(_TICKS))),
        backfills=tuple(map(_backfill, await fetch("select * from backfill order by backfill_id"))),
        dates=tuple(map(_date, await fetch("select * from backfill_run order by backfill_id, position"))),
        runs=tuple(
            MadeRun(str(row["dag_run_id"]), _key(row), row["run_type"], row["logical_date"])
            for row in await fetch(_RUNS)
        ),
        keys={_key(row): str(row["dag_run_id"]) for row in await fetch("select * from dag_run_key")},
    )


def _schedule(row: Any) -> ScheduleName:
    return ScheduleName(row["namespace"], row["dag_id"], row["schedule_name"])


def _key(row: Any) -> RunKey:
    return RunKey(row["namespace"], row["dag_id"], row["run_key"])


def _id(value: object) -> str:
    return "" if value is None else str(value)


def _tick(row: Any) -> Tick:
    times = row["tick_time"], row["logical_date"]
    outcome = row["state"], _id(row["dag_run_id"]), row["reason"]
    return Tick(_schedule(row), *times, *outcome, row["decide_time"], row["transaction"])


def _backfill(row: Any) -> Backfill:
    about = (row[name] for name in ("namespace", "dag_id", "series", "state", "date_count"))
    pace = row["runs_active_max"], row["rate_runs"], row["rate_seconds"] or 0.0
    return Backfill(str(row["backfill_id"]), *about, *pace)


def _date(row: Any) -> Date:
    outcome = row["outcome"], _id(row["dag_run_id"]), row["reason"]
    starts = *row["earlier_starts"], *filter(None, [row["start_time"]])
    return Date(str(row["backfill_id"]), row["position"], row["logical_date"], *outcome, row["again"], starts)
