"""Results on disk until the server has acknowledged them.

A result is written here before it is sent and forgotten when its acknowledgement comes. The server is authoritative on
what became of an attempt; the journal only makes sure that it hears of it. What survives what:

- This process is killed, crashes, is upgraded: everything written. A write() is in the kernel's hands at once, so no
  fsync is needed for it, and there is one write per batch of results.
- The machine loses power: what has been on disk for `SYNC_AFTER_SECONDS`. A result that is acknowledged sooner, which
  is the rule while there is a connection, never waits for the disk at all; the server then has it in its own log.
  Losing a younger one costs a repeated attempt, as losing the machine a moment earlier would have.
- The disk is full, or the journal: the result stays in memory, is sent all the same, and the worker asks for no more
  work while the journal is over its limit.

Format: segments `results-<number>.journal` of records: length, CRC-32, a WorkRequest with results (and the last log
lines). A torn record at the end is where a crash was; reading stops there. Acknowledgements are not written: a segment
goes when nothing in it is wanted any more, so after a crash some results are sent twice and answered DUPLICATE.
"""

from __future__ import annotations

import logging
import os
import struct
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from glidepath.worker.disk import sync_folder
from glidepath_proto.worker.v1.worker_service_pb2 import WorkRequest

SEGMENT_BYTES = 1024 * 1024
JOURNAL_BYTES_MAX = 64 * 1024 * 1024
RESULTS_MAX = 30_000  # a hello lists them all and must stay under the limit of a message
SYNC_AFTER_SECONDS = 0.5
_HEADER = struct.Struct("<II")

logger = logging.getLogger(__name__)


class _Segment:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.wanted: set[bytes] = set()
        self.unsynced_since: float | None = None

    def unsynced_for(self, now: float) -> float:
        return 0.0 if self.unsynced_since is None else now - self.unsynced_since


class Journal:
    """The journal in `folder`. `token in journal` tells whether a result waits for its acknowledgement."""

    def __init__(self, folder: Path, bytes_max: int = JOURNAL_BYTES_MAX) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        self._folder = folder
        self._bytes_max = bytes_max
        self._place: dict[bytes, _Segment] = {}
        self._in_memory: dict[bytes, WorkRequest] = {}
        self._segments: list[_Segment] = []
        for path in sorted(folder.glob("results-*.journal")):
            self._recover(path)
        self._active, self._file = self._open_segment()

    def __contains__(self, token: bytes) -> bool:
        return token in self._place or token in self._in_memory

    def __len__(self) -> int:
        return len(self._place) + len(self._in_memory)

    @property
    def full(self) -> bool:
        """Whether the worker should take nothing new until results are acknowledged."""
        if self._in_memory or len(self._place) >= RESULTS_MAX:
            return True
        return sum(segment.size for segment in self._segments) >= self._bytes_max

    def tokens(self) -> list[bytes]:
        """Attempts whose results wait."""
        return [*self._place, *self._in_memory]

    def append(self, record: bytes, tokens: Collection[bytes], now: float) -> None:
        """Keep a serialised WorkRequest whose results belong to `tokens`. Never raises for the disk's sake."""
        try:
            self._write(record)
        except OSError as error:
            logger.error("journal: %s cannot be written (%s); results wait in memory", self._active.path, error)
            request = WorkRequest.FromString(record)
            self._in_memory.update((token, _only(request, {token})) for token in tokens)
            return
        self._place.update(dict.fromkeys(tokens, self._active))
        self._active.wanted.update(tokens)
        if self._active.unsynced_since is None:
            self._active.unsynced_since = now
        if self._active.size >= SEGMENT_BYTES:
            self._rotate()

    def forget(self, token: bytes) -> None:
        """The server has answered for this result."""
        self._in_memory.pop(token, None)
        segment = self._place.pop(token, None)
        if segment is None:
            return
        segment.wanted.discard(token)
        if not segment.wanted and segment is not self._active:
            self._remove(segment)

    def tidy(self, now: float) -> list[Path]:
        """Drop what nobody wants. The segments that have waited for long and belong on the disk: see `sync`."""
        if not self._active.wanted and self._active.size:
            os.ftruncate(self._file, 0)
            self._active.size, self._active.unsynced_since = 0, None
        late = [each for each in self._segments if each.wanted and each.unsynced_for(now) >= SYNC_AFTER_SECONDS]
        for segment in late:
            segment.unsynced_since = None
        return [segment.path for segment in late]

    def pending(self) -> Iterator[WorkRequest]:
        """What was not acknowledged, in the order it was written."""
        for segment in list(self._segments):
            for record in _read_records(segment.path):
                request = _only(WorkRequest.FromString(record), segment.wanted)
                if request.results:
                    yield request
        yield from list(self._in_memory.values())

    def close(self) -> None:
        """Bring everything to disk and close."""
        sync(self.tidy(float("inf")))
        os.close(self._file)
        if not self._active.size:
            self._active.path.unlink(missing_ok=True)

    def _write(self, record: bytes) -> None:
        data = _HEADER.pack(len(record), zlib.crc32(record)) + record
        try:
            written = os.write(self._file, data)
            if written != len(data):
                raise OSError(f"only {written} of {len(data)} bytes could be written")
        except OSError:
            os.ftruncate(self._file, self._active.size)
            raise
        self._active.size += len(data)

    def _open_segment(self) -> tuple[_Segment, int]:
        last = max((int(segment.path.stem.rpartition("-")[2]) for segment in self._segments), default=0)
        segment = _Segment(self._folder / f"results-{last + 1:08}.journal")
        file = os.open(segment.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._segments.append(segment)
        return segment, file

    def _rotate(self) -> None:
        full, file = self._active, self._file
        try:
            self._active, self._file = self._open_segment()
        except OSError as error:
            logger.error("journal: no new segment can be made (%s); %s goes on growing", error, full.path)
            return
        os.close(file)
        if not full.wanted:
            self._remove(full)

    def _remove(self, segment: _Segment) -> None:
        self._segments.remove(segment)
        segment.path.unlink(missing_ok=True)

    def _recover(self, path: Path) -> None:
        segment = _Segment(path)
        for record in _read_records(path):
            segment.size += _HEADER.size + len(record)
            segment.wanted.update(result.task_token for result in WorkRequest.FromString(record).results)
        if not segment.wanted:
            path.unlink(missing_ok=True)
            return
        self._segments.append(segment)
        self._place.update(dict.fromkeys(segment.wanted, segment))


def sync(paths: Iterable[Path]) -> None:
    """Bring segments and their names to the disk; waits for it, so not in the stream's own thread. A disk that refuses
    is logged."""
    for path in paths:
        try:
            _sync(path)
        except FileNotFoundError:
            continue  # nothing in it is wanted any more
        except (
            OSError
        ) as error:  # the results are in memory of the kernel, and on their way to the server, all the same
            logger.error("journal: %s may not survive a loss of power (%s)", path, error)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def _read_records(path: Path) -> Iterator[bytes]:
    """Whole records from the beginning; a torn one ends the segment."""
    with open(path, "rb") as file:
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            length, checksum = _HEADER.unpack(header)
            record = file.read(length) if length <= JOURNAL_BYTES_MAX else b""
            if len(record) != length or zlib.crc32(record) != checksum:
                logger.warning("journal: %s ends in a torn record; what was before it is kept", path)
                return
            yield record


def _only(request: WorkRequest, tokens: Collection[bytes]) -> WorkRequest:
    return WorkRequest(
        results=[each for each in request.results if each.task_token in tokens],
        log_chunks=[each for each in request.log_chunks if each.task_token in tokens],
    )
