"""What workers send and fetch beside results: logs, progress, artifacts, sources."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from ..core.events import AttemptKey
from ..core.matching import Offer
from .database import Connection
from .sessions import offer_of
from .sql import statements

_SQL = statements("worker_feed")
CHUNK_BYTES = 256 * 1024
CHUNKS_AT_A_TIME = 16


async def put_logs(connection: Connection, rows: Sequence[tuple[AttemptKey, int, str]], namespace: str) -> None:
    """(attempt, sequence number, entries as JSON) each; of runs outside the namespace, nothing. "*": all."""
    keys = _keys([row[0] for row in rows])
    await connection.execute(_SQL["put_logs"], *keys, [row[1] for row in rows], [row[2] for row in rows], namespace)


async def put_progress(
    connection: Connection, progress: Mapping[AttemptKey, tuple[float, str, bytes]], namespace: str
) -> None:
    """Percent, note and checkpoint (empty: the stored one stays) by attempt. Of attempts that are not live, or of runs
    outside the namespace ("*": all), nothing."""
    words = [list(column) for column in zip(*progress.values(), strict=True)]
    await connection.execute(_SQL["put_progress"], *_keys(list(progress)), *words, namespace)


async def is_live(connection: Connection, key: AttemptKey) -> bool:
    return bool(await connection.fetchval(_SQL["is_live"], *key))


async def artifact(connection: Connection, namespace: str, sha256: str) -> tuple[str, int] | None:
    """(content type, size in bytes) of a stored artifact."""
    row = await connection.fetchrow(_SQL["artifact"], namespace, sha256)
    return (row["content_type"], row["size_bytes"]) if row is not None else None


async def put_artifact(
    connection: Connection,
    namespace: str,
    sha256: str,
    content_type: str,
    size_bytes: int,
    parts: AsyncIterator[list[bytes]],
) -> None:
    """Store an artifact under its digest, `parts` of chunks of CHUNK_BYTES after the other; one that is there stays."""
    if not await connection.fetchval(_SQL["put_artifact"], namespace, sha256, content_type, size_bytes):
        return
    first = 0
    async for part in parts:
        indexes = list(range(first, first + len(part)))
        await connection.execute(_SQL["put_artifact_chunks"], namespace, sha256, indexes, part)
        first += len(part)


async def artifact_chunk(connection: Connection, namespace: str, sha256: str, index: int) -> bytes | None:
    chunk: bytes | None = await connection.fetchval(_SQL["artifact_chunk"], namespace, sha256, index)
    return chunk


async def source_part(connection: Connection, namespace: str, content_hash: str, start: int) -> bytes | None:
    """At most CHUNK_BYTES of an archive from `start` on, fewer at its end; None when there is no such archive."""
    part: bytes | None = await connection.fetchval(_SQL["source_part"], namespace, content_hash, start, CHUNK_BYTES)
    return part


async def session(connection: Connection, session_id: UUID) -> tuple[Any, Offer] | None:
    """The row of a session and what its worker offers."""
    row = await connection.fetchrow(_SQL["session"], session_id)
    if row is None:
        return None
    return row, offer_of(row)


def _keys(keys: Sequence[AttemptKey]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*keys, strict=True))
