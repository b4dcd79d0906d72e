"""What a backfill is asked to do, and what may be wrong with that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from .backfill import (
    DATES_MAX,
    RATE_RUNS_MAX,
    RATE_SECONDS_MAX,
    RATE_SECONDS_MIN,
    RUNS_ACTIVE_DEFAULT,
    RUNS_ACTIVE_MAX,
    SERIES_DEFAULT,
    WEIGHT_DEFAULT,
    Existing,
    Order,
    Pace,
)
from .errors import Violation
from .json_text import from_json, to_json
from .limit_checks import WEIGHT_MAX, WEIGHT_MIN
from .schedules import CronRule, IntervalRule, Schedule, check_schedule, time_text
from .value_checks import ID, check_duration, check_enum, check_id, check_name, check_whole, shown

LATEST, ORIGINAL = "latest", "original"
NAME_CHARACTERS_MAX = 100
SERIES_WORDS = f"1 to {NAME_CHARACTERS_MAX} of A-Z a-z 0-9 _ . -, beginning with a letter or digit"


@dataclass(frozen=True, slots=True)
class BackfillSpec:
    """As it was asked for. Its dates are listed, or those of a schedule's or of its own rule in a range (both ends
    belong to it). `dag_version`: a number, an alias, LATEST or ORIGINAL; "" with a schedule is the schedule's."""

    dag_id: str
    schedule_name: str = ""
    series: str = ""
    range_start: datetime | None = None
    range_end: datetime | None = None
    dates: tuple[datetime, ...] = ()
    cron: str = ""
    zone: str = ""
    period_seconds: float | None = None
    order: Order = Order.ASCENDING
    dag_version: str = ""
    params: str = ""
    existing: Existing = Existing.SKIP
    runs_active_max: int = RUNS_ACTIVE_DEFAULT
    rate_runs: int | None = None
    rate_seconds: float | None = None
    weight: float = WEIGHT_DEFAULT
    pool_name: str = ""
    queue_name: str = ""

    @property
    def pace(self) -> Pace:
        return Pace(self.runs_active_max, self.rate_runs, self.rate_seconds or 0.0)

    @property
    def run_series(self) -> str:
        """What its runs' keys begin with."""
        return self.schedule_name or self.series or SERIES_DEFAULT

    def own_schedule(self) -> Schedule:
        """The rule of its range as a schedule."""
        if self.cron:
            return Schedule(CronRule(self.cron), self.zone)
        assert self.period_seconds is not None
        return Schedule(IntervalRule(self.period_seconds, self.range_start), "UTC")


def check_spec(spec: BackfillSpec, now: datetime) -> list[Violation]:
    """All that is wrong with a spec by itself."""
    return [
        *check_id("spec.dag_id", spec.dag_id),
        *(check_id("spec.schedule_name", spec.schedule_name) if spec.schedule_name else ()),
        *_check_series(spec),
        *_check_dates(spec, now),
        *check_enum("spec.order", spec.order, Order),
        *check_enum("spec.existing", spec.existing, Existing),
        *check_name("spec.dag_version", spec.dag_version, optional=True, characters=NAME_CHARACTERS_MAX),
        *check_whole("spec.runs_active_max", spec.runs_active_max, 1, RUNS_ACTIVE_MAX),
        *_check_rate(spec),
        *_check_weight(spec),
        *check_name("spec.pool_name", spec.pool_name, optional=True, characters=NAME_CHARACTERS_MAX),
        *check_name("spec.queue_name", spec.queue_name, optional=True, characters=NAME_CHARACTERS_MAX),
    ]


def _check_series(spec: BackfillSpec) -> Iterator[Violation]:
    # As long as names of schedules: a run key is longer by a date, and no longer than keys may be.
    if spec.series and (len(spec.series) > NAME_CHARACTERS_MAX or not ID.fullmatch(spec.series)):
        yield Violation("spec.series", shown(spec.series), SERIES_WORDS)
    if spec.schedule_name and spec.series:
        yield Violation("spec.series", shown(spec.series), "none: the series is the schedule's")


def _check_dates(spec: BackfillSpec, now: datetime) -> Iterator[Violation]:
    ranged = spec.range_start is not None or spec.range_end is not None
    if ranged and spec.dates:
        yield Violation(
            "spec.logical_dates", f"{len(spec.dates)} dates and a range", "a range or a list of dates, not both"
        )
    elif ranged:
        yield from _check_range(spec, now)
    elif not spec.dates:
        yield Violation("spec.logical_dates", "neither dates nor a range", f"a range, or 1 to {DATES_MAX} dates")
    else:
        yield from _check_list(spec, now)


