"""A million tasks that have ended, over twelve months: what they cost those that run, those that look, and when a month
of them is dropped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import bench_dags
from measures import BenchFailed, Figures, finished, many_runs, quantile, register, seconds, trigger
from system import System, system

from glidepath.client import Client
from glidepath_server.operations.drop_history import DropHistory
from glidepath_server.store.database import Database

RUNS, TASKS, MONTHS = 100_000, 10, 12
LOOKS = 30
# A run of the past, as the engine would have left it: its key, three steps, an attempt and an output of each task.
PAST = """
with made as (
    select (lpad(to_hex((extract(epoch from $1::timestamptz) * 1000)::bigint + n * $4), 12, '0') || '7'
            || lpad(to_hex(n % 4096), 3, '0') || 'a' || substr(md5(n::text || $1::text), 1, 15))::uuid as id,
           $1::timestamptz + make_interval(secs => n * $4 / 1000.0) as at, n
    from generate_series(1, $2::integer) n
), runs as (
    insert into dag_run (dag_run_id, dag_version_id, revision, state, run_type, board, start_time, end_time, namespace,
                         dag_id, run_key, params, logical_date, data_interval_start, data_interval_end, create_time,
                         created_by)
    select id, $3, 3, 'success', 'scheduled', decode(repeat('0a', 10), 'hex'), at, at + interval '90 seconds',
           'default', 'diamond', id::text, '{}', at, at, at, at, 'history' from made
), keys as (
    insert into dag_run_key select 'default', 'diamond', id::text, id from made
), steps as (
    insert into dag_run_event (dag_run_id, revision, event_time, run_state, task_indexes, states)
    select id, r, at, case when r = 3 then 'success' else 'running' end, array[0, 1, 2], '\\x0a0a0a'
    from made, generate_series(1, 3) r
), outputs as (
    insert into task_output (dag_run_id, task_index, map_index, attempt_number, content_type, body, size_bytes)
    select id, t, -1, 1, 'application/json', '\\x7b7d', 2 from made, generate_series(0, 9) t
)
insert into task_attempt (dag_run_id, task_index, map_index, attempt_number, state, session_id, queue_time, start_time,
                          end_time)
select id, t, -1, 1, 'success', $5, at, at, at + interval '8 seconds' from made, generate_series(0, 9) t
"""


def history(database_url: str, folder: Path, share: float) -> Figures:
    """Throughput on the empty database and behind a million ended tasks, each list's p95 there, and the longest that a
    step waits while a month is dropped."""
    with system(database_url, folder, workers=2) as running:
        empty = throughput(running, share)
    count = asyncio.run(fill(database_url, round(RUNS * share)))
    with system(database_url, folder, workers=2) as running:
        figures = {
            "history_tasks": float(count),
            "history_empty_tasks_per_second": empty,
            "history_full_tasks_per_second": throughput(running, share),
        }
        figures["history_full_over_empty"] = figures["history_full_tasks_per_second"] / empty
        for name, look in lists(running.client).items():
            figures[f"history_list_{name}_p95_ms"] = p95(look)
        figures["history_drop_month_seconds"], figures["history_drop_month_longest_hop_ms"] = dropped(
            database_url, running
        )
    return figures


def throughput(running: System, share: float) -> float:
    """Of three, the best."""
    return max(many_runs(running, max(share, 0.2))["runs_2000x10_tasks_per_second"] for _ in range(3))


async def fill(database_url: str, runs: int) -> int:
    """Runs of the last twelve months, in partitions that were closed in their time; how many tasks they have."""
    database = await Database.open(database_url)
    connection = await asyncpg.connect(database_url)
    try:
        version = await connection.fetchval("select dag_version_id from dag_version where dag_id = 'diamond'")
        session = await connection.fetchval("select session_id from worker_session limit 1")
        # What ran on the empty database ran today: no partition of an earlier month could be closed over it.
        await connection.execute("truncate dag_run, dag_run_key, dag_run_event, task_attempt, task_output")
        today = datetime.now(UTC)
        each = runs // MONTHS
        for number in range(MONTHS, 0, -1):
            month = (today.replace(day=1) - timedelta(days=30 * number)).replace(day=1, hour=0, minute=0, second=0)
            await connection.execute("update clock set shift = $1 - clock_timestamp()", month.replace(day=24))
            await connection.execute(PAST, month, each, version, 20 * 86_400_000 // each, session, timeout=600)
            await DropHistory(database, 0, 1_000)()
        await connection.execute("update clock set shift = '0'")
        await connection.execute("vacuum analyze", timeout=600)
        return each * MONTHS * TASKS
    finally:
        await connection.close()
        await database.close()


def lists(client: Client) -> dict[str, Callable[[], Any]]:
    """The first page of every list that a person looks at, and what opens from it."""
    run_id = next(iter(client.list_dag_runs("diamond", page_size=1))).dag_run_id
    return {
        "runs": lambda: _first(client.list_dag_runs(page_size=100)),
        "runs_of_dag": lambda: _first(client.list_dag_runs("diamond", page_size=100)),
        "runs_failed": lambda: _first(client.list_dag_runs("diamond", states=["failed"], page_size=100)),
        "runs_running": lambda: _first(client.list_dag_runs(states=["queued", "running"], page_size=100)),
        "task_instances": lambda: _first(client.list_task_instances(run_id)),
        "attempts": lambda: _first(client.list_attempts(run_id)),
        "dead_letters": lambda: _first(client.list_dead_letters()),
        "dags": lambda: _first(client.list_dags()),
        "versions": lambda: _first(client.list_dag_versions("diamond")),
        "workers": lambda: _first(client.list_workers()),
        "run": lambda: client.get_dag_run(run_id),
        "artifact_uses": lambda: _first(client.list_artifact_uses(run_id)),
        "audit": lambda: _first(client.list_audit_events()),
        "incidents": lambda: _first(client.list_incidents()),
    }


def _first(rows: Any) -> None:
    """One page: the first row brings it."""
    next(iter(rows), None)


def p95(look: Callable[[], Any]) -> float:
    took = []
    for _ in range(LOOKS):
        begun = time.perf_counter()
        look()
        took.append((time.perf_counter() - begun) * 1e3)
    return quantile(took, 0.95)


def dropped(database_url: str, running: System) -> tuple[float, float]:
    """Seconds that dropping the oldest months took, and the longest hop of a chain that ran meanwhile."""
    register(running, bench_dags.chain)

    async def drop() -> float:
        database = await Database.open(database_url)
        begun = time.monotonic()
        try:
            done = await DropHistory(database, retention_days=300, rows_max=1_000)()
        finally:
            await database.close()
        if done is None or not done.dropped or not done.runs:
            raise BenchFailed(f"nothing was dropped: {done}")
        return time.monotonic() - begun

    async def both() -> tuple[float, float]:
        work = asyncio.create_task(asyncio.to_thread(asyncio.run, drop()))
        longest = 0.0
        while not work.done():
            longest = max(longest, await asyncio.to_thread(_longest_hop, running))
        return await work, longest

    return asyncio.run(both())


def _longest_hop(running: System) -> float:
    run = finished(running, trigger(running, "chain"))
    starts = sorted(seconds(each.start_time) for each in running.client.list_attempts(run.dag_run_id))
    return max((after - before) * 1e3 for before, after in pairwise(starts))
