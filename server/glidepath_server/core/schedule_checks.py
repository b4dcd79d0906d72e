"""What is wrong with a schedule: everything at once, each with its place, the value, what was expected."""

from __future__ import annotations

import difflib
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile

from .cron import YEARS_MAX, BadCron, read_cron
from .errors import Violation
from .local_times import load_zone, wall
from .rule_times import EPOCH, rule_times
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
    time_text,
)
from .value_checks import check_duration, check_enum, check_whole, shown

INTERVAL_SECONDS_MIN, INTERVAL_SECONDS_MAX = 1.0, 3_660 * 86_400.0
JITTER_SECONDS_MAX = 7 * 86_400.0
DATES_MAX = 10_000
EXCLUDED_DATES_MAX = 1_000
RUNS_MAX = 1_000_000_000
OVERLAP_RUNS_MAX = 10_000
TIME_MIN, TIME_MAX = EPOCH, datetime(2200, 1, 1, tzinfo=UTC)
_DAY_SECONDS = 86_400
_ABBREVIATION_MAX = 5
# A seed for checks only: whether an expression is one does not depend on what H stands for.
_SEED = "check"
_LOOK_FROM = datetime(2000, 1, 1, tzinfo=UTC)


def check_schedule(schedule: Schedule, at: str) -> list[Violation]:
    """All that is wrong with a schedule; `at` is the path to it."""
    found = [
        *_check_zone(f"{at}.zone", schedule.zone),
        *_check_rule(f"{at}.rule", schedule.rule),
        *_check_words(schedule, at),
        *_check_bounds(schedule, at),
        *_check_days(schedule, at),
        *_check_policies(schedule, at),
    ]
    return found or list(_check_ever(schedule, at))


def _check_zone(at: str, zone: str) -> Iterator[Violation]:
    try:
        load_zone(zone)
    except ValueError:
        # IST is an abbreviation of three zones, and next to MST by its letters only.
        is_short = zone.isupper() and len(zone) <= _ABBREVIATION_MAX
        near = "".join(difflib.get_close_matches(zone[:80], _zones(), n=1)) if zone and not is_short else ""
        hint = f"; did you mean {near}?" if near else ", such as Europe/Berlin, Asia/Kolkata or UTC"
        yield Violation(at, shown(zone), f"the name of an IANA zone{hint}")


@lru_cache(maxsize=1)
def _zones() -> list[str]:
    return sorted(zoneinfo.available_timezones())


def _check_rule(at: str, rule: Rule) -> Iterator[Violation]:
    match rule:
        case CronRule(expression):
            try:
                read_cron(expression, _SEED)
            except BadCron as error:
                yield Violation(f"{at}.expression", shown(expression), f"another cron expression: {error}")
        case IntervalRule(seconds, anchor):
            if not INTERVAL_SECONDS_MIN <= seconds <= INTERVAL_SECONDS_MAX:
                most = f"{INTERVAL_SECONDS_MIN:g} to {INTERVAL_SECONDS_MAX:.12g} s"
                yield Violation(f"{at}.seconds", f"{seconds:g} s", most)
            yield from _check_time(f"{at}.anchor", anchor)
        case DatesRule(dates):
            if not 1 <= len(dates) <= DATES_MAX:
                yield Violation(f"{at}.dates", f"{len(dates)} dates", f"1 to {DATES_MAX} dates")
            for place, each in enumerate(islice(dates, DATES_MAX)):
                yield from _check_time(f"{at}.dates[{place}]", each)
        case ContinuousRule(pause_seconds):
            yield from check_duration(f"{at}.pause_seconds", pause_seconds, zero=True)


def _check_time(at: str, value: datetime | None) -> Iterator[Violation]:
    if value is None:
        return
    if value.tzinfo is None:
        yield Violation(at, value.isoformat(), "a time with its offset from UTC")
    elif not TIME_MIN <= value <= TIME_MAX:
        yield Violation(at, value.isoformat(), f"{time_text(TIME_MIN)} to {time_text(TIME_MAX)}")


def _check_words(schedule: Schedule, at: str) -> Iterator[Violation]:
    yield from check_enum(f"{at}.gap", schedule.gap, DstGap)
    yield from check_enum(f"{at}.overlap_hours", schedule.overlap_hours, DstOverlap)
    yield from check_enum(f"{at}.data_interval", schedule.data_interval, DataInterval)
    yield from check_enum(f"{at}.catchup", schedule.catchup, Catchup)
    yield from check_enum(f"{at}.overlap", schedule.overlap, Overlap)