def _check_range(spec: BackfillSpec, now: datetime) -> Iterator[Violation]:
    start, end = spec.range_start, spec.range_end
    if start is None or end is None:
        yield Violation(f"spec.range_{'start' if start is None else 'end'}", "nothing", "both ends of the range")
        return
    if end < start:
        yield Violation("spec.range_end", time_text(end), f"the start of the range, {time_text(start)}, or later")
    if end > now:
        yield Violation("spec.range_end", time_text(end), f"not in the future: now it is {time_text(now)}")
    rules = [bool(spec.schedule_name), bool(spec.cron), spec.period_seconds is not None]
    if sum(rules) != 1:
        said = f"{sum(rules)} of them"
        yield Violation(
            "spec.schedule_name", said, "one of schedule_name, cron and period: it says which dates a range has"
        )
        return
    if spec.cron and not spec.zone:
        yield Violation("spec.zone", "''", "the IANA zone in which the cron expression is meant")
    if not spec.cron and spec.zone:
        yield Violation("spec.zone", shown(spec.zone), "none without a cron expression")
    if not spec.schedule_name and (spec.zone or not spec.cron):
        names = {
            "spec.rule.expression": "spec.cron",
            "spec.rule.seconds": "spec.period",
            "spec.rule.anchor": "spec.range_start",
        }
        for each in check_schedule(spec.own_schedule(), "spec"):
            yield Violation(names.get(each.field, each.field), each.value, each.expected)


def _check_list(spec: BackfillSpec, now: datetime) -> Iterator[Violation]:
    for name, said in (("cron", spec.cron), ("zone", spec.zone), ("period", spec.period_seconds)):
        if said:
            yield Violation(f"spec.{name}", str(said)[:80], "none with a list of dates")
    if len(spec.dates) > DATES_MAX:
        yield Violation("spec.logical_dates", f"{len(spec.dates)} dates", f"1 to {DATES_MAX} dates in one backfill")
        return
    seen: set[datetime] = set()
    for place, date in enumerate(spec.dates):
        if date > now:
            at = f"spec.logical_dates[{place}]"
            yield Violation(at, time_text(date), f"not in the future: now it is {time_text(now)}")
            return
        if date in seen:
            yield Violation(f"spec.logical_dates[{place}]", time_text(date), "each date once")
            return
        seen.add(date)


def _check_rate(spec: BackfillSpec) -> Iterator[Violation]:
    if (spec.rate_runs is None) != (spec.rate_seconds is None):
        missing = "rate_runs" if spec.rate_runs is None else "rate_period"
        yield Violation(f"spec.{missing}", "nothing", "both rate_runs and rate_period, or neither")
    yield from check_whole("spec.rate_runs", spec.rate_runs, 1, RATE_RUNS_MAX)
    if spec.rate_seconds is not None and not RATE_SECONDS_MIN <= spec.rate_seconds <= RATE_SECONDS_MAX:
        expected = f"{RATE_SECONDS_MIN:g} to {RATE_SECONDS_MAX:g} s"
        yield Violation("spec.rate_period", f"{spec.rate_seconds:g} s", expected)
    yield from check_duration("spec.rate_period", spec.rate_seconds)


def _check_weight(spec: BackfillSpec) -> Iterator[Violation]:
    if not WEIGHT_MIN <= spec.weight <= WEIGHT_MAX:
        yield Violation("spec.weight", f"{spec.weight:g}", f"{WEIGHT_MIN:g} to {WEIGHT_MAX:g}")


def spec_to_json(spec: BackfillSpec) -> str:
    """The text that is stored: without listed dates, which are rows, and without params."""
    said = asdict(spec) | {"dates": None, "params": None}
    for name in ("range_start", "range_end"):
        said[name] = said[name] and said[name].isoformat()
    return to_json({name: value for name, value in said.items() if value not in (None, "")})


def spec_from_json(text: str) -> BackfillSpec:
    said = from_json(text)
    for name in ("range_start", "range_end"):
        if name in said:
            said[name] = datetime.fromisoformat(said[name]).astimezone(UTC)
    return BackfillSpec(**said | {"order": Order(said["order"]), "existing": Existing(said["existing"])})
