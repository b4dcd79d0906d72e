"""What goes into a step transaction and what comes out of it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any, NamedTuple
from uuid import UUID

from ..core.board import Board, Tally
from ..core.calls import Call
from ..core.effects import Effects
from ..core.events import AttemptKey, Deferral, Event
from ..core.failure import Failure
from ..core.order import FlowClock
from ..core.priorities import UNSAID, Priorities
from ..core.states import AttemptState, RunState
from ..core.values import Values
from ..store.calls import NewChild
from ..store.database import Connection
from .plans import Plan, Plans, RunFacts
from .pullers import Puller, Pullers

TALLIES_KEPT_MAX = 20_000


class ClaimError(Exception):
    """Giving out work failed, not the stepped runs: `run_ids` own what was claimed, as far as that is known."""

    def __init__(self, run_ids: frozenset[UUID]) -> None:
        super().__init__(f"work of {len(run_ids)} runs cannot be given out")
        self.run_ids = run_ids


class Verdict(IntEnum):
    """What became of a report. Codes equal the wire's."""

    ACCEPTED = 1
    DUPLICATE = 2
    FENCED = 3
    REJECTED = 4


class Output(NamedTuple):
    """A task's output: inline bytes, or a reference with size and digest."""

    content_type: str
    body: bytes | None
    uri: str | None
    size_bytes: int
    sha256: str


class Called(NamedTuple):
    """A child run to be stored, how deep it lies, and the names of who calls it."""

    run: NewChild
    depth: int
    parent_dag_id: str
    task_id: str


@dataclass(slots=True, eq=False)
class Report:
    """The end of an attempt: its worker's word (`origin` is told), or a verdict on the session in `judged`.

    A verdict that goes by what one stream knows names the generation of that stream, too: a newer one knows better.
    """

    key: AttemptKey
    outcome: AttemptState
    failure: Failure | None = None
    output: Output | None = None
    reason: str = ""
    judged: UUID | None = None
    judged_generation: int | None = None
    origin: Any = None
    token: bytes = b""
    # The tasks that a branch which succeeded follows; read from its output under the run's lock.
    choice: tuple[int, ...] | None = None
    deferral: Deferral | None = None
    # What the attempt leaves to the next one, where that is not stored yet.
    checkpoint: bytes = b""
    # What a success leaves beside its output.
    values: Values | None = None
    # What the attempt calls; and the run to be stored for it, found and checked under the caller's lock.
    call: Call | None = None
    called: Called | None = None

    @property
    def bytes(self) -> int:
        """Bytes of what came with it and has a size of its author's choice; everything else is small."""
        size = len(self.checkpoint)
        if self.output is not None and self.output.body is not None:
            size += len(self.output.body)
        if self.values is not None:
            size += self.values.size
        if self.call is not None:
            size += len(self.call.params)
        return size


@dataclass(slots=True, eq=False)
class Command:
    """An operator's event. `within` writes what belongs to it (audit, request row) in the step's own transaction; it is
    given the step's time and the event as the step has completed it."""

    event: Event
    within: Callable[[Connection, datetime, Any], Awaitable[None]] | None = None
    done: asyncio.Future[None] | None = None


@dataclass(slots=True, eq=False)
class RunWork:
    """What has arrived for one run. `missed` counts the steps in which another replica held it."""

    reports: list[Report] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    command: Command | None = None
    inbox: bool = False
    missed: int = 0

    @property
    def size(self) -> int:
        """Rows that the work means for a step."""
        return 1 + len(self.reports) + len(self.events)

    @property
    def bytes(self) -> int:
        """Bytes of what came with the reports."""
        return sum(report.bytes for report in self.reports)

    def absorb(self, other: RunWork) -> None:
        """Put work that goes back into the line in front of what has arrived since."""
        self.reports = other.reports + self.reports
        self.events = other.events + self.events
        self.inbox = self.inbox or other.inbox
        self.missed = max(self.missed, other.missed)


@dataclass(slots=True, eq=False)
class LockedRun:
    """A run whose row the step holds."""

    dag_run_id: UUID
    plan: Plan
    board: Board
    revision: int
    quarantined: bool
    # Its timeout has passed.
    overdue: bool
    # The run's state before this step.
    was: RunState
    # Somebody may wait for its end.
    is_child: bool = False
    # There may be rows of its deadlines.
    has_deadlines: bool = False
    # For its history, beside what its effects say.
    notes: list[str] = field(default_factory=list)
    # What an operator has said of its priority.
    priorities: Priorities = UNSAID
    # Whose flow it is in; None: in its DAG's.
    backfill_id: UUID | None = None
    effects: Effects = field(default_factory=Effects)
    # Something of it was to be taken back: the board may have changed though no state has.
    asked_back: bool = False
    # Of tasks that are not mapped.
    outputs: dict[int, Output] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """How a child run ended that an earlier attempt has called."""

    dag_run_id: UUID
    dag_id: str
    state: str
    reason: str
    output: Output | None


