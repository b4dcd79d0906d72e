"""Everything that can happen to a run, with the fields each event has. `advance` sees nothing else.

`task`, `map_index` and `attempt_number` name an attempt inside the run; `map_index` is -1 for a task that is not
mapped.
`tries`, `losses`, `redeliveries` and `preemptions` are what the ended attempt's row said: how many tries the attempts
before it used, how many were lost with their worker, how many were taken back, of how many the machine was taken away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from .approvals import Answer
from .effects import Release
from .failure import Failure
from .states import AttemptState, RunState, TaskEvent


class AttemptKey(NamedTuple):
    """Names one attempt everywhere inside the server."""

    dag_run_id: UUID
    task: int
    map_index: int
    attempt_number: int


class Deferral(NamedTuple):
    """Until when an attempt gives its place back: an instant, or so many seconds after its end; the later counts."""

    until: datetime | None = None
    after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run was admitted."""


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt's live row was deleted: the word of its worker, or the server's verdict (lost, returned)."""

    task: int
    map_index: int
    attempt_number: int
    outcome: AttemptState
    tries: int
    losses: int
    redeliveries: int
    failure: Failure | None = None
    reason: str = ""
    cancel_requested: bool = False
    # The tasks that a branch which succeeded follows.
    choice: tuple[int, ...] | None = None
    deferral: Deferral | None = None
    # What the ended attempt's row said of deferrals before it, and when the first of them was.
    deferrals: int = 0
    waiting_since: datetime | None = None
    # Nobody ran it: its result is that of an equal call.
    cached: bool = False
    preemptions: int = 0


@dataclass(frozen=True, slots=True)
class Mapped:
    """The lists of a mapped task were read: so many instances, due at `at` (None: now); or why there can be none."""

    task: int
    length: int
    problem: str = ""
    at: datetime | None = None


class MapPart(NamedTuple):
    """Instances of a mapped task that run again: those that have ended, with the number of their next attempt and the
    state that they have (a code of TaskState); and those that are out."""

    again: Mapping[int, tuple[int, int]]
    out: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A released, unclaimed row was taken back from the queue under the run's lock."""

    task: int
    map_index: int
    attempt_number: int
    event: TaskEvent  # CANCEL, CLEAR, HOLD or a mark: what it was taken back for
    # What the row said, for HOLD.
    release: Release | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """A child run has ended: a fact for the caller's inbox, written in the transaction of that end.

    `advance` never sees it: the caller's step makes an AttemptEnded of it, if the child run is still waited for.
    `problem` says why the child run's output cannot be the attempt's.
    """

    child_run_id: UUID
    state: RunState
    reason: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class EqualCallEnded:
    """The equal call for which a released task instance waits has ended, or may have. Its row proves that it waits."""

    task: int
    map_index: int
    attempt_number: int


@dataclass(frozen=True, slots=True)
class PastChanged:
    """The same task in the run before may have ended well, or another run is the run before now: look anew."""

    task: int


@dataclass(frozen=True, slots=True)
class PastLetsGo:
    """The run before lets these tasks start: the step has looked, `advance` had asked for it (Effects.past_asked)."""

    tasks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RunCancelled:
    """An operator ends the run, or its caller does."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunTimedOut:
    """The run's timeout passed."""

    reason: str = "run timeout"


