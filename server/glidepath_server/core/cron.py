"""Cron expressions: which local times they name. The only module that imports croniter.

croniter reads the expression and finds the days; it never sees a zone. The times of a day are the hours and minutes
of the expression, and where they lie in UTC is for `local_times` to say.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import takewhile

from croniter import croniter

CHARACTERS_MAX = 200
YEARS_MAX = 8
"""From one leap day to the next around the year 2100."""
NAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
# What H is drawn from, and what it may be drawn from: every month has 28 days.
_DRAWN_FROM = ((0, 59), (0, 23), (1, 28), (1, 12), (0, 6))
_VALUES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_DAY_OF_MONTH, _DAY_OF_WEEK = 2, 4
_DRAWN = re.compile(r"h(\((\d+)-(\d+)\))?(/(\d+))?")
_RANDOM = re.compile(r"r(\(.*\))?(/.*)?")
_RANGE = re.compile(r"([a-z0-9]+)-([a-z0-9]+)(/\d+)?")
_NTH = re.compile(r"[#l]")
_WRONG = (ValueError, TypeError, KeyError, IndexError)
_LOOK_FROM = datetime.combine(date(2000, 1, 1), time())


class BadCron(ValueError):
    """The expression is refused; the text says what is wrong and what was expected."""


@dataclass(frozen=True, slots=True)
class CronTimes:
    """The local times of an expression.

    `every_hour`: it names each of the 24 hours. `follows_clock`: its hours are `*` or have steps, so that it goes on
    through both passes of an hour that occurs twice. `days`: an expression of the days; "" for every day.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    every_hour: bool
    follows_clock: bool
    days: str

    def after(self, local: datetime) -> Iterator[datetime]:
        """Its local times from `local` on, ascending; `local` itself counts."""
        for day in self.days_from(local.date()):
            for hour in self.hours:
                if day == local.date() and hour < local.hour:
                    continue
                for minute in self.minutes:
                    found = datetime.combine(day, time(hour, minute))
                    if found >= local:
                        yield found

    def days_from(self, day: date) -> Iterator[date]:
        """Its days from this one on, ascending; this one counts."""
        if self.days:
            for year in range(day.year, date.max.year):
                yield from (each for each in _days_of(self.days, year) if each >= day)
            return
        while day < date.max:
            yield day
            day += timedelta(days=1)

    def days_until(self, day: date) -> Iterator[date]:
        """Its days up to this one, descending; this one counts."""
        if self.days:
            for year in range(day.year, date.min.year, -1):
                yield from (each for each in reversed(_days_of(self.days, year)) if each <= day)
            return
        while day > date.min:
            yield day
            day -= timedelta(days=1)


def read_cron(expression: str, seed: str) -> CronTimes:
    """The local times of an expression; `seed` decides what H stands for. Raises BadCron."""
    return _read(tuple(_draw(seed, place, field) for place, field in enumerate(_fields(expression))))


# Kept by what is left once H is drawn: most schedules share their expression with others.
@lru_cache(maxsize=4096)
def _read(fields: tuple[str, ...]) -> CronTimes:
    expanded = _expanded(fields)
    minutes = _numbers(expanded[0], 60)
    hours = _numbers(expanded[1], 24)
    every_day = all(field == "*" for field in fields[2:])
    times = CronTimes(
        minutes=minutes,
        hours=hours,
        every_hour=len(hours) == 24,
        follows_clock=len(hours) == 24 or "*" in fields[1] or "/" in fields[1],
        days="" if every_day else " ".join(("0 0", *fields[2:])),
    )
    if times.days and next(_search(times.days, _LOOK_FROM), None) is None:
        raise BadCron(f"it never fires within {YEARS_MAX} years")
    return times


