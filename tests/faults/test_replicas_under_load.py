"""Replicas that are stopped and started in turn while work flows, and replicas that quarrel over the same few runs."""

from __future__ import annotations

import asyncio
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from fault_world import House, finished, wait_until
from replica_world import LETTERS, Crew, LockWaits, Replicas, deadlocks, seeded

from glidepath import load_dags
from glidepath.client import Client
from glidepath.errors import RpcError
from glidepath_proto.run.v1 import run_pb2
from tests.checker import Watch, check, read_facts
from tests.checker.journal_client import JournalClient
from tests.checker.journal_worker import JournalWorker, Manners
from tests.checker.tests.scenes import ACTOR, dag, task

STOP_GRACE_SECONDS, STOPPED_SECONDS = 1.0, 15.0
RUN_SECONDS = 60.0


# ---- a rolling restart
class Customers:
    """Clients of the SDK that start runs and wait for their ends, one after the other, until told to stop."""

    def __init__(self, replicas: Replicas, dags: dict[str, dict[str, str]]) -> None:
        self.served: Counter[str] = Counter()
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(len(dags))
        token = (replicas.house.folder / "admin").read_text().strip()
        self._futures = [
            self._pool.submit(self._buy, Client(replicas.everywhere, token=token), name, params)
            for name, params in dags.items()
        ]

    def _buy(self, client: Client, dag_id: str, params: dict[str, str]) -> None:
        with client:
            while not self._over.is_set():
                run_id = client.trigger(dag_id, params=params).dag_run_id
                assert client.wait(run_id, timeout=RUN_SECONDS).state == run_pb2.RUN_STATE_SUCCESS
                self.served[dag_id] += 1

    def wait_for_more(self) -> None:
        """Until each of them was served twice more: once from the start to the end within this time."""
        before = self.served.copy()
        wait_until(
            lambda: (
                any(each.done() for each in self._futures)
                or all(self.served[name] >= before[name] + 2 for name in ("sdk", "journal"))
            ),
            "every client is served",
        )

    def stop(self) -> None:
        """Raises what any of them has met."""
        self._over.set()
        for each in self._futures:
            each.result(RUN_SECONDS)
        self._pool.shutdown()


def roll(house: House, crew: Crew, turns: int) -> None:
    """Each replica in turn is asked to stop, stays away for a while, and comes back; work flows all the time."""
    replicas = Replicas(house, shutdown_grace_seconds=STOP_GRACE_SECONDS, lease_ttl_seconds=6)
    replicas.start()
    client = replicas.clients["a"]
    _register(client)
    for number in range(2):
        there = list(replicas.addresses.values())
        house.worker(f"sdk-{number}", address=",".join(there[number:] + there[:number]))
    # This one does not leave when it is asked to: its stream ends with the grace.
    worker_token = (house.folder / "worker").read_text().strip()
    stranger = JournalWorker(replicas.everywhere, worker_token, house.folder, "stranger", slots=8)
    crew.start(stranger.run())
    customers = Customers(replicas, {"sdk": {"folder": str(house.folder)}, "journal": {}})
    try:
        _stop_each_in_turn(replicas, customers, turns)
    finally:
        customers.stop()
        crew.call(stranger.stop)
    _judge_the_roll(replicas, customers)


def _stop_each_in_turn(replicas: Replicas, customers: Customers, turns: int) -> None:
    customers.wait_for_more()
    for name in LETTERS * turns:
        leaving = replicas.processes[name]
        leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(STOP_GRACE_SECONDS + STOPPED_SECONDS) == 0
        customers.wait_for_more()
        replicas.start(name)
        customers.wait_for_more()


def _register(client: Client) -> None:
    """A DAG for workers of the SDK, one for the journalling worker. None of their tasks has a retry."""
    for each in load_dags(Path(__file__).with_name("rolling_dag.py")).dags:
        client.register(each)
    first = [task(f"first{n}", seconds=0.05) for n in range(4)]
    client.register(dag("journal", [*first, task("last", *(each.task_id for each in first))]))


