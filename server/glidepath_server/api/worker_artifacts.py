"""Artifacts on their way in, and what workers fetch: artifacts and registered sources.

The name of an artifact is its digest, which is known at its end. Until then it lies in a spool of this replica, on disk
beyond its first bytes: a slow worker holds neither memory nor a transaction. What all uploads together may have in the
spool is bounded; one that finds no room is told to come again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile

from ..core.errors import LimitExceeded, NotFound, Unavailable
from ..store import worker_feed
from ..store.database import Database, transaction
from .convert_worker import clean

# The largest artifacts for which there is room in the spool at a time.
LARGEST_UPLOADS_MAX = 4
MESSAGE_BYTES_MAX = 1024 * 1024
MEMORY_BYTES_MAX = 64 * 1024


class Artifacts:
    """Bytes by namespace and digest. `bytes_max` is the size of one artifact."""

    def __init__(self, database: Database, bytes_max: int) -> None:
        self._database, self.bytes_max = database, bytes_max
        self.spooled_bytes, self.spooled_bytes_max = 0, LARGEST_UPLOADS_MAX * bytes_max

    @contextmanager
    def upload(self) -> Iterator[Upload]:
        """An upload, to be filled and stored; it leaves the spool at the end."""
        with SpooledTemporaryFile(max_size=MEMORY_BYTES_MAX) as file:
            upload = Upload(self, file)
            try:
                yield upload
            finally:
                self.reserve(-upload.size)

    def reserve(self, count: int) -> None:
        """Room in the spool, given back by a negative count. Raises Unavailable."""
        if self.spooled_bytes + count > self.spooled_bytes_max:
            raise Unavailable(
                f"uploads under way have {self.spooled_bytes} bytes, at most {self.spooled_bytes_max} are taken at a "
                "time",
                hint="try again when some have ended",
            )
        self.spooled_bytes += count

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
        """The archive of registered source. Raises NotFound."""
        async with self._database.worker.acquire() as connection:
            archive = await worker_feed.source_bundle(connection, namespace, clean(content_hash))
        if archive is None:
            raise NotFound(
                f"there is no source {content_hash[:80]!r} in namespace {namespace}",
                hint="register the DAG version with its source",
            )
        for start in range(0, len(archive) or 1, worker_feed.CHUNK_BYTES):
            yield archive[start : start + worker_feed.CHUNK_BYTES]


class Upload:
    """One artifact that is arriving."""

    def __init__(self, artifacts: Artifacts, file: SpooledTemporaryFile[bytes]) -> None:
        self._artifacts, self._file = artifacts, file
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
        self._artifacts.reserve(len(chunk))
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
