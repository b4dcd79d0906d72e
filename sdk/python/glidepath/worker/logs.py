"""Log chunks between a body and the server: numbered, kept until acknowledged, never without bound.

The server is authoritative on what it has stored: it acknowledges by number and drops what it has twice. When more
waits than may (the link is down or slow), the oldest chunk goes first, and a line that says how many lines went takes
its place: the end of a log is worth more than its beginning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from glidepath_proto.worker.v1.task_pb2 import LogChunk, LogEntry

CHUNK_BYTES_MAX = 256 * 1024
ATTEMPT_BYTES_MAX = 2 * 1024 * 1024
TOTAL_BYTES_MAX = 16 * 1024 * 1024
TAIL_BYTES_MAX = 64 * 1024


class AttemptLog:
    """Chunks of one attempt that the server has not acknowledged; the first `sent` of them were sent."""

    def __init__(self, token: bytes) -> None:
        self.token = token
        self.next_number = 0
        self.chunks: deque[tuple[LogChunk, int]] = deque()
        self.bytes = 0
        self.sent = 0
        self.lines_dropped = 0
        self.ended = False


class LogStore:
    """The unacknowledged log of all attempts of this worker."""

    def __init__(self) -> None:
        self._logs: dict[bytes, AttemptLog] = {}
        self._unsent: dict[bytes, AttemptLog] = {}
        self.bytes = 0

    def add(self, token: bytes, entries: Sequence[tuple[float, str, str]]) -> None:
        """Number new entries and queue them."""
        log = self._log(token)
        for part in _cut(entries):
            chunk = LogChunk(task_token=token, sequence_number=log.next_number)
            chunk.entries.extend(_entry(*entry) for entry in part)
            self.adopt(chunk)

    def adopt(self, chunk: LogChunk) -> None:
        """Queue a chunk that has its number."""
        log = self._log(chunk.task_token)
        log.next_number = max(log.next_number, chunk.sequence_number + 1)
        size = chunk.ByteSize()
        log.chunks.append((chunk, size))
        log.bytes += size
        self.bytes += size
        self._unsent[log.token] = log
        while log.bytes > ATTEMPT_BYTES_MAX and len(log.chunks) > 1:
            self._drop(log)
        while self.bytes > TOTAL_BYTES_MAX:
            self._drop(max(self._logs.values(), key=lambda each: each.bytes))

    @property
    def waiting(self) -> bool:
        """Whether there is something to send."""
        return bool(self._unsent)

    def take(self, bytes_max: int) -> list[LogChunk]:
        """Chunks to send now, attempts in turn, about `bytes_max` in all."""
        taken: list[LogChunk] = []
        while self._unsent and bytes_max > 0:
            token, log = next(iter(self._unsent.items()))
            del self._unsent[token]
            if log.sent >= len(log.chunks):
                continue
            chunk, size = log.chunks[log.sent]
            if log.lines_dropped:
                _say_dropped(chunk, log.lines_dropped)
                log.lines_dropped = 0
            log.sent += 1
            bytes_max -= size
            taken.append(chunk)
            if log.sent < len(log.chunks):
                self._unsent[token] = log
        return taken

    def rewind(self) -> None:
        """A new stream: everything unacknowledged is to be sent again."""
        for log in self._logs.values():
            log.sent = 0
        self._unsent = {token: log for token, log in self._logs.items() if log.chunks}

    def acknowledge(self, token: bytes, number: int) -> None:
        """The server has everything up to and with this number."""
        log = self._logs.get(token)
        if log is None:
            return
        while log.chunks and log.chunks[0][0].sequence_number <= number:
            self._forget_first(log)
        self._let_go(log)

    def end(self, token: bytes) -> None:
        """The attempt's result was answered: what waits is sent once more and goes with its acknowledgement."""
        log = self._logs.get(token)
        if log is not None:
            log.ended = True
            self._let_go(log)

    def tail(self, token: bytes) -> list[LogChunk]:
        """The last unacknowledged chunks of an attempt, for the journal."""
        log = self._logs.get(token)
        tail: list[LogChunk] = []
        size = 0
        for chunk, chunk_size in reversed(log.chunks if log else ()):
            size += chunk_size
            if size > TAIL_BYTES_MAX:
                break
            tail.insert(0, chunk)
        return tail

    def _log(self, token: bytes) -> AttemptLog:
        return self._logs.get(token) or self._logs.setdefault(token, AttemptLog(token))

    def _drop(self, log: AttemptLog) -> None:
        was_sent = log.sent > 0
        chunk = self._forget_first(log)
        if not was_sent:
            log.lines_dropped += len(chunk.entries)
        self._let_go(log)

    def _forget_first(self, log: AttemptLog) -> LogChunk:
        chunk, size = log.chunks.popleft()
        log.bytes -= size
        self.bytes -= size
        log.sent = max(0, log.sent - 1)
        return chunk

    def _let_go(self, log: AttemptLog) -> None:
        if log.ended and not log.chunks:
            self._logs.pop(log.token, None)
            self._unsent.pop(log.token, None)


def _say_dropped(chunk: LogChunk, lines: int) -> None:
    text = f"[glidepath] {lines} earlier lines were dropped: more waited to be sent than a worker keeps"
    chunk.entries.insert(0, _entry(chunk.entries[0].time.seconds, "stderr", text))


def _cut(entries: Sequence[tuple[float, str, str]]) -> Iterator[list[tuple[float, str, str]]]:
    part: list[tuple[float, str, str]] = []
    size = 0
    for entry in entries:
        entry_size = len(entry[2].encode(errors="replace")) + 32
        if part and size + entry_size > CHUNK_BYTES_MAX:
            yield part
            part, size = [], 0
        part.append(entry)
        size += entry_size
    if part:
        yield part


def _entry(time: float, stream: str, text: str) -> LogEntry:
    seconds = int(time)
    return LogEntry(time=Timestamp(seconds=seconds, nanos=int((time - seconds) * 1e9)), stream=stream, text=text)
