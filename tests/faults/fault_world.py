"""A control plane and workers as processes of their own, that a test can kill and start again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import asyncpg
from fault_link import FaultLink
from fault_relay import FaultRelay

from glidepath import load_dags
from glidepath.client import Client
from glidepath.errors import Unavailable
from glidepath_proto.run.v1 import run_pb2
from tests.free_address import free_address

WAIT_SECONDS = 40.0
INTERVAL_SECONDS = 0.5


def wait_until(true: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Look again and again, up to a deadline: the other side is another process. One that does not answer says no."""
    deadline = time.monotonic() + seconds
    while not _is(true):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def _is(true: Callable[[], bool]) -> bool:
    try:
        return true()
    except Unavailable:
        return False


def pass_seconds(seconds: float) -> None:
    """Let time go by: for faults that are a length of time."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, "time goes by", seconds + 1)


class House:
    """Servers on fixed ports and any number of workers; everything is killed at the end.

    `address` is where the first server listens, and where workers go unless told otherwise.
    """

    def __init__(self, database_url: str, folder: Path) -> None:
        self.database_url, self.folder = database_url, folder
        self.address = free_address()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.servers: list[subprocess.Popen[bytes]] = []
        self.links: list[FaultLink | FaultRelay] = []

    def server(self, *, address: str = "", before: Sequence[str] = (), **settings: object) -> subprocess.Popen[bytes]:
        """Start a replica; short leases unless told otherwise, so that a lost worker is judged within the test.
        `before`: as for workers."""
        chosen = {"lease_ttl_seconds": 3, "heartbeat_interval_seconds": INTERVAL_SECONDS, **settings}
        server = self._start(
            "glidepath_server",
            "--database-url",
            self.database_url,
            "--address",
            address or self.address,
            "--auto-upgrade",
            "--bootstrap-token-file",
            str(self.folder / "admin"),
            "--bootstrap-worker-token-file",
            str(self.folder / "worker"),
            before=before,
            **{f"GLIDEPATH_{name.upper()}": str(value) for name, value in chosen.items()},
        )
        self.servers.append(server)
        return server

    def worker(
        self,
        identity: str,
        *,
        slots: int = 4,
        drain_grace_seconds: float = 30,
        address: str = "",
        state_dir: str = "",
        before: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:
        """Start a worker. `before`: a command that ends by becoming the one that follows it."""
        wait_until((self.folder / "worker").exists, "the worker's token")
        return self._start(
            "glidepath.worker",
            "--address",
            address or self.address,
            "--slots",
            str(slots),
            "--drain-grace",
            str(drain_grace_seconds),
            "--identity",
            identity,
            "--state-dir",
            state_dir or str(self.folder / identity),
            before=before,
            GLIDEPATH_TOKEN_FILE=str(self.folder / "worker"),
        )

    def link(self, to: str = "") -> FaultLink:
        """A link to the first server, or elsewhere, that the test can harm."""
        link = FaultLink(to or self.address)
        self.links.append(link)
        return link

    def relay(self) -> FaultRelay:
        """The same for frames of the worker contract."""
        relay = FaultRelay(self.address)
        self.links.append(relay)
        return relay

    def client(self, address: str = "") -> Client:
        wait_until(lambda: (self.folder / "admin").exists() and bool((self.folder / "admin").read_text()), "a token")
        return Client(address or self.address, token=(self.folder / "admin").read_text().strip())

    def wait_for_answers(self, client: Client) -> None:
        """Until the control plane takes calls."""
        wait_until(lambda: client.get_server_info() is not None, "the server answers")

    def register(self, file: str, dag_id: str = "") -> Client:
        """A client of the server, once it answers, with one or all DAGs of a file of this folder registered."""
        client = self.client()
        self.wait_for_answers(client)
        for each in load_dags(Path(__file__).with_name(file)).dags:
            if dag_id in ("", each.dag_id):
                client.register(each)
        return client

    def start_waiting(self) -> tuple[Client, str]:
        """A client and a run of waiting_dag.py, whose tasks a and b have begun and wait."""
        client = self.register("waiting_dag.py")
        run_id = client.trigger("waiting", params={"folder": str(self.folder)}).dag_run_id
        wait_until(lambda: self.ledger("a") == [1] and self.ledger("b") == [1], "both tasks have begun")
        return client, run_id

    def start_stubborn(self, dag_id: str) -> tuple[Client, str]:
        """A client and a run of that DAG in stubborn_dag.py whose task has begun."""
        client = self.register("stubborn_dag.py", dag_id)
        run_id = client.trigger(dag_id, params={"folder": str(self.folder)}).dag_run_id
        wait_until(lambda: self.ledger("stubborn") == [1], "the task has begun")
        return client, run_id

    # ---- what the tasks of the fault DAGs write and wait for
    def ledger(self, name: str) -> list[int]:
        """Attempt numbers of a task, in the order in which its code began."""
        return [attempt for attempt, *_ in self._entries(name)]

    def pids(self, name: str, attempt: int) -> list[int]:
        """The processes of an attempt of a task, as it wrote them down."""
        return next(pids for number, *pids in self._entries(name) if number == attempt)

    def _entries(self, name: str) -> list[list[int]]:
        path = self.folder / f"{name}.ledger"
        return [[int(word) for word in line.split()] for line in path.read_text().splitlines()] if path.exists() else []

    def overlap(self) -> str:
        """What a later attempt of the stubborn task found alive of an earlier one; empty when it found nothing."""
        path = self.folder / "stubborn.overlap"
        return path.read_text() if path.exists() else ""

    def journal(self, identity: str) -> int:
        """Bytes of results that a worker has told and has no answer to."""
        return sum(each.stat().st_size for each in (self.folder / identity / "journal").iterdir())

    def let_go(self, *names: str) -> None:
        """These may end: "a" means every attempt of task a, "a.1" its first attempt."""
        for name in names:
            (self.folder / f"{name}.go").touch()

    def rows(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """What the database says, on a connection of its own."""

        async def ask() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.database_url)
            try:
                return await connection.fetch(statement, *arguments)
            finally:
                await connection.close()

        return asyncio.run(ask())

    def log(self, process: subprocess.Popen[bytes]) -> str:
        """What a process has written so far."""
        return self._log_file(self.processes.index(process)).read_text(errors="replace")

    def _log_file(self, number: int) -> Path:
        return self.folder / f"process-{number}.log"

    def _start(
        self, module: str, *arguments: str, before: Sequence[str] = (), **environment: str
    ) -> subprocess.Popen[bytes]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GLIDEPATH_")}
        command = [*before, sys.executable, "-m", module, *arguments]
        with self._log_file(len(self.processes)).open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={**kept, **environment})
        self.processes.append(process)
        return process

    def close(self) -> None:
        for link in self.links:
            link.close()
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


def finished(client: Client, run_id: str) -> run_pb2.DagRun:
    """The run, once it has ended."""
    run = run_pb2.DagRun()

    def ended() -> bool:
        run.CopyFrom(client.get_dag_run(run_id))
        return run.HasField("end_time")

    wait_until(ended, "the run has ended")
    return run


def attempts(client: Client, run_id: str, task_id: str) -> list[tuple[int, str]]:
    """(number, state) of a task's attempts, in order; the state as in "SUCCESS"."""
    name = run_pb2.AttemptState.Name
    return [
        (each.attempt_number, name(each.state).removeprefix("ATTEMPT_STATE_"))
        for each in client.list_attempts(run_id, task_id)
    ]


def children(pid: int) -> list[int]:
    """The processes that a process has started and that run."""
    try:
        found = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(child) for each in found for child in each.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return []


def freeze(root: int) -> list[int]:
    """Stop a process and everything below it; which they are."""
    stopped: list[int] = []
    while found := [pid for pid in _tree(root) if pid not in stopped]:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):  # it has ended since it was listed
                os.kill(pid, signal.SIGSTOP)
        stopped += found
    return stopped


def thaw(stopped: Iterable[int]) -> None:
    for pid in stopped:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _tree(root: int) -> list[int]:
    return [root, *(pid for child in children(root) for pid in _tree(child))]


def any_alive(pids: Iterable[int]) -> bool:
    """Whether one of these processes runs; what has ended and was not reaped yet does not."""
    return any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
