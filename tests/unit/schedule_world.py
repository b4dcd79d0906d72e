"""Shorthand for tests of schedules: instants and local times as texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from glidepath_server.core.schedules import CronRule, Schedule, Tick, ticks

SEED = "default/train/nightly"


def at(text: str) -> datetime:
    """An instant; without an offset, in UTC."""
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def cron(expression: str, zone: str = "UTC", **options: Any) -> Schedule:
    return Schedule(CronRule(expression), zone, **options)


def first(schedule: Schedule, after: str, count: int) -> list[Tick]:
    return list(islice(ticks(schedule, SEED, at(after)), count))


def local(schedule: Schedule, found: Iterable[Tick]) -> list[str]:
    """What the clocks of the schedule's zone show at each tick, such as 10T03:00-0400; skipped ones in brackets."""
    return list(_local(schedule, found))


def _local(schedule: Schedule, found: Iterable[Tick]) -> Iterator[str]:
    for tick in found:
        text = tick.tick_time.astimezone(ZoneInfo(schedule.zone)).strftime("%dT%H:%M%z")
        yield f"({text})" if tick.skip else text
