"""Several replicas on one database: every task is given out once, workers may move, and wake-ups may be lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_world import House, finished, wait_until
from replica_world import LETTERS, Crew, Hand, Key, Replicas, ended, seeded, verdicts_of, wait_for_due

from glidepath_proto.run.v1 import run_pb2
from tests.checker.tests.scenes import dag, task

POLL_SECONDS = 4.0
# What a notification takes, on a busy machine; and what is allowed for beside a stated period.
PROMPT_SECONDS, SLACK_SECONDS = 1.5, 2.0
RACE_TASKS = 500
# Three first grasps of this size leave something for everybody.
GRASP_MAX = 160
RESTLESS_SLOTS = 8


@pytest.fixture(scope="module")
def replicas(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Three replicas for all tests of this module. When they have stopped, all that they did is in the statistics."""
    house = House(module_database_url, tmp_path_factory.mktemp("replicas"))
    replicas = Replicas(house, poll_interval_seconds=POLL_SECONDS, lease_ttl_seconds=6)
    try:
        replicas.start()
        yield replicas
    finally:
        house.close()
    wait_until(
        lambda: (
            not house.rows(
                "select from pg_stat_activity where datname = current_database() and application_name = 'glidepath'"
            )
        ),
        "the replicas' connections are gone",
    )
    replicas.assert_no_deadlock()


def hands_of(replicas: Replicas, crew: Crew, name: str) -> list[Hand]:
    """A worker for each replica."""
    token = (replicas.house.folder / "worker").read_text().strip()
    return [crew.hand(token, f"{name}-{letter}", queue=name) for letter in LETTERS]


# ---- one batch, three replicas
def race(replicas: Replicas, crew: Crew, hands: list[Hand], name: str, number: int, chance: random.Random) -> None:
    """500 tasks wait, nobody has room; then three workers, each at a replica of its own, open slots at the same time.

    Nobody reports before all three have something: so all three replicas took part in the first grasp.
    """
    for hand in hands:
        hand.prompt = False
    crew.do(*(hand.connect(replicas.addresses[letter]) for hand, letter in zip(hands, LETTERS, strict=True)))
    client = replicas.clients[LETTERS[number % len(LETTERS)]]
    run_id = client.trigger(name).dag_run_id
    wait_for_due(replicas.house, run_id, RACE_TASKS)
    crew.do(*(hand.open_slots(chance.randint(1, GRASP_MAX)) for hand in hands))
    crew.do(*(hand.until(lambda hand=hand: bool(hand.held), "a share of the batch") for hand in hands))
    crew.do(*(hand.be_prompt() for hand in hands))
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    crew.do(*(hand.until(lambda hand=hand: not hand.finished, "all answers") for hand in hands))
    begun = [key for hand in hands for key in hand.begun if key.dag_run_id == run_id]
    assert len(begun) == len(set(begun)) == RACE_TASKS
    assert {key.attempt_number for key in begun} == {1}
    assert set(map(tuple, verdicts_of(hands, run_id).values())) == {("ACCEPTED",)}
    crew.do(*(hand.cut() for hand in hands))


def run_races(replicas: Replicas, crew: Crew, name: str, rounds: int) -> None:
    """So many batches; each of their tasks was begun once, as a first attempt, and each replica gave out some."""
    chance = seeded()
    replicas.clients["a"].register(dag(name, [task(f"t{n}", queue_name=name) for n in range(RACE_TASKS)]))
    hands = hands_of(replicas, crew, name)
    for number in range(rounds):
        race(replicas, crew, hands, name, number, chance)
    shares = replicas.house.rows(
        """select dag_run_id, session_id, count(*) as attempts, count(distinct task_index) as tasks,
                  bool_and(a.attempt_number = 1 and a.state = 'success') as all_first
           from task_attempt a join dag_run r using (dag_run_id) where r.dag_id = $1 group by 1, 2""",
        name,
    )
    assert sum(row["attempts"] for row in shares) == sum(row["tasks"] for row in shares) == RACE_TASKS * rounds
    assert all(row["all_first"] for row in shares)
    assert len(shares) == len(LETTERS) * rounds
    assert {str(row["session_id"]) for row in shares} == {hand.session_id for hand in hands}
    replicas.assert_no_deadlock()


def test_a_batch_that_three_replicas_grasp_at_once_is_given_out_once(replicas: Replicas, crew: Crew) -> None:
    run_races(replicas, crew, "race", 3)


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_25_000_tasks_that_three_replicas_grasp_at_once_are_given_out_once(replicas: Replicas, crew: Crew) -> None:
    run_races(replicas, crew, "long-race", 50)


# ---- sessions that move
@pytest.mark.parametrize("way", ["left", "cut", "forgotten"])
def test_a_worker_that_goes_to_another_replica_keeps_what_it_holds(replicas: Replicas, crew: Crew, way: str) -> None:
    """Its stream ended in order, or broke, or is still open where it was when the next one begins elsewhere."""
    name = f"moved-{way}"
    client = replicas.clients["a"]
    client.register(dag(name, [task(f"t{n}", queue_name=name) for n in range(3)]))
    hand = hands_of(replicas, crew, name)[0]
    crew.do(hand.connect(replicas.addresses["a"]))
    session_id = hand.session_id
    crew.do(hand.open_slots(3))
    run_id = client.trigger(name).dag_run_id
    crew.do(hand.until(lambda: len(hand.held) == 3, "the tasks"))
    for number, letter in enumerate("bca", 2):
        if way != "forgotten":
            crew.do(hand.leave() if way == "left" else hand.cut())
        crew.do(hand.connect(replicas.addresses[letter]))
        assert (hand.session_id, hand.generation) == (session_id, number)
        assert len(hand.held) == 3, hand.verdicts
    if way == "forgotten":
        wait_until(lambda: hand.streams_lost == 3, "the old streams have ended", POLL_SECONDS + SLACK_SECONDS)
    crew.do(hand.report())
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    crew.do(hand.until(lambda: not hand.finished, "the answers"))
    assert hand.verdicts == {Key(run_id, f"t{n}", 1): ["ACCEPTED"] for n in range(3)}
    assert len(hand.begun) == 3


