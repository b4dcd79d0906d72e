"""Postgres, or one replica of three, stands still for longer than any lease: who lives is not judged, who died is."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from uuid import UUID

import pytest
from fault_world import attempts, finished, freeze, pass_seconds, thaw, wait_until
from fleet_world import ROOT, Fleet, stands_still

from glidepath import load_dags
from glidepath.client import Client
from glidepath_proto.run.v1 import run_pb2
from glidepath_server.store.embedded import EmbeddedPostgres
from tests.checker import Watch
from tests.checker.journals import note_fault
from tests.checker.tests.scenes import dag, task
from tests.free_address import free_address

JUDGED_SECONDS = 6.0
DOOMED = ("doomed-1", "doomed-2")
FROZEN_DAG = ROOT / "tests" / "faults" / "frozen_dag.py"


@dataclass(frozen=True)
class Stall:
    """For how long something stands still, and the leases of that world; all in seconds."""

    frozen: float
    lease: float
    interval: float
    tasks: int = 10

    @property
    def settings(self) -> dict[str, object]:
        return {"lease_ttl_seconds": self.lease, "heartbeat_interval_seconds": self.interval}


WHOLE = [pytest.mark.prove, pytest.mark.timeout(300)]


# ---- the database
class FrozenDatabase:
    """Two servers on one Postgres, workers who live on, workers who die in the freeze, and one exclusive task."""

    def __init__(self, fleet: Fleet, stall: Stall) -> None:
        self.fleet, self.stall = fleet, stall
        second = free_address()
        servers = [fleet.server(**stall.settings)]
        self.client = fleet.journal_client()
        servers.append(fleet.server(address=second, **stall.settings))
        fleet.wait_for_answers(fleet.client(second))
        self.link = fleet.link()
        places = [fleet.address, second, fleet.address, second, self.link.address]
        for number, address in enumerate(places):
            slots = -(-stall.tasks // len(places))
            fleet.journal_worker(f"w{number}", address=address, slots=slots, queue="default")
        self.doomed = [fleet.journal_worker(name, slots=1, queue="doomed") for name in DOOMED]
        fleet.worker("guard", slots=1)
        fleet.wait_until_judging(servers, stall.lease)

    def start(self) -> None:
        """Every task has begun; half of those who live end while the database stands still, the others later."""
        stall = self.stall
        bodies = [stall.frozen / 2, stall.frozen + stall.lease]
        steady = [task(f"t{number}", seconds=bodies[number % 2]) for number in range(stall.tasks)]
        self.client.register(dag("steady", [*steady, task("join", *(each.task_id for each in steady))]))
        self.client.register(
            dag("doomed", [task(name, seconds=stall.frozen / 2, queue_name="doomed") for name in DOOMED])
        )
        self.client.register(next(each for each in load_dags(FROZEN_DAG).dags if each.dag_id == "guarded"))
        self.steady = self.client.trigger("steady").dag_run_id
        self.lost = self.client.trigger("doomed").dag_run_id
        self.guarded = self.client.trigger("guarded", params={"folder": str(self.fleet.folder)}).dag_run_id
        began = stall.tasks + len(DOOMED)
        wait_until(lambda: len(self.fleet.entries("started")) == began and bool(self.trail(1)), "all have begun")

    def freeze(self, postgres: EmbeddedPostgres) -> None:
        """For the whole time; meanwhile two workers die, and one loses its stream and is about to say hello."""
        assert postgres.pid is not None
        note_fault(self.fleet.journals, "stop postgres")
        self.frozen_at = time.time()
        stopped = freeze(postgres.pid)
        assert not self.fleet.entries("verdict")
        for process in self.doomed:
            note_fault(self.fleet.journals, "kill worker")
            process.kill()
        pass_seconds(self.stall.frozen / 4)
        self.link.cut()
        self.link.mend()
        pass_seconds(self.frozen_at + self.stall.frozen - time.time())
        assert len(self.fleet.entries("reported")) >= self.stall.tasks // 2  # and nobody could take them
        assert not self.fleet.entries("verdict")
        self.thawed_from = time.time()
        thaw(stopped)
        self.thawed_at, self.thawed_monotonic = time.time(), time.monotonic()
        note_fault(self.fleet.journals, "continue postgres")

    def trail(self, attempt: int) -> list[float]:
        """When the exclusive body of that attempt was seen alive."""
        path = self.fleet.folder / f"guarded.{attempt}.trail"
        return [float(line) for line in path.read_text().splitlines()] if path.exists() else []

    # ---- what must have become of them
    def judge_the_living(self) -> None:
        """All results are accepted, of first attempts."""
        assert finished(self.client, self.steady).state == run_pb2.RUN_STATE_SUCCESS
        found = [(each.attempt_number, each.state) for each in self.client.list_attempts(self.steady)]
        assert found == [(1, run_pb2.ATTEMPT_STATE_SUCCESS)] * (self.stall.tasks + 1)
        first = self.fleet.entries("verdict", word="ACCEPTED")[0]
        self.fleet.figure(
            "first accepted result after the database's freeze", [first.monotonic - self.thawed_monotonic]
        )

    def judge_the_dead(self) -> None:
        """Once the judges were awake for a lease, and not long after it; nobody else was judged."""
        wait_until(lambda: set(DOOMED) <= set(self.fleet.sessions("lost")), "the dead are judged")
        lost = self.fleet.sessions("lost")
        assert set(lost) == set(DOOMED)
        earliest, latest = self.thawed_from + self.stall.lease, self.thawed_at + self.stall.lease + JUDGED_SECONDS
        assert all(earliest <= ended <= latest for ended in lost.values()), (earliest, lost, latest)
        self.fleet.figure(
            "the dead judged after the database's freeze", [ended - self.thawed_at for ended in lost.values()]
        )
        self.fleet.journal_worker("heir", queue="doomed", slots=2)
        assert finished(self.client, self.lost).state == run_pb2.RUN_STATE_SUCCESS
        for name in DOOMED:
            assert attempts(self.client, self.lost, name) == [(1, "LOST"), (2, "SUCCESS")]

    def judge_the_exclusive(self) -> None:
        """Nobody could renew its lease, so it was gone before that ended; the next one never met it."""
        wait_until(lambda: bool(self.trail(2)), "its second attempt runs")
        first, second = self.trail(1), self.trail(2)
        assert self.frozen_at < first[-1] < self.frozen_at + self.stall.lease
        assert second[0] > self.thawed_from
        self.fleet.let_go("guarded")
        assert finished(self.client, self.guarded).state == run_pb2.RUN_STATE_SUCCESS
        told = list(self.client.list_attempts(self.guarded, "guarded"))
        assert [each.attempt_number for each in told] == [1, 2]
        assert told[0].state != run_pb2.ATTEMPT_STATE_LOST  # nobody judged its worker, who said it
        assert "lease" in told[0].failure.message + told[0].reason, f"\n{told[0]}"


@pytest.mark.parametrize(
    "stall",
    [
        pytest.param(Stall(frozen=6, lease=3, interval=0.4), id="short", marks=pytest.mark.prove),
        pytest.param(Stall(frozen=60, lease=15, interval=4, tasks=50), id="whole", marks=WHOLE),
    ],
)
def test_a_frozen_database_judges_nobody_who_lives(own_fleet: Fleet, postgres: EmbeddedPostgres, stall: Stall) -> None:
    with Watch(own_fleet.database_url) as watch:
        world = FrozenDatabase(own_fleet, stall)
        world.start()
        world.freeze(postgres)
        world.judge_the_exclusive()
        world.judge_the_dead()
        world.judge_the_living()
    own_fleet.judge(watch, {"I3": len(DOOMED), "I5": stall.tasks, "I6": 1, "I8": len(DOOMED)})


# ---- a replica
class FrozenReplica:
    """Three replicas with a worker each. Who goes elsewhere has two others to go to."""

    def __init__(self, fleet: Fleet, stall: Stall, crash_point: str) -> None:
        self.fleet, self.stall = fleet, stall
        self.places = [fleet.address, free_address(), free_address()]
        self.clients: list[Client] = []
        self.runs: dict[str, str] = {}
        servers = []
        for address in self.places:
            point = crash_point if address == fleet.address else ""
            servers.append(fleet.server(address=address, crash_point=point, **stall.settings))
            self.clients.append(fleet.client(address))
            fleet.wait_for_answers(self.clients[-1])
        self.first, self.other = servers[0], self.clients[1]
        fleet.register("frozen_dag.py", "chain")
        self.give("w0", "a", "b")
        self.give("w1", "c", "d", "e")
        self.give("w2")
        fleet.wait_until_judging(servers, stall.lease)

    def give(self, identity: str, *names: str) -> None:
        """Start the worker of a replica, and have that replica hand it chains; one of its slots stays free."""
        number = int(identity[-1])
        order = self.places[number:] + self.places[:number]
        worker = self.fleet.worker(identity, slots=len(names) + 1, address=",".join(order))
        wait_until(lambda: "welcome: " in self.fleet.log(worker), f"{identity} is welcome")
        for name in names:
            run = self.clients[number].trigger("chain", params={"folder": str(self.fleet.folder), "name": name})
            self.runs[name] = run.dag_run_id
            wait_until(lambda name=name: self.fleet.ledger(name) == [1], f"{name} has begun")
            assert self.worker_of(name) == identity

    def worker_of(self, name: str) -> str:
        """Who has that chain's first task now."""
        rows = self.fleet.rows(
            "select worker_identity from live_attempt join worker_session using (session_id) where dag_run_id = $1",
            UUID(self.runs[name]),
        )
        return ",".join(row["worker_identity"] for row in rows)

    def freeze(self, how: str) -> None:
        """Until the first replica stands still. It has one worker, who holds chains a and b."""
        if how == STEPPING:
            self.fleet.let_go("a")
        elif not how:
            self.first.send_signal(signal.SIGSTOP)
        wait_until(lambda: stands_still(self.first), "the first replica stands still")
        self.frozen_at = time.monotonic()
        assert self.fleet.ledger("a") == self.fleet.ledger("b") == [1]
        assert not any(self.ended(name) for name in self.runs)

    def ended(self, name: str) -> bool:
        return self.other.get_dag_run(self.runs[name]).HasField("end_time")

    def tell_results(self, *names: str) -> None:
        """What ends meanwhile, at the worker who had to go elsewhere and at another one, is accepted meanwhile."""
        begun = time.monotonic()
        self.fleet.let_go(*names)
        wait_until(lambda: all(map(self.ended, names)), "the others have accepted the results", self.stall.frozen)
        self.fleet.figure("results accepted elsewhere in a replica's freeze", [time.monotonic() - begun])

    def wake(self) -> None:
        """When it has stood still for the whole time. It answers again, and its judge has been awake for a lease."""
        pass_seconds(self.frozen_at + self.stall.frozen - time.monotonic())
        assert stands_still(self.first)
        assert not self.fleet.sessions("lost", "closed")
        self.first.send_signal(signal.SIGCONT)
        self.fleet.wait_for_answers(self.clients[0])
        pass_seconds(self.stall.lease + 3)

    def judge(self) -> None:
        """Each task was begun once, and no session has ended."""
        assert not self.fleet.sessions("lost", "closed")
        self.fleet.let_go(*self.runs)
        for name, run_id in self.runs.items():
            assert finished(self.clients[0], run_id).state == run_pb2.RUN_STATE_SUCCESS
            for task_id in ("kept", "follow"):
                assert attempts(self.other, run_id, task_id) == [(1, "SUCCESS")]
            assert self.fleet.ledger(name) == [1]
        assert not self.fleet.sessions("lost", "closed")


# Where it stands still when nobody stops it from outside: with an echo that it heard and has not written, so that its
# worker's lease ends early; in a step that holds the locks of a run and of the session that is given the next task.
RENEWING, STEPPING = "renewal.before_commit=stop@12", "report.before_commit=stop"
BRIEF = Stall(frozen=8, lease=3, interval=0.8)


@pytest.mark.prove
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("stall", "how"),
    [
        pytest.param(BRIEF, RENEWING, id="short-renewing"),
        pytest.param(BRIEF, STEPPING, id="short-stepping"),
        pytest.param(BRIEF, "", id="short"),
        pytest.param(Stall(frozen=60, lease=15, interval=4), STEPPING, id="whole-stepping"),
    ],
)
def test_a_frozen_replica_costs_no_attempt(fleet: Fleet, stall: Stall, how: str) -> None:
    world = FrozenReplica(fleet, stall, how)
    world.freeze(how)
    world.tell_results("a", "c")
    world.wake()
    world.judge()
