"""When a DAG runs by itself: what `@dag(schedules=[...])` takes, and the `schedules` of a YAML document.

    @dag(schedules=[
        Cron("0 2 * * *", zone="Asia/Kolkata", catchup="latest"),
        Every("15m", zone="UTC", name="refresh", params={"full": False}),
    ])

Each is checked here as far as its form goes; zones, expressions and what goes with what are the server's to judge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from glidepath.authoring.options import DurationLike, parse_duration
from glidepath.authoring.suggestions import suggestion
from glidepath.errors import AuthoringError

SCHEDULES_MAX = 100
DEFAULT_NAME = "main"
TimeLike = datetime | str
"""A datetime, or ISO 8601 text; without an offset it is local in the schedule's zone."""
Gap = Literal["run_after", "skip"]
OverlapHours = Literal["first", "last", "both"]
Interval = Literal["point", "before"]
Catchup = Literal["none", "latest", "all", "last_n", "within"]
Overlap = Literal["allow", "skip", "queue_one", "queue_all", "cancel_older", "latest_only", "sequence"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_WORDS: dict[str, Any] = {
    "gap": Gap,
    "overlap_hours": OverlapHours,
    "data_interval": Interval,
    "catchup": Catchup,
    "overlap": Overlap,
}
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Schedule:
    """What all kinds of schedules may say. One schedule of a DAG may go without a name; it is called "main"."""

    _: KW_ONLY
    zone: str = ""
    """IANA name, such as "Asia/Kolkata". Required."""
    name: str = DEFAULT_NAME
    params: Mapping[str, Any] | None = None
    """The params of its runs."""
    catchup: Catchup = "none"
    """What becomes of ticks that nobody was there for: none of them runs, the latest, all, the `catchup_runs` newest,
    or those not older than `catchup_within`."""
    catchup_runs: int | None = None
    catchup_within: DurationLike | None = None
    overlap: Overlap = "allow"
    """What becomes of a tick while a run of the schedule is active; "allow" with `overlap_runs`: up to so many."""
    overlap_runs: int | None = None
    gap: Gap = "run_after"
    """A local time that does not exist, when clocks go forward: once at the end of the gap, or not at all."""
    overlap_hours: OverlapHours = "first"
    """A local time that occurs twice, when clocks go back."""
    data_interval: Interval = "point"
    """What a run covers: the instant of its tick, or the time since the tick before."""
    start: TimeLike | None = None
    end: TimeLike | None = None
    runs_max: int | None = None
    jitter: DurationLike = 0
    """Runs begin later by a span of the schedule's own, no longer than this, which never changes."""
    exclude_dates: Sequence[date | str] = ()
    exclude_weekdays: Sequence[int | str] = ()
    """0 or "monday" to 6 or "sunday", local days."""
    version: int | None = None
    """Of which version runs are made: by number, by alias, or the latest at the time."""
    alias: str | None = None


@dataclass(frozen=True)
class Cron(Schedule):
    """Five fields (minute, hour, day of month, month, day of week), or @hourly, @daily, @weekly, @monthly, @yearly."""

    expression: str = ""


@dataclass(frozen=True)
class Every(Schedule):
    """Every so long, counted from `anchor` (unless given: the beginning of 1970)."""

    interval: DurationLike = 0
    _: KW_ONLY
    anchor: TimeLike | None = None


@dataclass(frozen=True)
class Dates(Schedule):
    """At these instants."""

    dates: Sequence[TimeLike] = ()


@dataclass(frozen=True)
class Continuous(Schedule):
    """The next run begins when the last has ended, `pause` later."""

    _: KW_ONLY
    pause: DurationLike = 0


_KINDS: dict[str, tuple[type[Schedule], str]] = {
    "cron": (Cron, "expression"),
    "every": (Every, "interval"),
    "dates": (Dates, "dates"),
    "continuous": (Continuous, ""),
}


def check_schedules(schedule: object, schedules: object, where: str) -> tuple[Schedule, ...]:
    """What `schedule` and `schedules` of a DAG say. AuthoringError says what is wrong.

    `schedule` is one of them, or text: a cron expression and a zone, such as "0 2 * * * Asia/Kolkata".
    """
    if schedule is not None and schedules:
        raise AuthoringError(f"{where}: schedule and schedules are both given; expected one of them")
    if schedule is not None:
        return (_check(_short(schedule, f"{where}: schedule"), f"{where}: schedule"),)
    if isinstance(schedules, str | Mapping | Schedule) or not isinstance(schedules, Sequence):
        raise AuthoringError(
            f"{where}: schedules is {schedules!r:.60}; expected a list of Cron, Every, Dates, Continuous"
        )
    if len(schedules) > SCHEDULES_MAX:
        raise AuthoringError(f"{where}: {len(schedules)} schedules; expected at most {SCHEDULES_MAX}")
    found = [
        _check(_one(each, f"{where}: schedules[{i}]"), f"{where}: schedules[{i}]") for i, each in enumerate(schedules)
    ]
    names = [each.name for each in found]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise AuthoringError(
                f"{where}: schedules[{index}]: the name {name!r} is taken; give each a name=, but for one of them"
            )
    return tuple(found)


def _short(value: object, where: str) -> Schedule:
    if not isinstance(value, str):
        return _one(value, where)
    expression, _, zone = value.strip().rpartition(" ")
    if not expression or not (zone == "UTC" or "/" in zone[1:]) or "*" in zone:
        raise AuthoringError(
            f'{where} is {value!r:.60}; expected a cron expression and a zone, such as "0 2 * * * Asia/Kolkata"'
        )
    return Cron(expression, zone=zone)


def _one(value: object, where: str) -> Schedule:
    if isinstance(value, Schedule) and type(value) is not Schedule:
        return value
    if not isinstance(value, Mapping):
        raise AuthoringError(f"{where} is {value!r:.60}; expected one of Cron, Every, Dates, Continuous")
    kinds = [kind for kind in _KINDS if kind in value]
    if len(kinds) != 1:
        raise AuthoringError(f"{where} has {' and '.join(kinds) or 'no rule'}; expected one of {', '.join(_KINDS)}")
    made, field = _KINDS[kinds[0]]
    known = {each.name for each in fields(made)} - {field}
    said = {name: each for name, each in value.items() if name != kinds[0]}
    for name in said:
        if name not in known:
            raise AuthoringError(f"{where}: unknown key {name!r}; {suggestion(str(name), known, 'keys of a schedule')}")
    if not field and value[kinds[0]] is not True:
        raise AuthoringError(f"{where}: continuous is {value[kinds[0]]!r:.60}; expected true")
    return made(**said, **({field: value[kinds[0]]} if field else {}))


def _check(schedule: Schedule, where: str) -> Schedule:
    """What can be told without the server."""
    if not isinstance(schedule.name, str) or not _NAME.fullmatch(schedule.name):
        expected = "1 to 100 letters, digits, '_', '.', '-', starting with a letter or digit"
        raise AuthoringError(f"{where}: name is {schedule.name!r:.120}; expected {expected}")
    if not isinstance(schedule.zone, str) or not schedule.zone:
        raise AuthoringError(f'{where}: zone is {schedule.zone!r:.60}; expected an IANA zone, such as "Asia/Kolkata"')
    for name, words in _WORDS.items():
        if getattr(schedule, name) not in get_args(words):
            value = getattr(schedule, name)
            raise AuthoringError(
                f"{where}: {name} is {value!r:.60}; {suggestion(str(value), get_args(words), 'words')}"
            )
    for name in ("catchup_runs", "overlap_runs", "runs_max", "version"):
        value = getattr(schedule, name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise AuthoringError(f"{where}: {name} is {value!r:.60}; expected a whole number of at least 1")
    if schedule.version is not None and schedule.alias is not None:
        raise AuthoringError(f"{where}: version and alias are both given; expected one of them, or none for the latest")
    if isinstance(schedule, Cron) and not isinstance(schedule.expression, str):
        raise AuthoringError(f"{where}: cron is {schedule.expression!r:.60}; expected a cron expression")
    if isinstance(schedule, Dates) and (isinstance(schedule.dates, str) or not isinstance(schedule.dates, Sequence)):
        raise AuthoringError(f"{where}: dates is {schedule.dates!r:.60}; expected a list of times")
    # Whatever does not fit is told by who makes the message.
    _spans(schedule, where)
    _times(schedule, where)
    excluded(schedule, where)
    params_text(schedule, where)
    return schedule


def _spans(schedule: Schedule, where: str) -> None:
    for name in ("catchup_within", "jitter", "interval", "pause"):
        if getattr(schedule, name, None) is not None:
            parse_duration(getattr(schedule, name), f"{where}: {name}")


def _times(schedule: Schedule, where: str) -> None:
    for name in ("start", "end", "anchor"):
        if getattr(schedule, name, None) is not None:
            instant(getattr(schedule, name), schedule.zone, f"{where}: {name}")
    for index, each in enumerate(getattr(schedule, "dates", ())):
        instant(each, schedule.zone, f"{where}: dates[{index}]")


def instant(value: object, zone: str, where: str) -> datetime:
    """The instant that a time means."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, datetime):
        raise AuthoringError(f"{where} is {value!r:.60}; expected a time such as 2026-12-01T02:00, or a datetime")
    if found.tzinfo is not None:
        return found
    try:
        return found.replace(tzinfo=ZoneInfo(zone))
    except (KeyError, ValueError, OSError):
        raise AuthoringError(f"{where}: the zone {zone!r:.60} is not known here; give the time an offset") from None


def excluded(schedule: Schedule, where: str) -> tuple[list[str], list[int]]:
    """Excluded dates as 2026-12-25, and weekdays by number."""
    dates = []
    for value in schedule.exclude_dates:
        try:
            found = date.fromisoformat(value) if isinstance(value, str) else value
            dates.append(found.isoformat()[:10])
        except (ValueError, AttributeError):
            raise AuthoringError(
                f"{where}: exclude_dates has {value!r:.60}; expected dates such as 2026-12-25"
            ) from None
    days = []
    for day in schedule.exclude_weekdays:
        number = WEEKDAYS.index(day.lower()) if isinstance(day, str) and day.lower() in WEEKDAYS else day
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 6:
            raise AuthoringError(f"{where}: exclude_weekdays has {day!r:.60}; expected monday to sunday, or 0 to 6")
        days.append(number)
    return dates, days


def params_text(schedule: Schedule, where: str) -> str:
    """Its params as JSON."""
    if schedule.params is None:
        return ""
    try:
        if isinstance(schedule.params, Mapping):
            return json.dumps(dict(schedule.params), allow_nan=False)
    except (TypeError, ValueError):
        pass
    raise AuthoringError(f"{where}: params is {schedule.params!r:.60}; expected a mapping of JSON values by name")


def seconds(value: DurationLike | None, where: str = "schedule") -> timedelta | None:
    """A duration that was checked."""
    return None if value is None else parse_duration(value, where)
