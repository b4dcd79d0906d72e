"""What is durable, and nothing else: the rows that a committed transaction leaves, without SQL and without concurrency.

Rows are immutable, so that a copy of the database is a few shallow copies, and a transaction that is rolled back goes
back to one. What a replica or a worker remembers beyond these rows may be lost at any moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import NamedTuple

from glidepath_server.core.effects import Release
from glidepath_server.core.failure import Failure
from glidepath_server.core.run_view import EndedRow
from glidepath_server.core.states import AttemptState, RunIntent, RunState

Key = tuple[str, int]
"""A task instance: its run's name and its index."""


class Attempt(NamedTuple):
    """Names an attempt in messages and histories: by task id, because indices change when a scenario is shrunk."""

    run: str
    task_id: str
    number: int

    def __str__(self) -> str:
        return f"{self.run}.{self.task_id}#{self.number}"


class Report(NamedTuple):
    """How an attempt ended: a worker's word, or the server's verdict over a session (`judged`)."""

    attempt: Attempt
    outcome: AttemptState
    failure: Failure | None = None
    judged: str = ""
    reason: str = ""


class Overdue(NamedTuple):
    """A timer's word: this attempt is over its execution timeout. It holds for this attempt only."""

    attempt: Attempt


class RunRow(NamedTuple):
    dag_id: str
    order: int  # of creation
    board: bytes
    state: RunState = RunState.QUEUED
    intent: RunIntent = RunIntent.RUN
    reason: str = ""
    revision: int = 0
    admitted: bool = True
    timeout_time: datetime | None = None


class QueueRow(NamedTuple):
    release: Release
    class_id: int
    order_key: float
    priority: int
    queue_time: datetime
    available_time: datetime
    due: bool
    parked_on: int = 0


class LiveRow(NamedTuple):
    release: Release
    class_id: int
    session: str
    queue_time: datetime
    start_time: datetime
    timeout_time: datetime | None
    cancel_requested: bool = False
    timed_out: bool = False


class SessionRow(NamedTuple):
    worker: str
    incarnation: int
    is_open: bool
    lease_expire_time: datetime


class LimitRow(NamedTuple):
    kind: str
    name: str
    capacity: int | None
    paused: bool = False

    @property
    def room(self) -> int | None:
        return 0 if self.paused else self.capacity


@dataclass(slots=True)
class Database:
    """All tables. `ended` holds every ended attempt by task instance and number."""

    runs: dict[str, RunRow] = field(default_factory=dict)
    queue: dict[Key, QueueRow] = field(default_factory=dict)
    live: dict[Key, LiveRow] = field(default_factory=dict)
    ended: dict[tuple[str, int, int], EndedRow] = field(default_factory=dict)
    sessions: dict[str, SessionRow] = field(default_factory=dict)
    limits: dict[int, LimitRow] = field(default_factory=dict)
    inbox: list[tuple[str, str]] = field(default_factory=list)  # a run and an event as text

    def snapshot(self) -> Database:
        return Database(**{each.name: copy(getattr(self, each.name)) for each in fields(self)})

    def attempts_made(self, run: str, tasks: tuple[int, ...]) -> dict[int, int]:
        """The highest attempt number of each task that was ever claimed."""
        wanted = set(tasks)
        made: dict[int, int] = {}
        for owner, task, number in self.ended:
            if owner == run and task in wanted:
                made[task] = max(made.get(task, 0), number)
        for (owner, task), row in self.live.items():
            if owner == run and task in wanted:
                made[task] = max(made.get(task, 0), row.release.attempt_number)
        return made

    def use(self, slots: Mapping[int, Mapping[int, int]]) -> dict[int, int]:
        """Slots in use by limit, derived from what is live; `slots` says per class what it takes of which limit."""
        used = dict.fromkeys(self.limits, 0)
        for row in self.live.values():
            for limit, amount in slots[row.class_id].items():
                used[limit] += amount
        return used
