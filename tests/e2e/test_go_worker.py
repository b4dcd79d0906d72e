"""A worker in plain Go beside the Python one: one DAG, a real server, real processes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import go_dag
import pytest

from glidepath.client import Client
from glidepath_proto.run.v1.run_pb2 import (
    RUN_STATE_CANCELLED,
    RUN_STATE_FAILED,
    RUN_STATE_SUCCESS,
    TASK_STATE_RUNNING,
    DagRun,
)
from tools.children import Child
from tools.programs import find_go

SDK = Path(__file__).parents[2] / "sdk" / "go"
BUILD_SECONDS_MAX, RUN_SECONDS_MAX, LEAVE_SECONDS_MAX = 100, 40, 15


def environment(**settings: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GLIDEPATH_")} | settings


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's worker, built from source."""
    go = find_go()
    if go is None:
        pytest.skip("no Go toolchain on PATH or in its default place, so the Go worker cannot be built")
    target = tmp_path_factory.mktemp("go") / "hello"
    command = [go, "build", "-o", str(target), "./examples/hello"]
    subprocess.run(command, cwd=SDK, check=True, timeout=BUILD_SECONDS_MAX)
    return target


class House:
    """A server, and the workers that a test asks for; everything is stopped at the end."""

    def __init__(self, parts: ExitStack, database_url: str, folder: Path) -> None:
        self._parts, self._folder = parts, folder
        tokens = [f"--bootstrap-token-file={folder / 'admin'}", f"--bootstrap-worker-token-file={folder / 'work'}"]
        environ = environment(GLIDEPATH_DATABASE_URL=database_url, GLIDEPATH_LOG_FORMAT="json")
        arguments = ["--address", "127.0.0.1:0", "--auto-upgrade", *tokens]
        self.server = Child("server", "glidepath_server", arguments, environ=environ, logs=folder)
        parts.callback(self.server.stop)
        self.address = self.server.wait_until("said where it listens", self._listens_at)
        self.client = parts.enter_context(Client(self.address, token=(folder / "admin").read_text().strip()))

    def python_worker(self) -> None:
        arguments = ["--address", self.address, "--slots", "2", "--state-dir", str(self._folder / "python")]
        environ = environment(GLIDEPATH_TOKEN_FILE=str(self._folder / "work"))
        worker = Child("python", "glidepath.worker", arguments, environ=environ, logs=self._folder)
        self._parts.callback(worker.stop)

    def go_worker(self, program: Path) -> subprocess.Popen[bytes]:
        environ = environment(GLIDEPATH_ADDRESS=self.address, GLIDEPATH_TOKEN_FILE=str(self._folder / "work"))
        worker = subprocess.Popen([program], env=environ)
        self._parts.callback(worker.wait)
        self._parts.callback(worker.kill)
        return worker

    def wait(self, run_id: str) -> DagRun:
        return self.client.wait(run_id, timeout=RUN_SECONDS_MAX)

    def output(self, run_id: str, task_id: str) -> Any:
        return json.loads(self.client.get_task_output(run_id, task_id).output.data)

    def _listens_at(self) -> str | None:
        started = (line for line in self.server.lines() if '"server_started"' in line and line.endswith("}"))
        return next((json.loads(line)["address"] for line in started), None)


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[House]:
    with ExitStack() as parts:
        house = House(parts, database_url, tmp_path)
        house.client.register(go_dag.greeting)
        yield house


def test_go_greets_whom_python_names_and_leaves_when_asked(house: House, program: Path) -> None:
    worker = house.go_worker(program)
    house.python_worker()
    run_id = house.client.trigger("greeting", params={"who": "ada"}).dag_run_id
    assert house.wait(run_id).state == RUN_STATE_SUCCESS
    assert house.output(run_id, "greet") == {"greeting": "Hello, Ada!"}
    assert house.output(run_id, "shout") == "HELLO, ADA!"
    (attempt,) = house.client.list_attempts(run_id, "greet")
    assert attempt.worker_identity.endswith("-go")
    worker.terminate()
    assert worker.wait(LEAVE_SECONDS_MAX) == 0


def test_a_worker_that_is_asked_to_leave_finishes_what_it_runs(house: House, program: Path) -> None:
    worker = house.go_worker(program)
    house.python_worker()
    run_id = house.client.trigger("greeting", params={"who": "ada", "seconds": 1.0}).dag_run_id
    wait_until_greeting(house, run_id)
    worker.terminate()
    assert worker.wait(LEAVE_SECONDS_MAX) == 0
    assert house.wait(run_id).state == RUN_STATE_SUCCESS
    assert [each.attempt_number for each in house.client.list_attempts(run_id, "greet")] == [1]


def test_go_ends_what_is_cancelled(house: House, program: Path) -> None:
    house.go_worker(program)
    house.python_worker()
    run_id = house.client.trigger("greeting", params={"who": "ada", "seconds": 1000.0}).dag_run_id
    wait_until_greeting(house, run_id)
    house.client.cancel_dag_run(run_id, reason="enough")
    assert house.wait(run_id).state == RUN_STATE_CANCELLED


def test_a_bad_input_fails_with_its_name(house: House, program: Path) -> None:
    house.go_worker(program)
    house.client.register(go_dag.templated)
    run = house.wait(house.client.trigger("templated").dag_run_id)
    assert run.state == RUN_STATE_FAILED
    (attempt,) = house.client.list_attempts(run.dag_run_id, "greet")
    assert 'input "name"' in attempt.failure.message


def wait_until_greeting(house: House, run_id: str) -> None:
    for message in house.client.watch(run_id):
        if any(each.task_id == "greet" and each.state == TASK_STATE_RUNNING for each in message.task_instances):
            return
    raise AssertionError("the run ended before it greeted")
