"""The instants of a rule: strictly increasing, in UTC, with what the clocks' jumps make of local times.

A local time that the clocks jump over has its instant at the end of the gap (`run_after`), or is told as skipped
there; several in one gap have one instant, and a regular tick at that instant stands for them. A rule that names every
hour has nothing to make up for: it goes on by the hour. A local time that occurs twice has the instants that the
policy says; rules with `*` or steps in the hour have both.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from .cron import read_cron
from .local_times import LAST_YEAR, day_begins, first_wall, load_zone, places, wall
from .schedule_spec import ContinuousRule, CronRule, DatesRule, DstGap, DstOverlap, IntervalRule, Schedule

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GAP = "the clocks jump over the local time"
_LAST = datetime(LAST_YEAR, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Looked through first for the tick before an instant.
_NEAR = (timedelta(minutes=10), timedelta(hours=2))

RuleTime = tuple[datetime, str]
"""An instant, and why it is skipped: "" or GAP."""


def rule_times(schedule: Schedule, seed: str, after: datetime) -> Iterator[RuleTime]:
    """The instants of the rule after `after`. A continuous rule has none that are known before its runs end."""
    match schedule.rule:
        case CronRule(expression):
            found = _cron_times(schedule, expression, seed, after)
        case IntervalRule(seconds, anchor):
            found = _interval_times(seconds, anchor or EPOCH, after)
        case DatesRule(dates):
            found = ((date, "") for date in sorted({each.astimezone(UTC) for each in dates}) if date > after)
        case ContinuousRule():
            found = iter(())
    for instant, skip in found:
        if instant >= _LAST:
            return
        yield instant, skip


def rule_times_before(schedule: Schedule, seed: str, before: datetime) -> Iterator[RuleTime]:
    """The instants of the rule before `before`, the latest first."""
    match schedule.rule:
        case CronRule(expression):
            yield from _cron_times_before(schedule, expression, seed, before)
        case IntervalRule(seconds, anchor):
            period = timedelta(seconds=seconds)
            instant = next(_interval_times(seconds, anchor or EPOCH, before - _MICROSECOND))[0] - period
            while instant > EPOCH:
                yield instant, ""
                instant -= period
        case DatesRule(dates):
            ordered = sorted({each.astimezone(UTC) for each in dates}, reverse=True)
            yield from ((each, "") for each in ordered if each < before)
        case ContinuousRule():
            return


def _interval_times(seconds: float, anchor: datetime, after: datetime) -> Iterator[RuleTime]:
    period = timedelta(seconds=seconds)
    instant = anchor.astimezone(UTC) + ((after - anchor) // period + 1) * period
    while True:
        yield instant, ""
        instant += period


def _cron_times(schedule: Schedule, expression: str, seed: str, after: datetime) -> Iterator[RuleTime]:
    """Each instant once; a gap that is skipped is told only where no other local time has its end."""
    skipped: datetime | None = None
    last = after
    for instant, skip in _mapped(schedule, expression, seed, after):
        if instant <= last:
            continue
        if skipped is not None and skipped != instant:
            yield skipped, GAP
        if skip:
            skipped = instant
            continue
        skipped, last = None, instant
        yield instant, ""


def _mapped(schedule: Schedule, expression: str, seed: str, after: datetime) -> Iterator[RuleTime]:
    """The instants of all local times in order; some may be `after` or earlier, some may repeat."""
    zone, times = load_zone(schedule.zone), read_cron(expression, seed)
    overlap = DstOverlap.BOTH if times.follows_clock else schedule.overlap_hours
    # Second passes wait here until the first passes of later local times are out.
    waiting: list[datetime] = []
    for local in times.after(first_wall(after, zone)):
        place = places(local, zone)
        while waiting and waiting[0] < place.first:
            yield heapq.heappop(waiting), ""
        if place.missing:
            if not times.every_hour:
                yield place.first, GAP if schedule.gap is DstGap.SKIP else ""
            continue
        if place.second is not None and overlap is not DstOverlap.FIRST:
            heapq.heappush(waiting, place.second)
        if place.second is None or overlap is not DstOverlap.LAST:
            yield place.first, ""


def _cron_times_before(schedule: Schedule, expression: str, seed: str, before: datetime) -> Iterator[RuleTime]:
    """By windows that end where the last one began: short ones, then from each day of the rule to the next."""
    zone = load_zone(schedule.zone)
    begin = before
    for near in _NEAR:
        end, begin = begin, before - near
        yield from _window(schedule, expression, seed, begin, end)
    for day in read_cron(expression, seed).days_until(wall(begin, zone).date() + timedelta(days=1)):
        end, begin = begin, min(begin, day_begins(day, zone))
        yield from _window(schedule, expression, seed, begin, end)


def _window(schedule: Schedule, expression: str, seed: str, begin: datetime, end: datetime) -> Iterator[RuleTime]:
    """The instants from `begin` to before `end`, the latest first."""
    found = []
    for instant, skip in _cron_times(schedule, expression, seed, begin - _MICROSECOND):
        if instant >= end:
            break
        found.append((instant, skip))
    yield from reversed(found)
