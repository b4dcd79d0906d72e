"""Logs and progress of one stream on their way to the store.

A worker that logs faster than the database writes is held back: `put` waits while more than `BYTES_PENDING_MAX` are on
their way, and with it the reading of that worker's stream, and no other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable

import structlog

from glidepath_proto.worker.v1 import task_pb2
from glidepath_proto.worker.v1 import worker_service_pb2 as pb

from ..core.events import AttemptKey
from ..core.task_token import unseal
from ..store import worker_feed
from ..store.database import Database, transaction
from .convert_worker import log_entries_in
from .worker_stream import Session

BYTES_PENDING_MAX = 8 * 1024 * 1024
# What a chunk, or an attempt's progress, takes of memory beside its own bytes, about.
ITEM_WEIGHT_BYTES = 200
CHECKPOINT_BYTES_MAX = 64 * 1024
TRIES_MAX = 3

log = structlog.get_logger()


class Feed:
    """Writes in the background, one transaction at a time, acknowledging logs after the commit."""

    def __init__(self, database: Database, session: Session | None) -> None:
        self._database, self._session = database, session
        self._logs: list[tuple[AttemptKey, int, str, bytes]] = []
        self._progress: dict[tuple[object, ...], tuple[AttemptKey, float, str, bytes]] = {}
        self._bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self.acks: list[pb.LogAck] = []

    async def put(
        self, progress: Iterable[task_pb2.Progress], chunks: Iterable[task_pb2.LogChunk], secret: bytes
    ) -> None:
        """Take what the worker sent; waits while too much is on its way. Tokens that nobody sealed are dropped."""
        for chunk in chunks:
            key = unseal(chunk.task_token, secret)
            if key is not None:
                entries = json.dumps(log_entries_in(chunk))
                self._bytes += len(entries) + ITEM_WEIGHT_BYTES
                self._logs.append((key, chunk.sequence_number, entries, chunk.task_token))
        for each in progress:
            key = unseal(each.task_token, secret)
            if key is not None:
                note = each.note.replace("\0", "")[:1000]
                self._progress[key[:3]] = (key, each.percent, note, each.checkpoint[:CHECKPOINT_BYTES_MAX])
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        if self._bytes > BYTES_PENDING_MAX:
            await asyncio.wait({self._writing})

    async def close(self) -> None:
        """Write what is left."""
        if self._writing is not None:
            await asyncio.wait({self._writing})

    async def _write(self) -> None:
        while self._logs or self._progress:
            logs, self._logs, self._bytes = self._logs, [], 0
            progress, self._progress = self._progress, {}
            try:
                async with transaction(self._database.worker, "feed") as connection:
                    if logs:
                        await worker_feed.put_logs(connection, [each[:3] for each in logs])
                    if progress:
                        await worker_feed.put_progress(connection, list(progress.values()))
            except Exception as error:
                # Not acknowledged: the worker keeps what it has and sends it again after its next hello.
                log.warning("feed_failed", error=repr(error))
                return
            self._acknowledge(logs)

    def _acknowledge(self, logs: list[tuple[AttemptKey, int, str, bytes]]) -> None:
        for _, number, _, token in logs:
            if self._session is not None:
                self._session.outgoing.acknowledge_log(token, number)
            else:
                self.acks.append(pb.LogAck(task_token=token, sequence_number=number))
