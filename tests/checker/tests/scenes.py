"""A system to judge: DAGs for journalling workers, and servers, workers and a client that all leave journals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from glidepath.client import Client
from glidepath.errors import Unavailable
from glidepath_proto.common.v1 import payload_pb2
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.run.v1 import run_pb2
from tests.checker.journal_client import JournalClient
from tests.checker.journals import note_fault
from tests.free_address import free_address

ROOT = Path(__file__).parents[3]
HANDLER = "test:body"
WAIT_SECONDS = 40.0
ACTOR = "first-admin"


def task(task_id: str, *upstream: str, rule: str = "ALL_SUCCESS", version: str = "", **fields: Any) -> dag_pb2.TaskSpec:
    """A task of the journalling worker: fields of its policy, or of its body (see journal_worker.Body)."""
    body = {name: fields.pop(name) for name in ("seconds", "fails", "defers", "ends", "returns") if name in fields}
    retry = dag_pb2.RetryPolicy(retries_max=fields.pop("retries", 0))
    role = fields.pop("role", "WORK")
    return dag_pb2.TaskSpec(
        task_id=task_id,
        upstream_task_ids=upstream,
        handler=dag_pb2.Handler(name=HANDLER, version=version),
        trigger_rule=f"TRIGGER_RULE_{rule}",
        role=f"TASK_ROLE_{role}",
        inputs={name: literal(value) for name, value in body.items()},
        policy=dag_pb2.TaskPolicy(retry=retry, **fields),
    )


def literal(value: object) -> dag_pb2.Input:
    return dag_pb2.Input(literal=payload_pb2.Payload(data=json.dumps(value).encode()))


def dag(dag_id: str, tasks: Sequence[dag_pb2.TaskSpec], **fields: Any) -> dag_pb2.DagSpec:
    return dag_pb2.DagSpec(dag_id=dag_id, tasks=tasks, **fields)


def wait_until(true: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Look again and again, up to a deadline: the other side is another process."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


class House:
    """Processes of one system; what is left of them is killed at the end."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.database_url, self.folder = database_url, folder
        self.journals = folder / "journals"
        self.address = free_address()
        self.processes: list[subprocess.Popen[bytes]] = []

    def server(self) -> subprocess.Popen[bytes]:
        """A replica; leases are short, so that a lost worker is judged within the test."""
        return self._start(
            "glidepath_server",
            {"GLIDEPATH_LEASE_TTL_SECONDS": "3", "GLIDEPATH_HEARTBEAT_INTERVAL_SECONDS": "0.5"},
            database_url=self.database_url,
            address=self.address,
            bootstrap_token_file=self.folder / "admin",
            bootstrap_worker_token_file=self.folder / "worker",
        )

    def journal_worker(self, identity: str, **options: object) -> subprocess.Popen[bytes]:
        """A worker of journal_worker.py with these options."""
        wait_until((self.folder / "worker").exists, "the worker's token")
        return self._start(
            "tests.checker.journal_worker",
            {},
            address=self.address,
            token_file=self.folder / "worker",
            journals=self.journals,
            identity=identity,
            **options,
        )

    def sdk_worker(self, identity: str, **options: object) -> subprocess.Popen[bytes]:
        """A worker of the Python SDK with these options."""
        wait_until((self.folder / "worker").exists, "the worker's token")
        return self._start(
            "glidepath.worker",
            {"GLIDEPATH_TOKEN_FILE": str(self.folder / "worker")},
            address=self.address,
            identity=identity,
            state_dir=self.folder / identity,
            **options,
        )

    def client(self) -> JournalClient:
        wait_until(lambda: (self.folder / "admin").exists() and bool((self.folder / "admin").read_text()), "a token")
        token = (self.folder / "admin").read_text().strip()
        client = JournalClient(self.address, token=token, journals=self.journals, actor=ACTOR)
        wait_until(lambda: _answers(client), "the server answers")
        return client

    def said(self, worker: str, word: str, *, times: int = 1) -> bool:
        """Whether the journal of a worker has this word so often."""
        journal = self.journals / f"worker-{worker}.jsonl"
        return journal.exists() and journal.read_text().count(f'"{word}"') >= times

    def stand_still(self, process: subprocess.Popen[bytes], what: str) -> None:
        """SIGSTOP, noted before it is done."""
        note_fault(self.journals, f"stop {what}")
        process.send_signal(signal.SIGSTOP)

    def go_on(self, process: subprocess.Popen[bytes], what: str) -> None:
        """SIGCONT, noted when it is done."""
        process.send_signal(signal.SIGCONT)
        note_fault(self.journals, f"continue {what}")

    def kill(self, process: subprocess.Popen[bytes], what: str) -> None:
        """kill -9, noted before it is done."""
        note_fault(self.journals, f"kill {what}")
        process.kill()
        process.wait()

    def log(self) -> str:
        """What the processes have said, the end of each."""
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(self.folder.glob("*.log")))

    def _start(self, module: str, environment: dict[str, str], **options: object) -> subprocess.Popen[bytes]:
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GLIDEPATH_")}
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *words], stdout=log, stderr=log, cwd=ROOT, env={**kept, **environment}
            )
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


def _answers(client: Client) -> bool:
    try:
        client.get_server_info()
    except Unavailable:
        return False
    return True


def finished(client: Client, run_id: str) -> str:
    """The state of a run once it has ended, in lower case."""
    wait_until(lambda: client.get_dag_run(run_id).HasField("end_time"), "the run has ended")
    return run_pb2.RunState.Name(client.get_dag_run(run_id).state).removeprefix("RUN_STATE_").lower()


def states(client: Client, run_id: str) -> dict[str, str]:
    """State of each task by name."""
    found = client.list_task_instances(run_id)
    name = run_pb2.TaskState.Name
    return {each.task_id: name(each.state).removeprefix("TASK_STATE_").lower() for each in found}
