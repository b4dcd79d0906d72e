"""The process that forks bodies and owns their trees. One thread, few imports, no network, no user code.

Authoritative for: which bodies are alive, when they are ended (timeout, cancel, memory, lease), and what they printed.
The stream process is authoritative for everything else and reaches this one over a single socket.

What may go wrong, and what then:

- The stream process dies: the socket closes. Every tree is ended (TERM, 2 s, KILL), then this process leaves. A worker
  that is killed therefore leaves no body behind that nobody would hear from.
- The stream process hangs: nothing renews the lease, so exclusive attempts are ended in time by `_watch_leases`; the
  others go on, which is what their lease mode asks for.
- This process dies: bodies are killed by the kernel (parent death signal), what they had started is ended by the
  stream process, which hands the attempts back and starts another forkserver (see `forks`).
- A body leaves processes behind: they become children of this process when its leader ends, and are ended. The end of
  an exclusive, cancelled or timed out attempt is not reported before they are gone; for other attempts the report
  does not wait, since nobody counts on their absence.
- A body writes faster than the stream process takes: its pipes are not read, so it waits in `write`.
"""

from __future__ import annotations

import gc
import heapq
import marshal
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar

from glidepath.worker import child, leftovers, processes
from glidepath.worker.body import OutputLimits
from glidepath.worker.forking import Attempt, Fork, rehearse
from glidepath.worker.loading import Loader, warm_up
from glidepath.worker.masking import Masker, secrets_of
from glidepath.worker.pipes import BrokenFrame, FrameReader, pack
from glidepath.worker.printing import prepare_bodies

READ_BYTES = 64 * 1024
LOG_DELAY_SECONDS = 0.05
LOG_CHUNK_CHARS = 128 * 1024
PROGRESS_DELAY_SECONDS = 0.2
MEMORY_CHECK_SECONDS = 0.1
LEASE_CHECK_SECONDS = 0.2
SCAN_SECONDS = 0.2
LEFTOVER_SECONDS = 0.05
LEFTOVER_GRACE_SECONDS = 2.0
ORPHANED_GRACE_SECONDS = 2.0
WATCH_SHARE = 20  # looking through all processes takes at most one part in so many of the time
TIMERS_SPARE_MAX = 1000
UNSENT_BYTES_MAX = 4 * 1024 * 1024

CANCELLED, TIMED_OUT, OUT_OF_MEMORY, LEASE_ENDED = "cancelled", "timed_out", "out_of_memory", "lease_ended"
"""Why this process ended a body; what its end is then called is for the stream process to say."""


