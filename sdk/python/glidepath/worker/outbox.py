"""What waits to be written to the stream. While one write is in flight the next frame gathers here.

Nothing here is the only copy of anything: results are in the journal, log chunks in the log store, and what was
accepted or started is told again by the next hello. So the outbox is emptied when a stream ends and filled anew.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable

from glidepath.worker.logs import LogStore
from glidepath.worker.results import timestamp
from glidepath_proto.worker.v1.task_pb2 import Progress
from glidepath_proto.worker.v1.worker_service_pb2 import Credit, HeartbeatEcho, WorkRequest

FRAME_BYTES = 512 * 1024
SLOTS = "slots"


class Outbox:
    """Frames for the server. `waiting` is set while there is something to write."""

    def __init__(self, logs: LogStore) -> None:
        self.waiting = asyncio.Event()
        self._logs = logs
        self._empty()

    def clear(self) -> None:
        """A new stream: what was gathered for the old one has no meaning there; the log is sent again."""
        self._empty()
        self._logs.rewind()
        if self._logs.waiting:
            self.waiting.set()

    def results(self, batch: WorkRequest, size: int, credits_back: int) -> None:
        """A batch of results, of `size` bytes, and the credits that come free with them."""
        if self._bytes and self._bytes + size > FRAME_BYTES:
            self._full.append(self._seal())
        self._frame.results.extend(batch.results)
        self._bytes += size
        self.credit(credits_back)

    def credit(self, amount: int) -> None:
        """The server may assign this many more."""
        self._credits += amount
        self.waiting.set()

    def accepted(self, tokens: Iterable[bytes]) -> None:
        """These are in the worker's hands."""
        self._frame.accepted_task_tokens.extend(tokens)
        self._touched = True
        self.waiting.set()

    def started(self, token: bytes) -> None:
        """User code of this attempt runs."""
        self._frame.started_task_tokens.append(token)
        self._touched = True
        self.waiting.set()

    def progress(self, progress: Progress) -> None:
        """The newest word of an attempt on how far it is; a checkpoint stays until a newer one comes."""
        earlier = self._progress.get(progress.task_token)
        if earlier is not None and not progress.checkpoint:
            progress.checkpoint = earlier.checkpoint
        self._progress[progress.task_token] = progress
        self.waiting.set()

    def log(self) -> None:
        """There is something new in the log store."""
        self.waiting.set()

    def echo(self, nonce: bytes) -> None:
        """Answer the server's heartbeat; goes out with the next frame."""
        self._echo = nonce
        self.waiting.set()

    def draining(self) -> None:
        """Ask for no more assignments."""
        self._frame.draining = self._touched = True
        self.waiting.set()

    @property
    def pressing(self) -> bool:
        """Whether a whole frame waits, so that nothing is gained by letting more gather."""
        return bool(self._full)

    def take(self) -> WorkRequest | None:
        """The next frame to write, None when nothing waits."""
        if not self.waiting.is_set():
            return None
        frame = self._full.popleft() if self._full else self._seal()
        if self._echo:
            frame.heartbeat.CopyFrom(HeartbeatEcho(nonce=self._echo, host_time=timestamp(time.time())))
            self._echo = b""
        if self._logs.waiting:
            frame.log_chunks.extend(self._logs.take(FRAME_BYTES))
        if not (self._full or self._bytes or self._touched or self._credits or self._progress or self._logs.waiting):
            self.waiting.clear()
        return frame

    def _empty(self) -> None:
        self._full: deque[WorkRequest] = deque()
        self._frame = WorkRequest()
        self._bytes = 0
        self._touched = False
        self._credits = 0
        self._progress: dict[bytes, Progress] = {}
        self._echo = b""
        self.waiting.clear()

    def _seal(self) -> WorkRequest:
        """Close the frame that gathers: credits ride with the results that freed them."""
        frame, self._frame, self._bytes, self._touched = self._frame, WorkRequest(), 0, False
        if self._credits:
            frame.credits.append(Credit(resource=SLOTS, amount=self._credits))
            self._credits = 0
        if self._progress:
            frame.progress.extend(self._progress.values())
            self._progress.clear()
        return frame
