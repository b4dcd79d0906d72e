"""What the server and a plugin's process say to each other: JSON objects, each behind its length. No pickles."""

from __future__ import annotations

import json
import struct
from typing import Any

LENGTH = struct.Struct(">I")
FRAME_BYTES_MAX = 1024 * 1024


class BadFrame(ValueError):
    """What came is no frame of ours."""


def pack(message: dict[str, Any]) -> bytes:
    """A frame. Raises BadFrame for a message that is too large, or that JSON cannot hold."""
    try:
        body = json.dumps(message, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise BadFrame(str(error)) from error
    if len(body) > FRAME_BYTES_MAX:
        raise BadFrame(f"a message of {len(body)} bytes, at most {FRAME_BYTES_MAX}")
    return LENGTH.pack(len(body)) + body


def length_of(head: bytes) -> int:
    """Bytes of the body that follows. Raises BadFrame."""
    (length,) = LENGTH.unpack(head)
    if length > FRAME_BYTES_MAX:
        raise BadFrame(f"a message of {length} bytes, at most {FRAME_BYTES_MAX}")
    return int(length)


def unpack(body: bytes) -> dict[str, Any]:
    """The message of a frame's body, its texts as Postgres can hold them. Raises BadFrame."""
    try:
        message = _storable(json.loads(body))
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"no JSON: {error}") from error
    if not isinstance(message, dict):
        raise BadFrame(f"{type(message).__name__}, expected an object")
    return message


def _storable(value: Any) -> Any:
    """Without NUL and halves of characters, which JSON can name."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_storable(each) for each in value]
    return {_storable(name): _storable(each) for name, each in value.items()} if isinstance(value, dict) else value
