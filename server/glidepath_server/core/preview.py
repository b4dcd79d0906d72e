"""The next ticks of a schedule as a person reads them: in UTC, by the clocks of its zone, with what is odd."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from .local_times import load_zone, places, wall
from .schedules import Schedule, Tick, ticks


@dataclass(frozen=True, slots=True)
class PreviewTick:
    """A tick; its time by the clocks of the zone, with the zone's abbreviation; what the clocks do then, or ""."""

    tick: Tick
    local_time: datetime
    abbreviation: str
    note: str


def preview(schedule: Schedule, seed: str, since: datetime, count: int) -> list[PreviewTick]:
    """The first `count` ticks from an instant on, those that are skipped among them; a tick at that instant counts."""
    return list(islice(_preview(schedule, seed, since), count))


def _preview(schedule: Schedule, seed: str, since: datetime) -> Iterator[PreviewTick]:
    zone = load_zone(schedule.zone)
    for tick in ticks(schedule, seed, since - timedelta(microseconds=1)):
        local_time = tick.tick_time.astimezone(zone)
        yield PreviewTick(tick, local_time, local_time.tzname() or "", clock_note(tick.tick_time, zone))


def clock_note(instant: datetime, zone: ZoneInfo) -> str:
    """What is odd about a local time: it begins where the clocks go forward, or it occurs twice."""
    place = places(wall(instant, zone), zone)
    if place.second is not None:
        return "first of two passes" if instant == place.first else "second of two passes"
    just_before = (instant - timedelta(seconds=1)).astimezone(zone).utcoffset()
    at_it = instant.astimezone(zone).utcoffset()
    assert just_before is not None and at_it is not None
    return "the clocks go forward" if at_it > just_before else ""
