"""How long history is kept, and in which months it lies.

What runs leave (attempts, events, outputs, logs, ...) lies in partitions by the run's id, and an id begins with the
time of its making (RFC 9562, version 7): so a span of time is a span of ids, and history is dropped by whole months.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
LEAD, LATEST = timedelta(days=10), timedelta(days=1)
"""A partition is closed in this span before its month ends: while no id of the next month has been made."""


def first_id(instant: datetime) -> UUID:
    """The least id that carries an instant or a later one."""
    return UUID(int=(instant - _EPOCH) // _MILLISECOND << 80)


def time_of(value: UUID) -> datetime:
    """The time that an id begins with."""
    return _EPOCH + (value.int >> 80) * _MILLISECOND


@dataclass(frozen=True, slots=True)
class Span:
    """What a partition holds: runs made from `begin` on, before `end`. None: since ever, without end."""

    begin: datetime | None
    end: datetime | None


def month_of(instant: datetime) -> datetime:
    """The first instant of the month, in UTC."""
    return instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def to_close(open_since: datetime | None, now: datetime) -> datetime | None:
    """Where the open partition is to end now; None: not yet, or the moment has been missed and it takes in one month
    more. It never ends in the past or soon, where ids may have been made already."""
    end = month_of(now + LEAD)
    return end if end > now + LATEST and (open_since is None or open_since < end) else None


def cutoff(now: datetime, retention_days: int) -> datetime:
    """Runs that ended before are forgotten, once all of their month may be."""
    return now - timedelta(days=retention_days)


def is_past(span: Span, before: datetime) -> bool:
    """Whether a partition holds runs only that were made before."""
    return span.end is not None and span.end <= before
