"""Backfills beside what is scheduled: how much later that starts, what the backfill gets, how fast runs are made."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import bench_dags
import scale_dags
from measures import BenchFailed, Figures, quantile, register, seconds
from system import System, system

from glidepath.client import Client
from glidepath_proto.run.v1 import backfill_pb2

DATES, CAP, TASKS = 365, 3, 20
MANY_DATES = 5_000
TICKING_DAGS, TICK_SECONDS = 10, 1.0
QUANTILES = {0.5: "p50", 0.95: "p95", 0.99: "p99"}
# How long the ticking DAGs are watched without the backfill, and at least with it.
WATCHED_SECONDS = 30.0
# Where workers have fewer slots than there is work: the backfill's share is its weight's.
CROWDED_SLOTS, CROWDED_SECONDS, CROWDED_WEIGHT = 8, 20.0, 0.5
START = datetime(2025, 1, 1, tzinfo=UTC)
BACKFILL_SECONDS_MAX = 900.0
STARTS = """
select count(*) filter (where r.backfill_id = $1) as mine, count(*) as everybody
from task_attempt a join dag_run r using (dag_run_id) where a.start_time >= $2
"""


def backfills(database_url: str, folder: Path, share: float) -> Figures:
    """Both bounds, with room on the workers and without; and 5,000 dates at once."""
    figures: Figures = {}
    with system(database_url, folder, workers=2, slots=64) as running:
        for each in (*scale_dags.ticking, scale_dags.filled, bench_dags.one):
            register(running, each)
        figures |= beside(running, max(share, 0.1))
        figures |= many(running, share)
    with system(database_url, folder, workers=1, slots=CROWDED_SLOTS) as running:
        figures |= crowded(database_url, running, max(share, 0.5))
    return figures


def beside(running: System, share: float) -> Figures:
    """Ten DAGs tick each second; then a backfill of 365 dates x 20 tasks, three runs at once, begins beside them."""
    alone = start_delays(running.client, WATCHED_SECONDS * share)
    dates = round(DATES * share)
    began = time.monotonic()
    made = running.client.create_backfill("filled", runs_active_max=CAP, **days(dates))
    delays = start_delays(running.client, WATCHED_SECONDS * share, made.backfill_id)
    took = time.monotonic() - began
    # What else this machine does may change meanwhile.
    alone += start_delays(running.client, WATCHED_SECONDS * share)
    rise = {q: quantile(delays, q) - quantile(alone, q) for q in QUANTILES}
    figures = {
        "backfill_dates": float(dates),
        "backfill_tasks_per_second": dates * TASKS / took,
        "backfill_active_runs_max": float(CAP),
    }
    for q, name in QUANTILES.items():
        bound = max(0.1 * quantile(alone, q), 50.0)
        figures |= {
            f"scheduled_start_delay_alone_{name}_ms": quantile(alone, q),
            f"scheduled_start_delay_beside_{name}_ms": quantile(delays, q),
            f"scheduled_start_delay_rise_{name}_ms": rise[q],
            f"scheduled_start_delay_allowed_{name}_ms": bound,
        }
        if q == 0.5 and rise[q] > bound:
            raise BenchFailed(f"{name}: {rise[q]:.0f} ms later, more than {bound:.0f} ms")
    return figures


def many(running: System, share: float) -> Figures:
    """5,000 dates, as fast as their runs are made; the DAG is paused, so that nothing of them runs meanwhile."""
    client, dates = running.client, round(MANY_DATES * share)
    client.pause_dag("one")
    began = time.monotonic()
    made = client.create_backfill(
        "one", runs_active_max=10_000, every=3600, start=START, end=START + timedelta(hours=dates - 1)
    )
    stored = time.monotonic() - began
    while (found := client.get_backfill(made.backfill_id)).counts.waiting:
        if time.monotonic() - began > BACKFILL_SECONDS_MAX:
            raise BenchFailed(f"{found.counts.waiting} dates still wait")
        time.sleep(0.02)
    took = time.monotonic() - began
    client.cancel_backfill(made.backfill_id, cancel_runs=True)
    return {
        "backfill_store_seconds": stored,
        "backfill_runs_created_per_second": dates / took,
    }


def crowded(database_url: str, running: System, share: float) -> Figures:
    """More work than slots: what the backfill gets of the starts, against its weight beside two DAGs."""
    client = running.client
    for each in (*scale_dags.floods, scale_dags.filled):
        register(running, each)
    for each in scale_dags.floods:
        client.trigger_many([{"dag_id": each.dag_id} for _ in range(300)])
    options: dict[str, Any] = {"runs_active_max": 20, "weight": CROWDED_WEIGHT, "series": "crowded"}
    made = client.create_backfill("filled", **options, **days(300))
    time.sleep(5.0)  # until everybody has work in the queue
    mine, everybody = asyncio.run(starts(database_url, made.backfill_id, CROWDED_SECONDS * share))
    client.cancel_backfill(made.backfill_id, cancel_runs=True)
    least = CROWDED_WEIGHT / (CROWDED_WEIGHT + len(scale_dags.floods))
    if mine / everybody < 0.8 * least:
        raise BenchFailed(f"the backfill got {mine} of {everybody} starts")
    return {"backfill_share_when_crowded": mine / everybody, "backfill_share_stated": least}


async def starts(database_url: str, backfill_id: str, span_seconds: float) -> tuple[int, int]:
    """Attempts that began within a span from now on: of the backfill, and of all."""
    connection = await asyncpg.connect(database_url)
    try:
        since = await connection.fetchval("select clock_timestamp()")
        await asyncio.sleep(span_seconds)
        row = await connection.fetchrow(STARTS, backfill_id, since)
        return row["mine"], row["everybody"]
    finally:
        await connection.close()


def days(count: int) -> dict[str, Any]:
    return {"start": START, "end": START + timedelta(days=count - 1), "cron": "0 0 * * *", "zone": "UTC"}


def start_delays(client: Client, least_seconds: float, backfill_id: str = "") -> list[float]:
    """Trigger ten DAGs each second, for so long and until the backfill has ended. Milliseconds from the making of each
    run to the start of its first attempt."""
    runs: list[str] = []
    began, number = time.monotonic(), 0
    while True:
        due = began + number * TICK_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))
        made = client.trigger_many([{"dag_id": dag.dag_id} for dag in scale_dags.ticking])
        runs += [each.dag_run_id for each in made]
        number += 1
        over = time.monotonic() - began
        if over > BACKFILL_SECONDS_MAX:
            raise BenchFailed("the backfill did not end")
        if over >= least_seconds and (not backfill_id or _ended(client, backfill_id)):
            break
    time.sleep(2.0)
    return [_delay(client, run_id) for run_id in runs]


def _delay(client: Client, run_id: str) -> float:
    run = client.get_dag_run(run_id)
    first = min(seconds(each.start_time) for each in client.list_attempts(run_id))
    return (first - seconds(run.create_time)) * 1e3


def _ended(client: Client, backfill_id: str) -> bool:
    return client.get_backfill(backfill_id).state == backfill_pb2.Backfill.STATE_ENDED
