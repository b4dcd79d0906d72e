"""What the checker knows of schedules and backfills: their ticks, their dates, and the keys of runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


class ScheduleName(NamedTuple):
    namespace: str
    dag_id: str
    name: str

    def __str__(self) -> str:
        return f"{self.dag_id}/{self.name}"


class RunKey(NamedTuple):
    """What a run is unique by, for ever."""

    namespace: str
    dag_id: str
    key: str

    def __str__(self) -> str:
        return f"{self.dag_id} {self.key}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule as it is now. `cursor`: all its ticks up to here have their outcomes."""

    name: ScheduleName
    cursor: datetime
    deleted: bool = False

    def __str__(self) -> str:
        return f"schedule {self.name} has settled its ticks up to {self.cursor:%Y-%m-%d %H:%M:%S}"


@dataclass(frozen=True, slots=True)
class Tick:
    """What became of a tick: run, met (a run with its key was there), skip, or still waiting."""

    schedule: ScheduleName
    time: datetime
    logical_date: datetime
    state: str
    run_id: str = ""
    reason: str = ""
    decide_time: datetime | None = None
    transaction: int = 0
    """That of its outcome; of one that has waited, a later one than that of the cursor."""

    @property
    def key(self) -> RunKey:
        return RunKey(self.schedule.namespace, self.schedule.dag_id, series_key(self.schedule.name, self.logical_date))

    def __str__(self) -> str:
        return f"tick {self.time:%Y-%m-%d %H:%M:%S} of {self.schedule} is {self.state} {self.reason}".rstrip()


@dataclass(frozen=True, slots=True)
class Backfill:
    backfill_id: str
    namespace: str
    dag_id: str
    series: str
    state: str
    date_count: int
    runs_active_max: int = 10_000
    rate_runs: int | None = None
    rate_seconds: float = 0.0

    def __str__(self) -> str:
        return f"backfill {self.backfill_id[-8:]} of {self.dag_id} is {self.state}, has {self.date_count} dates"


@dataclass(frozen=True, slots=True)
class Date:
    """A date of a backfill: waiting, created, rerun or skipped. `again`: an operator had what failed of it retried."""

    backfill_id: str
    position: int
    logical_date: datetime
    outcome: str
    run_id: str = ""
    reason: str = ""
    again: bool = False
    start_times: tuple[datetime, ...] = ()
    """When its run was made, and rerun each time, the oldest first."""

    def __str__(self) -> str:
        name = f"{self.position} ({self.logical_date:%Y-%m-%d %H:%M:%S}) of backfill {self.backfill_id[-8:]}"
        return f"date {name} is {self.outcome} {self.reason}".rstrip()


@dataclass(frozen=True, slots=True)
class MadeRun:
    """How a run came to be: manual, scheduled, backfill, asset or child."""

    run_id: str
    key: RunKey
    kind: str
    logical_date: datetime

    def __str__(self) -> str:
        return f"run {self.run_id[-8:]} of {self.key} is {self.kind}"


@dataclass(frozen=True, eq=False)
class Calendar:
    """Everything of schedules and backfills, of one snapshot. `runs` are those that are kept; `keys` are of all."""

    plans: tuple[Plan, ...] = ()
    ticks: tuple[Tick, ...] = ()
    backfills: tuple[Backfill, ...] = ()
    dates: tuple[Date, ...] = ()
    runs: tuple[MadeRun, ...] = ()
    keys: Mapping[RunKey, str] = field(default_factory=dict)
    """The run that has a key."""


def series_key(series: str, logical_date: datetime) -> str:
    """The key that a series has for a date, by docs/schedules.md; fractions of a second only if there are any."""
    return f"{series}@{logical_date.replace(tzinfo=None).isoformat()}Z"
