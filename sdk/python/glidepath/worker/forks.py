"""The forkserver, seen from the stream process."""

from __future__ import annotations

import marshal
import signal
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from glidepath.worker import processes
from glidepath.worker.subprocesses import Connected, Started

MODULE = "glidepath.worker.forkserver"
STILLBORN_MAX = 3


class ForkEvents(Protocol):
    """What the forkserver tells, by the key of the attempt."""

    def fork_started(self, key: int, pid: int, started: float) -> None: ...
    def fork_refused(self, key: int, problem: str) -> None: ...
    def fork_log(self, key: int, entries: Sequence[tuple[float, str, str]]) -> None: ...
    def fork_progress(self, key: int, progress: Mapping[str, Any]) -> None: ...
    def fork_ask(self, key: int, frame: bytes) -> None: ...
    def fork_ended(self, key: int, report: Mapping[str, Any]) -> None: ...
    def forks_died(self) -> None: ...


class Forks:
    """Commands to the forkserver; a new one is started when it dies."""

    def __init__(self, started: Started, paths: Sequence[str], events: ForkEvents) -> None:
        self._paths = paths
        self._files = started.files
        self._events = events
        self._configuration: tuple[Any, ...] | None = None
        self._closing = False
        self._heard = False
        self._stillborn = 0
        self._pipe = Connected(started, self._on_frames, self._on_closed)

    @property
    def pid(self) -> int:
        """Process id of the forkserver."""
        return self._pipe.process.pid

    def start(self, key: int, options: Mapping[str, Any], spec: bytes) -> None:
        """Fork a body. `options`: timeout, grace (seconds), memory_bytes_max (0: none), exclusive."""
        self._tell("start", key, options, spec)

    def cancel(self, key: int, grace: float) -> None:
        """End a body's tree."""
        self._tell("cancel", key, grace)

    def answer(self, key: int, answer: bytes) -> None:
        """Answer what a body asked."""
        self._tell("answer", key, answer)

    def renew(self, lease_end: float) -> None:
        """Exclusive bodies may live until this instant of the boot clock."""
        self._tell("renew", lease_end)

    def configure(self, inline_bytes_max: int, artifact_bytes_max: int, spool: str) -> None:
        """Limits of outputs, for bodies forked from now on."""
        self._configuration = ("configure", inline_bytes_max, artifact_bytes_max, spool)
        self._tell(*self._configuration)

    def close(self) -> None:
        """End every tree and let the forkserver go; waits for it."""
        self._closing = True
        self._pipe.close()
        self._pipe.process.wait()

    def _tell(self, *command: Any) -> None:
        self._pipe.send(marshal.dumps(command))

    def _on_frames(self, frames: list[bytes]) -> None:
        self._heard = True
        for frame in frames:
            kind, *arguments = marshal.loads(frame)
            getattr(self._events, f"fork_{kind}")(*arguments)

    def _on_closed(self) -> None:
        if self._closing:
            return
        status = self._pipe.process.wait()
        self._stillborn = self._stillborn + 1 if not self._heard else 0
        if self._stillborn >= STILLBORN_MAX:
            raise SystemExit(f"worker: the forkserver does not start (it ended with {status}); see its words above")
        # Its bodies died with it; what they had started has lost its judge. The mark is in whatever they started.
        processes.signal_all(processes.marked(self._pipe.mark), signal.SIGKILL)
        self._heard = False
        self._pipe = Connected(Started(MODULE, [], self._paths, self._files), self._on_frames, self._on_closed)
        if self._configuration:
            self._tell(*self._configuration)
        self._events.forks_died()