def _check_bounds(schedule: Schedule, at: str) -> Iterator[Violation]:
    wrong = [*_check_time(f"{at}.start", schedule.start), *_check_time(f"{at}.end", schedule.end)]
    yield from wrong
    if not wrong and schedule.start is not None and schedule.end is not None and schedule.end < schedule.start:
        yield Violation(f"{at}.end", time_text(schedule.end), f"the start, {time_text(schedule.start)}, or later")
    yield from check_whole(f"{at}.runs_max", schedule.runs_max, 1, RUNS_MAX)
    yield from check_duration(f"{at}.jitter_seconds", schedule.jitter_seconds, zero=True, most=JITTER_SECONDS_MAX)


def _check_days(schedule: Schedule, at: str) -> Iterator[Violation]:
    if len(schedule.excluded_dates) > EXCLUDED_DATES_MAX:
        count = len(schedule.excluded_dates)
        yield Violation(f"{at}.excluded_dates", f"{count} dates", f"at most {EXCLUDED_DATES_MAX} dates")
    for place, each in enumerate(schedule.excluded_weekdays[:8]):
        if not 0 <= each <= 6:
            yield Violation(f"{at}.excluded_weekdays[{place}]", str(each), "0 to 6, Monday is 0")
    if len(set(schedule.excluded_weekdays)) > 6:
        yield Violation(f"{at}.excluded_weekdays", "all seven", "at least one weekday left")


def _check_policies(schedule: Schedule, at: str) -> Iterator[Violation]:
    yield from _goes_with(f"{at}.catchup_runs", schedule.catchup_runs, schedule.catchup, Catchup.LAST_N)
    yield from check_whole(f"{at}.catchup_runs", schedule.catchup_runs, 1, RUNS_MAX)
    yield from _goes_with(f"{at}.catchup_seconds", schedule.catchup_seconds, schedule.catchup, Catchup.WITHIN)
    yield from check_duration(f"{at}.catchup_seconds", schedule.catchup_seconds, most=INTERVAL_SECONDS_MAX)
    if schedule.overlap_runs is not None and schedule.overlap is not Overlap.ALLOW:
        yield Violation(f"{at}.overlap_runs", str(schedule.overlap_runs), "none: it goes with overlap allow")
    yield from check_whole(f"{at}.overlap_runs", schedule.overlap_runs, 1, OVERLAP_RUNS_MAX)
    if schedule.data_interval is not DataInterval.BEFORE:
        return
    if isinstance(schedule.rule, ContinuousRule):
        yield Violation(
            f"{at}.data_interval", "before", "point: the first tick of a continuous rule has none before it"
        )
    if isinstance(schedule.rule, DatesRule) and (schedule.start is None or schedule.start in schedule.rule.dates):
        expected = "a start that is no tick, where the interval of the first date begins"
        yield Violation(f"{at}.start", time_text(schedule.start) if schedule.start else "none", expected)


def _goes_with(at: str, value: float | None, policy: Catchup, wanted: Catchup) -> Iterator[Violation]:
    if value is not None and policy is not wanted:
        yield Violation(at, f"{value:g}", f"none: it goes with catchup {wanted.value}")
    if value is None and policy is wanted:
        yield Violation(at, "none", f"a number: catchup is {wanted.value}")


def _check_ever(schedule: Schedule, at: str) -> Iterator[Violation]:
    """Exclusions that leave nothing of the rule."""
    dates, weekdays = set(schedule.excluded_dates), set(schedule.excluded_weekdays)
    if not dates and not weekdays:
        return
    if all(day in dates or day.weekday() in weekdays for day in _days(schedule)):
        wrong = "excluded_weekdays" if weekdays else "excluded_dates"
        yield Violation(f"{at}.{wrong}", "every day of the rule", "at least one tick left")


def _days(schedule: Schedule) -> Iterator[date]:
    """The local days on which the rule has ticks, for as long as it is looked at."""
    zone = load_zone(schedule.zone)
    first = wall(schedule.start or _LOOK_FROM, zone).date()
    last = first + timedelta(days=366 * YEARS_MAX)
    every_day = (first + timedelta(days=count) for count in range((last - first).days))
    match schedule.rule:
        case CronRule(expression):
            yield from takewhile(lambda day: day < last, read_cron(expression, _SEED).days_from(first))
        case IntervalRule(seconds, _) if seconds >= _DAY_SECONDS:
            found = rule_times(schedule, _SEED, schedule.start or _LOOK_FROM)
            yield from (wall(instant, zone).date() for instant, _ in islice(found, DATES_MAX))
        case DatesRule(dates):
            yield from (wall(each, zone).date() for each in dates)
        case _:
            yield from every_day
