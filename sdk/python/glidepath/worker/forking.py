"""The fork itself: from what a body needs to a body that runs.

What can be done before the fork without running user code is done before it. Memory that the forkserver writes is
written anyway; memory that a body writes is copied first, and those copies are most of what an attempt costs.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from glidepath.worker import child
from glidepath.worker.body import OutputLimits
from glidepath.worker.capture import Capture
from glidepath.worker.loading import Loader
from glidepath.worker.masking import Masker
from glidepath.worker.pipes import FrameReader


class Attempt:
    """A body that was forked and not reported yet."""

    __slots__ = (
        "capture", "cause", "control", "control_reader", "end", "exclusive", "files", "grace", "key", "kill_at",
        "log_flush_due", "memory_max", "pid", "progress", "started", "status", "wants_output",
    )  # fmt: skip

    def __init__(self, key: int, options: dict[str, Any], pid: int, masker: Masker) -> None:
        self.key = key
        self.pid = pid
        self.started = time.time()
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


def fork_body(
    key: int, options: dict[str, Any], spec: dict[str, Any], loader: Loader, masker: Masker, limits: OutputLimits
) -> Attempt:
    """Fork a body that does what `spec` says. OSError when the system gives no process or no pipes."""
    loader.prepare(spec["handler"], spec["source"])
    opened: list[int] = []
    try:
        for _ in range(2):
            opened += os.pipe()
        control, control_end = socket.socketpair()
        out, out_end, err, err_end = opened
        with control_end, _environment(spec["environment"]):
            pid = os.fork()
            if pid == 0:
                try:
                    child.enter(out_end, err_end, control_end.detach())
                    child.run(spec, loader, masker, limits)
                finally:
                    os._exit(1)
    except OSError:
        for descriptor in opened:
            os.close(descriptor)
        raise
    os.close(out_end)
    os.close(err_end)
    control.setblocking(False)
    attempt = Attempt(key, options, pid, masker)
    attempt.control = control
    attempt.files = {control.fileno(): "control", out: "stdout", err: "stderr"}
    return attempt


@contextmanager
def _environment(variables: list[tuple[str, str]]) -> Iterator[None]:
    """Set variables for a fork and take them back: cheaper here, where memory is written anyway, than in the body."""
    before = [(name, os.environ.get(name)) for name, _ in variables]
    for name, value in variables:
        os.environ[name] = value
    try:
        yield
    finally:
        for name, old in before:
            if old is None:
                del os.environ[name]
            else:
                os.environ[name] = old
