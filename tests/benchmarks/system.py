"""The system under measurement: Postgres, a server and workers, each a process of its own, and a client of them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from glidepath.client import Client
from glidepath_server.store.embedded import EmbeddedPostgres
from tools.children import Child

INLINE_SLOTS = 512
ISOLATED_SLOTS = 4
CALL_SECONDS_MAX = 120.0


@dataclass(frozen=True)
class System:
    """`logs` is where the processes write; it lives as long as the system."""

    client: Client
    children: list[Child]
    logs: Path

    def check(self) -> None:
        """ChildFailed when a process has ended."""
        for child in self.children:
            child.check()


@contextmanager
def postgres() -> Iterator[str]:
    """URL of a durable Postgres with the settings that a server brings along."""
    folder = Path(tempfile.mkdtemp(prefix="glidepath-bench-"))
    folder.chmod(0o711)  # as root, Postgres runs as somebody else, who must pass
    try:
        cluster = EmbeddedPostgres.start(folder / "postgres")
        try:
            yield cluster.url
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def system(database_url: str, folder: Path, workers: int, slots: int = INLINE_SLOTS) -> Iterator[System]:
    """A running system; `folder` is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with ExitStack() as parts:
        server = _server(database_url, folder)
        parts.callback(server.stop)
        address = server.wait_until("said where it listens", lambda: _address(server))
        token = (folder / "admin-token").read_text().strip()
        client = parts.enter_context(Client(address, token=token, timeout=CALL_SECONDS_MAX))
        children = [server]
        for number in range(1, workers + 1):
            children.append(_worker(address, folder, f"worker-{number}", slots))
            parts.callback(children[-1].stop)
        children[-1].wait_until("connected", lambda: True if len(list(client.list_workers())) == workers else None)
        yield System(client, children, folder)


def _server(database_url: str, folder: Path) -> Child:
    tokens = [
        *("--bootstrap-token-file", str(folder / "admin-token")),
        *("--bootstrap-worker-token-file", str(folder / "worker-token")),
    ]
    environ = _environment(GLIDEPATH_DATABASE_URL=database_url, GLIDEPATH_LOG_FORMAT="json")
    arguments = ["--address", "127.0.0.1:0", "--auto-upgrade", *tokens]
    return Child("server", "glidepath_server", arguments, environ=environ, logs=folder)


def _worker(address: str, folder: Path, name: str, slots: int) -> Child:
    arguments = ["--address", address, "--identity", name, "--slots", str(slots), "--state-dir", str(folder / name)]
    environ = _environment(GLIDEPATH_TOKEN_FILE=str(folder / "worker-token"))
    return Child(name, "glidepath.worker", [*arguments, "--log-level", "WARNING"], environ=environ, logs=folder)


def _environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GLIDEPATH_")}
    return {**kept, "PYTHONUNBUFFERED": "1", **settings}


def _address(server: Child) -> str | None:
    for line in server.lines():
        if line.startswith("{") and line.endswith("}") and '"server_started"' in line:
            return str(json.loads(line)["address"])
    return None
