"""Ticks that wait are found without reading other schedules' runs, or what became of earlier ticks."""

from __future__ import annotations

from typing import Any

import pytest
from plan_rows import rows_read
from step_room import StepRoom

from glidepath_server.store import schedules as store
from glidepath_server.store.schedules import ScheduleKey

SCHEDULES, PAST, WAITING = 100, 40, 10


class Seen:
    """A connection that counts what its statements read of each table, too."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.read = {"dag_run": 0, "schedule_tick": 0}

    async def fetch(self, statement: str, *arguments: object) -> Any:
        for table in self.read:
            self.read[table] += await rows_read(self.connection, table, statement, *arguments)
        return await self.connection.fetch(statement, *arguments)


_SCHEDULES = """
insert into schedule (namespace, dag_id, schedule_name, origin, spec, params, last_tick_time, plan_due, waiting,
                      in_sequence, create_time, update_time, updated_by)
select 'default', 'dag', 's' || m, 'api', '{}', '{}', now(), false, $2, $3, now(), now(), 'me'
from generate_series(1, $1::integer) m"""
_RUNS = """
insert into dag_run (dag_run_id, dag_version_id, state, run_type, board, start_time, end_time, namespace, dag_id,
                     run_key, params, logical_date, data_interval_start, data_interval_end, create_time, created_by)
select pg_temp.id(m, k), (select min(dag_version_id) from dag_version), n.state, 'scheduled', '', now(),
       case when n.state not in ('queued', 'running') then now() end, 'default', 'dag', 's' || m || '@' || k, '{}',
       now(), now(), now(), now(), 'me'
from generate_series(1, $1::integer) m, generate_series(1, $2::integer) k,
     lateral (select case when k = $2 then $3 else 'success' end as state) as n"""
_TICKS = """
insert into schedule_tick (namespace, dag_id, schedule_name, tick_time, logical_date, data_interval_start,
                           data_interval_end, state, dag_run_id, decide_time)
select 'default', 'dag', 's' || m, now() + make_interval(hours => k), now(), now(), now(),
       case when k <= $2 then 'run' else 'waiting' end, case when k <= $2 then pg_temp.id(m, k) end, now()
from generate_series(1, $1::integer) m, generate_series(1, $2::integer + $3::integer) k"""


async def many(room: StepRoom, newest: str, *, sequence: bool = False) -> Any:
    """One DAG with 100 schedules, each with 40 runs, of which the newest is in this state, and 10 ticks that wait."""
    await room.store_dag(1)
    connection = room.watcher
    await connection.execute(
        """create function pg_temp.id(m integer, k integer) returns uuid language sql as
           $$ select ('00000000-0000-7000-8000-' || lpad(to_hex(m * 1000 + k), 12, '0'))::uuid $$"""
    )
    await connection.execute(_SCHEDULES, SCHEDULES, WAITING, sequence)
    await connection.execute(_RUNS, SCHEDULES, PAST, newest)
    await connection.execute(_TICKS, SCHEDULES, PAST, WAITING)
    await connection.execute("analyze schedule, schedule_tick, dag_run")
    return Seen(connection)


@pytest.mark.parametrize("sequence", [False, True])
async def test_a_schedule_whose_run_is_active_costs_that_run(room: StepRoom, sequence: bool) -> None:
    seen = await many(room, "running", sequence=sequence)
    assert await store.claim_waiting(seen, 500) == []
    assert seen.read == {"dag_run": SCHEDULES, "schedule_tick": 0}


async def test_a_sequence_that_is_blocked_costs_its_newest_run_and_what_waits(room: StepRoom) -> None:
    seen = await many(room, "failed", sequence=True)
    assert await store.claim_waiting(seen, 500) == []
    assert seen.read == {"dag_run": SCHEDULES, "schedule_tick": SCHEDULES * (WAITING + 1)}


async def test_where_there_is_room_all_are_claimed_and_the_ticks_that_wait_are_read_alone(room: StepRoom) -> None:
    seen = await many(room, "success")
    claimed = await store.claim_waiting(seen, 500)
    assert len(claimed) == SCHEDULES and seen.read["dag_run"] == 0
    ticks = await store.waiting_ticks(seen, [row.key for row in claimed], 4)
    assert sorted({len(found) for found in ticks.values()}) == [4]
    assert seen.read["schedule_tick"] == SCHEDULES * 4


async def test_active_runs_are_those_of_the_schedule_and_of_none_whose_name_begins_alike(room: StepRoom) -> None:
    seen = await many(room, "queued")
    keys = [ScheduleKey("default", "dag", name) for name in ("s1", "s10", "s100", "s", "S1", "s1@")]
    found = await store.active_runs(seen, keys)
    assert {key.schedule_name: len(runs) for key, runs in found.items()} == {"s1": 1, "s10": 1, "s100": 1}
    assert seen.read["dag_run"] == 3
