"""Task tokens: an attempt's key, sealed. Opaque to workers; valid while the attempt's live row exists, by no clock.

Layout: run id (16 bytes), task index, map index, attempt number (4 bytes each, big-endian, signed), and the first 16
bytes of HMAC-SHA-256 over these under a key that all replicas share.
"""

from __future__ import annotations

import hmac
import struct
from uuid import UUID

from .events import AttemptKey

_LAYOUT = struct.Struct(">16siii")
_SEAL_BYTES = 16
TOKEN_BYTES = _LAYOUT.size + _SEAL_BYTES


def seal(key: AttemptKey, secret: bytes) -> bytes:
    """The token of an attempt; `key.dag_run_id` is a UUID."""
    body = _LAYOUT.pack(key.dag_run_id.bytes, key.task, key.map_index, key.attempt_number)
    return body + hmac.digest(secret, body, "sha256")[:_SEAL_BYTES]


def unseal(token: bytes, secret: bytes) -> AttemptKey | None:
    """The attempt that a token names, None for a token that nobody sealed."""
    if len(token) != TOKEN_BYTES:
        return None
    body = token[: _LAYOUT.size]
    if not hmac.compare_digest(hmac.digest(secret, body, "sha256")[:_SEAL_BYTES], token[_LAYOUT.size :]):
        return None
    run, task, map_index, attempt_number = _LAYOUT.unpack(body)
    return AttemptKey(UUID(bytes=run), task, map_index, attempt_number)
