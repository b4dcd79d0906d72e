"""Frames on the sockets between the processes of one worker: four bytes of length, then the payload.

Both ends are always the same release on the same machine. What the forkserver and the stream process tell each other
is `marshal` (both are ours); what comes from a body is JSON, because a body runs code that we did not write.
"""

from __future__ import annotations

import struct
from typing import Protocol

_LENGTH = struct.Struct("<I")
FRAME_BYTES_MAX = 64 * 1024 * 1024


class BrokenFrame(Exception):
    """The other end wrote something that is no frame; the connection is of no use any more."""


def pack(payload: bytes) -> bytes:
    """One frame as it goes over the socket."""
    return _LENGTH.pack(len(payload)) + payload


class FrameReader:
    """Cuts what arrives into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete with `data`. BrokenFrame when one claims to be too long."""
        buffer = self._buffer
        buffer += data
        frames: list[bytes] = []
        start = 0
        while len(buffer) - start >= 4:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > FRAME_BYTES_MAX:
                raise BrokenFrame(f"a frame of {length} bytes, over the limit of {FRAME_BYTES_MAX}")
            if len(buffer) - start - 4 < length:
                break
            frames.append(bytes(buffer[start + 4 : start + 4 + length]))
            start += 4 + length
        if start:
            del buffer[:start]
        return frames


class Receives(Protocol):
    """A socket that is read until a whole frame is there."""

    def recv(self, size: int, /) -> bytes: ...


def read_frame(sock: Receives) -> bytes | None:
    """The next frame of a blocking socket, None when the other end is closed."""
    header = _read_exactly(sock, 4)
    return None if header is None else _read_exactly(sock, _LENGTH.unpack(header)[0])


def _read_exactly(sock: Receives, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        part = sock.recv(min(size, 1024 * 1024))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
