"""A worker dies, hangs past its lease, or loses what it talks to, at each place on an attempt's way through it.

Each round is one run with one blow; the checker judges all rounds of a test together.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from crash_world import stands_still
from fault_world import House, attempts, children, finished, wait_until

from glidepath.client import Client
from glidepath.worker.crash_points import POINTS, VARIABLE
from glidepath_proto.run.v1 import run_pb2
from tests.checker import Watch, check, read_facts, read_journals
from tests.checker.journals import note_fault

Place = tuple[str, int]
"""A crash point, and the number of the task in the chain."""
Blow = Callable[[subprocess.Popen[bytes], str], None]
"""What is done to a worker that was struck, during the run of that id."""
TASKS = ("alone", "forked", "inline")
LEASE_SECONDS = 3.0
# What the process of inline tasks does is its own: only these places see each of the three kinds of task.
SEEN_BY_ALL = {point for point in POINTS if point.startswith("result.")} | {"assignment.received"}
PLACES = [(point, kind) for point in POINTS for kind in range(3 if point in SEEN_BY_ALL else 2)]
SHORT = [("assignment.received", 0), ("body.started", 1), ("result.kept", 2), ("result.answered", 0)]
# How often the body of the struck task may begin, if not once: what is not in the journal is lost with the process.
AGAIN = {"assignment.accepted": {1, 2}, "body.started": {1, 2}, "result.before_keep": {2}}


class Crossing:
    """A server, a client and one worker after the other."""

    def __init__(self, house: House) -> None:
        self.house, self.link = house, house.link()
        house.server(lease_ttl_seconds=LEASE_SECONDS)
        self.client: Client = house.register("crossing_dag.py")
        self.folder = house.folder / "journals"
        self.folder.mkdir(exist_ok=True)
        self.numbers = itertools.count(1)

    def worker(self, identity: str, armed: str = "") -> subprocess.Popen[bytes]:
        """A worker that is welcome, armed or not."""
        before = ["env", f"{VARIABLE}={armed}"] if armed else []
        worker = self.house.worker(identity, address=self.link.address, before=before)
        wait_until(lambda: "welcome: " in self.house.log(worker), f"{identity} is welcome")
        return worker

    def rounds(self, places: Sequence[Place], mode: str, blow: Blow) -> None:
        """A round for each place; then everything is judged."""
        with Watch(self.house.database_url) as watch:
            for place in places:
                self.round(place, mode, blow)
        facts = asyncio.run(read_facts(self.house.database_url, self.folder, earlier=watch.moments))
        tried = {"I3": 1, "I8": 1} if len(places) > 1 else {}  # one blow may cost nothing at all
        report = check(facts, expect={"I5": 3 * len(places), "I11": len(places), "I12": 1, **tried})
        assert report.ok, f"\n{report}"

    def round(self, place: Place, mode: str, blow: Blow) -> None:
        """One run whose worker is struck at a place; `blow` sees to everything up to the run's end."""
        point, kind = place
        identity = f"w{next(self.numbers)}"
        worker = self.worker(identity, f"{point}={mode}@{kind + 1}")
        run_id = self.client.trigger("crossing", params={"folder": str(self.folder)}).dag_run_id
        struck = f"crash point {point}: {mode}"
        wait_until(lambda: struck in self.house.log(worker), f"the worker of {run_id} comes to {point}@{kind + 1}")
        note_fault(self.folder, f"{mode} worker at {point}")
        blow(worker, run_id)
        assert finished(self.client, run_id).state == run_pb2.RUN_STATE_SUCCESS
        for task in TASKS:
            states = [state for _, state in attempts(self.client, run_id, task)]
            assert states.count("SUCCESS") == 1 and states[-1] == "SUCCESS", (place, task, states)
        self.leave(identity)
        self.check_bodies(run_id, place, mode)

    def leave(self, identity: str) -> None:
        """The round's workers owe nothing, and go."""
        wait_until(lambda: not self.house.journal(identity), f"{identity} has its answers")
        for worker in self.house.processes[1:]:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        wait_until(lambda: all(each.poll() is not None for each in self.house.processes[1:]), "the workers have left")

    def lost(self) -> list[str]:
        """Identities whose lease has ended."""
        return [row[0] for row in self.house.rows("select worker_identity from worker_session where state = 'lost'")]

    def check_bodies(self, run_id: str, place: Place, mode: str) -> None:
        """Each body has begun as often as it must."""
        ledger = read_journals(self.folder).ledger
        begun = Counter(each.key.task_id for each in ledger if each.key.run_id == run_id and each.kind == "start")
        for number, task in enumerate(TASKS):
            assert begun[task] in _expected(place, number, mode), (place, mode, task, begun)


def _expected(place: Place, number: int, mode: str) -> set[int]:
    """How often the body of a task may begin: one that hangs may also find what came next when it wakes."""
    point, struck = place
    if mode == "kill":
        return AGAIN.get(point, {1}) if number == struck else {1}
    return {1, 2} if number in (struck, struck + 1) else {1}


@pytest.fixture
def crossing(house: House) -> Crossing:
    return Crossing(house)


def test_a_killed_worker_changes_no_end(crossing: Crossing) -> None:
    _kill_all(crossing, SHORT)


@pytest.mark.prove
def test_a_worker_killed_at_every_place_changes_no_end(crossing: Crossing) -> None:
    _kill_all(crossing, PLACES)


def _kill_all(crossing: Crossing, places: Sequence[Place]) -> None:
    def start_again(worker: subprocess.Popen[bytes], _: str) -> None:
        """The same worker: what it had in its hands is known to be lost, what is in its journal is told."""
        wait_until(lambda: worker.poll() == -signal.SIGKILL, "the worker is dead")
        crossing.worker(_identity(worker))

    crossing.rounds(places, "kill", start_again)


@pytest.mark.prove
def test_a_worker_that_hangs_past_its_lease_at_every_place_changes_no_end(crossing: Crossing) -> None:
    """Another one takes over; what the first one brings when it wakes is fenced, or was accepted before."""

    def hang(worker: subprocess.Popen[bytes], run_id: str) -> None:
        wait_until(lambda: stands_still(worker), "the worker hangs")
        crossing.worker(f"after-{worker.pid}")
        wait_until(lambda: _identity(worker) in crossing.lost(), "its lease has ended")
        finished(crossing.client, run_id)
        worker.send_signal(signal.SIGCONT)
        wait_until(lambda: crossing.house.log(worker).count("welcome: ") == 2, "it has said hello again")

    crossing.rounds(PLACES, "stop", hang)


# A stream that is lost while an exclusive task's code is fetched takes the word with it that its permit answers.
@pytest.mark.parametrize("places", [PLACES[:1], pytest.param(PLACES, marks=pytest.mark.prove)], ids=["one", "every"])
def test_a_worker_that_loses_its_stream_or_forkserver_changes_no_end(crossing: Crossing, places: list[Place]) -> None:
    def fail(worker: subprocess.Popen[bytes], _: str) -> None:
        wait_until(lambda: stands_still(worker), "the worker stands at its place")
        if "crash point body." in crossing.house.log(worker):
            os.kill(_forkserver(worker.pid), signal.SIGKILL)
        else:
            crossing.link.cut()
            crossing.link.mend()
        worker.send_signal(signal.SIGCONT)

    crossing.rounds(places, "stop", fail)


def _identity(worker: subprocess.Popen[bytes]) -> str:
    words: list[str] = worker.args  # type: ignore[assignment]
    return words[words.index("--identity") + 1]


def _forkserver(worker: int) -> int:
    return next(pid for pid in children(worker) if b"worker.forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes())