def _judge_the_roll(replicas: Replicas, customers: Customers) -> None:
    house = replicas.house
    runs = house.rows("select dag_id, state, count(*) as runs from dag_run group by 1, 2")
    assert {(row["dag_id"], row["state"]): row["runs"] for row in runs} == {
        (name, "success"): count for name, count in customers.served.items()
    }
    states = Counter(row["state"] for row in house.rows("select state from task_attempt"))
    assert states.keys() <= {"success", "returned"}, states
    again = house.rows(
        """select dag_run_id, task_index from task_attempt where state = 'success' group by 1, 2 having count(*) > 1"""
    )
    assert not again
    begun = Counter((house.folder / "rolling.ledger").read_text().splitlines())
    assert max(begun.values()) == 1, begun.most_common(3)  # what was handed back had not begun
    assert "Traceback" not in replicas.logs()
    replicas.assert_no_deadlock()


@pytest.mark.prove
def test_a_rolling_restart_is_not_noticed(house: House, crew: Crew) -> None:
    roll(house, crew, 1)


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_many_rolling_restarts_are_not_noticed(house: House, crew: Crew) -> None:
    roll(house, crew, 6)


# ---- no leader
@pytest.mark.prove
@pytest.mark.parametrize("survivor", LETTERS)
def test_each_replica_can_do_everything_alone(house: House, crew: Crew, survivor: str) -> None:
    """Retries when they are due, the judgement of a worker that is gone, a cancel: no replica is special."""
    replicas = Replicas(house)
    replicas.start()
    gone = house.worker("gone", address=replicas.addresses[survivor])
    client = house.register("waiting_dag.py")
    run_id = client.trigger("waiting", params={"folder": str(house.folder)}).dag_run_id
    wait_until(lambda: house.ledger("a") == [1] and house.ledger("b") == [1], "both tasks have begun")
    for name in LETTERS:
        if name != survivor:
            replicas.processes[name].kill()
            replicas.processes[name].wait()
    gone.kill()
    gone.wait()
    house.let_go("a", "b")
    house.worker("heir", address=replicas.addresses[survivor])
    assert finished(replicas.clients[survivor], run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert house.ledger("a") == house.ledger("b") == [1, 2]
    assert deadlocks(house) == 0


# ---- a quarrel
QUARREL_TASKS = [
    *(task(f"wide{n}", seconds=0.02, retries=3, pool_name="narrow") for n in range(10)),
    *(task(f"next{n}", f"wide{n}", fails=1, retries=3) for n in range(10)),
    task("join", *(f"next{n}" for n in range(10)), rule="ALL_DONE"),
]
POOL_SLOTS = (2, 6)
RUNS = 3
BACKERS_PER_REPLICA = 2


class Quarrel:
    """Clients at all replicas that order about the same few runs, each on its own, while workers report."""

    def __init__(self, replicas: Replicas, chance: random.Random) -> None:
        self.replicas = replicas
        self.journals = replicas.house.folder / "journals"
        token = (replicas.house.folder / "admin").read_text().strip()
        self.clients = [
            JournalClient(replicas.addresses[name], token=token, journals=self.journals, actor=ACTOR)
            for name in LETTERS
            for _ in range(BACKERS_PER_REPLICA)
        ]
        self.seeds = [chance.random() for _ in self.clients]
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.clients[0].set_pool("narrow", POOL_SLOTS[0])
        self.clients[0].register(dag("quarrel", QUARREL_TASKS))
        self.runs = [self.clients[0].trigger("quarrel").dag_run_id for _ in range(RUNS)]

    def orders(self, client: Client, chance: random.Random) -> dict[str, Callable[[], object]]:
        run_id = chance.choice(self.runs)
        tasks = [each.task_id for each in chance.sample(QUARREL_TASKS, 4)]
        cancels = {"cancel_running": True, "downstream": True}
        return {
            "cancel tasks": lambda: client.cancel_task_instances(run_id, tasks),
            "clear": lambda: client.clear_task_instances(run_id, tasks, **cancels),
            "clear what rests": lambda: client.clear_task_instances(run_id, tasks),
            "rerun": lambda: client.rerun_dag_run(run_id),
            "cancel": lambda: client.cancel_dag_run(run_id),
            "pool": lambda: client.set_pool("narrow", chance.randint(*POOL_SLOTS)),
            "pause": lambda: client.pause_dag("quarrel"),
            "unpause": lambda: client.unpause_dag("quarrel"),
        }

    def wage(self, orders: int) -> None:
        """Each client gives so many orders; each is answered: done, or refused for what the run is."""
        with ThreadPoolExecutor(len(self.clients)) as pool:
            for each in [
                pool.submit(self._order, client, random.Random(seed), orders)
                for client, seed in zip(self.clients, self.seeds, strict=True)
            ]:
                each.result()

    def _order(self, client: Client, chance: random.Random, orders: int) -> None:
        for _ in range(orders):
            name, order = chance.choice(list(self.orders(client, chance).items()))
            try:
                order()
                self.done[name] += 1
            except RpcError as error:
                assert error.code == "FAILED_PRECONDITION", (name, error)
                self.refused[name] += 1

    def make_peace(self) -> None:
        """Whoever waits may go on; then everything comes to its end."""
        client = self.clients[0]
        client.unpause_dag("quarrel")
        client.set_pool("narrow", POOL_SLOTS[1])
        for run_id in self.runs:
            finished(client, run_id)
        last = client.trigger("quarrel").dag_run_id
        assert finished(client, last).state == run_pb2.RUN_STATE_SUCCESS


@contextmanager
def quarrelling(house: House, crew: Crew) -> Iterator[Quarrel]:
    chance = seeded()
    replicas = Replicas(house)
    replicas.start()
    quarrel = Quarrel(replicas, chance)
    token = (house.folder / "worker").read_text().strip()
    workers = [
        JournalWorker(
            replicas.addresses[name],
            token,
            quarrel.journals,
            f"worker-{name}",
            slots=6,
            manners=Manners(twice=0.2, late=0.1, late_seconds=0.2, seed=chance.randrange(10**6)),
        )
        for name in LETTERS
    ]
    for worker in workers:
        crew.start(worker.run())
    try:
        yield quarrel
    finally:
        for worker in workers:
            crew.call(worker.stop)


def quarrel_and_judge(house: House, crew: Crew, orders: int, record: Callable[[str, object], None]) -> None:
    with quarrelling(house, crew) as quarrel, Watch(house.database_url) as watch:
        with LockWaits(house) as waits:
            quarrel.wage(orders)
        quarrel.make_peace()
    record(f"orders done in a quarrel of {orders}", dict(quarrel.done))
    record("waits for locks seen", waits.seen)
    assert waits.seen, "nobody met anybody"
    assert all(quarrel.done[name] for name in quarrel.orders(quarrel.clients[0], random.Random())), quarrel.done
    facts = asyncio.run(read_facts(house.database_url, quarrel.journals, earlier=watch.moments))
    report = check(facts, expect={"I3": 10, "I5": 100, "I11": 10, "I12": 1, "I13": 1, "I19": 1})
    assert report.ok, f"\n{report}"
    by_session = house.rows("select count(distinct session_id) as sessions from task_attempt")
    assert by_session[0]["sessions"] == len(LETTERS)
    assert not house.rows("select from incident")
    quarrel.replicas.assert_no_deadlock()


def test_replicas_that_quarrel_over_the_same_runs_come_to_an_end(
    house: House, crew: Crew, record_property: Callable[[str, object], None]
) -> None:
    quarrel_and_judge(house, crew, 25, record_property)


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_replicas_that_quarrel_for_long_come_to_an_end(
    house: House, crew: Crew, record_property: Callable[[str, object], None]
) -> None:
    quarrel_and_judge(house, crew, 400, record_property)


def test_a_deadlock_would_be_noticed(house: House) -> None:
    """Two transactions that take two locks in opposite orders."""

    async def cross() -> None:
        pair = [await asyncpg.connect(house.database_url) for _ in range(2)]
        lock = "select pg_advisory_xact_lock($1)"
        for number, connection in enumerate(pair):
            await connection.execute("set deadlock_timeout = '10ms'")
            await connection.execute("begin")
            await connection.execute(lock, number)
        ends = await asyncio.gather(
            *(connection.execute(lock, 1 - number) for number, connection in enumerate(pair)), return_exceptions=True
        )
        assert any(isinstance(end, asyncpg.DeadlockDetectedError) for end in ends)
        for connection in pair:
            await connection.close()

    assert deadlocks(house) == 0
    asyncio.run(cross())
    wait_until(lambda: deadlocks(house) == 1, "the deadlock is counted")