@dataclass(frozen=True, slots=True)
class TasksCancelled:
    """An operator ends single tasks, by index."""

    tasks: tuple[int, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TasksCleared:
    """An operator lets tasks run again. `attempts` gives, per task, the highest attempt number made so far; the step
    fills it in under the run's lock.

    `parts` are mapped tasks among them of which only these instances run again; the step makes them of `instances`
    (chosen by an operator, by task) or, with `only_failed`, of all that did not succeed.

    Raises StateConflict in the step when one of them is live and `cancel_running` is not set.
    """

    tasks: tuple[int, ...]
    cancel_running: bool = False
    reason: str = ""
    attempts: Mapping[int, int] = field(default_factory=dict)
    instances: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    only_failed: bool = False
    parts: Mapping[int, MapPart] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRetried:
    """A run that has failed begins again where it did, in the step in which it would have ended: `advance` has asked
    for it (Effects.run_again). `attempts` as of TasksCleared."""

    tasks: tuple[int, ...]
    attempts: Mapping[int, int]
    parts: Mapping[int, MapPart] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TasksMarked:
    """An operator says how tasks have ended, by index. What is live is told to end, and has that state once it has."""

    tasks: tuple[int, ...]
    mark: TaskEvent  # one of MARKS
    reason: str = ""


@dataclass(frozen=True, slots=True)
class InstancesMarked:
    """An operator says how instances of a mapped task have ended, or (CANCEL) ends them. What is live is told to end,
    and has that state once it has; of a cancel, the end that its attempt has then.

    `states` are those that the instances have now (codes of TaskState), without those that nothing has happened to; the
    step fills them in under the run's lock.

    Raises StateConflict in the step while the task is being ended as a whole, and for a cancel of what has ended.
    """

    task: int
    indexes: tuple[int, ...]
    mark: TaskEvent  # one of MARKS, or CANCEL
    reason: str = ""
    states: Mapping[int, int] = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[int, ...]:
        return (self.task,)


@dataclass(frozen=True, slots=True)
class RunPaused:
    """An operator lets nothing of these tasks (none: of the run) start any more. `by` says who, and why."""

    tasks: tuple[int, ...]
    by: str


@dataclass(frozen=True, slots=True)
class RunResumed:
    """An operator lifts the pauses of these tasks (none: all pauses of the run)."""

    tasks: tuple[int, ...]
    by: str


@dataclass(frozen=True, slots=True)
class RunMoved:
    """An operator moves the run to another version of its DAG, and lets tasks run again on it. The step has given the
    board its new size, and fills in what is removed, what is there again, and `attempts` as of TasksCleared.

    Raises StateConflict in the step while something of the run is released or asks.
    """

    tasks: tuple[int, ...]
    dag_version_id: int
    dag_version_number: int
    reason: str = ""
    attempts: Mapping[int, int] = field(default_factory=dict)
    removed: tuple[int, ...] = ()
    restored: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalAnswered:
    """Somebody answers what a task instance asks.

    Raises StateConflict in the step when it does not ask that any more.
    """

    task: int
    map_index: int
    attempt_number: int
    answer: Answer

    @property
    def tasks(self) -> tuple[int, ...]:
        return (self.task,)


@dataclass(frozen=True, slots=True)
class ApprovalExpired:
    """Nobody has answered in time, if it is still that question that is open."""

    task: int
    map_index: int
    attempt_number: int


Event = (
    RunStarted
    | AttemptEnded
    | Mapped
    | Withdrawn
    | ChildEnded
    | RunCancelled
    | RunTimedOut
    | TasksCancelled
    | TasksCleared
    | TasksMarked
    | InstancesMarked
    | RunRetried
    | EqualCallEnded
    | PastChanged
    | PastLetsGo
    | RunMoved
    | RunPaused
    | RunResumed
    | ApprovalAnswered
    | ApprovalExpired
)


_KINDS = {
    kind.__name__: kind
    for kind in (
        RunStarted,
        AttemptEnded,
        Withdrawn,
        ChildEnded,
        RunCancelled,
        RunTimedOut,
        TasksCancelled,
        TasksCleared,
        TasksMarked,
        EqualCallEnded,
        PastChanged,
        ApprovalExpired,
    )
}


def event_to_json(event: Event) -> str:
    """The stored form of an event that waits in run_inbox."""
    fields: dict[str, Any] = {name: getattr(event, name) for name in event.__slots__}
    if fields.get("failure") is not None:
        fields["failure"] = fields["failure"].to_json()
    if (deferral := fields.get("deferral")) is not None:
        fields["deferral"] = [deferral.until and deferral.until.isoformat(), deferral.after_seconds]
    if fields.get("waiting_since") is not None:
        fields["waiting_since"] = fields["waiting_since"].isoformat()
    if "child_run_id" in fields:
        fields["child_run_id"] = str(fields["child_run_id"])
    return json.dumps({"kind": type(event).__name__, **fields}, default=_plain)


def _plain(value: Any) -> Any:
    """Mappings and sets as JSON has them."""
    return sorted(value) if isinstance(value, frozenset) else dict(value)


def event_from_json(text: str) -> Event:
    """The inverse of event_to_json. Raises KeyError or ValueError for a kind or state that nobody knows."""
    fields = json.loads(text)
    kind = _KINDS[fields.pop("kind")]
    if fields.get("failure") is not None:
        fields["failure"] = Failure.from_json(fields["failure"])
    if fields.get("deferral") is not None:
        until, after_seconds = fields["deferral"]
        fields["deferral"] = Deferral(until and datetime.fromisoformat(until), after_seconds)
    if fields.get("waiting_since") is not None:
        fields["waiting_since"] = datetime.fromisoformat(fields["waiting_since"])
    if "child_run_id" in fields:
        fields |= {"child_run_id": UUID(fields["child_run_id"]), "state": RunState(fields["state"])}
    if "outcome" in fields:
        fields["outcome"] = AttemptState(fields["outcome"])
    for name in ("event", "mark"):
        if name in fields:
            fields[name] = TaskEvent(fields[name])
    for name in ("tasks", "choice"):
        if fields.get(name) is not None:
            fields[name] = tuple(fields[name])
    if "attempts" in fields:
        fields["attempts"] = {int(task): number for task, number in fields["attempts"].items()}
    if "instances" in fields:
        fields["instances"] = {int(task): tuple(indexes) for task, indexes in fields["instances"].items()}
    if "parts" in fields:
        fields["parts"] = {
            int(task): MapPart({int(index): tuple(each) for index, each in again.items()}, frozenset(out))
            for task, (again, out) in fields["parts"].items()
        }
    return kind(**fields)
