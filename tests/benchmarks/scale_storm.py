"""A storm: 70,000 schedules of a thousand DAGs, due in one second, and a DAG beside them that runs every ten seconds.

The ticks are of a midnight that the database's clock is brought to once all of them are known to the server, as they
are on any day. The runs are created and started by the server; no worker knows their tasks.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from measures import BenchFailed, Figures
from system import System, system

from glidepath.authoring.schedules import Every
from glidepath.client import Client
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_server.core.schedules import CronRule, Schedule, schedule_to_json

DAGS, SCHEDULES_OF_EACH = 1_000, 70
MIDNIGHT = datetime(2031, 6, 2, tzinfo=UTC)
BEFORE = timedelta(seconds=12)
PLANNED_SECONDS_MAX, STORM_SECONDS_MAX = 900.0, 180.0
CROWD = """
insert into schedule (namespace, dag_id, schedule_name, origin, spec, params, last_tick_time, create_time, update_time,
                      updated_by)
select 'default', 'crowd' || d, 's' || n, 'api', $3, '', $4, $4, $4, 'bench'
from generate_series(1, $1::integer) d, generate_series(1, $2::integer) n
"""
UNPLANNED = "select count(*) from schedule where plan_due"
MADE = "select count(*) from schedule_tick where state = 'run' and dag_id like 'crowd%'"
TOOK = "select extract(epoch from max(decide_time) - $1)::float from schedule_tick where dag_id like 'crowd%'"
SMALL = """
select extract(epoch from t.decide_time - t.tick_time)::float as made,
       extract(epoch from coalesce(r.start_time, glidepath_now()) - t.tick_time)::float as begun
from schedule_tick t
left join dag_run r using (dag_run_id)
where t.dag_id = 'small' and t.tick_time >= $1 and t.tick_time <= $2 and t.state = 'run'
"""


def storm(database_url: str, folder: Path, share: float) -> Figures:
    """Seconds until every run exists, and how late the small DAG's runs were created, and begun, meanwhile."""
    with system(database_url, folder, workers=1) as running:
        dags = max(1, round(DAGS * share))
        _register(running.client, dags)
        return asyncio.run(_storm(database_url, running, dags))


def _register(client: Client, dags: int) -> None:
    for dag_id in ["small", *(f"crowd{number}" for number in range(1, dags + 1))]:
        task = dag_pb2.TaskSpec(task_id="only", handler=dag_pb2.Handler(name="bench:nobody"))
        client.register(dag_pb2.DagSpec(dag_id=dag_id, tasks=[task]))


async def _storm(database_url: str, running: System, dags: int) -> Figures:
    connection = await asyncpg.connect(database_url)
    try:
        await _be(connection, MIDNIGHT - timedelta(hours=12))
        spec = schedule_to_json(Schedule(CronRule("0 0 * * *"), "UTC"))
        begun = time.monotonic()
        await connection.execute(CROWD, dags, SCHEDULES_OF_EACH, spec, MIDNIGHT - timedelta(hours=12))
        await _until(connection, running, lambda: connection.fetchval(UNPLANNED), 0, PLANNED_SECONDS_MAX)
        planned = dags * SCHEDULES_OF_EACH / (time.monotonic() - begun)
        await _be(connection, MIDNIGHT - BEFORE)
        await asyncio.to_thread(running.client.set_schedule, "small", Every(10, zone="UTC"))
        wanted = dags * SCHEDULES_OF_EACH
        await _until(connection, running, lambda: connection.fetchval(MADE), wanted, STORM_SECONDS_MAX)
        seconds: float = await connection.fetchval(TOOK, MIDNIGHT)
        # The ticks of the small DAG that came while the storm went on, and the next.
        last = MIDNIGHT + timedelta(seconds=seconds + 10)
        await _until(connection, running, lambda: connection.fetchval("select glidepath_now() > $1", last), True, 60.0)
        small = await connection.fetch(SMALL, MIDNIGHT, last)
        await _until(connection, running, lambda: connection.fetchval(UNPLANNED), 0, PLANNED_SECONDS_MAX)
        return {
            "storm_schedules": float(wanted),
            "storm_planned_per_second": planned,
            "storm_all_runs_exist_seconds": seconds,
            "storm_small_dag_ticks": float(len(small)),
            "storm_small_dag_created_late_max_seconds": max(row["made"] for row in small),
            "storm_small_dag_started_late_max_seconds": max(row["begun"] for row in small),
        }
    finally:
        await connection.close()


async def _be(connection: Any, now: datetime) -> None:
    await connection.execute("update clock set shift = $1::timestamptz - clock_timestamp()", now)


async def _until(connection: Any, running: System, look: Any, wanted: object, seconds_max: float) -> None:
    end = time.monotonic() + seconds_max
    while (found := await look()) != wanted:
        running.check()
        if time.monotonic() > end:
            raise BenchFailed(f"{found} instead of {wanted} after {seconds_max:g} s")
        await asyncio.sleep(0.25)
