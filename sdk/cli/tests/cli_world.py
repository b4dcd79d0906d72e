"""What the tests of the command use: the command as a user calls it, and a `glidepath up` as a user starts it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glidepath_cli.home import Home

COMMAND = [sys.executable, "-c", "from glidepath_cli.main import main; main()"]
STOP_SECONDS = 60
OWN_VARIABLES = ("GLIDEPATH_", "NO_COLOR", "FORCE_COLOR")


def environment(**variables: str) -> dict[str, str]:
    """The test's environment without what would change the command's behaviour."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
    return {**kept, **variables}


@dataclass(frozen=True)
class Answer:
    """What the command printed where, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Folder:
    """A user's folder."""

    path: Path

    def call(self, *arguments: str, **variables: str) -> Answer:
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.path,
            env=environment(**variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.path,
            env=environment(**variables),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


def forget_database(folder: Folder) -> None:
    """Started by root, Postgres may have put its data where pytest does not clean up."""
    home = Home(folder.path / ".glidepath")
    if (home.postgres / "postgres.json").exists():
        shutil.rmtree(home.database)


class Up:
    """A running `glidepath up`, from its last line of the start on."""

    def __init__(self, folder: Folder, *arguments: str) -> None:
        self.folder = folder
        self.process = folder.start("up", "--port", "0", *arguments)
        self.said: list[str] = []
        self.wait_for("up. Try:")

    def wait_for(self, words: str) -> str:
        """Read its talk until a line has these words; its end is an error. pytest's timeout is the deadline."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if words in line:
                return line
        raise AssertionError(f"it ended without saying {words!r}:\n{''.join(self.said)}")

    def children(self) -> dict[str, int]:
        """Process ids of what it runs, by what it is."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if parent == self.process.pid:
                kind = next((each for each in ("glidepath_server", "glidepath.worker") if each in words), "postgres")
                found[kind] = int(entry.name)
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> Answer:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=STOP_SECONDS)
        return Answer(self.process.returncode, out, "".join(self.said) + err)


def wait_until_gone(processes: Iterable[int]) -> None:
    """Until these have ended; they are no children of ours, so nothing tells us."""
    deadline = time.monotonic() + STOP_SECONDS
    for each in processes:
        while Path(f"/proc/{each}").exists():
            assert time.monotonic() < deadline, f"process {each} still runs"
            time.sleep(0.05)
