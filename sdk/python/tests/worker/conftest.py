from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from control_plane import ControlPlane

SDK = Path(__file__).parents[2]


class WorkerProcess:
    """`python -m glidepath.worker` as a person starts it."""

    def __init__(
        self,
        plane: ControlPlane,
        folder: Path,
        *flags: str,
        identity: str = "worker-1",
        environment: dict[str, str] | None = None,
    ) -> None:
        self.tasks = folder / "tasks"
        self.tasks.mkdir(exist_ok=True)
        self.state = folder / "state"
        self.log = folder / "worker.log"
        command = [sys.executable, "-m", "glidepath.worker", "--address", f"127.0.0.1:{plane.port}", "--slots", "4"]
        command += ["--identity", identity] if identity else []
        command += ["--state-dir", str(self.state), "--dags-folder", str(self.tasks), *flags]
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        env = {**kept, "PYTHONPATH": str(SDK), "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, env=env, stderr=log, stdout=log, cwd=folder)

    def write(self, module: str, text: str) -> None:
        (self.tasks / f"{module}.py").write_text(text)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 30.0) -> int:
        return self.process.wait(seconds)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    plane = ControlPlane()
    plane.start()
    yield plane
    plane.stop()


@pytest.fixture
def start_worker(plane: ControlPlane, tmp_path: Path) -> Iterator[StartWorker]:
    workers: list[WorkerProcess] = []

    def start(*flags: str, environment: dict[str, str] | None = None, number: int | None = None) -> WorkerProcess:
        awaited = number or len(plane.sessions) + 1  # before it can say hello
        worker = WorkerProcess(plane, tmp_path, *flags, environment=environment)
        workers.append(worker)
        plane.session(awaited)
        return worker

    yield start
    for worker in workers:
        worker.end()