@lru_cache(maxsize=4096)
def _fields(expression: str) -> tuple[str, ...]:
    """The five fields in lower case, without what croniter would take and we do not."""
    if len(expression) > CHARACTERS_MAX:
        raise BadCron(f"it has {len(expression)} characters, at most {CHARACTERS_MAX} are taken")
    if not expression.isascii():
        raise BadCron("it has characters that are not ASCII")
    text = expression.strip().lower()
    if text.startswith("@") and text not in NAMES:
        raise BadCron("the names are " + ", ".join(NAMES))
    fields = ["*" if field == "?" and place in (2, 4) else field for place, field in enumerate(_words(text))]
    if len(fields) in (6, 7):
        raise BadCron(
            f"it has {len(fields)} fields, five are taken: seconds and years are not, and an interval may be shorter"
        )
    if len(fields) != len(_FIELDS):
        raise BadCron(f"it has {len(fields)} fields, five are taken: " + ", ".join(_FIELDS))
    for name, field in zip(_FIELDS, fields, strict=True):
        _check_field(name, field)
    _check_days(fields[_DAY_OF_MONTH], fields[_DAY_OF_WEEK])
    return tuple(fields)


def _words(text: str) -> list[str]:
    return NAMES.get(text, text).split()


def _check_field(name: str, field: str) -> None:
    for part in field.split(","):
        if _RANDOM.fullmatch(part):
            raise BadCron(f"{part.upper()} in {name} is random; H is drawn from the schedule's name")
        if part.startswith("h") and not _DRAWN.fullmatch(field):
            raise BadCron(f"H is taken alone, as H, H/step, H(low-high) or H(low-high)/step; {name} is {field.upper()}")
        found = _RANGE.fullmatch(part)
        if found and found[1] == found[2]:
            raise BadCron(f"the range {part} in {name} has one value; write {found[1]}")
        if part != "*" and part.startswith("*") and not part.startswith("*/") and name != "day of week":
            raise BadCron(f"{part} is no {name}")


def _check_days(day_of_month: str, day_of_week: str) -> None:
    """Two days that both say something are either-or; with #, L and W nobody agrees on what they would mean."""
    special = "w" in day_of_month or bool(_NTH.search(day_of_week))
    if special and "*" not in (day_of_month, day_of_week):
        raise BadCron("beside #, L of a weekday or W the other day has to be *")


def _numbers(values: list[int | str], count: int) -> tuple[int, ...]:
    return tuple(range(count)) if "*" in values else tuple(sorted(int(each) for each in values))


def _draw(seed: str, place: int, field: str) -> str:
    """The field with a number, always the same for a seed and a field, for its H."""
    found = _DRAWN.fullmatch(field)
    if not found:
        return field
    low, high = (int(found[2]), int(found[3])) if found[1] else _DRAWN_FROM[place]
    least, most = _VALUES[place]
    if not least <= low < high <= most or found[5] == "0":
        raise BadCron(f"{field.upper()} is no {_FIELDS[place]}: it draws from {least} to {most}")
    step = int(found[5]) if found[5] else 0
    last = min(high, low + step - 1) if step else high
    number = int.from_bytes(hashlib.sha256(f"{seed}\n{_FIELDS[place]}".encode()).digest()[:8])
    drawn = low + number % (last - low + 1)
    return f"{drawn}-{high}/{step}" if step and drawn < high else str(drawn)


def _expanded(fields: Sequence[str]) -> list[list[int | str]]:
    """What each field stands for. Raises BadCron that names the first field that alone is wrong."""
    try:
        return _expand(fields)
    except _WRONG:
        for place, (name, field) in enumerate(zip(_FIELDS, fields, strict=True)):
            try:
                _expand([field if each == place else "*" for each in range(len(_FIELDS))])
            except _WRONG:
                raise BadCron(f"{field} is no {name}") from None
        raise BadCron("its fields do not go together") from None


def _expand(fields: Sequence[str]) -> list[list[int | str]]:
    expanded: list[list[int | str]] = croniter.expand(" ".join(fields))[0]
    return expanded


# croniter takes a tenth of a millisecond for each day; with years kept, it is asked once.
@lru_cache(maxsize=4096)
def _days_of(days: str, year: int) -> tuple[date, ...]:
    """The days of a year that an expression of days names."""
    begin = datetime.combine(date(year - 1, 12, 31), time(23, 59))
    return tuple(each.date() for each in takewhile(lambda each: each.year == year, _search(days, begin)))


def _search(days: str, after: datetime) -> Iterator[datetime]:
    """Midnight of each day; ends where there is none for YEARS_MAX."""
    found = croniter(days, after, ret_type=datetime, max_years_between_matches=YEARS_MAX)
    yield from found.all_next(datetime)
