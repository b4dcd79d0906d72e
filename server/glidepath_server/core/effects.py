"""What follows from a step of a run: all that `advance` may ask of the step transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from .approvals import Answer, ApprovalState
from .retry import Budget
from .states import AttemptState, RunState, TaskEvent


class Release(NamedTuple):
    """Put this attempt into the queue, due at `at` (None: now)."""

    task: int
    map_index: int
    attempt_number: int
    tries: int = 0
    losses: int = 0
    redeliveries: int = 0
    at: datetime | None = None
    deferrals: int = 0
    waiting_since: datetime | None = None
    preemptions: int = 0

    def to_json(self) -> list[Any]:
        """As a board keeps it (core/pausing.py)."""
        return [each.isoformat() if isinstance(each, datetime) else each for each in self]

    @staticmethod
    def from_json(value: list[Any]) -> Release:
        known: list[Any] = [*value, *Release(0, 0, 0)[len(value) :]]  # what was stored before there were more fields
        for place in (6, 8):
            known[place] = datetime.fromisoformat(known[place]) if known[place] else None
        return Release._make(known)


class Withdraw(NamedTuple):
    """Take the task's row back from the queue; what is live instead must be told to end. `event` follows either way."""

    task: int
    event: TaskEvent
    reason: str
    # Of a mapped task: one instance, or -1 for all that are out.
    map_index: int = -1


class DeadLetter(NamedTuple):
    """A task instance that was given up with this attempt: a person must look."""

    task: int
    map_index: int
    attempt_number: int
    budget: Budget
    reason: str


class Question(NamedTuple):
    """Ask people: the task instance waits for an answer."""

    task: int
    map_index: int
    attempt_number: int


class Closed(NamedTuple):
    """A question is not open any more: it was answered, or (without an answer) expired or withdrawn."""

    task: int
    map_index: int
    attempt_number: int
    state: ApprovalState
    outcome: AttemptState
    reason: str
    answer: Answer | None = None


@dataclass(slots=True)
class Effects:
    """What the step must write. `changes` are (task, map index, new state), in the order they happened.

    `answered` are (task, map index) whose dead letters of earlier steps are done with: somebody has cleared them; -1
    are all of a task. `expansions` are mapped tasks whose lists must be read, with when their instances are due.
    """

    releases: list[Release] = field(default_factory=list)
    withdrawals: list[Withdraw] = field(default_factory=list)
    changes: list[tuple[int, int, int]] = field(default_factory=list)
    run_state: RunState | None = None
    reason: str = ""
    notes: list[str] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    answered: list[tuple[int, int]] = field(default_factory=list)
    # By (task, map index): the end that an operator gave an instance (a code of TaskState), and what he said; None: it
    # has, or will have, another one.
    instance_marks: dict[tuple[int, int], tuple[int, str] | None] = field(default_factory=dict)
    expansions: dict[int, datetime | None] = field(default_factory=dict)
    # (task, map index, attempt number) of results that are worth keeping.
    results: list[tuple[int, int, int]] = field(default_factory=list)
    # Of task instances that waited for an equal call which has ended: each is to be looked at anew.
    equal_calls_ended: list[tuple[int, int, int]] = field(default_factory=list)
    # Tasks that may start as far as this run goes: whether the run before lets them is to be looked up; and tasks of
    # which this run was told that something has changed there.
    past_asked: list[int] = field(default_factory=list)
    past_told: list[int] = field(default_factory=list)
    asked: list[Question] = field(default_factory=list)
    closed: list[Closed] = field(default_factory=list)
    # These tasks run again, for a retry of the run: see RunRetried.
    run_again: tuple[int, ...] = ()
