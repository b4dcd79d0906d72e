"""A worker in plain Go beside the Python one: one DAG, a real server, real processes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import go_dag
import pytest
from real_house import House

from glidepath_proto.run.v1.run_pb2 import (
    RUN_STATE_CANCELLED,
    RUN_STATE_FAILED,
    RUN_STATE_SUCCESS,
    TASK_STATE_RUNNING,
)
from tools.programs import find_go

SDK = Path(__file__).parents[2] / "sdk" / "go"
BUILD_SECONDS_MAX, RUN_SECONDS_MAX, LEAVE_SECONDS_MAX = 100, 40, 15


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


def start_go_worker(house: House, program: Path) -> subprocess.Popen[bytes]:
    worker = subprocess.Popen([program], env=house.worker_environment())
    house.parts.callback(worker.wait)
    house.parts.callback(worker.kill)
    return worker


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[House]:
    with ExitStack() as parts:
        house = House(parts, database_url, tmp_path)
        house.client.register(go_dag.greeting)
        yield house


def test_go_greets_whom_python_names_and_leaves_when_asked(house: House, program: Path) -> None:
    worker = start_go_worker(house, program)
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
    worker = start_go_worker(house, program)
    house.python_worker()
    run_id = house.client.trigger("greeting", params={"who": "ada", "seconds": 1.0}).dag_run_id
    wait_until_greeting(house, run_id)
    worker.terminate()
    assert worker.wait(LEAVE_SECONDS_MAX) == 0
    assert house.wait(run_id).state == RUN_STATE_SUCCESS
    assert [each.attempt_number for each in house.client.list_attempts(run_id, "greet")] == [1]


def test_go_ends_what_is_cancelled(house: House, program: Path) -> None:
    start_go_worker(house, program)
    house.python_worker()
    run_id = house.client.trigger("greeting", params={"who": "ada", "seconds": 1000.0}).dag_run_id
    wait_until_greeting(house, run_id)
    house.client.cancel_dag_run(run_id, reason="enough")
    assert house.wait(run_id).state == RUN_STATE_CANCELLED


def test_a_bad_input_fails_with_its_name(house: House, program: Path) -> None:
    start_go_worker(house, program)
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
