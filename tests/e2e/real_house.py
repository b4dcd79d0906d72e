"""A real server and real workers for the tests of the whole, as processes of their own."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from glidepath.client import Client
from glidepath_proto.run.v1.run_pb2 import DagRun
from tools.children import Child

RUN_SECONDS_MAX = 40


def environment(**settings: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GLIDEPATH_")} | settings


class House:
    """A server, and the workers that a test asks for; everything is stopped at the end."""

    def __init__(self, parts: ExitStack, database_url: str, folder: Path) -> None:
        self.parts, self.folder = parts, folder
        tokens = [f"--bootstrap-token-file={folder / 'admin'}", f"--bootstrap-worker-token-file={folder / 'work'}"]
        environ = environment(GLIDEPATH_DATABASE_URL=database_url, GLIDEPATH_LOG_FORMAT="json")
        arguments = ["--address", "127.0.0.1:0", "--auto-upgrade", *tokens]
        self.server = Child("server", "glidepath_server", arguments, environ=environ, logs=folder)
        parts.callback(self.server.stop)
        self.address = self.server.wait_until("said where it listens", self._listens_at)
        self.client = parts.enter_context(Client(self.address, token=(folder / "admin").read_text().strip()))

    def python_worker(self, name: str = "python", *more: str, slots: int = 2) -> None:
        arguments = ["--address", self.address, "--slots", str(slots), "--state-dir", str(self.folder / name), *more]
        worker = Child(name, "glidepath.worker", arguments, environ=self.worker_environment(), logs=self.folder)
        self.parts.callback(worker.stop)

    def worker_environment(self) -> dict[str, str]:
        return environment(GLIDEPATH_ADDRESS=self.address, GLIDEPATH_TOKEN_FILE=str(self.folder / "work"))

    def wait(self, run_id: str) -> DagRun:
        return self.client.wait(run_id, timeout=RUN_SECONDS_MAX)

    def output(self, run_id: str, task_id: str) -> Any:
        return json.loads(self.client.get_task_output(run_id, task_id).output.data)

    def _listens_at(self) -> str | None:
        started = (line for line in self.server.lines() if '"server_started"' in line and line.endswith("}"))
        return next((json.loads(line)["address"] for line in started), None)
