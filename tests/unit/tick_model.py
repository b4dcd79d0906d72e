"""A second model of ticks, written for its simplicity: it walks over every minute of UTC and looks at the clock.

It shares no code with the product and asks zoneinfo only what the clock shows at an instant, never where a local time
lies. A minute that the clock shows for the second time is a second pass; minutes that it leaves out are a gap.
"""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


class Expression:
    """What a cron expression says of a local minute, for the grammar that the tests use."""

    def __init__(self, text: str) -> None:
        minute, hour, self.day, month, self.weekday = text.lower().split()
        self.minutes = _numbers(minute, 0, 59, [])
        self.hours = _numbers(hour, 0, 23, [])
        self.months = _numbers(month, 1, 12, MONTHS)
        self.every_hour = self.hours == set(range(24))
        self.both_passes = "*" in hour or "/" in hour or self.every_hour
        self.day_matches = lru_cache(maxsize=100_000)(self._day_matches)

    def matches(self, local: datetime) -> bool:
        return local.minute in self.minutes and local.hour in self.hours and self.day_matches(local.date())

    def _day_matches(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        of_month = any(self._is_day(part, day) for part in self.day.split(","))
        of_week = any(self._is_weekday(part, day) for part in self.weekday.split(","))
        if "*" in (self.day, self.weekday):
            return of_month and of_week
        return of_month or of_week

    @staticmethod
    def _is_day(part: str, day: date) -> bool:
        last = monthrange(day.year, day.month)[1]
        return day.day == last if part == "l" else day.day in _numbers(part, 1, 31, [])

    @staticmethod
    def _is_weekday(part: str, day: date) -> bool:
        number = (day.weekday() + 1) % 7
        if part.startswith("l"):
            return number == int(part[1:]) % 7 and (day + timedelta(days=7)).month != day.month
        if "#" in part:
            name, nth = part.split("#")
            return number in _numbers(name, 0, 7, DAYS) and (day.day + 6) // 7 == int(nth)
        return number in {each % 7 for each in _numbers(part, 0, 7, DAYS)}


def _numbers(field: str, least: int, most: int, names: list[str]) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            low, high = least, 6 if most == 7 else most
        else:
            first, _, last = span.partition("-")
            low = names.index(first) + least if first in names else int(first)
            high = (names.index(last) + least if last in names else int(last)) if last else most if step else low
        found |= set(range(low, high + 1, int(step or 1)))
    return found


@dataclass
class Window:
    """A stretch of UTC minutes and what the clock of a zone shows in each, from before its begin to after its end."""

    begin: datetime
    end: datetime
    shown: list[tuple[datetime, datetime]]


def window(zone: str, begin: datetime, end: datetime) -> Window:
    """With a day and two hours on both sides: no clock is set farther than that."""
    info, instant, shown = ZoneInfo(zone), begin - timedelta(hours=26), []
    while instant < end + timedelta(hours=26):
        shown.append((instant, instant.astimezone(info).replace(tzinfo=None)))
        instant += MINUTE
    return Window(begin, end, shown)


@dataclass
class Sightings:
    """When the local minutes of an expression were seen; and the ends of the gaps in which some were missed."""

    seen: dict[datetime, list[datetime]]
    missed: set[datetime]


def sightings(expression: Expression, stretch: Window) -> Sightings:
    found = Sightings(defaultdict(list), set())
    before: datetime | None = None
    for instant, local in stretch.shown:
        if expression.matches(local):
            found.seen[local].append(instant)
        while before is not None and before + MINUTE < local:
            before += MINUTE
            if expression.matches(before):
                found.missed.add(instant)
        before = local
    return found


def model_ticks(
    expression: Expression, stretch: Window, found: Sightings, gap: str, overlap: str
) -> list[tuple[datetime, bool]]:
    """The ticks from the begin of a window to its end, both counted, and whether each is skipped."""
    choose: Callable[[list[datetime]], list[datetime]] = {
        "first": lambda passes: passes[:1],
        "last": lambda passes: passes[-1:],
        "both": lambda passes: passes,
    }["both" if expression.both_passes else overlap]
    regular = {instant for passes in found.seen.values() for instant in choose(passes)}
    missed = set() if expression.every_hour else found.missed - regular
    all_ticks = [(each, False) for each in regular] + [(each, gap == "skip") for each in missed]
    return sorted(each for each in all_ticks if stretch.begin <= each[0] <= stretch.end)


def jumps(zone: str, first_year: int, last_year: int) -> list[datetime]:
    """The hours of UTC in which the clock of a zone is set; one hour of each year for a zone whose clock is not."""
    info, instant, found = ZoneInfo(zone), datetime(first_year, 1, 1, tzinfo=UTC), []
    end, offset = datetime(last_year + 1, 1, 1, tzinfo=UTC), None
    while instant < end:
        now = instant.astimezone(info).utcoffset()
        if offset is not None and now != offset:
            found.append(instant)
        offset = now
        instant += timedelta(hours=1)
    years = {each.year for each in found}
    return found + [datetime(year, 2, 28, tzinfo=UTC) for year in range(first_year, last_year + 1) if year not in years]
