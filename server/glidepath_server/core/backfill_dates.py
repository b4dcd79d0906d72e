"""Which dates a backfill has: those that are listed, or the ticks of a schedule in a range of logical dates.

A range takes the dates of a schedule's rule, whatever its start, end and number of runs: a backfill is asked for just
because the schedule did not cover them. What the schedule leaves out by its own word (excluded days, a gap of the
clocks) is a date that is skipped, with the reason. A date whose data interval is not over yet is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from .backfill import DATES_MAX, BackfillDate
from .backfill_spec import BackfillSpec
from .errors import InvalidInput, Violation
from .schedules import ContinuousRule, DatesRule, Schedule, Tick, ticks, time_text

_MICROSECOND = timedelta(microseconds=1)
# To a date that is so near it is walked from the one before; to find where one lies costs as much as many ticks.
_NEAR_TICKS = 20
# Skipped ticks may stand before one that is looked for, such as all minutes of a weekend: so many for all dates.
_LOOKED_AT_MAX = 200_000


def dates_of(spec: BackfillSpec, schedule: Schedule | None, seed: str, now: datetime) -> list[BackfillDate]:
    """The dates of a spec that passes `check_spec`, in the order of time. `schedule` is the one that it names.

    Raises InvalidInput: there are none, too many, or one that is listed is no date of the schedule.
    """
    if spec.range_start is None or spec.range_end is None:
        return _listed(spec.dates, schedule, seed, spec.schedule_name)
    rule = schedule or spec.own_schedule()
    _refuse_continuous(rule, spec.schedule_name)
    found = _of_range(rule, seed, spec.range_start, spec.range_end, now)
    if len(found) > DATES_MAX:
        last = time_text(found[DATES_MAX - 1].logical_date)
        expected = f"1 to {DATES_MAX} dates in one backfill; the last of so many is {last}"
        raise _invalid("spec.range_end", f"more than {DATES_MAX} dates in the range", expected)
    if all(each.skip for each in found):
        said = f"{time_text(spec.range_start)} to {time_text(spec.range_end)}, without a date"
        raise _invalid("spec.range_start", said, "a range in which the rule has a date")
    return found


def _of_range(rule: Schedule, seed: str, start: datetime, end: datetime, now: datetime) -> list[BackfillDate]:
    """One more than there may be at most."""
    whole = replace(rule, start=rule.start if isinstance(rule.rule, DatesRule) else None, end=None, runs_max=None)
    found: list[BackfillDate] = []
    for tick in ticks(whole, seed, start - _MICROSECOND):
        if tick.tick_time > now or (not tick.skip and tick.logical_date > end) or len(found) > DATES_MAX:
            break
        if start <= tick.logical_date <= end:
            found.append(_date(tick))
    return found


def _listed(dates: Sequence[datetime], schedule: Schedule | None, seed: str, name: str) -> list[BackfillDate]:
    if schedule is None:
        utc = (date.astimezone(UTC) for date in dates)
        return sorted((BackfillDate(date, date, date) for date in utc), key=lambda each: each.logical_date)
    _refuse_continuous(schedule, name)
    whole = replace(schedule, start=schedule.start if isinstance(schedule.rule, DatesRule) else None, end=None)
    look = _Look(whole, seed)
    found = []
    for place, date in sorted(enumerate(dates), key=lambda each: each[1]):
        tick = look.tick_at(date)
        if tick is None:
            at, expected = f"spec.logical_dates[{place}]", f"a logical date of schedule {name}"
            raise _invalid(at, time_text(date), expected)
        found.append(_date(tick))
    return found


class _Look:
    """Finds the ticks of logical dates that ascend."""

    def __init__(self, schedule: Schedule, seed: str) -> None:
        self.schedule, self.seed = schedule, seed
        self.walk: Iterator[Tick] = iter(())
        self.left = _LOOKED_AT_MAX

    def tick_at(self, date: datetime) -> Tick | None:
        """The tick with this logical date; None when there is none."""
        found = self._walk_to(date, _NEAR_TICKS)
        if found is None:
            # It is far off, or it is a skipped tick, which the walk to an earlier date has passed.
            self.walk = ticks(self.schedule, self.seed, date - _MICROSECOND)
            found = self._walk_to(date, self.left)
        return found

    def _walk_to(self, date: datetime, ticks_max: int) -> Tick | None:
        for tick in islice(self.walk, min(ticks_max, self.left)):
            self.left -= 1
            if tick.logical_date == date:
                return tick
            if not tick.skip and tick.logical_date > date:
                break
        return None


def _date(tick: Tick) -> BackfillDate:
    return BackfillDate(tick.logical_date, tick.data_interval_start, tick.data_interval_end, tick.skip)


def _refuse_continuous(schedule: Schedule, name: str) -> None:
    if isinstance(schedule.rule, ContinuousRule):
        raise _invalid("spec.schedule_name", repr(name), "a schedule with dates: a continuous one has none")


def _invalid(field: str, value: str, expected: str) -> InvalidInput:
    violation = Violation(field, value, expected)
    return InvalidInput(str(violation), violations=[violation])
