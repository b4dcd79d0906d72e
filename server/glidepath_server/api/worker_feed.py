"""Logs and progress of one worker on their way to the store.

A worker that logs faster than the database writes is held back: `put` waits while more than `BYTES_PENDING_MAX` are on
their way, and with it the reading of that worker's stream, and no other. A database that is away is waited for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from glidepath_proto.worker.v1 import task_pb2

from ..clock import utc_now
from ..core.events import AttemptKey
from ..core.task_token import unseal
from ..store import worker_feed
from ..store.database import Database, is_retryable, transaction
from .convert_common import invalid
from .convert_worker import clean, log_entries_in

BYTES_PENDING_MAX = 8 * 1024 * 1024
# What a chunk, or an attempt's progress, takes of memory beside its own bytes, about.
ITEM_WEIGHT_BYTES = 200
PAUSES_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
# Sequence numbers below 0 are the server's: a line that it adds to an attempt's log, once.
CHECKPOINT_REFUSED = -1

log = structlog.get_logger()


@dataclass(slots=True)
class Batch:
    """What is written in one transaction: chunks with what acknowledges them, and the newest word of each attempt."""

    chunks: list[tuple[AttemptKey, int, str]] = field(default_factory=list)
    tokens: list[tuple[bytes, int]] = field(default_factory=list)
    progress: dict[AttemptKey, tuple[float, str, bytes]] = field(default_factory=dict)
    size: int = 0

    def add(self, key: AttemptKey, sequence_number: int, entries: str) -> None:
        self.chunks.append((key, sequence_number, entries))
        self.size += len(entries) + ITEM_WEIGHT_BYTES

    def move(self, key: AttemptKey, percent: float, note: str, checkpoint: bytes) -> None:
        """A word without a checkpoint leaves the last one as it is."""
        earlier = self.progress.get(key)
        if earlier is not None:
            checkpoint = checkpoint or earlier[2]
            self.size -= _weight(*earlier)
        self.progress[key] = (percent, note, checkpoint)
        self.size += _weight(percent, note, checkpoint)


class Feed:
    """Writes in the background, one transaction at a time, what belongs to the namespace ("*": all); after the commit
    `acknowledge` gets each chunk's token and number."""

    def __init__(
        self, database: Database, namespace: str, checkpoint_bytes_max: int, acknowledge: Callable[[bytes, int], None]
    ) -> None:
        self._database, self._namespace, self._acknowledge = database, namespace, acknowledge
        self._checkpoint_bytes_max = checkpoint_bytes_max
        self._batch = Batch()
        self._on_its_way = Batch()
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def put(
        self, progress: Iterable[task_pb2.Progress], chunks: Iterable[task_pb2.LogChunk], secret: bytes
    ) -> None:
        """Take what the worker sent; waits while too much is on its way. Tokens that nobody sealed are dropped."""
        for chunk in chunks:
            if chunk.sequence_number < 0:
                raise invalid("log_chunks.sequence_number", str(chunk.sequence_number), "0 or more")
            key = unseal(chunk.task_token, secret)
            if key is not None:
                self._batch.add(key, chunk.sequence_number, json.dumps(log_entries_in(chunk)))
                self._batch.tokens.append((chunk.task_token, chunk.sequence_number))
        for each in progress:
            key = unseal(each.task_token, secret)
            if key is not None:
                percent = min(max(0.0, each.percent), 100.0)  # no number is 0, too
                self._batch.move(key, percent, clean(each.note, 1000), self._checkpoint(key, each.checkpoint))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        if self._batch.size > BYTES_PENDING_MAX:
            await asyncio.wait({self._writing})

    def checkpoint_on_its_way(self, key: AttemptKey) -> bytes:
        """What the attempt has left but no commit has stored yet; empty when there is nothing.

        A report that ends the attempt takes it along: afterwards there is no live row that it could be stored of.
        """
        words = (batch.progress[key] for batch in (self._batch, self._on_its_way) if key in batch.progress)
        return next((checkpoint for _, _, checkpoint in words if checkpoint), b"")

    async def close(self) -> None:
        """Write what is left, if the database is there."""
        self._closing.set()
        if self._writing is not None:
            await asyncio.wait({self._writing})

    def _checkpoint(self, key: AttemptKey, checkpoint: bytes) -> bytes:
        """The checkpoint, or none when it is over the limit: a part of one would be worse. The log says so."""
        if len(checkpoint) <= self._checkpoint_bytes_max:
            return checkpoint
        text = (
            f"a checkpoint of {len(checkpoint)} bytes was not stored, at most {self._checkpoint_bytes_max} are: the "
            "last one that fits stays; store large state as an artifact and its URI in the checkpoint"
        )
        self._batch.add(key, CHECKPOINT_REFUSED, json.dumps([[utc_now().timestamp(), "WARNING", text]]))
        return b""

    async def _write(self) -> None:
        while self._batch.size:
            batch = self._on_its_way = self._batch
            self._batch = Batch()
            if not await self._store(batch):
                return
            for token, sequence_number in batch.tokens:
                self._acknowledge(token, sequence_number)
        self._on_its_way = Batch()

    async def _store(self, batch: Batch) -> bool:
        """True once nothing more is owed for it. False when the feed closes without it: the worker, which was not
        answered, sends it again after its next hello."""
        failures = 0
        while True:
            try:
                async with transaction(self._database.worker, "feed") as connection:
                    if batch.chunks:
                        await worker_feed.put_logs(connection, batch.chunks, self._namespace)
                    if batch.progress:
                        await worker_feed.put_progress(connection, batch.progress, self._namespace)
                return True
            except Exception as error:
                if not is_retryable(error):
                    # It would be refused for ever, and come back with every hello: rather a gap in the log.
                    log.exception("feed_dropped", count=len(batch.chunks))
                    return True
                log.warning("feed_retried", error=repr(error))
                if self._closing.is_set():
                    return False
            await self._pause(PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS) - 1)])
            failures += 1

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            pass


def _weight(_percent: float, note: str, checkpoint: bytes) -> int:
    return len(note) + len(checkpoint) + ITEM_WEIGHT_BYTES
