"""Backfills: which dates, in which order, what becomes of a date that has a run, and how many may begin now.

Everything here follows from its arguments. A date is decided once, by `decide_date`, when the backfill comes to it; the
run key of a date is the same for whoever makes its run, so of a schedule and any number of backfills one makes it and
the others find it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from .errors import StateConflict
from .states import RUN_FINAL, RunState

DATES_MAX = 10_000
RUNS_ACTIVE_MAX, RUNS_ACTIVE_DEFAULT = 10_000, 3
WEIGHT_DEFAULT = 0.1
SERIES_DEFAULT = "manual"
RATE_RUNS_MAX = 10_000
RATE_SECONDS_MIN, RATE_SECONDS_MAX = 1.0, 7 * 86_400.0
_FAILED = frozenset({RunState.FAILED, RunState.CANCELLED})


class Order(StrEnum):
    """In which order dates get their runs."""

    ASCENDING = "ascending"
    DESCENDING = "descending"


class Existing(StrEnum):
    """What becomes of a date that has a run."""

    SKIP = "skip"
    RERUN_FAILED = "rerun_failed"
    RERUN_ALL = "rerun_all"


class BackfillState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"
    CANCELLED = "cancelled"


class BackfillEvent(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"
    # Every date has its outcome, and every run of it has ended.
    END = "end"


# What is absent is refused.
BACKFILL_ARROWS: dict[tuple[BackfillState, BackfillEvent], BackfillState] = {
    (BackfillState.RUNNING, BackfillEvent.PAUSE): BackfillState.PAUSED,
    (BackfillState.RUNNING, BackfillEvent.RESUME): BackfillState.RUNNING,
    (BackfillState.RUNNING, BackfillEvent.CANCEL): BackfillState.CANCELLED,
    (BackfillState.RUNNING, BackfillEvent.RETRY): BackfillState.RUNNING,
    (BackfillState.RUNNING, BackfillEvent.END): BackfillState.ENDED,
    (BackfillState.PAUSED, BackfillEvent.PAUSE): BackfillState.PAUSED,
    (BackfillState.PAUSED, BackfillEvent.RESUME): BackfillState.RUNNING,
    (BackfillState.PAUSED, BackfillEvent.CANCEL): BackfillState.CANCELLED,
    (BackfillState.PAUSED, BackfillEvent.RETRY): BackfillState.PAUSED,
    (BackfillState.ENDED, BackfillEvent.RETRY): BackfillState.RUNNING,
    (BackfillState.CANCELLED, BackfillEvent.CANCEL): BackfillState.CANCELLED,
}
BACKFILL_FINAL = frozenset({BackfillState.ENDED, BackfillState.CANCELLED})


def next_state(state: BackfillState, event: BackfillEvent) -> BackfillState:
    """Raises StateConflict for what cannot be done to a backfill in this state."""
    found = BACKFILL_ARROWS.get((state, event))
    if found is None:
        said = "was cancelled" if state is BackfillState.CANCELLED else "has ended"
        raise StateConflict(f"cannot {event.value} a backfill that {said}", hint="create a backfill of the dates")
    return found


class DateOutcome(StrEnum):
    """What became of a date."""

    WAITING = "waiting"
    CREATED = "created"
    RERUN = "rerun"
    SKIPPED = "skipped"


class DateEvent(StrEnum):
    CREATE = "create"
    RERUN = "rerun"
    SKIP = "skip"
    # Of a date whose run has failed or was cancelled, by a person.
    RETRY = "retry"


# Each is a guard of a statement in store/queries/backfills.sql.
DATE_ARROWS: dict[tuple[DateOutcome, DateEvent], DateOutcome] = {
    (DateOutcome.WAITING, DateEvent.CREATE): DateOutcome.CREATED,
    (DateOutcome.WAITING, DateEvent.RERUN): DateOutcome.RERUN,
    (DateOutcome.WAITING, DateEvent.SKIP): DateOutcome.SKIPPED,
    (DateOutcome.CREATED, DateEvent.RETRY): DateOutcome.WAITING,
    (DateOutcome.RERUN, DateEvent.RETRY): DateOutcome.WAITING,
}
DATE_FINAL = frozenset(DateOutcome) - {DateOutcome.WAITING}


@dataclass(frozen=True, slots=True)
class BackfillDate:
    """A date to come, or (`skip`) why it is none: the schedule leaves it out."""

    logical_date: datetime
    data_interval_start: datetime
    data_interval_end: datetime
    skip: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The run that has a date's key. `state` None: it is not kept any more."""

    dag_run_id: UUID
    state: RunState | None
    quarantined: bool = False
    dag_version_number: int | None = None


