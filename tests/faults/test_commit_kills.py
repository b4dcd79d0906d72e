"""kill -9 of a replica between its commit and its word to the worker: another one, or the same anew, goes on.

A replica that is to die is started anew for each round, while the rounds before go on; Postgres and one healthy replica
without workers live through all of them.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
from collections import Counter, deque
from dataclasses import dataclass

import pytest
from fault_world import House, wait_until
from replica_world import Crew, deadlocks, seeded

from tests.checker import check, read_facts, read_journals
from tests.checker.journal_client import JournalClient
from tests.checker.journal_worker import JournalWorker
from tests.checker.journals import note_fault
from tests.checker.tests.scenes import ACTOR, dag, finished, task
from tests.free_address import free_address

BEFORE_ASSIGNING = ("claim.after_commit", "assignment.before_send")
BEFORE_ANSWERING = ("report.after_commit", "ack.before_send")
POINTS = BEFORE_ASSIGNING + BEFORE_ANSWERING
# A life of the DAG below with two slots comes to each point at least so often.
ARRIVALS_MAX = 3
SLOTS = 2
# The others are taken over by the healthy replica.
RESTARTED_EVERY = 9
STARTED_AHEAD = 2
TASKS = [
    *(task(f"first{n}") for n in range(3)),
    *(task(f"second{n}", f"first{n}") for n in range(3)),
    task("last", *(f"second{n}" for n in range(3))),
]


@dataclass
class Doomed:
    """A replica that kills itself at a point, at one of its first arrivals there."""

    point: str
    arrival: int
    address: str
    process: subprocess.Popen[bytes]


class Ward:
    """The healthy replica, its client, and the doomed ones that are started ahead."""

    def __init__(self, house: House, crew: Crew, chance: random.Random, rounds: int) -> None:
        self.house, self.crew, self.chance = house, crew, chance
        self.journals = house.folder / "journals"
        self.healthy = house.server()
        house.wait_for_answers(house.client())
        admin = (house.folder / "admin").read_text().strip()
        self.client = JournalClient(house.address, token=admin, journals=self.journals, actor=ACTOR)
        self.client.register(dag("kills", TASKS))
        self._points = iter([POINTS[number % len(POINTS)] for number in range(rounds)])
        self._ahead: deque[Doomed] = deque()
        for _ in range(STARTED_AHEAD):
            self._start_one()

    def _start_one(self) -> None:
        point = next(self._points, None)
        if point is not None:
            arrival, address = self.chance.randint(1, ARRIVALS_MAX), free_address()
            process = self.house.server(address=address, crash_point=f"{point}=kill@{arrival}")
            self._ahead.append(Doomed(point, arrival, address, process))

    def next(self) -> Doomed:
        """The next that is doomed, once it answers."""
        self._start_one()
        doomed = self._ahead.popleft()
        with self.house.client(doomed.address) as client:
            self.house.wait_for_answers(client)
        return doomed

    def live_through(self, number: int) -> None:
        """A run whose only worker is at a replica that dies in the middle of it."""
        doomed = self.next()
        again = number % RESTARTED_EVERY == len(POINTS)
        goes_to = [doomed.address] if again else [doomed.address, self.house.address]
        worker = JournalWorker(
            "ipv4:" + ",".join(goes_to),
            (self.house.folder / "worker").read_text().strip(),
            self.journals / f"w{number}",
            f"w{number}",
            slots=SLOTS,
        )
        self.crew.start(worker.run())
        wait_until(lambda: bool(worker.session_id), "the worker is welcome")
        note_fault(self.journals, f"kill {doomed.point}")
        run_id = self.client.trigger("kills").dag_run_id
        wait_until(lambda: doomed.process.poll() is not None, f"{doomed.point} is reached {doomed.arrival} times")
        assert doomed.process.returncode == -signal.SIGKILL
        assert f"crash point {doomed.point}: kill" in self.house.log(doomed.process)
        restarted = self.house.server(address=doomed.address) if again else None
        assert finished(self.client, run_id) == "success"
        wait_until(lambda: not worker.held, "the worker has all its answers")
        self.crew.call(worker.stop)
        if restarted is not None:
            restarted.kill()
            restarted.wait()
        self.judge(run_id, doomed.point, worker.identity)

    def judge(self, run_id: str, point: str, identity: str) -> None:
        """Every task was begun once by its worker and ended once; what was never sent cost no retry and no loss."""
        rows = self.house.rows("select task_index, state, reason from task_attempt where dag_run_id = $1::uuid", run_id)
        assert Counter(row["task_index"] for row in rows if row["state"] == "success") == dict.fromkeys(
            range(len(TASKS)), 1
        )
        back = [row for row in rows if row["state"] != "success"]
        assert {row["state"] for row in back} <= {"returned"}, rows
        said = read_journals(self.journals / identity).workers
        begun = Counter(each.key.task_id for each in said if each.kind == "started" and each.key)
        assert begun == {each.task_id: 1 for each in TASKS}
        answers = Counter(each.word for each in said if each.kind == "verdict")
        assert answers.keys() <= {"ACCEPTED", "DUPLICATE"} and answers.total() == len(TASKS), answers
        # That the blow fell where it was meant to.
        assert back if point in BEFORE_ASSIGNING else answers["DUPLICATE"], (point, rows, answers)


def live_through(house: House, crew: Crew, rounds: int) -> None:
    ward = Ward(house, crew, seeded(), rounds)
    for number in range(rounds):
        ward.live_through(number)
    assert ward.healthy.poll() is None
    runs = house.rows("select state, count(*) as runs from dag_run group by 1")
    assert [(row["state"], row["runs"]) for row in runs] == [("success", rounds)]
    (successes,) = house.rows("select count(*) as tasks from task_attempt where state = 'success'")
    assert successes["tasks"] == rounds * len(TASKS)
    facts = asyncio.run(read_facts(house.database_url, ward.journals))
    report = check(facts, expect={"I3": 1, "I5": rounds * len(TASKS), "I6": rounds, "I8": 1, "I11": rounds})
    assert report.ok, f"\n{report}"
    assert deadlocks(house) == 0


def test_a_replica_that_dies_between_commit_and_word_costs_nothing(house: House, crew: Crew) -> None:
    """Each point, and one more round in which the same replica comes back."""
    live_through(house, crew, len(POINTS) + 1)


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_200_replicas_that_die_between_commit_and_word_cost_nothing(house: House, crew: Crew) -> None:
    live_through(house, crew, 200)
