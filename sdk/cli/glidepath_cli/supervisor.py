"""Child processes that are kept running until they are told to stop.

Who is authoritative: this process alone starts, restarts and ends its children. Each has a session of its own, so
that an interrupt typed at the terminal is for us and we end them in order. A child that dies is started again after a
wait that doubles; one that is asked to stop and does not is killed with its whole process group.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from . import tied

BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_MAX_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A child that ran this long is well again: its next death waits the first backoff."""
LOG_BYTES_MAX = 10_000_000

Say = Callable[[str], None]


@dataclass
class Child:
    """One program. `grace_seconds` is what it gets between SIGTERM and SIGKILL."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    grace_seconds: float = 15.0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    restart_at: float = field(default=0.0, init=False)
    _started_at: float = field(default=0.0, init=False)
    _backoff: float = field(default=BACKOFF_FIRST_SECONDS, init=False)

    def start(self, now: float) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_name(self.log.name + ".1"))
        command = [sys.executable, "-I", "-S", tied.__file__, str(os.getpid()), *self.command]
        with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as log:
            self.process = subprocess.Popen(
                command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started_at = now

    def ended(self) -> int | None:
        """The exit status of a child that has ended, None while it runs or before it was started."""
        return None if self.process is None else self.process.poll()

    def look(self, now: float, say: Say) -> None:
        """Notice an end, and start again once the wait is over."""
        status = self.ended()
        if status is not None:
            self._kill_group()  # what it left behind must not meet its successor
            self.process = None
            self._backoff = BACKOFF_FIRST_SECONDS if now - self._started_at >= STEADY_SECONDS else self._backoff
            self.restart_at = now + self._backoff
            say(f"{self.name} ended ({describe(status)}); it starts again in {self._backoff:g} s. Its log: {self.log}")
            self._backoff = min(BACKOFF_MAX_SECONDS, 2 * self._backoff)
        elif self.process is None and now >= self.restart_at:
            self.start(now)

    def stop(self, in_a_hurry: Callable[[], bool]) -> None:
        """End it and everything in its session; at once when in a hurry."""
        if self.process is None:
            return
        deadline = time.monotonic() + self.grace_seconds
        if self.process.poll() is None:
            self.process.terminate()
        while self.process.poll() is None and time.monotonic() < deadline and not in_a_hurry():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.2)
        self._kill_group()
        self.process.wait()
        self.process = None

    def _kill_group(self) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def describe(status: int) -> str:
    """An exit status for a person."""
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"


class Signals:
    """Counts requests to stop, and wakes a wait when one comes or a child ends."""

    def __init__(self) -> None:
        self.stops = 0
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def wait(self, seconds: float) -> None:
        """Until a signal, at most so long."""
        if select.select([self._read], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self._read, 4096)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stops += 1

    @contextlib.contextmanager
    def taken(self) -> Iterator[Signals]:
        """Take SIGINT, SIGTERM, SIGHUP and SIGCHLD of this process, in its main thread."""
        before = {}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
                before[number] = signal.signal(number, self._stop)
        # Only a signal that has a handler of Python wakes the pipe.
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        earlier = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        try:
            yield self
        finally:
            signal.set_wakeup_fd(earlier)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._read)
            os.close(self._write)