@dataclass(slots=True, eq=False)
class Assigned:
    """An attempt that is live from this commit on, and everything its assignment carries."""

    key: AttemptKey
    puller: Puller
    class_id: int
    plan: Plan | None = None
    facts: RunFacts | None = None
    upstream: dict[int, Output] = field(default_factory=dict)
    checkpoint: bytes = b""
    # JSON by task and key, None for what a success did not push.
    xcoms: dict[tuple[int, str], str | None] = field(default_factory=dict)
    child: ChildEnd | None = None
    # What an instance of a mapped task is given: a JSON object by argument.
    item: str = ""


class CancelOrder(NamedTuple):
    """Tell the session's worker to end this attempt."""

    key: AttemptKey
    session_id: UUID
    reason: str


@dataclass(slots=True, eq=False)
class StepOutcome:
    """What must happen after the commit, and only then."""

    acks: list[tuple[Report, Verdict]] = field(default_factory=list)
    assigned: list[Assigned] = field(default_factory=list)
    cancels: list[CancelOrder] = field(default_factory=list)
    missed: dict[UUID, RunWork] = field(default_factory=dict)
    touched: set[UUID] = field(default_factory=set)
    # Queues that got rows which nobody here took.
    queues: set[int] = field(default_factory=set)
    # (namespace, dag id) of capped DAGs of which a run has ended.
    ended_capped: set[tuple[str, str]] = field(default_factory=set)
    # A run has ended; one of a backfill.
    runs_ended: bool = False
    backfills: bool = False
    # (session, class) of attempts that ended: their resources are free again.
    ended: list[tuple[UUID, int]] = field(default_factory=list)
    tallies: list[tuple[UUID, int, Tally]] = field(default_factory=list)
    timers: bool = False
    # Runs that wait for equal calls, and have been told by their inboxes to look again.
    woken: set[UUID] = field(default_factory=set)
    # Calls wait that this step has not woken, or has left without who was at it.
    equal_calls: bool = False
    # Tasks have begun to wait for the run before: it is to be looked at once more.
    past: bool = False
    quarantined: list[tuple[UUID, str]] = field(default_factory=list)
    # Something was written that people may want to hear of.
    facts: bool = False
    # Whether child runs were made: those that may start, and whether some wait for admission; and runs whose inboxes
    # have got something.
    called: bool = False
    created: list[UUID] = field(default_factory=list)
    unadmitted: bool = False
    inboxes: set[UUID] = field(default_factory=set)

    def note_end(self, of_backfill: bool) -> None:
        """A run has ended."""
        self.runs_ended = True
        self.backfills = self.backfills or of_backfill


@dataclass(slots=True)
class Replica:
    """What the steps of one replica share in memory. None of it is the truth."""

    plans: Plans = field(default_factory=Plans)
    pullers: Pullers = field(default_factory=Pullers)
    flows: dict[int, FlowClock] = field(default_factory=dict)
    # Of tasks of runs with deadlines, 0 to 1: who looks ahead at these says so (operations/foresee_misses.py).
    urgency: dict[UUID, Mapping[int, float]] = field(default_factory=dict)
    tallies: OrderedDict[UUID, tuple[int, Tally]] = field(default_factory=OrderedDict)
    # They never change.
    backfill_weights: dict[UUID, float] = field(default_factory=dict)

    def flow(self, queue_id: int) -> FlowClock:
        clock = self.flows.get(queue_id)
        if clock is None:
            clock = self.flows[queue_id] = FlowClock()
        return clock

    def urgency_of(self, run_id: UUID, task: int) -> float:
        return self.urgency[run_id].get(task, 0.0) if run_id in self.urgency else 0.0

    def see_heads(self, heads: Iterable[Any]) -> None:
        """How far the queues have come, whoever claims from them: after a restart, or beside other replicas."""
        for head in heads:
            self.flow(head["queue_id"]).served(head["order_key"], head["priority"])

    def take_tally(self, run_id: UUID, revision: int) -> Tally | None:
        """The tally that belongs to this revision, taken out: a step that fails leaves no half-changed one behind."""
        revision_kept, tally = self.tallies.pop(run_id, (-1, None))
        return tally if revision_kept == revision else None

    def keep_tally(self, run_id: UUID, revision: int, tally: Tally) -> None:
        self.tallies[run_id] = (revision, tally)
        if len(self.tallies) > TALLIES_KEPT_MAX:
            self.tallies.popitem(last=False)
