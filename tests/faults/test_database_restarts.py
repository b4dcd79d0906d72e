"""Postgres ends again and again, in order or not, under load: servers are ready soon, what they acknowledged is there.

The seed is printed; GLIDEPATH_TEST_SEED repeats it.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar
from uuid import uuid4

import grpc
import pytest
from fault_world import pass_seconds, wait_until
from fleet_world import Fleet
from grpc_health.v1 import health_pb2, health_pb2_grpc
from postgres_ends import WAYS, restart

from glidepath.client import Client
from glidepath.errors import RpcError
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_server.store.embedded import EmbeddedPostgres
from tests.checker import Watch
from tests.checker.facts import Facts
from tests.checker.journal_client import JournalClient
from tests.checker.journals import note_fault
from tests.checker.tests.scenes import dag, task
from tests.free_address import free_address

T = TypeVar("T")
READY_SECONDS = 10.0
CALL_SECONDS = 5.0
OPEN_MAX = 4
# What a call may be answered while the database is away. Nothing else is excused.
EXCUSED = {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
TASKS = [
    task("first"),
    *(task(f"wide_{number}", "first", seconds=0.1 * number) for number in range(4)),
    task("slow", "first", seconds=2),
    task("last", *(f"wide_{number}" for number in range(4)), "slow"),
]


def version(number: int) -> dag_pb2.DagSpec:
    """A version of the DAG that differs from the others."""
    return dag("restarted", TASKS, description=f"version {number}")


class Writer:
    """Registers versions and triggers runs at one server, each until that is acknowledged; so many runs are open.

    `answered`: when runs were acknowledged; `spans`: from when to when each call lasted, its repetitions included.
    """

    def __init__(self, client: JournalClient, first_version: int) -> None:
        self.client, self.number = client, first_version
        self.answered: list[float] = []
        self.spans: list[tuple[float, float]] = []
        self.failure: BaseException | None = None
        self._open: deque[str] = deque()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """After what it is at has been acknowledged. Raises what it met and must not have met."""
        self._over.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _live(self) -> None:
        try:
            while not self._over.is_set():
                self._turn()
        except BaseException as error:
            self.failure = error

    def _turn(self) -> None:
        self.number += 1
        request_id = str(uuid4())
        if self.number % 5 == 0:
            self._persist(lambda: self.client.register(version(self.number), request_id=request_id))
            request_id = str(uuid4())
        for _ in range(1 + (self.number % 3 == 0)):  # some are sent again though they were answered
            run = self._persist(lambda: self.client.trigger("restarted", request_id=request_id))
        self.answered.append(time.monotonic())
        self._open.append(run.dag_run_id)
        while len(self._open) >= OPEN_MAX and not self._over.wait(0.05):
            if self._persist(lambda: self.client.get_dag_run(self._open[0])).HasField("end_time"):
                self._open.popleft()

    def _persist(self, call: Callable[[], T]) -> T:
        """What a call answers in the end. The same request id each time."""
        begun = time.monotonic()
        while True:
            try:
                answer = call()
            except RpcError as error:
                if error.code not in EXCUSED or time.monotonic() > begun + 12 * CALL_SECONDS:
                    raise
                self._over.wait(0.05)
            else:
                self.spans.append((begun, time.monotonic()))
                return answer


class Restarts:
    """Two servers with a worker and a writer each, on a Postgres that ends."""

    def __init__(self, fleet: Fleet, postgres: EmbeddedPostgres, chance: random.Random) -> None:
        self.fleet, self.postgres, self.chance = fleet, postgres, chance
        self.places = [fleet.address, free_address()]
        self.writers: list[Writer] = []
        self.readers: list[Client] = []
        for number, address in enumerate(self.places):
            fleet.server(address=address)
            client = fleet.journal_client(address, timeout=CALL_SECONDS)
            self.readers.append(fleet.client(address))
            self.writers.append(Writer(client, 1_000_000 * (number + 1)))
            fleet.journal_worker(f"w{number}", address=address, slots=64)
        self.writers[0].client.register(version(0))
        self.outages: list[tuple[float, float]] = []
        self.ready: list[float] = []
        self.written: list[float] = []
        self.accepted: list[float] = []

    def live(self, times: int) -> None:
        """The load goes on while Postgres ends so often; then everything comes to its end."""
        for writer in self.writers:
            writer.start()
        try:
            self.wait_for_progress(0)
            for number in range(times):
                self.restart(list(WAYS)[number % len(WAYS)])
        finally:
            for writer in self.writers:
                writer.stop()
        wait_until(self.all_ended, "all runs have ended")

    def restart(self, way: str) -> None:
        """End it at some moment of the load, start it again, and measure from when it takes connections."""
        pass_seconds(self.chance.uniform(0, 0.5))
        note_fault(self.fleet.journals, "crash postgres")
        down = time.monotonic()
        restart(self.postgres, way)
        back = time.monotonic()
        for address, reader in zip(self.places, self.readers, strict=True):
            left = READY_SECONDS - (time.monotonic() - back)
            wait_until(lambda a=address, r=reader: is_ready(a, r), f"{address} is ready after {way}", left)
            self.ready.append(time.monotonic() - back)
        self.outages.append((down, back))
        self.wait_for_progress(back)
        self.written += [next(each for each in writer.answered if each > back) - back for writer in self.writers]
        self.accepted.append(self.first_accepted(back) - back)

    def wait_for_progress(self, since: float) -> None:
        """Until each writer has had an acknowledgement, and a worker one for a result."""
        for writer in self.writers:
            wait_until(lambda w=writer: w.failure is not None or w.answered[-1:] > [since], "a write is acknowledged")
            if writer.failure is not None:
                raise writer.failure
        wait_until(lambda: self.first_accepted(since) > since, "a result is accepted")

    def first_accepted(self, since: float) -> float:
        told = (each.monotonic for each in self.fleet.entries("verdict", word="ACCEPTED"))
        return next((each for each in told if each > since), 0.0)

    def met(self, down: float, back: float) -> int:
        """Calls that were under way while the database was away."""
        return sum(begun < back and ended > down for writer in self.writers for begun, ended in writer.spans)

    def all_ended(self) -> bool:
        return not self.fleet.rows("select from dag_run where state not in ('success', 'failed', 'cancelled')")


def is_ready(address: str, reader: Client) -> bool:
    """By the word of its health service, and by an answer for which it must have asked the database."""
    with grpc.insecure_channel(address) as channel, suppress(grpc.RpcError, RpcError):
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
        reader.list_dags()
        return bool(health.status == health_pb2.HealthCheckResponse.SERVING)
    return False


# ---- the test
@pytest.mark.parametrize(
    "times",
    [
        pytest.param(2, id="short"),
        pytest.param(20, id="whole", marks=[pytest.mark.prove, pytest.mark.timeout(400)]),
    ],
)
def test_restarts_of_postgres_lose_nothing(own_fleet: Fleet, postgres: EmbeddedPostgres, times: int) -> None:
    seed = int(os.environ.get("GLIDEPATH_TEST_SEED") or random.randrange(2**32))
    print(f"GLIDEPATH_TEST_SEED={seed}")
    with Watch(own_fleet.database_url) as watch:
        world = Restarts(own_fleet, postgres, random.Random(seed))
        world.live(times)
    own_fleet.figure(f"ready after each of {times} restarts", world.ready)
    own_fleet.figure("the load's next write acknowledged", world.written)
    own_fleet.figure("the first result accepted", world.accepted)
    assert len(world.ready) == 2 * times and max(world.ready) <= READY_SECONDS
    assert all(world.met(*outage) for outage in world.outages)  # the load met each of them
    facts = own_fleet.judge(watch, {"I5": 50, "I6": 20, "I7": 1, "I11": 20, "I12": 1, "I15": 1})
    judge_runs(facts, acknowledged=sum(len(each.answered) for each in world.writers))


def judge_runs(facts: Facts, acknowledged: int) -> None:
    """Everything ended well, and no worker was thought dead."""
    assert len(facts.runs) == acknowledged
    assert {run.state for run in facts.runs.values()} == {"success"}
    states = [attempt.state for attempt in facts.attempts]
    assert states.count("success") == acknowledged * len(TASKS)
    assert set(states) <= {"success", "returned"}