class Forkserver:
    """See the module. `run` returns when the stream process is gone and every tree has ended."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock: socket.socket | None = sock
        self._reader = FrameReader()
        self._unsent = bytearray()
        self._attempts: dict[int, Attempt] = {}
        self._by_pid: dict[int, Attempt] = {}
        self._owner: dict[int, Attempt] = {}  # by file descriptor
        self._ready: list[Fork] = []
        self._paused: set[int] = set()
        self._timers: list[tuple[float, int, Callable[[], None], Attempt | None]] = []
        self._timer_count = 0
        self._leftovers: leftovers.Leftovers[Attempt] = leftovers.Leftovers()
        self._scan_due = False
        self._scan_pause = SCAN_SECONDS
        self._oom_kills = processes.kernel_out_of_memory_kills()
        self._watching = {"memory": False, "leases": False}
        self._lease_end = float("inf")
        self._masker = Masker(secrets_of(os.environ))
        self._loader = Loader(sys.path)
        self._limits = OutputLimits()
        self._epoll = select.epoll()
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._woken, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        sock.setblocking(False)
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._epoll.register(self._woken, select.EPOLLIN)

    # ------------------------------------------------------------------ the loop

    def run(self) -> None:
        """Serve until the stream process has gone and nothing is left."""
        while self._sock is not None or self._attempts or self._leftovers or self._scan_due:
            self._turn()

    def _turn(self) -> None:
        reap = False
        for descriptor, _ in self._epoll.poll(self._wait_seconds()):
            if descriptor == self._woken:
                os.read(self._woken, 4096)
                reap = True
            elif self._sock is not None and descriptor == self._sock.fileno():
                self._converse()
            elif descriptor in self._owner:
                self._hear(self._owner[descriptor], descriptor)
        if reap:
            self._reap()
        self._run_timers()
        self._flush()

    def _wait_seconds(self) -> float:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else -1

    def _after(self, seconds: float, action: Callable[[], None], only_for: Attempt | None = None) -> None:
        """Do something later, unless the attempt that it is for has ended by then."""
        self._timer_count += 1
        heapq.heappush(self._timers, (time.monotonic() + seconds, self._timer_count, action, only_for))
        if len(self._timers) > TIMERS_SPARE_MAX + 4 * len(self._attempts):
            self._timers = [timer for timer in self._timers if timer[3] is None or timer[3].status is None]
            heapq.heapify(self._timers)

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    # ------------------------------------------------------------------ the stream process

    def _converse(self) -> None:
        assert self._sock is not None
        try:
            data = self._sock.recv(1024 * 1024)
        except BlockingIOError:
            data = None
        except OSError:
            data = b""
        if data == b"":
            self._orphaned()
        elif data:
            for frame in self._reader.feed(data):
                kind, *arguments = marshal.loads(frame)
                self._COMMANDS[kind](self, *arguments)
            self._fork_all()

    def _send(self, *event: Any) -> None:
        if self._sock is not None:
            self._unsent += pack(marshal.dumps(event))

    def _flush(self) -> None:
        if self._sock is None or not self._unsent:
            return
        try:
            del self._unsent[: self._sock.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            return self._orphaned()
        events = select.EPOLLIN | (select.EPOLLOUT if self._unsent else 0)
        self._epoll.modify(self._sock.fileno(), events)
        if not self._unsent and self._paused:
            self._resume()

    def _orphaned(self) -> None:
        """The stream process is gone: nobody would hear of the bodies any more."""
        assert self._sock is not None
        self._epoll.unregister(self._sock.fileno())
        self._sock.close()
        self._sock = None
        self._unsent.clear()
        self._resume()
        for attempt in list(self._attempts.values()):
            self._end_tree(attempt, CANCELLED, min(attempt.grace, ORPHANED_GRACE_SECONDS))

    # ------------------------------------------------------------------ commands

    def _start(self, key: int, options: dict[str, Any], spec: bytes) -> None:
        attempt = Attempt(key, options, self._masker)
        try:
            self._ready.append(Fork(attempt, marshal.loads(spec), self._loader, self._masker, self._limits))
        except OSError as error:
            self._refuse(attempt, error)

    def _fork_all(self) -> None:
        ready, self._ready = self._ready, []
        forked = []
        for each in ready:
            try:
                each.fork()
                forked.append(each.attempt)
            except OSError as error:
                self._refuse(each.attempt, error)
        for attempt in forked:
            self._forked(attempt)

    def _refuse(self, attempt: Attempt, error: OSError) -> None:
        self._send("refused", attempt.key, f"no process could be made: {error}")

    def _forked(self, attempt: Attempt) -> None:
        self._attempts[attempt.key] = self._by_pid[attempt.pid] = attempt
        for descriptor in attempt.files:
            self._owner[descriptor] = attempt
            self._epoll.register(descriptor, select.EPOLLIN)
        self._send("started", attempt.key, attempt.pid, attempt.started)
        if attempt.timeout:
            self._after(attempt.timeout, lambda: self._end_tree(attempt, TIMED_OUT, attempt.grace), attempt)
        if attempt.memory_max:
            self._watch("memory", self._watch_memory)
        if attempt.exclusive:
            self._watch("leases", self._watch_leases)

    def _cancel(self, key: int, grace: float) -> None:
        self._fork_all()  # what is to be ended may be one of those
        if key in self._attempts:
            self._end_tree(self._attempts[key], CANCELLED, grace)

    def _answer(self, key: int, answer: bytes) -> None:
        attempt = self._attempts.get(key)
        if attempt is not None and attempt.control is not None:
            try:
                attempt.control.send(pack(answer))
            except OSError:
                pass  # it has ended, or does not listen

    def _renew(self, lease_end: float) -> None:
        self._lease_end = lease_end

    def _configure(self, inline_bytes_max: int, artifact_bytes_max: int, spool: str) -> None:
        self._limits = OutputLimits(inline_bytes_max, artifact_bytes_max, spool)

    _COMMANDS: ClassVar[dict[str, Callable[..., None]]] = {
        "start": _start,
        "cancel": _cancel,
        "answer": _answer,
        "renew": _renew,
        "configure": _configure,
    }

    # ------------------------------------------------------------------ what bodies write

    def _hear(self, attempt: Attempt, descriptor: int) -> None:
        stream = attempt.files.get(descriptor)
        if stream is None:
            return
        if stream == "control":
            self._hear_control(attempt)
        elif len(self._unsent) > UNSENT_BYTES_MAX:
            self._paused.add(descriptor)
            self._epoll.modify(descriptor, 0)
        else:
            self._hear_log(attempt, descriptor, stream)

    def _hear_log(self, attempt: Attempt, descriptor: int, stream: str) -> None:
        data = os.read(descriptor, READ_BYTES)
        if not data:
            return self._forget(attempt, descriptor)
        self._hear_control(attempt)  # a secret is registered there before it is printed here
        attempt.capture.feed(stream, data, time.time())
        if attempt.capture.chars > LOG_CHUNK_CHARS:
            self._send_log(attempt)
        elif not attempt.log_flush_due:
            attempt.log_flush_due = True
            self._after(LOG_DELAY_SECONDS, lambda: self._send_log(attempt))

    def _send_log(self, attempt: Attempt) -> None:
        attempt.log_flush_due = False
        entries = attempt.capture.take()
        if entries:
            self._send("log", attempt.key, entries)

    def _hear_control(self, attempt: Attempt) -> None:
        sock = attempt.control
        while sock is not None and sock.fileno() in attempt.files:
            try:
                data = sock.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                return self._forget(attempt, sock.fileno())
            try:
                for frame in attempt.control_reader.feed(data):
                    self._hear_message(attempt, frame)
            except (BrokenFrame, ValueError, KeyError, TypeError):
                return self._forget(attempt, sock.fileno())

    def _hear_message(self, attempt: Attempt, frame: bytes) -> None:
        header, _ = child.parse_message(frame)
        kind = header["kind"]
        if kind == "end":
            attempt.end = (frame, bool(attempt.cause))
        elif kind == "secret":
            attempt.capture.masker = attempt.capture.masker.with_more([str(header["value"])])
        elif kind == "shell":
            attempt.wants_output = str(header["output"])
        elif kind == "progress":
            if attempt.progress is None:
                self._after(PROGRESS_DELAY_SECONDS, lambda: self._send_progress(attempt))
            attempt.progress = {**(attempt.progress or {}), **header}  # a checkpoint stays until a newer one comes
        else:
            self._send("ask", attempt.key, frame)

    def _send_progress(self, attempt: Attempt) -> None:
        if attempt.progress is not None:
            self._send("progress", attempt.key, attempt.progress)
            attempt.progress = None

    def _resume(self) -> None:
        for descriptor in self._paused:
            if descriptor in self._owner:
                self._epoll.modify(descriptor, select.EPOLLIN)
        self._paused.clear()

    def _forget(self, attempt: Attempt, descriptor: int) -> None:
        """Close one way out of a body."""
        stream = attempt.files.pop(descriptor)
        del self._owner[descriptor]
        self._paused.discard(descriptor)
        self._epoll.unregister(descriptor)
        if stream == "control" and attempt.control is not None:
            attempt.control.close()
            attempt.control = None
        else:
            os.close(descriptor)

    # ------------------------------------------------------------------ ends

    def _end_tree(self, attempt: Attempt, cause: str, grace: float) -> None:
        """TERM now, KILL after `grace`. The first cause stands; a later, shorter grace holds."""
        if attempt.status is not None:
            return
        attempt.cause = attempt.cause or cause
        kill_at = time.monotonic() + grace
        if not attempt.kill_at:
            processes.signal_tree(attempt.pid, signal.SIGTERM if grace > 0 else signal.SIGKILL)
        elif kill_at >= attempt.kill_at:
            return
        attempt.kill_at = kill_at
        self._after(grace, lambda: self._kill(attempt), attempt)

    def _kill(self, attempt: Attempt) -> None:
        if attempt.status is None:
            processes.signal_tree(attempt.pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Report what has ended; what must not leave processes behind is reported when it has not."""
        ended = self._collect()
        waiting = [each for each in ended if each.exclusive or each.cause or processes.group_exists(each.pid)]
        for attempt in ended:
            if attempt not in waiting:
                self._report(attempt)
        if waiting:
            found = leftovers.find(self._by_pid)
            waiting += self._collect()  # a leader that has ended meanwhile may have left some of it
            self._leftovers.wait(waiting, found)
            grace = LEFTOVER_GRACE_SECONDS if not any(each.cause for each in waiting) else 0
            self._end_leftovers(found, max(time.monotonic() + grace, *(each.kill_at for each in waiting)))
        elif ended and not self._scan_due:
            self._scan_later(self._scan_pause)

    def _collect(self) -> list[Attempt]:
        """Bodies that have ended since the last call, with all that they wrote."""
        ended = []
        for pid, status in processes.exited():
            self._leftovers.reaped(pid)
            attempt = self._by_pid.pop(pid, None)
            if attempt is not None:
                attempt.status = status
                self._drain(attempt)
                ended.append(attempt)
        return ended

    def _drain(self, attempt: Attempt) -> None:
        """Read what the body wrote last. Whoever else holds its pipes does not keep them open."""
        self._hear_control(attempt)
        for descriptor, stream in list(attempt.files.items()):
            if stream != "control":
                os.set_blocking(descriptor, False)
                try:
                    while data := os.read(descriptor, READ_BYTES):
                        attempt.capture.feed(stream, data, time.time())
                except BlockingIOError:
                    pass
            self._forget(attempt, descriptor)
        attempt.capture.finish(time.time())

    def _report(self, attempt: Attempt) -> None:
        self._send_progress(attempt)
        self._send_log(attempt)
        assert attempt.status is not None
        end, after_cause = attempt.end or (b"", False)
        self._send(
            "ended",
            attempt.key,
            {
                "status": attempt.status,
                "cause": self._cause(attempt),
                "end": end,
                "end_after_cause": after_cause,
                "printed": attempt.promised_line(),
                "started": attempt.started,
                "ended": time.time(),
            },
        )
        del self._attempts[attempt.key]

    def _cause(self, attempt: Attempt) -> str:
        """A KILL that nobody here sent, while the kernel killed for want of memory, was the kernel's."""
        status = attempt.status or 0
        if attempt.cause or not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            return attempt.cause
        seen, self._oom_kills = self._oom_kills, processes.kernel_out_of_memory_kills()
        return OUT_OF_MEMORY if self._oom_kills > seen else ""

    # ------------------------------------------------------------------ what bodies leave behind

    def _scan_later(self, seconds: float) -> None:
        self._scan_due = True
        self._after(seconds, self._scan)

    def _scan(self) -> None:
        self._scan_due = False
        began = time.monotonic()
        found = leftovers.find(self._by_pid)
        self._scan_pause = max(SCAN_SECONDS, WATCH_SHARE * (time.monotonic() - began))
        self._end_leftovers(found, time.monotonic() + LEFTOVER_GRACE_SECONDS)

    def _end_leftovers(self, found: set[int], kill_at: float) -> None:
        self._leftovers.end(found, time.monotonic(), kill_at)
        for attempt in self._leftovers.released():
            self._report(attempt)
        if self._leftovers and not self._scan_due:
            self._scan_later(LEFTOVER_SECONDS)

    # ------------------------------------------------------------------ watches

    def _watch(self, name: str, check: Callable[[], bool]) -> None:
        """Run a check again and again as long as it says that there is something to watch."""
        if self._watching[name]:
            return
        self._watching[name] = True
        seconds = MEMORY_CHECK_SECONDS if name == "memory" else LEASE_CHECK_SECONDS

        def turn() -> None:
            began = time.monotonic()
            self._watching[name] = check()
            if self._watching[name]:
                self._after(max(seconds, WATCH_SHARE * (time.monotonic() - began)), turn)

        self._after(seconds if name == "memory" else 0, turn)

    def _watch_memory(self) -> bool:
        watched = [attempt for attempt in self._by_pid.values() if attempt.memory_max]
        table = processes.children_by_parent() if watched else {}
        for attempt in watched:
            tree = [attempt.pid, *processes.descendants(attempt.pid, table)]
            if processes.memory_bytes(tree) > attempt.memory_max:
                self._end_tree(attempt, OUT_OF_MEMORY, 0)
        return bool(watched)

    def _watch_leases(self) -> bool:
        """Exclusive bodies are gone a second before their lease ends. The clock counts time in suspend."""
        left = self._lease_end - time.clock_gettime(time.CLOCK_BOOTTIME)
        watched = [attempt for attempt in self._by_pid.values() if attempt.exclusive]
        for attempt in watched:
            if left <= attempt.grace + 1:
                self._end_tree(attempt, LEASE_ENDED, min(attempt.grace, max(0.0, left - 1)))
        return bool(watched)


def main() -> None:
    """Entry of the process: the socket's descriptor is the argument."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    processes.adopt_orphans()
    prepare_bodies()
    sys.path[:] = [path for path in sys.argv[2].split(os.pathsep) if path]
    warm_up(sys.path)
    rehearse(Masker())
    server = Forkserver(socket.socket(fileno=int(sys.argv[1])))
    gc.collect()
    gc.disable()
    gc.freeze()
    server.run()


if __name__ == "__main__":
    main()
