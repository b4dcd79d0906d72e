"""Artifacts on their way in, and what workers fetch: artifacts and registered sources.

The name of an artifact is its digest, which is known at its end. Until then it lies in a spool of this replica, on disk
beyond its first bytes: a slow worker holds neither memory nor a transaction. What the uploads of one token may have in
the spool is bounded, so that one caller which never ends its own keeps no other out, and so is what all may have
together; an upload that finds no room is told to come again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile

from ..core.errors import LimitExceeded, NotFound, Unavailable
from ..store import worker_feed
from ..store.database import Database, transaction
from .convert_worker import clean

# The largest artifacts for which there is room in the spool at a time: those of one token, those of all.
OWN_UPLOADS_MAX = 4
ALL_UPLOADS_MAX = 8
MESSAGE_BYTES_MAX = 1024 * 1024
MEMORY_BYTES_MAX = 64 * 1024


class Artifacts:
    """Bytes by namespace and digest. `bytes_max` is the size of one artifact."""

    def __init__(self, database: Database, bytes_max: int) -> None:
        self._database, self.bytes_max = database, bytes_max
        # Bytes in the spool by token; a token without any is not kept.
        self._spooled: Counter[str] = Counter()

    @property
    def spooled_bytes(self) -> int:
        return self._spooled.total()

    @contextmanager
    def upload(self, token_id: str) -> Iterator[Upload]:
        """An upload by this token, to be filled and stored; it leaves the spool at the end."""
        with SpooledTemporaryFile(max_size=MEMORY_BYTES_MAX) as file:
            upload = Upload(self, token_id, file)
            try:
                yield upload
            finally:
                self._give_back(token_id, upload.size)

    def reserve(self, token_id: str, count: int) -> None:
        """Room in the spool. Raises Unavailable."""
        own, every = self._spooled[token_id], self.spooled_bytes
        for whose, used, largest in (("of this token", own, OWN_UPLOADS_MAX), ("of all", every, ALL_UPLOADS_MAX)):
            if used + count > largest * self.bytes_max:
                raise Unavailable(
                    f"the uploads {whose} under way have {used} bytes, at most {largest * self.bytes_max} are taken at "
                    "a time",
                    hint="try again when some have ended",
                )
        self._spooled[token_id] += count

    def _give_back(self, token_id: str, count: int) -> None:
        self._spooled[token_id] -= count
        if not self._spooled[token_id]:
            del self._spooled[token_id]

    async def store(self, upload: Upload, namespace: str, content_type: str) -> str:
        """Make an upload an artifact; its digest. Storing the same bytes again changes nothing."""
        sha256 = upload.digest.hexdigest()
        async with transaction(self._database.worker, "artifact") as connection:
            await worker_feed.put_artifact(
                connection, namespace, sha256, clean(content_type, 200), upload.size, upload.parts()
            )
        return sha256

    async def read(self, namespace: str, uri: str) -> AsyncIterator[bytes]:
        """The bytes of `artifact:<sha256>`. Raises NotFound."""
        sha256 = clean(uri.removeprefix("artifact:"))
        async with self._database.worker.acquire() as connection:
            if await worker_feed.artifact(connection, namespace, sha256) is None:
                raise NotFound(f"there is no {uri[:100]!r} in namespace {namespace}")
        index = 0
        while True:
            async with self._database.worker.acquire() as connection:
                body = await worker_feed.artifact_chunk(connection, namespace, sha256, index)
            if body is None:
                return
            yield body
            index += 1

    async def read_source(self, namespace: str, content_hash: str) -> AsyncIterator[bytes]:
        """The archive of registered source, read as it is sent: a slow reader holds one part of it. Raises NotFound."""
        start = 0
        while True:
            async with self._database.worker.acquire() as connection:
                part = await worker_feed.source_part(connection, namespace, clean(content_hash), start)
            if part is None:
                raise NotFound(
                    f"there is no source {content_hash[:80]!r} in namespace {namespace}",
                    hint="register the DAG version with its source",
                )
            if part or not start:
                yield part
            start += len(part)
            if len(part) < worker_feed.CHUNK_BYTES:
                return


class Upload:
    """One artifact that is arriving."""

    def __init__(self, artifacts: Artifacts, token_id: str, file: SpooledTemporaryFile[bytes]) -> None:
        self._artifacts, self._token_id, self._file = artifacts, token_id, file
        self.digest, self.size = hashlib.sha256(), 0

    async def add(self, chunk: bytes) -> None:
        """The next bytes. Raises LimitExceeded for a message or an artifact that is too large, Unavailable for want of
        room."""
        if len(chunk) > MESSAGE_BYTES_MAX:
            raise LimitExceeded(
                f"a message has {len(chunk)} bytes of the artifact, at most {MESSAGE_BYTES_MAX} are taken",
                hint="send it in smaller chunks",
            )
        if self.size + len(chunk) > self._artifacts.bytes_max:
            raise LimitExceeded(
                f"the artifact has more than {self._artifacts.bytes_max} bytes",
                hint="store it elsewhere and return its URI",
            )
        self._artifacts.reserve(self._token_id, len(chunk))
        self.size += len(chunk)
        # In a thread, which ends before the file is closed: a slow disk delays this upload and nothing else.
        writing = asyncio.ensure_future(asyncio.to_thread(self._write, chunk))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing})
            raise
        except OSError as error:
            raise Unavailable(
                f"the server has no room for the upload on its disk: {error}", hint="try again when it has"
            ) from error

    def _write(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        self._file.write(chunk)

    async def parts(self) -> AsyncIterator[list[bytes]]:
        """The bytes in chunks of the store, some at a time; an empty artifact has one empty chunk."""
        self._file.seek(0)
        empty = self.size == 0
        while part := await asyncio.to_thread(self._read_part):
            yield part
        if empty:
            yield [b""]

    def _read_part(self) -> list[bytes]:
        chunks = (self._file.read(worker_feed.CHUNK_BYTES) for _ in range(worker_feed.CHUNKS_AT_A_TIME))
        return [chunk for chunk in chunks if chunk]
