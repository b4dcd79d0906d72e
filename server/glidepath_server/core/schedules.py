"""Schedules: when their ticks are, what each tick is about, and the text that the store keeps.

The ticks of a schedule follow from its text, its seed and the rules of its zone alone: whoever asks, whenever, gets
the same ones. Not applied here is `runs_max`: how many runs there were is for the caller to know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from .local_times import day_begins, load_zone, places, wall
from .rule_times import EPOCH, rule_times, rule_times_before
from .schedule_checks import check_schedule
from .schedule_json import schedule_from_json, schedule_to_json
from .schedule_spec import (
    Catchup,
    ContinuousRule,
    CronRule,
    DataInterval,
    DatesRule,
    DstGap,
    DstOverlap,
    IntervalRule,
    Overlap,
    Rule,
    Schedule,
    Tick,
    run_key,
    time_text,
)

__all__ = [
    "Catchup",
    "ContinuousRule",
    "CronRule",
    "DataInterval",
    "DatesRule",
    "DstGap",
    "DstOverlap",
    "IntervalRule",
    "Overlap",
    "Rule",
    "Schedule",
    "Tick",
    "check_schedule",
    "continuous_tick",
    "run_key",
    "schedule_from_json",
    "schedule_to_json",
    "ticks",
    "ticks_before",
    "ticks_between",
    "time_text",
]

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MICROSECOND = timedelta(microseconds=1)


def ticks(schedule: Schedule, seed: str, after: datetime) -> Iterator[Tick]:
    """The ticks after an instant, those that are skipped among them; tick times strictly increase.

    `seed` is "namespace/dag_id/schedule_name": it decides H and the jitter. The schedule passes `check_schedule`.
    With BEFORE, the interval of a tick begins at the last tick that was not skipped, so that intervals are contiguous.
    """
    floor = after if schedule.start is None else max(after, schedule.start - _MICROSECOND)
    found = rule_times(schedule, seed, floor)
    current = next(found, None)
    kept: datetime | None = None
    while current is not None:
        instant, skip = current
        if schedule.end is not None and instant > schedule.end:
            return
        current = next(found, None)
        tick = _tick(schedule, seed, instant, skip, current[0] if current else None, kept)
        yield tick
        kept = kept if tick.skip else instant


def ticks_between(schedule: Schedule, seed: str, start: datetime, end_inclusive: datetime) -> Iterator[Tick]:
    """The ticks from one instant to another, both counted, by tick time."""
    for tick in ticks(schedule, seed, start - _MICROSECOND):
        if tick.tick_time > end_inclusive:
            return
        yield tick


def ticks_before(schedule: Schedule, seed: str, before: datetime) -> Iterator[Tick]:
    """The ticks up to an instant, which counts itself, the latest first."""
    following = next(rule_times(schedule, seed, before), None)
    for instant, skip in rule_times_before(schedule, seed, before + _MICROSECOND):
        if schedule.start is not None and instant < schedule.start:
            return
        if schedule.end is None or instant <= schedule.end:
            yield _tick(schedule, seed, instant, skip, following[0] if following else None, None)
        following = (instant, skip)


def continuous_tick(schedule: Schedule, seed: str, last: datetime | None, ended: datetime) -> Tick | None:
    """The one next tick of a continuous rule, or None when it is after the schedule's end.

    `last` is the tick time of the run that ended at `ended`. Before there is any run: None, and `ended` is since
    when the schedule is there. A tick that would be on an excluded day waits for the first instant of another day.
    """
    assert isinstance(schedule.rule, ContinuousRule)
    instant = ended.astimezone(UTC)
    if last is not None:
        instant = max(instant + timedelta(seconds=schedule.rule.pause_seconds), last + _MICROSECOND)
    if schedule.start is not None:
        instant = max(instant, schedule.start.astimezone(UTC))
    zone = load_zone(schedule.zone)
    while _excluded(schedule, instant):
        instant = day_begins(wall(instant, zone).date() + timedelta(days=1), zone)
    if schedule.end is not None and instant > schedule.end:
        return None
    return Tick(instant, instant, instant, instant, instant + _jitter(schedule, seed, instant, None))


def _tick(
    schedule: Schedule, seed: str, instant: datetime, skip: str, following: datetime | None, kept: datetime | None
) -> Tick:
    """`following`: the next instant of the rule. `kept`: the last tick before that was not skipped, if it is known."""
    skip = skip or _excluded(schedule, instant)
    begins = instant
    if schedule.data_interval is DataInterval.BEFORE and not skip:
        begins = kept or _kept_before(schedule, seed, instant)
    due = instant + _jitter(schedule, seed, instant, following)
    return Tick(instant, begins, begins, instant, due, skip)


def _kept_before(schedule: Schedule, seed: str, instant: datetime) -> datetime:
    """The last tick before an instant that has a run. A list of dates has none before the first: there, the start."""
    before: datetime | None = instant
    while before is not None:
        found, before = rule_times_before(schedule, seed, before), None
        for each, skip in found:
            if _excluded(schedule, each):
                # All of its day is: a rule may have a tick for each second of it.
                before = _midnight_before(each, load_zone(schedule.zone))
                break
            if not skip:
                return each
    return schedule.start.astimezone(UTC) if schedule.start and schedule.start < instant else EPOCH


def _midnight_before(instant: datetime, zone: ZoneInfo) -> datetime:
    """The newest beginning of the local day of an instant; a day begins twice where clocks go back over midnight."""
    place = places(datetime.combine(wall(instant, zone).date(), time()), zone)
    return place.second if place.second is not None and place.second <= instant else min(place.first, instant)


def _excluded(schedule: Schedule, instant: datetime) -> str:
    """Why the local day of an instant has no runs; "" if it has."""
    if not schedule.excluded_dates and not schedule.excluded_weekdays:
        return ""
    day: date = wall(instant, load_zone(schedule.zone)).date()
    if day in schedule.excluded_dates:
        return f"excluded date {day}"
    if day.weekday() in schedule.excluded_weekdays:
        return f"excluded weekday {_WEEKDAYS[day.weekday()]}"
    return ""


def _jitter(schedule: Schedule, seed: str, instant: datetime, following: datetime | None) -> timedelta:
    """From 0 to less than `jitter_seconds`, always the same for a tick, and less than the way to the next tick."""
    if not schedule.jitter_seconds:
        return timedelta(0)
    most = timedelta(seconds=schedule.jitter_seconds)
    if following is not None:
        most = min(most, following - instant)
    digest = hashlib.sha256(f"{seed}\n{time_text(instant)}".encode()).digest()
    return most // _MICROSECOND * int.from_bytes(digest[:8]) // 2**64 * _MICROSECOND
