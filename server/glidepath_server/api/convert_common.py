"""Wire and core values that every service needs: times, ids, bodies of requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ..core.errors import InvalidInput, Violation

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_timestamp(value: datetime | None) -> Timestamp | None:
    """A time as protobuf has it; None stays None, which leaves the field unset in a message's constructor."""
    if value is None:
        return None
    since = value - EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def from_timestamp(message: Any, field: str) -> datetime | None:
    """The time in a message's field, in UTC; None when unset. Raises InvalidInput when it is no time."""
    if not message.HasField(field):
        return None
    value: Timestamp = getattr(message, field)
    try:
        if not 0 <= value.nanos < 1_000_000_000:
            raise OverflowError
        return EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
    except OverflowError:
        raise invalid(
            field, f"{value.seconds} s, {value.nanos} ns", "a time in the years 1 to 9999, nanos 0 to 999999999"
        ) from None


def to_uuid(field: str, text: str) -> UUID:
    """An id as the wire carries it. Raises InvalidInput."""
    try:
        return UUID(text)
    except ValueError:
        raise invalid(field, repr(text[:64]), "a UUID like 01890a5d-ac96-774b-bcce-b302099a8057") from None


def storable(text: str) -> str:
    """Postgres has no text with NUL, and so no name: what holds one is looked up as what it never equals."""
    return text.replace("\0", "\ufffd")


def body_of(request: Message) -> bytes:
    """What makes a repeated request the same request: its bytes, with maps in a fixed order."""
    return request.SerializeToString(deterministic=True)


def invalid(field: str, value: str, expected: str) -> InvalidInput:
    """An InvalidInput with one violation."""
    violation = Violation(field, value, expected)
    return InvalidInput(str(violation), violations=[violation])
