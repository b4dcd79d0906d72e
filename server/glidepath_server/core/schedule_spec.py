"""What a schedule is: a rule for ticks, a zone, and what becomes of ticks that are missed or meet an active run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum


class DstGap(StrEnum):
    """What becomes of a local time that the clocks jump over."""

    RUN_AFTER = "run_after"
    SKIP = "skip"


class DstOverlap(StrEnum):
    """Which of the two passes counts when a local time occurs twice; for rules with fixed hours only."""

    FIRST = "first"
    LAST = "last"
    BOTH = "both"


class DataInterval(StrEnum):
    """The data a run is about: a point in time, or all since the tick before."""

    POINT = "point"
    BEFORE = "before"


class Catchup(StrEnum):
    """Which of the ticks run that became due while the schedule or the server did not."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"
    LAST_N = "last_n"
    WITHIN = "within"


class Overlap(StrEnum):
    """What a due tick does while runs of its schedule are active or wait."""

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE_ONE = "queue_one"
    QUEUE_ALL = "queue_all"
    CANCEL_OLDER = "cancel_older"
    LATEST_ONLY = "latest_only"
    SEQUENCE = "sequence"


@dataclass(frozen=True, slots=True)
class CronRule:
    """Five fields over local time, or @daily and its like. H stands for a number drawn from the schedule's name."""

    expression: str


@dataclass(frozen=True, slots=True)
class IntervalRule:
    """A tick at `anchor` + n x `seconds` for every whole n, in UTC. Without an anchor: 1970-01-01T00:00:00Z."""

    seconds: float
    anchor: datetime | None = None


@dataclass(frozen=True, slots=True)
class DatesRule:
    """A tick at each of these instants."""

    dates: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class ContinuousRule:
    """The next run begins `pause_seconds` after the last one has ended."""

    pause_seconds: float = 0


Rule = CronRule | IntervalRule | DatesRule | ContinuousRule


@dataclass(frozen=True, slots=True)
class Schedule:
    """When runs of a DAG are due. Instants carry a zone; `zone` decides the local time of cron rules and of days.

    No tick is before `start` or after `end`; a tick at either of them counts. `excluded_dates` and
    `excluded_weekdays` (Monday is 0) are local days. `jitter_seconds` is the longest delay of a tick.
    `catchup_runs` goes with LAST_N, `catchup_seconds` with WITHIN, `overlap_runs` with ALLOW (None: no bound).
    """

    rule: Rule
    zone: str
    gap: DstGap = DstGap.RUN_AFTER
    overlap_hours: DstOverlap = DstOverlap.FIRST
    start: datetime | None = None
    end: datetime | None = None
    runs_max: int | None = None
    jitter_seconds: float = 0
    excluded_dates: tuple[date, ...] = ()
    excluded_weekdays: tuple[int, ...] = ()
    data_interval: DataInterval = DataInterval.POINT
    catchup: Catchup = Catchup.NONE
    catchup_runs: int | None = None
    catchup_seconds: float | None = None
    overlap: Overlap = Overlap.ALLOW
    overlap_runs: int | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """One instant of a rule, in UTC. `skip` says why the schedule itself gives it no run; "" when it is to run.

    A tick that is skipped covers no data: its logical date and both ends of its interval are the tick itself.
    """

    tick_time: datetime
    logical_date: datetime
    data_interval_start: datetime
    data_interval_end: datetime
    due_time: datetime
    skip: str = ""


def time_text(instant: datetime) -> str:
    """An instant as 2026-11-27T02:00:00Z; fractions of a second only if there are any."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def run_key(schedule_name: str, logical_date: datetime) -> str:
    """The key of a scheduled run; a backfill of the same series and date has the same one."""
    return f"{schedule_name}@{time_text(logical_date)}"
