"""The forkservers, seen from the stream process: one for all bodies, and one apart for each that may be poison.

A body can kill the forkserver that made it, and with it all others. Whose doing it was cannot be told, so all of them
are handed back, and remembered: when one comes again it gets a forkserver of its own. If that one dies too, its body
was alone in it, and is at fault; the others are safe from it, and come to their ends.

An exclusive body that would have to end at once, because nobody could renew the lease for a while, is kept back until
the lease is renewed: the server gives work as soon as it has renewed, the worker hears of that a heartbeat later.
"""

from __future__ import annotations

import marshal
import signal
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from glidepath.worker import processes
from glidepath.worker.crash_points import reach
from glidepath.worker.forkserver import CANCELLED
from glidepath.worker.leases import boottime
from glidepath.worker.subprocesses import Connected, Started

MODULE = "glidepath.worker.forkserver"
STILLBORN_MAX = 3
SUSPECTS_MAX = 1000
TREES_GONE_SECONDS = 2.0
# What a lease must have left over and above the grace; a registration is refused when renewals in time leave less.
LEASE_LEFT_SECONDS = 2.0


class ForkEvents(Protocol):
    """What the forkservers tell, by the key of the attempt."""

    def fork_started(self, key: int, pid: int, started: float) -> None: ...
    def fork_refused(self, key: int, problem: str) -> None: ...
    def fork_log(self, key: int, entries: Sequence[tuple[float, str, str]]) -> None: ...
    def fork_progress(self, key: int, progress: Mapping[str, Any]) -> None: ...
    def fork_ask(self, key: int, frame: bytes) -> None: ...
    def fork_ended(self, key: int, report: Mapping[str, Any]) -> None: ...
    def forks_died(self, keys: Sequence[int], alone: bool) -> None: ...


