"""The folder of `glidepath up`: `.glidepath/`, or GLIDEPATH_HOME. Deleting it while nothing runs forgets everything."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from .exits import Exit

NAME = ".glidepath"


class UpRuns(click.ClickException):
    """Another `glidepath up` owns the folder."""

    exit_code = int(Exit.CONFLICT)


class HomeUnusable(click.ClickException):
    """The folder cannot be made or written."""

    exit_code = int(Exit.USAGE)

    def __init__(self, message: str) -> None:
        super().__init__(f"{message}.\nnext:  go to a folder that can be written, or name one in GLIDEPATH_HOME")


@dataclass(frozen=True)
class Home:
    """Paths inside of the folder."""

    path: Path

    @classmethod
    def here(cls, environ: Mapping[str, str] = os.environ) -> Home:
        """Where `up` puts it: GLIDEPATH_HOME, else in the current folder."""
        return cls(Path(environ.get("GLIDEPATH_HOME") or NAME).resolve())

    @classmethod
    def nearest(cls, environ: Mapping[str, str] = os.environ) -> Home | None:
        """The one that exists: GLIDEPATH_HOME, else of the current folder or its nearest parent that has one."""
        if given := environ.get("GLIDEPATH_HOME"):
            return cls(Path(given).resolve()) if Path(given).is_dir() else None
        here = Path.cwd()
        return next((cls(each / NAME) for each in (here, *here.parents) if (each / NAME).is_dir()), None)

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def database(self) -> Path:
        """Where Postgres keeps its data: in here, unless the user that it runs as cannot come here."""
        record = json.loads((self.postgres / "postgres.json").read_text())
        return self.postgres / str(record["directory"])

    @property
    def admin_token(self) -> Path:
        return self.path / "admin.token"

    @property
    def worker_token(self) -> Path:
        return self.path / "worker.token"

    @property
    def connection(self) -> Path:
        return self.path / "connection.json"

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def make(self) -> None:
        """Make the folder. `HomeUnusable` when it cannot be made."""
        try:
            self._make()
        except OSError as error:
            raise HomeUnusable(f"{self.path} cannot be made or written: {error.strerror}") from error

    def _make(self) -> None:
        # Root's Postgres runs as another user, who has to pass through; only the owner can list the folder.
        self.path.mkdir(mode=0o700 if os.geteuid() else 0o711, parents=True, exist_ok=True)
        (self.path / "logs").mkdir(mode=0o700, exist_ok=True)
        (self.path / ".gitignore").write_text("*\n")

    @contextlib.contextmanager
    def owned(self) -> Iterator[None]:
        """Be the only `up` of this folder; the kernel frees it however we end."""
        with open(self.path / "up.lock", "a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise UpRuns(
                    f"glidepath up runs already for {self.path} (process {lock.read().strip()}).\n"
                    "next:  use it, or end it with Ctrl-C or SIGTERM first"
                ) from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield

    def is_up(self) -> bool:
        """Whether a `glidepath up` owns the folder now."""
        try:
            with open(self.path / "up.lock") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def write_connection(self, address: str, namespace: str) -> None:
        """What clients find, written whole or not at all."""
        content = {"address": address, "token_file": self.admin_token.name, "namespace": namespace}
        new = self.connection.with_suffix(".json.new")
        new.write_text(json.dumps(content, indent=2) + "\n")
        new.replace(self.connection)
