"""The inline runner, seen from the stream process: what was handed to it, in order, and what it has begun.

The runner starts with the first inline task. It is handed little at a time, so that what waits can still be taken
back. When it dies, or is ended because a task ran over its time, the counter in shared memory tells which task was at
fault; tasks before it ran but nobody heard how they ended, tasks behind it never began and go to the next runner.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from glidepath.worker import kept
from glidepath.worker.held import Held
from glidepath.worker.inline import ANSWER, ASSIGNMENTS, CONFIGURE, RESULTS
from glidepath.worker.subprocesses import Connected, Started
from glidepath_proto.worker.v1.worker_service_pb2 import WorkResponse

MODULE = "glidepath.worker.inline"
HANDED_MAX = 512
STILLBORN_MAX = 3


class InlineEvents(Protocol):
    """What the runner tells."""

    def inline_frames(self, frames: list[bytes]) -> None:
        """Frames as `inline` defines them."""

    def inline_died(self, at_fault: Held | None, unheard: list[Held], status: int) -> None:
        """The runner has gone: the task that ran, and tasks that ran before it and were not heard of."""

    def inline_unable(self, tasks: list[Held], status: int) -> None:
        """The runner does not start; these cannot run."""


class Inlines:
    """Tasks for the inline runner."""

    def __init__(self, paths: Sequence[str], sources: str, events: InlineEvents) -> None:
        self._paths = paths
        self._sources = sources
        self._events = events
        self._waiting: deque[Held] = deque()
        self._handed: deque[Held] = deque()
        self._heard = 0
        self._pipe: Connected | None = None
        self._configuration = b""
        self._stillborn = 0
        self._began = (0, 0.0)
        self._kept_file = os.memfd_create("glidepath-inline")
        os.ftruncate(self._kept_file, kept.BYTES)
        self._kept = kept.Kept(self._kept_file)

    def submit(self, tasks: Sequence[Held]) -> None:
        """Run these after what was submitted before."""
        self._waiting.extend(tasks)
        self._hand_over()

    def heard(self, count: int) -> None:
        """Results of the next `count` tasks have arrived."""
        self._heard += count
        for _ in range(count):
            self._handed.popleft()
        self._hand_over()

    def withdraw(self, keep: Callable[[Held], bool]) -> list[Held]:
        """Take back tasks that were not handed over and for which `keep` says no."""
        back = [task for task in self._waiting if not keep(task)]
        if back:
            gone = {task.key for task in back}
            self._waiting = deque(task for task in self._waiting if task.key not in gone)
        return back

    def configure(self, inline_bytes_max: int, artifact_bytes_max: int, spool: str) -> None:
        """Limits of outputs."""
        limits = {"inline_bytes_max": inline_bytes_max, "artifact_bytes_max": artifact_bytes_max, "spool": spool}
        self._configuration = CONFIGURE + json.dumps(limits).encode()
        if self._pipe is not None:
            self._pipe.send(self._configuration)

    def answer(self, answer: bytes) -> None:
        """Answer what the running task asked."""
        if self._pipe is not None:
            self._pipe.send(ANSWER + answer)

    def running(self) -> tuple[Held, float] | None:
        """The task that runs and for how many seconds at least, as far as repeated calls could see."""
        started = self._kept.count[0]
        position = started - self._heard - 1
        if not 0 <= position < len(self._handed):
            return None
        if self._began[0] != started:
            self._began = (started, time.monotonic())
        return self._handed[position], time.monotonic() - self._began[1]

    def end_running(self) -> None:
        """End the runner: the only way to end a task in it."""
        if self._pipe is not None:
            os.kill(self._pipe.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let the runner go."""
        if self._pipe is not None:
            pipe, self._pipe = self._pipe, None
            pipe.close()
            pipe.process.kill()
            pipe.process.wait()

    def _hand_over(self) -> None:
        if not self._waiting or len(self._handed) > HANDED_MAX // 2:
            return
        tasks = [self._waiting.popleft() for _ in range(min(len(self._waiting), HANDED_MAX - len(self._handed)))]
        self._handed.extend(tasks)
        frame = WorkResponse(assignments=[task.assignment for task in tasks])
        self._runner().send(ASSIGNMENTS + frame.SerializeToString())

    def _runner(self) -> Connected:
        if self._pipe is None:
            self._kept.count[0] = 0
            self._kept.clear()
            self._heard = 0
            started = Started(MODULE, [str(self._kept_file), self._sources], self._paths, [self._kept_file])
            self._pipe = Connected(started, self._events.inline_frames, self._on_closed)
            if self._configuration:
                self._pipe.send(self._configuration)
        return self._pipe

    def _on_closed(self) -> None:
        if self._pipe is None:
            return
        pipe, self._pipe = self._pipe, None
        status = pipe.process.wait()
        if untold := self._kept.untold().SerializeToString():
            self._events.inline_frames([RESULTS + untold])
        begun = min(len(self._handed), self._kept.count[0] - self._heard)
        ran = [self._handed.popleft() for _ in range(begun)]
        self._waiting.extendleft(reversed(self._handed))
        self._handed.clear()
        self._events.inline_died(ran[-1] if ran else None, ran[:-1], status)
        self._stillborn = 0 if ran else self._stillborn + 1
        if self._stillborn >= STILLBORN_MAX:
            self._events.inline_unable(list(self._waiting), status)
            self._waiting.clear()
        self._hand_over()
