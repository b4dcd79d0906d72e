"""Times as people write them for a range: "2026-01-31" and "2026-01-31T06:00" are local in the zone of its dates."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

_DATE_CHARACTERS = len("2026-01-31")
_EXPECTED = "write 2026-01-31, 2026-01-31T06:00 (local in the zone) or 2026-01-31T06:00Z"


class LocalMoment(click.ParamType[str]):
    """ISO 8601. Without an offset it is local in a zone that is known later only: see `instant`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time; {_EXPECTED}", param, ctx)
        return str(value)


def zone_of(name: str) -> ZoneInfo:
    """UTC where the name is none: the server says better what is wrong with it."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def instant(text: str, zone: ZoneInfo, *, now: datetime | None = None) -> str:
    """The instant that a time means, as ISO 8601 in UTC.

    With `now` it is the end of a range: a date alone means all of that day, of today what has passed by `now`.
    """
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            found = found.replace(tzinfo=zone)
        found = found.astimezone(UTC)
        if now is None or len(text) != _DATE_CHARACTERS:
            return found.isoformat()
        next_day = date.fromisoformat(text) + timedelta(days=1)
        last = datetime(next_day.year, next_day.month, next_day.day, tzinfo=zone).astimezone(UTC)
        last -= timedelta(microseconds=1)
        return (now if found <= now <= last else last).isoformat()
    except OverflowError:
        raise click.UsageError(f"{text!r}: expected a year from 1970 to 2199") from None


def local_text(found: datetime, zone: ZoneInfo) -> str:
    """ "2026-01-31 02:00 IST"."""
    return f"{found.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def exact_local_text(found: datetime, zone: ZoneInfo) -> str:
    """ "2026-01-31 02:00:00+05:30 IST": an hour that occurs twice is told apart."""
    there = found.astimezone(zone)
    return f"{there.isoformat(' ', 'seconds')} {there:%Z}"
