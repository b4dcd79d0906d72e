"""A worker whose machine is taken away, over a real stream."""

from __future__ import annotations

import signal
from pathlib import Path

from control_plane import ControlPlane
from test_worker_bodies import alive, failure_of
from test_worker_stream import TASKS

from conftest import StartWorker
from glidepath_proto.common.v1.failure_pb2 import FailureKind


def test_a_notice_ends_what_does_not_finish_in_time_as_preempted(
    plane: ControlPlane, start_worker: StartWorker
) -> None:
    worker = start_worker("--preemption-notice", "5.5")
    worker.write("jobs", TASKS)
    token = plane.assign("python:jobs:ignores_term", grace=0.3)
    pid = int(plane.line(token, "waiting").split()[1])
    worker.terminate()
    plane.wait(lambda: plane.draining, "the word that it leaves")
    refused = plane.assign("python:jobs:gives", inputs={"value": 1})
    assert plane.result(refused).HasField("returned")
    assert worker.wait() == 0
    failure = failure_of(plane.result(token))
    assert (failure.kind, failure.type) == (FailureKind.FAILURE_KIND_PREEMPTED, "Preempted")
    assert failure.message == "the machine of its worker is taken away"
    assert not alive(pid)


def test_a_notice_by_signal_lets_the_machines_own_end_follow(
    plane: ControlPlane, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker()
    worker.write("jobs", TASKS)
    token = plane.assign("python:jobs:waits_for", inputs={"path": str(tmp_path / "go")})
    plane.line(token, "waiting")
    worker.process.send_signal(signal.SIGUSR1)
    plane.wait(lambda: plane.draining, "the word that it leaves")
    worker.terminate()  # as the machine goes down
    (tmp_path / "go").touch()
    assert worker.wait() == 0
    assert plane.result(token).HasField("success")


def test_inline_tasks_are_preempted_too(plane: ControlPlane, start_worker: StartWorker, tmp_path: Path) -> None:
    worker = start_worker("--preemption-notice", "0")
    worker.write("jobs", TASKS)
    token = plane.assign("python:jobs:waits_for", inline=True, grace=0.3, inputs={"path": str(tmp_path / "go")})
    plane.wait(lambda: token in plane.accepted, "its acceptance")
    worker.terminate()
    assert worker.wait() == 0
    assert failure_of(plane.result(token)).kind == FailureKind.FAILURE_KIND_PREEMPTED
