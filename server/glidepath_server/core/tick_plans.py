"""The next ticks of a schedule, computed ahead of time: what is due is then read and not computed, also when many
thousands are due at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from .schedules import ContinuousRule, Schedule, Tick, ticks

# Missed ticks that are decided at once; the others follow, with turns for other schedules in between.
DUE_MAX = 500
# Of those that come, at least two: with the first it is known when to look at the schedule next.
AHEAD_MIN, AHEAD_MAX = 2, 16
AHEAD_SECONDS = 600.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class TickPlan:
    """Ticks in order, without a gap. `last`: no tick ever follows them."""

    ticks: tuple[Tick, ...] = ()
    last: bool = False

    @property
    def due_time(self) -> datetime | None:
        """When the first of them is due."""
        return self.ticks[0].due_time if self.ticks else None

    def due(self, now: datetime) -> list[Tick]:
        return [tick for tick in self.ticks if tick.due_time <= now]

    def hurried(self, now: datetime) -> TickPlan:
        """The same without the delays of ticks that have come by now."""
        come = (
            replace(each, due_time=min(each.due_time, now)) if each.tick_time <= now else each for each in self.ticks
        )
        return TickPlan(tuple(come), self.last)

    def without(self, count: int) -> TickPlan:
        return TickPlan(self.ticks[count:], self.last)


def plan_ticks(schedule: Schedule, seed: str, after: datetime, now: datetime) -> TickPlan:
    """The ticks after `after`: all that are due by `now`, as far as a plan may reach, and some of those that come."""
    if isinstance(schedule.rule, ContinuousRule):
        return TickPlan(last=True)
    found: list[Tick] = []
    due = 0
    for tick in ticks(schedule, seed, after):
        found.append(tick)
        due += tick.due_time <= now
        ahead = len(found) - due
        if due >= DUE_MAX or ahead >= AHEAD_MAX:
            return TickPlan(tuple(found))
        if ahead >= AHEAD_MIN and tick.due_time > now + timedelta(seconds=AHEAD_SECONDS):
            return TickPlan(tuple(found))
    return TickPlan(tuple(found), last=True)


def plan_to_json(plan: TickPlan) -> str:
    """The stored form: times in microseconds."""
    if not plan.ticks and not plan.last:
        return ""
    rows = [
        [
            *map(_micros, (t.tick_time, t.logical_date, t.data_interval_start, t.data_interval_end, t.due_time)),
            t.skip,
        ]
        for t in plan.ticks
    ]
    return json.dumps({"ticks": rows, "last": plan.last}, separators=(",", ":"))


def plan_from_json(text: str) -> TickPlan:
    if not text:
        return TickPlan()
    stored = json.loads(text)
    return TickPlan(tuple(map(_tick, stored["ticks"])), stored["last"])


def _tick(row: list[Any]) -> Tick:
    tick, logical, start, end, due = map(_time, row[:5])
    return Tick(tick, logical, start, end, due, row[5])


def _micros(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def _time(micros: int) -> datetime:
    return _EPOCH + micros * _MICROSECOND
