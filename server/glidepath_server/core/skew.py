"""How far a host's clock is from the database's. For people to see: no decision is made by a host's clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

# Apart by less than this is as good as equal.
NOTED_SECONDS = 0.1


class HostReading(NamedTuple):
    """A wall clock that a host has told. It was read between two instants of our own monotonic clock, in seconds:
    when we asked and when the answer was here."""

    host_time: datetime
    asked_at: float
    heard_at: float


class ClockOffset(NamedTuple):
    """The database's clock minus the host's; what is true lies within `bound_seconds` of it either way."""

    seconds: float
    bound_seconds: float

    def tells_more_than(self, known: ClockOffset | None) -> bool:
        """Whether it is worth writing down, where `known` stands there already."""
        if known is None:
            return True
        apart = abs(self.seconds - known.seconds)
        return apart > self.bound_seconds + NOTED_SECONDS or self.bound_seconds < known.bound_seconds / 2


def offset_of(reading: HostReading, database_time: datetime, asked_at: float, heard_at: float) -> ClockOffset:
    """From a host's reading and one of the database that was asked for after it: each was made at an unknown instant
    between question and answer."""
    oldest, youngest = heard_at - reading.asked_at, max(0.0, asked_at - reading.heard_at)
    age = timedelta(seconds=(oldest + youngest) / 2)
    return ClockOffset((database_time - age - reading.host_time).total_seconds(), (oldest - youngest) / 2)