class Forks:
    """Commands to the forkservers. The one for all is started again when it dies."""

    def __init__(self, started: Started, paths: Sequence[str], events: ForkEvents) -> None:
        self._paths = paths
        self._files = started.files
        self._events = events
        self._configuration: tuple[Any, ...] | None = None
        self._lease_end: float | None = None
        self._closing = False
        self._heard = False
        self._stillborn = 0
        self._names: dict[int, str] = {}
        self._suspects: dict[str, None] = {}
        self._kept_back: dict[int, tuple[str, Mapping[str, Any], bytes]] = {}
        self._apart: dict[int, Connected] = {}
        self._leaving: list[Connected] = []
        self._pipe = Connected(started, self._on_frames, self._on_closed)

    @property
    def pid(self) -> int:
        """Process id of the forkserver for all."""
        return self._pipe.process.pid

    def start(self, key: int, name: str, options: Mapping[str, Any], spec: bytes) -> None:
        """Fork a body, at once or when the lease allows it. `options`: timeout, grace (seconds), memory_bytes_max
        (0: none), exclusive.

        `name` is equal for all attempts of a task instance.
        """
        if options["exclusive"] and not self._has_left(options["grace"] + LEASE_LEFT_SECONDS):
            self._kept_back[key] = (name, options, spec)
            return
        reach("body.before_start")
        self._names[key] = name
        if name in self._suspects:
            self._apart[key] = self._start_apart(key)
        self._tell_its(key, "start", key, options, spec)

    def cancel(self, key: int, grace: float) -> None:
        """End a body's tree."""
        if self._kept_back.pop(key, None) is not None:
            self._events.fork_ended(key, _never_began())
        else:
            self._tell_its(key, "cancel", key, grace)

    def answer(self, key: int, answer: bytes) -> None:
        """Answer what a body asked."""
        self._tell_its(key, "answer", key, answer)

    def renew(self, lease_end: float) -> None:
        """Exclusive bodies may live until this instant of the boot clock."""
        self._lease_end = lease_end
        for pipe in (self._pipe, *self._apart.values()):
            _tell(pipe, "renew", lease_end)
        kept_back, self._kept_back = self._kept_back, {}
        for key, body in kept_back.items():
            self.start(key, *body)

    def _has_left(self, seconds: float) -> bool:
        return self._lease_end is None or self._lease_end - boottime() >= seconds

    def configure(self, inline_bytes_max: int, artifact_bytes_max: int, spool: str) -> None:
        """Limits of outputs, for bodies forked from now on."""
        self._configuration = ("configure", inline_bytes_max, artifact_bytes_max, spool)
        _tell(self._pipe, *self._configuration)

    def close(self) -> None:
        """End every tree and let the forkservers go; waits for them."""
        self._closing = True
        pipes = [self._pipe, *self._apart.values(), *self._leaving]
        for pipe in pipes:
            pipe.close()
        for pipe in pipes:
            pipe.process.wait()

    def _tell_its(self, key: int, *command: Any) -> None:
        _tell(self._apart.get(key, self._pipe), *command)

    def _on_frames(self, frames: list[bytes]) -> None:
        self._heard = True
        self._hear(frames)

    def _hear(self, frames: list[bytes]) -> None:
        for frame in frames:
            kind, key, *arguments = marshal.loads(frame)
            if kind in ("ended", "refused"):
                self._over(key)
            getattr(self._events, f"fork_{kind}")(key, *arguments)

    def _over(self, key: int) -> None:
        self._suspects.pop(self._names.pop(key, ""), None)
        pipe = self._apart.pop(key, None)
        if pipe is not None:
            pipe.close()  # it leaves once everything that its body left behind has ended
            self._leaving = [each for each in (*self._leaving, pipe) if each.process.poll() is None]

    # ------------------------------------------------------------------ starting them, and their deaths

    def _start_apart(self, key: int) -> Connected:
        return self._set_up(Connected(self._fresh(), self._hear, partial(self._on_closed_apart, key)))

    def _fresh(self) -> Started:
        return Started(MODULE, [], self._paths, self._files)

    def _set_up(self, pipe: Connected) -> Connected:
        """Tell a new one what those before it were told."""
        if self._configuration:
            _tell(pipe, *self._configuration)
        if self._lease_end is not None:
            _tell(pipe, "renew", self._lease_end)
        return pipe

    def _on_closed_apart(self, key: int) -> None:
        pipe = self._apart.pop(key, None)
        if pipe is not None and not self._closing:
            pipe.process.wait()
            _end_marked(pipe.mark)
            self._names.pop(key, None)  # its name stays suspect
            self._events.forks_died([key], True)

    def _on_closed(self) -> None:
        if self._closing:
            return
        status = self._pipe.process.wait()
        self._stillborn = self._stillborn + 1 if not self._heard else 0
        if self._stillborn >= STILLBORN_MAX:
            raise SystemExit(f"worker: the forkserver does not start (it ended with {status}); see its words above")
        _end_marked(self._pipe.mark)
        died = [key for key in self._names if key not in self._apart]
        for key in died:
            self._suspects[self._names.pop(key)] = None
        while len(self._suspects) > SUSPECTS_MAX:
            del self._suspects[next(iter(self._suspects))]
        self._heard = False
        self._pipe = self._set_up(Connected(self._fresh(), self._on_frames, self._on_closed))
        self._events.forks_died(died, False)


def _tell(pipe: Connected, *command: Any) -> None:
    pipe.send(marshal.dumps(command))


def _never_began() -> Mapping[str, Any]:
    """What a forkserver would report of a body that was cancelled before it began."""
    now = time.time()
    told = {"status": 0, "cause": CANCELLED, "end": b"", "end_after_cause": False, "printed": None}
    return {**told, "started": now, "ended": now}


def _end_marked(mark: str) -> None:
    """End what a dead forkserver's bodies had started: it has lost its judge. The mark is in whatever they started.

    Back when it is gone, since exclusive tasks may begin elsewhere once their end is told; what cannot be ended (it
    hangs in the kernel) is waited for no longer than this worker can be without a heartbeat.
    """
    deadline = time.monotonic() + TREES_GONE_SECONDS
    while (found := processes.marked(mark)) and time.monotonic() < deadline:
        processes.signal_all(found, signal.SIGKILL)
        time.sleep(0.005)
