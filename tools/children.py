"""Child processes of a tool: each with a log file, started until it says so, stopped politely and then not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 15.0
TAIL_LINES = 25
T = TypeVar("T")


class ChildFailed(Exception):
    """A child process is not running as it should; the message ends with the tail of its log."""


class Child:
    """`python -m module arguments...`, whatever it prints in a log file.

    In a session of its own: Ctrl-C reaches the tool alone, which then stops its children in the right order.
    """

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], *, environ: Mapping[str, str], logs: Path
    ) -> None:
        self.name, self.log = name, logs / f"{name}.log"
        self._module, self._arguments, self._environ = module, list(arguments), dict(environ)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", self._module, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environ,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill_and_start_again(self, *more: str) -> None:
        """SIGKILL, and a successor with these arguments behind the first ones, which goes on in the same log."""
        self._process.kill()
        self._process.wait()
        self._arguments += more
        self._process = self._start()

    def wait_until(self, what: str, look: Callable[[], T | None]) -> T:
        """What `look` gives, asked every tenth of a second until it is not None. ChildFailed when it never is."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while (found := look()) is None:
            self.check()
            if time.monotonic() > deadline:
                raise self._failed(f"has not {what} within {START_SECONDS_MAX:g} s")
            time.sleep(0.1)
        return found

    def check(self) -> None:
        """ChildFailed if it has ended."""
        if (code := self._process.poll()) is not None:
            raise self._failed(f"ended with exit code {code}")

    def stop(self) -> None:
        """SIGTERM; SIGKILL for one that does not leave in time."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def lines(self) -> list[str]:
        """Its log so far."""
        return self.log.read_text(errors="replace").splitlines()

    def _failed(self, how: str) -> ChildFailed:
        tail = "\n".join(f"  | {line}" for line in self.lines()[-TAIL_LINES:])
        return ChildFailed(f"{self.name} {how}; the end of {self.log}:\n{tail or '  | (empty)'}")
