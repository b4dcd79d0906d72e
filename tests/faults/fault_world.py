"""A control plane and workers as processes of their own, that a test can kill and start again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from glidepath.client import Client
from glidepath.errors import Unavailable

WAIT_SECONDS = 40.0


def wait_until(true: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Look again and again, up to a deadline: the other side is another process."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


class House:
    """One server on a fixed port and any number of workers; everything is killed at the end."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.database_url, self.folder = database_url, folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.processes: list[subprocess.Popen[bytes]] = []

    def server(self) -> subprocess.Popen[bytes]:
        """Start the control plane; short leases, so that a lost worker is judged within the test."""
        return self._start(
            "glidepath_server",
            "--database-url",
            self.database_url,
            "--address",
            self.address,
            "--auto-upgrade",
            "--bootstrap-token-file",
            str(self.folder / "admin"),
            "--bootstrap-worker-token-file",
            str(self.folder / "worker"),
            GLIDEPATH_LEASE_TTL_SECONDS="3",
            GLIDEPATH_HEARTBEAT_INTERVAL_SECONDS="0.5",
        )

    def worker(self, identity: str) -> subprocess.Popen[bytes]:
        wait_until((self.folder / "worker").exists, "the worker's token")
        return self._start(
            "glidepath.worker",
            "--address",
            self.address,
            "--slots",
            "4",
            "--identity",
            identity,
            "--state-dir",
            str(self.folder / identity),
            GLIDEPATH_TOKEN_FILE=str(self.folder / "worker"),
        )

    def client(self) -> Client:
        wait_until(lambda: (self.folder / "admin").exists() and bool((self.folder / "admin").read_text()), "a token")
        return Client(self.address, token=(self.folder / "admin").read_text().strip())

    def wait_for_answers(self, client: Client) -> None:
        """Until the control plane takes calls."""
        wait_until(lambda: _answers(client), "the server answers")

    def _start(self, module: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GLIDEPATH_")}
        with (self.folder / f"{module}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments], stdout=log, stderr=log, env={**kept, **environment}
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
