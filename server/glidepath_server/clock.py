"""The only place that asks this host for the time, and the only one that draws randomness and ids.

Host time is for durations (`monotonic`) and log lines. Whatever is compared between processes (leases, ticks, expiry)
is judged by the database's clock, `glidepath_now()`; ids are made from that time too, so it is passed in.
"""

from __future__ import annotations

import base64
import secrets
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

monotonic = time.monotonic
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# An id has 74 bits beside its time: they start at random with the top bit clear and grow by random steps.
_TAIL_BITS = 74
_STEP_BITS = 32
# Set back by less than this, the clock is waited out by counting on; by more (a test, an operator), ids follow it.
_SETBACK_MILLISECONDS_MAX = 10_000


def utc_now() -> datetime:
    """This host's idea of the time. Never compare it with a time of the database."""
    return datetime.now(UTC)


def token_secret() -> str:
    """256 random bits as 52 characters of lowercase base32."""
    return _base32(secrets.token_bytes(32))


def token_name() -> str:
    """80 random bits as 16 characters of lowercase base32: enough to name something, not to guard it."""
    return _base32(secrets.token_bytes(10))


def key_bytes() -> bytes:
    """A new 256-bit key."""
    return secrets.token_bytes(32)


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


class _Ids:
    """The last id given out, so that the next is greater."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._milliseconds = -1
        self._tail = 0

    def take(self, now: datetime, count: int) -> list[UUID]:
        milliseconds = (now - _EPOCH) // _MILLISECOND
        with self._lock:
            if not 0 <= self._milliseconds - milliseconds <= _SETBACK_MILLISECONDS_MAX:
                self._start(milliseconds)
            return [self._next() for _ in range(count)]

    def _start(self, milliseconds: int) -> None:
        self._milliseconds, self._tail = milliseconds, secrets.randbits(_TAIL_BITS - 1)

    def _next(self) -> UUID:
        self._tail += 1 + secrets.randbits(_STEP_BITS)
        if self._tail >> _TAIL_BITS:
            self._start(self._milliseconds + 1)
        head, rest = self._tail >> 62, self._tail & ((1 << 62) - 1)
        return UUID(int=self._milliseconds << 80 | 0x7 << 76 | head << 64 | 0b10 << 62 | rest)


_ids = _Ids()


def uuid7(now: datetime) -> UUID:
    """A new id (RFC 9562, version 7) that carries `now` to the millisecond and is greater than this process's last."""
    return _ids.take(now, 1)[0]


def new_ids(now: datetime, count: int) -> list[UUID]:
    """`count` ids like `uuid7`, ascending."""
    return _ids.take(now, count)


def uuid7_time(value: UUID) -> datetime | None:
    """The time that a version 7 id carries; None for any other kind."""
    return _EPOCH + (value.int >> 80) * _MILLISECOND if value.version == 7 else None
