"""Local time and instants: where a wall-clock time lies in UTC when the clocks of a zone jump.

Instants are datetimes in UTC, local times are datetimes without a zone. The rules of zones are those of zoneinfo
(PEP 495): the system's, or those of the package tzdata.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

LAST_YEAR = 9000
"""Beyond it there are no ticks: sums with datetimes end at year 9999."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,3}")
# Files beside the zones that name no zone, and copies of all zones that count leap seconds.
_NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})
_COPIES = ("posix/", "right/")
# Longer than any jump of a clock: a zone that changes sides of the date line jumps by a day.
_JUMP = timedelta(hours=25)


def load_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises ValueError for any other."""
    if not _NAME.fullmatch(name) or name in _NO_ZONES or name.startswith(_COPIES):
        raise ValueError(f"{name!r} is no zone")
    try:
        return ZoneInfo(name)
    except (OSError, KeyError, ValueError):
        raise ValueError(f"{name!r} is no zone") from None


@dataclass(frozen=True, slots=True)
class Places:
    """Where a local time lies: once, twice (`second`), or not at all (`missing`, and `first` ends the gap)."""

    first: datetime
    second: datetime | None = None
    missing: bool = False


def places(local: datetime, zone: ZoneInfo) -> Places:
    """The instants at which the clocks of a zone show this local time."""
    aware = local.replace(tzinfo=zone)
    before, after = aware.utcoffset(), aware.replace(fold=1).utcoffset()
    assert before is not None and after is not None
    in_utc = local.replace(tzinfo=UTC)
    if before == after:
        return Places(in_utc - before)
    if before > after:
        return Places(in_utc - before, second=in_utc - after)
    return Places(_jump(in_utc - after, in_utc - before, zone), missing=True)


def wall(instant: datetime, zone: ZoneInfo) -> datetime:
    """What the clocks of a zone show at an instant."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def first_wall(instant: datetime, zone: ZoneInfo) -> datetime:
    """The least local time that the clocks still show after an instant; they may be about to go back."""
    back = _offset(instant, zone) - _offset(instant + _JUMP, zone)
    return wall(instant, zone) - max(back, timedelta(0))


def day_begins(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local day."""
    return places(datetime.combine(day, time()), zone).first


@lru_cache(maxsize=512)
def _jump(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which the clocks go forward, to the second; it lies between the two."""
    offset = _offset(before, zone)
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(before + timedelta(seconds=middle), zone) == offset:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset
