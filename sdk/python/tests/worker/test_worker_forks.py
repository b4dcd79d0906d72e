"""The death of the process that makes bodies: nothing outlives it, and only what is at fault is blamed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from control_plane import ControlPlane
from test_worker_bodies import alive, failure_of
from test_worker_stream import TASKS

from conftest import SDK, StartWorker, WorkerProcess
from glidepath_proto.common.v1.failure_pb2 import FailureKind


def test_a_dead_forkserver_is_replaced_and_its_bodies_are_handed_back_and_run_apart(
    plane: ControlPlane, start_worker: StartWorker
) -> None:
    start_worker().write("jobs", TASKS)
    first = plane.assignment("shell", inputs={"command": "setsid sleep 600 & echo waiting $! $PPID; wait"})
    again = plane.assignment("shell", inputs={"command": "echo waiting $PPID; sleep 600"}, attempt_number=2)
    again.attempt.task_id = first.attempt.task_id
    plane.sessions[-1].send(assignments=[first])
    left, shared = (int(word) for word in plane.line(first.task_token, "waiting").split()[1:])
    subprocess.run(["kill", "-9", str(shared)], check=True)
    assert "ended the process" in plane.result(first.task_token).returned.reason
    assert not alive(left)

    other = plane.assign("python:jobs:ignores_term", grace=0.2)
    pid = int(plane.line(other, "waiting").split()[1])
    plane.sessions[-1].send(assignments=[again])
    apart = int(plane.line(again.task_token, "waiting").split()[1])
    subprocess.run(["kill", "-9", str(apart)], check=True)
    failure = failure_of(plane.result(again.task_token))
    assert (failure.kind, failure.type) == (FailureKind.FAILURE_KIND_INFRASTRUCTURE, "ForkserverDied")
    assert alive(pid) and other not in plane.results


def test_a_forkserver_that_does_not_start_ends_the_worker(
    plane: ControlPlane, start_worker: StartWorker, tmp_path: Path
) -> None:
    code = "import os, sys\nif any('worker.forkserver' in each for each in sys.orig_argv):\n    os._exit(3)\n"
    (tmp_path / "sitecustomize.py").write_text(code)
    worker = WorkerProcess(plane, tmp_path, environment={"PYTHONPATH": f"{tmp_path}:{SDK}"})
    try:
        assert worker.wait() == 1
        assert "forkserver does not start (it ended with 3)" in worker.log.read_text()
    finally:
        worker.end()


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_exclusive_attempt_begins_on_a_lease_that_lets_it(
    start_worker: StartWorker, plane: ControlPlane, cancelled: bool
) -> None:
    """After a stall the server gives work a heartbeat earlier than the worker hears that its lease was renewed."""
    plane.stop()
    plane._lease_ttl, plane._interval = 3.0, 0.5
    plane.start()
    start_worker().write("jobs", TASKS)
    token = plane.assign("python:jobs:ignores_term", grace=0.2, exclusive=True)
    plane.line(token, "waiting")
    plane.confirms = False
    plane.result(token)
    token = plane.assign("python:jobs:gives", grace=0.2, exclusive=True, inputs={"value": 1})
    other = plane.assign("python:jobs:gives", inputs={"value": 2})
    plane.wait(lambda: token in plane.accepted, "its acceptance")
    plane.result(other)
    assert token not in plane.started
    if cancelled:
        plane.cancel(token, 0.2)
        assert plane.result(token).HasField("cancelled")
    plane.confirms = True
    assert plane.result(token).HasField("cancelled" if cancelled else "success")
    assert (token in plane.started) is not cancelled
