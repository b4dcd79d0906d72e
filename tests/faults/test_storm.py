"""Everybody comes back at once: the server is killed under a crowd of workers, each with an attempt in its hands.

The crowd is stubs in one process of this test, each on a connection of its own, which try again every tenth of a second
and leave a server that does not answer within two. Meanwhile somebody else's runs must be served.
"""

from __future__ import annotations

import asyncio
import signal
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from fault_world import wait_until
from fleet_world import Fleet
from replica_world import Crew

from glidepath.client import Client
from glidepath_proto.run.v1 import run_pb2
from tests.checker import Watch
from tests.checker.journal_worker import JournalWorker
from tests.checker.journals import note_fault
from tests.checker.tests.scenes import dag, task

BACK_SECONDS = 30.0
MEMORY_MIB_MAX = 400
LOOKS = 10
# Leases as in production: a storm must be over before they end.
LEASE = {"lease_ttl_seconds": 15, "heartbeat_interval_seconds": 4}


class Crowd:
    """So many stub workers with one slot each, on the crew's loop."""

    def __init__(self, fleet: Fleet, crew: Crew, count: int) -> None:
        self._crew, self._token = crew, (fleet.folder / "worker").read_text().strip()
        (self.workers,) = crew.do(self._hire(fleet, count))

    async def _hire(self, fleet: Fleet, count: int) -> list[JournalWorker]:
        workers = [
            JournalWorker(fleet.address, self._token, fleet.journals, f"crowd-{number}", slots=1, queues=["crowd"])
            for number in range(count)
        ]
        self._lives = [asyncio.ensure_future(worker.run()) for worker in workers]
        return workers

    def close(self) -> None:
        self._crew.do(self._end())

    async def _end(self) -> None:
        for worker in self.workers:
            worker.stop()
        await asyncio.gather(*self._lives)


def start(fleet: Fleet, client: Client | None = None) -> tuple[subprocess.Popen[bytes], Client]:
    server = fleet.server(**LEASE)
    client = client or fleet.client()
    fleet.wait_for_answers(client)
    return server, client


def come_back(fleet: Fleet, crowd: Crowd, generation: int) -> None:
    """Until the session of each of the crowd is bound to a stream of this generation or a later one."""

    def bound() -> bool:
        (row,) = fleet.rows(
            "select count(*) from worker_session where worker_identity like 'crowd-%' and state = 'open' "
            "and generation >= $1 and heard_until > glidepath_now()",
            generation,
        )
        return bool(row["count"] == len(crowd.workers))

    wait_until(bound, f"all {len(crowd.workers)} workers are back", 3 * BACK_SECONDS)


def looks(client: Client, seconds_max: float = 20.0) -> list[float]:
    """How long each of some small runs of somebody else took, from its trigger to its end."""
    took = []
    for _ in range(LOOKS):
        began = time.monotonic()
        run_id = client.trigger("honest").dag_run_id
        wait_until(lambda run_id=run_id: client.get_dag_run(run_id).HasField("end_time"), "it ended", seconds_max)
        took.append(time.monotonic() - began)
    return took


def peak_mib(server: subprocess.Popen[bytes]) -> int:
    """The most memory that a process has had."""
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def storm(fleet: Fleet, crew: Crew, count: int) -> None:
    server, client = start(fleet)
    client.register(dag("crowded", [task(f"t{number}", queue_name="crowd", seconds=0.1) for number in range(count)]))
    client.register(dag("held", [task(f"t{number}", queue_name="crowd", seconds=60) for number in range(count)]))
    client.register(dag("honest", [task("one"), task("two", "one")]))
    fleet.journal_worker("honest", slots=4, queue="default")
    with Watch(fleet.database_url) as watch:
        crowd = Crowd(fleet, crew, count)
        try:
            come_back(fleet, crowd, 1)
            assert finished_as(client, client.trigger("crowded").dag_run_id, run_pb2.RUN_STATE_SUCCESS)
            held = client.trigger("held").dag_run_id
            wait_until(lambda: len(live(fleet, held)) == count, "each of the crowd holds an attempt")
            calm = looks(client)
            sessions = live(fleet, held)
            note_fault(fleet.journals, "kill server")
            server.send_signal(signal.SIGKILL)
            server.wait()
            server, _ = start(fleet, client)
            began = time.monotonic()
            stormy = looks(client)
            come_back(fleet, crowd, 2)
            back = time.monotonic() - began
            assert live(fleet, held) == sessions, "an attempt changed hands"
            client.cancel_dag_run(held)
            assert finished_as(client, held, run_pb2.RUN_STATE_CANCELLED)
        finally:
            crowd.close()
    peak = peak_mib(server)
    fleet.record(f"back_seconds_{count}_workers", round(back, 2))
    fleet.record(f"peak_memory_mib_{count}_workers", peak)
    fleet.record("honest_run_ms_calm", round(1000 * statistics.median(calm)))
    fleet.record("honest_run_ms_in_the_storm", round(1000 * statistics.median(stormy)))
    assert back < BACK_SECONDS and peak < MEMORY_MIB_MAX
    ended = fleet.rows("select attempt_number, state, count(*) from task_attempt group by 1, 2 order by 2")
    assert [(row["attempt_number"], row["state"]) for row in ended] == [(1, "cancelled"), (1, "success")]
    assert not fleet.sessions("lost")
    fleet.judge(watch, {"I5": 1, "I6": count, "I12": 1, "I19": 1})


def live(fleet: Fleet, run_id: str) -> set[tuple[Any, ...]]:
    """(task, attempt, session) of all that is in workers' hands of a run."""
    rows = fleet.rows(
        "select task_index, attempt_number, session_id from live_attempt where dag_run_id = $1::uuid", run_id
    )
    return {(row["task_index"], row["attempt_number"], row["session_id"]) for row in rows}


def finished_as(client: Client, run_id: str, state: int) -> bool:
    wait_until(lambda: client.get_dag_run(run_id).HasField("end_time"), "the run has ended", 60)
    return bool(client.get_dag_run(run_id).state == state)


@pytest.mark.prove
def test_fifty_workers_come_back_at_once(fleet: Fleet, crew: Crew) -> None:
    storm(fleet, crew, 50)


@pytest.mark.prove
@pytest.mark.timeout(400)
def test_500_workers_come_back_at_once(fleet: Fleet, crew: Crew) -> None:
    storm(fleet, crew, 500)