def test_workers_that_move_all_the_time_lose_nothing(replicas: Replicas, crew: Crew) -> None:
    """What was on its way to a stream that ended is handed back, and costs no retry: these tasks have none."""
    name = "restless"
    client, chance = replicas.clients["b"], seeded()
    client.register(dag(name, [task(f"t{n}", queue_name=name) for n in range(RACE_TASKS)]))
    hands = hands_of(replicas, crew, name)
    for hand in hands:
        hand.prompt = True

    async def wander(hand: Hand, run_id: str) -> int:
        """How often it has moved."""
        moves = 0
        while not await asyncio.to_thread(ended, client, run_id):
            await hand.connect(replicas.addresses[chance.choice(LETTERS)])
            await hand.open_slots(max(1, RESTLESS_SLOTS - len(hand.finished)))
            await asyncio.sleep(chance.uniform(0.01, 0.1))
            await (hand.leave() if chance.random() < 0.5 else hand.cut())
            moves += 1
        return moves

    run_id = client.trigger(name).dag_run_id
    moves = crew.do(*(wander(hand, run_id) for hand in hands))
    assert min(moves) > 2, moves
    assert client.get_dag_run(run_id).state == run_pb2.RUN_STATE_SUCCESS
    states = Counter(
        row["state"]
        for row in replicas.house.rows("select state from task_attempt where dag_run_id = $1::uuid", run_id)
    )
    assert states["success"] == RACE_TASKS and states.keys() <= {"success", "returned"}, states
    # A worker may hear DUPLICATE when the first answer was on its way to a stream that ended.
    assert {said for each in verdicts_of(hands, run_id).values() for said in each} <= {"ACCEPTED", "DUPLICATE"}


# ---- wake-ups
def begin_elsewhere(replicas: Replicas, crew: Crew, hand: Hand, dag_id: str) -> float:
    """Seconds from a call at the first replica to the task in the hands of a worker at the second."""
    begun = len(hand.begun)
    asked = time.monotonic()
    replicas.clients["a"].trigger(dag_id)
    crew.do(hand.until(lambda: len(hand.begun) > begun, "the task"))
    return time.monotonic() - asked


def wakeable(replicas: Replicas, crew: Crew, name: str) -> Hand:
    """A worker at the second replica that has looked for work in vain."""
    replicas.clients["a"].register(dag(name, [task("only", queue_name=name)]))
    hand = hands_of(replicas, crew, name)[1]
    hand.prompt = True
    crew.do(hand.connect(replicas.addresses["b"]))
    crew.do(hand.open_slots(1))
    return hand


def test_a_run_that_one_replica_starts_is_begun_at_once_by_a_worker_of_another(replicas: Replicas, crew: Crew) -> None:
    hand = wakeable(replicas, crew, "woken")
    took = [begin_elsewhere(replicas, crew, hand, "woken") for _ in range(5)]
    assert max(took) < PROMPT_SECONDS, took  # five times, by far sooner than a poll


LISTENERS = """select pid from pg_stat_activity where datname = current_database() and application_name = 'glidepath'
               and query ilike 'listen %'"""


def listeners(replicas: Replicas) -> list[int]:
    """Backends of the connections on which the replicas hear each other."""
    return [row["pid"] for row in replicas.house.rows(LISTENERS)]


def stat_of(pid: int) -> str:
    """The state of a process in a letter; T: it stands still."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_wake_up_that_is_not_heard_costs_one_poll(replicas: Replicas, crew: Crew) -> None:
    """The backends of the listeners stand still: they have the notification, and pass nothing on."""
    hand = wakeable(replicas, crew, "unheard")
    stopped = listeners(replicas)
    assert len(stopped) == len(LETTERS)
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        took = begin_elsewhere(replicas, crew, hand, "unheard")
        assert {stat_of(pid) for pid in stopped} == {"T"}
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert took < POLL_SECONDS + SLACK_SECONDS
    assert begin_elsewhere(replicas, crew, hand, "unheard") < PROMPT_SECONDS


def test_a_listener_that_is_killed_costs_one_poll_and_comes_back(replicas: Replicas, crew: Crew) -> None:
    hand = wakeable(replicas, crew, "killed")
    before = set(listeners(replicas))
    assert len(before) == len(LETTERS)
    replicas.house.rows(f"select pg_terminate_backend(pid) from ({LISTENERS}) as heard")
    assert begin_elsewhere(replicas, crew, hand, "killed") < POLL_SECONDS + SLACK_SECONDS
    wait_until(lambda: len(set(listeners(replicas)) - before) == len(LETTERS), "the replicas listen again")
    took = [begin_elsewhere(replicas, crew, hand, "killed") for _ in range(3)]
    assert max(took) < PROMPT_SECONDS, took