@dataclass(frozen=True, slots=True)
class Make:
    """The date gets a run."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """The run of the date runs again: as a whole, or what of it did not succeed."""

    dag_run_id: UUID
    whole: bool


@dataclass(frozen=True, slots=True)
class Keep:
    """The run of a date that was to be retried runs, or has succeeded meanwhile: somebody else saw to it."""

    dag_run_id: UUID


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing is done for the date."""

    reason: str
    dag_run_id: UUID | None = None


Decision = Make | Rerun | Keep | Skip


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a backfill may go. `rate_runs` None: no bound on how many begin within `rate_seconds`."""

    runs_active_max: int
    rate_runs: int | None = None
    rate_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Room:
    """How many runs may begin now; and, if none may because of the rate, in how many seconds the next one may."""

    runs: int
    wait_seconds: float | None = None


def in_order(dates: Iterable[BackfillDate], order: Order) -> list[BackfillDate]:
    """Dates in the order in which they get their runs, each once."""
    by_date = {each.logical_date: each for each in dates}
    return [by_date[date] for date in sorted(by_date, reverse=order is Order.DESCENDING)]


def decide_date(existing: Existing, found: Found | None, again: bool = False) -> Decision:
    """What is done for a date whose key has this run. `again`: an operator asked to retry what has failed of it."""
    if found is None:
        return Make()
    if found.state is None:
        return Skip("its run is not kept any more", found.dag_run_id)
    if found.quarantined:
        return Skip("its run is quarantined", found.dag_run_id)
    failed = found.state in _FAILED
    if again:
        return Rerun(found.dag_run_id, whole=False) if failed else Keep(found.dag_run_id)
    if found.state not in RUN_FINAL:
        return Skip(f"its run is {found.state.value}", found.dag_run_id)
    if existing is Existing.RERUN_ALL:
        return Rerun(found.dag_run_id, whole=True)
    if failed and existing is Existing.RERUN_FAILED:
        return Rerun(found.dag_run_id, whole=False)
    how = "has succeeded" if not failed else "has failed" if found.state is RunState.FAILED else "was cancelled"
    return Skip(f"its run {how}", found.dag_run_id)


def decide_room(pace: Pace, active: int, ages: Sequence[float]) -> Room:
    """`active` are runs of the backfill that have not ended, `ages` the seconds since its latest starts, at least as
    many as the rate allows."""
    room = max(pace.runs_active_max - active, 0)
    if pace.rate_runs is None or room == 0:
        return Room(room)
    recent = sorted(age for age in ages if age < pace.rate_seconds)
    left = pace.rate_runs - len(recent)
    if left > 0:
        return Room(min(room, left))
    # So many of the latest starts fill the span; when the oldest of them leaves it, there is room for one.
    return Room(0, max(pace.rate_seconds - recent[pace.rate_runs - 1], 0.0))


def latest_at(versions: Sequence[tuple[int, datetime]], instant: datetime) -> int:
    """The number of the version that was the latest at an instant, of (number, create time) in the order of numbers;
    of an instant before all of them the first."""
    found = versions[0][0]
    for number, create_time in versions:
        if create_time > instant:
            break
        found = number
    return found


def estimate_seconds(
    waiting: int, pace: Pace, run_seconds: float | None, *, active: Sequence[float] = (), starts: Sequence[float] = ()
) -> float | None:
    """How long it takes until all that waits has had its run and the last run has ended, each taking `run_seconds`.

    `active`: for how long each active run has gone. `starts`: the seconds since the latest starts, the latest first.
    None: not known.
    """
    if run_seconds is None:
        return None
    left = [max(0.0, run_seconds - seconds) for seconds in active]
    if waiting <= 0:
        return max(left, default=0.0)
    # Places get free in this order, and again in this order, as all runs take as long.
    free = sorted([*left, *[0.0] * (pace.runs_active_max - len(left))])
    rounds, rest = divmod(waiting, len(free))
    end = free[-1] + rounds * run_seconds
    if rest:
        end = max(end, free[rest - 1] + (rounds + 1) * run_seconds)
    return max(end, _last_start(waiting, pace, starts) + run_seconds)


def _last_start(waiting: int, pace: Pace, starts: Sequence[float]) -> float:
    """In how many seconds the rate lets the last of so many begin: each a span after the one `rate_runs` before it."""
    if pace.rate_runs is None:
        return 0.0
    spans, first = divmod(waiting - 1, pace.rate_runs)
    before = pace.rate_runs - 1 - first
    wait = max(0.0, pace.rate_seconds - starts[before]) if before < len(starts) else 0.0
    return wait + spans * pace.rate_seconds
