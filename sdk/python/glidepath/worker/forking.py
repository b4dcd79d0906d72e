"""The fork itself: from what a body needs to a body that runs.

What can be done before the fork without running user code is done before it. Memory that the forkserver writes is
written anyway; memory that a body writes is copied first, and those copies are most of what an attempt costs.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterable
from typing import Any

from glidepath.worker import child
from glidepath.worker.body import OutputLimits
from glidepath.worker.capture import Capture
from glidepath.worker.loading import Loader
from glidepath.worker.masking import Masker
from glidepath.worker.pipes import FrameReader

REHEARSALS = 16


class Attempt:
    """A body and its ends that the forkserver holds. `pid` is 0 until it is forked."""

    __slots__ = (
        "capture", "cause", "control", "control_reader", "end", "exclusive", "files", "grace", "key", "kill_at",
        "log_flush_due", "memory_max", "pid", "progress", "started", "status", "timeout", "wants_output",
    )  # fmt: skip

    def __init__(self, key: int, options: dict[str, Any], masker: Masker) -> None:
        self.key = key
        self.pid = 0
        self.started = 0.0
        self.timeout: float = options["timeout"]
        self.grace: float = options["grace"]
        self.exclusive: bool = options["exclusive"]
        self.memory_max: int = options["memory_bytes_max"]
        self.capture = Capture(masker)
        self.files: dict[int, str] = {}
        self.control: socket.socket | None = None
        self.control_reader = FrameReader()
        self.cause = ""
        self.kill_at = 0.0
        self.end: tuple[bytes, bool] | None = None
        self.status: int | None = None
        self.progress: dict[str, Any] | None = None
        self.log_flush_due = False
        self.wants_output = ""

    def promised_line(self) -> tuple[str, str] | None:
        """Of a command whose output is its last line: that line, and what people may see of it."""
        line = self.capture.last_line
        return (line, self.capture.masker.mask(line)) if self.wants_output == "json" else None


class Fork:
    """One fork in two steps: what is made before it, and the fork itself, which touches as little as it can.

    Several are made ready first and then forked in a row, because what is touched between two forks is copied again.
    OSError when the system gives no pipes or no process; nothing stays open then.
    """

    def __init__(
        self, attempt: Attempt, spec: dict[str, Any], loader: Loader, masker: Masker, limits: OutputLimits
    ) -> None:
        self.attempt = attempt
        opened: list[int] = []
        try:
            for _ in range(2):
                opened += os.pipe()
            attempt.control, control_end = socket.socketpair()
        except OSError:
            _close(opened)
            raise
        out, out_end, err, err_end = opened
        self._ends = (out_end, err_end, control_end.detach())
        attempt.control.setblocking(False)
        attempt.files = {attempt.control.fileno(): "control", out: "stdout", err: "stderr"}
        self._body = child.Body(spec, self._ends, loader, masker, limits)

    def fork(self) -> None:
        """Make the process."""
        attempt = self.attempt
        self._body.make_current()
        try:
            _set_environment(self._body.environment)
            attempt.pid = os.fork()
            if attempt.pid == 0:
                self._body.run()
        except OSError:
            assert attempt.control is not None
            attempt.control.close()
            _close(descriptor for descriptor, stream in attempt.files.items() if stream != "control")
            raise
        finally:
            _close(self._ends)
        attempt.started = time.time()


def rehearse(masker: Masker) -> None:
    """Go the way of a body here, with a task that does nothing.

    The interpreter learns on code that it runs and writes what it learns beside that code. Learnt here, it is shared
    by all bodies instead of being learnt, and copied, by each.
    """
    handler = {"handler": "python:nothing:nothing", "source": os.path.join(os.path.dirname(__file__), "rehearsal")}
    spec = {**handler, "arguments": {}, "artifacts": False, "context": b"", "environment": []}
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    for _ in range(REHEARSALS):
        loader = Loader(sys.path)
        child.Body(spec, (null, null, null), loader, masker, OutputLimits()).rehearse()
        loader.put_aside()
    os.close(null)


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


_variables: set[str] = set()


def _set_environment(variables: list[tuple[str, str]]) -> None:
    """Set the variables of the next body: here, where memory is written anyway, and not in the body.

    They stay until the next one's replace them; a name that it does not have is removed.
    """
    names = {name for name, _ in variables}
    for name in _variables - names:
        os.environ.pop(name, None)
    for name, value in variables:
        os.environ[name] = value
    _variables.clear()
    _variables.update(names)
