"""What the checker knows of a system: rows, journals and ledgers as plain values. No judge sees anything else.

Times are UTC by the database's clock for rows, and the host's wall and monotonic clocks, in seconds, for journals.
`transaction` is the database's number of the transaction that wrote a row: rows with the same number were committed
together. Within a run the order is that of `revision`; no order is ever taken from a clock where one of these is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from tests.checker.tick_facts import Calendar

LIVE = "running"


class AttemptKey(NamedTuple):
    """Names one attempt everywhere in the checker."""

    run_id: str
    task_id: str
    map_index: int
    number: int

    def __str__(self) -> str:
        return f"{self.run_id[-8:]}/{self.instance_name} #{self.number}"

    @property
    def instance(self) -> tuple[str, str, int]:
        return self.run_id, self.task_id, self.map_index

    @property
    def instance_name(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


@dataclass(frozen=True, slots=True)
class MapRule:
    """How a mapped task is treated: instances that may be out at once, the share that must succeed, what it comes to
    over nothing (skip, succeed)."""

    window: int = 2_000
    success_ratio_min: float = 1.0
    empty: str = "skip"


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a DAG version; seconds, None: no limit."""

    task_id: str
    upstream: tuple[str, ...] = ()
    rule: str = "all_success"
    retries_max: int = 0
    losses_max: int = 3
    preemptions_max: int = 10
    timeout_seconds: float | None = None
    grace_seconds: float = 10.0
    pool: str | None = None
    pool_slots: int = 1
    limits: tuple[tuple[str, int], ...] = ()
    active_max: int | None = None
    handler_name: str = "handler"
    handler_version: str = ""
    role: str = "work"
    group: str = ""
    cached: bool = False
    map: MapRule | None = None


@dataclass(frozen=True, eq=False)
class Version:
    """An immutable DAG version. `tasks` are in the order of their indexes; `spec_hash` is that of the stored text."""

    version_id: int
    namespace: str
    dag_id: str
    number: int
    tasks: tuple[Task, ...]
    create_time: datetime
    content_hash: str = ""
    spec_hash: str = ""
    run_timeout_seconds: float | None = None
    fail_fast: bool = False
    run_retries_max: int = 0
    run_tasks_active_max: int | None = None

    @cached_property
    def _by_id(self) -> dict[str, Task]:
        return {task.task_id: task for task in self.tasks}

    def task(self, task_id: str) -> Task:
        return self._by_id[task_id]


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it is now. `board` holds the state of each task, in the order of the version's tasks."""

    run_id: str
    version_id: int
    namespace: str
    dag_id: str
    revision: int
    state: str
    board: tuple[str, ...]
    create_time: datetime
    intent: str = "run"
    admitted: bool = True
    quarantined: bool = False
    backfill_id: str = ""
    """The last backfill that made it or had it rerun."""

    def __str__(self) -> str:
        return f"run {self.run_id[-8:]} of {self.dag_id} is {self.state} at revision {self.revision}"


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One step of a run. `changes` are (task id, new state) in the order in which they happened."""

    run_id: str
    revision: int
    time: datetime
    transaction: int
    run_state: str
    changes: tuple[tuple[str, str], ...] = ()
    note: str = ""
    instances: tuple[tuple[int, str, int, str], ...] = ()
    """Changes of instances of mapped tasks: (how many of `changes` came before, task id, map index, new state)."""

    def __str__(self) -> str:
        said = [f"{task_id} {state}" for task_id, state in self.changes]
        said += [f"{task_id}[{index}] {state}" for _, task_id, index, state in self.instances]
        moved = ", ".join(said[:6])
        return f"run {self.run_id[-8:]} revision {self.revision}: {self.run_state}; {moved or 'no task moved'}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try, ended or live (`end_time` None, `transaction` 0)."""

    key: AttemptKey
    state: str
    session_id: str
    queue_time: datetime
    start_time: datetime
    end_time: datetime | None = None
    transaction: int = 0
    cancel_requested_time: datetime | None = None
    has_output: bool = False
    choice: str | None = None
    """The output of a branch or short circuit, as JSON."""
    without_choice: bool = False
    preempted: bool = False
    """A branch whose output named nothing that it could follow."""
    digest: str = ""
    """Of the output, empty for none."""

    def __str__(self) -> str:
        return f"attempt {self.key} is {self.state} in session {self.session_id[-8:]}"


@dataclass(frozen=True, slots=True)
class ChildCall:
    """An attempt that went on as a child run: while it is `waiting`, it has not ended."""

    key: AttemptKey
    child_id: str
    waiting: bool
    resume: bool = False
    state: str | None = None
    """How the child run ended, as the caller was told."""
    cancel_requested_time: datetime | None = None

    def __str__(self) -> str:
        how = "waits for" if self.waiting else f"was told {self.state} of"
        return f"attempt {self.key} {how} run {self.child_id[-8:]}"


@dataclass(frozen=True, slots=True)
class Queued:
    """A released task instance that nobody has claimed. `parked_on`: the limit it waits for, 0 none, -1 quarantine,
    -2 an equal call."""

    key: AttemptKey
    queue_time: datetime
    available_time: datetime
    due: bool = True
    parked_on: int = 0

    def __str__(self) -> str:
        where = f"parked on limit {self.parked_on}" if self.parked_on else "due" if self.due else "not due"
        return f"{self.key} is queued, {where}"


@dataclass(frozen=True, slots=True)
class Reuse:
    """A result that a task instance took instead of an attempt, which would have had this key; and who made it."""

    key: AttemptKey
    transaction: int
    source_run: str
    source_task: str
    source_map_index: int
    source_time: datetime
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.key} has the result of {self.source_run[-8:]}/{self.source_task}"


@dataclass(frozen=True, slots=True)
class Call:
    """A released instance of a cached task: it runs, or waits for an equal call (one with the same key)."""

    instance: tuple[str, str, int]
    key: str
    waits: bool


@dataclass(frozen=True, slots=True)
class Limit:
    """A named capacity; None: no cap. Paused is 0 whatever the capacity says."""

    limit_id: int
    namespace: str
    kind: str
    name: str
    capacity: int | None
    paused: bool = False
    rate_starts: int | None = None
    rate_seconds: float = 0.0

    @property
    def room(self) -> int | None:
        return 0 if self.paused else self.capacity

    def __str__(self) -> str:
        return f"{self.kind} {self.name} has {'no cap' if self.room is None else f'{self.room} slots'}"


@dataclass(frozen=True, slots=True)
class Holder:
    """A live attempt's share of a limit."""

    limit_id: int
    run_id: str
    task_id: str
    map_index: int
    slots: int

    @property
    def instance(self) -> tuple[str, str, int]:
        return self.run_id, self.task_id, self.map_index

    def __str__(self) -> str:
        return f"{self.run_id[-8:]}/{self.task_id} holds {self.slots} of limit {self.limit_id}"


@dataclass(frozen=True, slots=True)
class Audit:
    """Who did what; written in the transaction of the deed."""

    audit_id: int
    time: datetime
    transaction: int
    namespace: str
    actor: str
    action: str
    target: str
    detail: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.actor} did {self.action} on {self.target} (transaction {self.transaction})"


@dataclass(frozen=True, slots=True)
class Request:
    """A request id with the answer that is kept for it."""

    namespace: str
    request_id: str
    method: str
    transaction: int
    create_time: datetime

    def __str__(self) -> str:
        return f"request {self.request_id} of {self.method} is kept (transaction {self.transaction})"


@dataclass(frozen=True, slots=True)
class Session:
    session_id: str
    worker: str
    state: str
    connect_time: datetime
    end_time: datetime | None = None


@dataclass(frozen=True, eq=False)
class Moment:
    """What one snapshot of the database holds of things that change: runs, what is released, limits and their use."""

    now: datetime
    runs: tuple[Run, ...] = ()
    queued: tuple[Queued, ...] = ()
    live: tuple[Attempt, ...] = ()
    limits: tuple[Limit, ...] = ()
    holders: tuple[Holder, ...] = ()
    waiting_events: tuple[tuple[str, datetime], ...] = ()
    """(run id, since when) of events that wait for a run's next step."""
    calls: tuple[Call, ...] = ()
    child_calls: tuple[ChildCall, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerEntry:
    """What a test worker wrote down; see journals.py for the kinds."""

    kind: str
    worker: str
    session_id: str
    wall: float
    monotonic: float
    key: AttemptKey | None = None
    word: str = ""
    dag_version_number: int = 0
    handler: str = ""
    place: str = ""

    def __str__(self) -> str:
        about = f" {self.key}" if self.key else ""
        return f"{self.place}: {self.worker} {self.kind}{about} {self.word}".rstrip()


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """What a test client wrote down of a call; see journals.py for the kinds."""

    kind: str
    client: str
    call: int
    method: str
    wall: float
    monotonic: float
    request_id: str = ""
    body: str = ""
    answer: str = ""
    names: tuple[str, ...] = ()
    place: str = ""

    def __str__(self) -> str:
        said = f" {self.answer}" if self.answer else ""
        return f"{self.place}: {self.client} {self.kind} {self.method} {self.request_id}{said}"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What a task wrote down of itself: start, beat, end. `code` is the DAG version number its source was made as."""

    kind: str
    key: AttemptKey
    pid: int
    wall: float
    monotonic: float
    code: int = 0
    place: str = ""

    def __str__(self) -> str:
        return f"{self.place}: the body of {self.key} in process {self.pid}: {self.kind}"


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to the system from outside, such as "kill server" or "crash postgres"."""

    what: str
    wall: float
    monotonic: float
    place: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


@dataclass(frozen=True, eq=False)
class Facts:
    """Everything of one system. Tuples from the database are in commit order as far as transactions tell it.

    `moments` are snapshots taken on the way, the newest last; that one is of the same snapshot as the history.
    """

    versions: tuple[Version, ...] = ()
    events: tuple[RunEvent, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    reuses: tuple[Reuse, ...] = ()
    audits: tuple[Audit, ...] = ()
    requests: tuple[Request, ...] = ()
    sessions: tuple[Session, ...] = ()
    run_keys: tuple[tuple[str, int], ...] = ()
    """(run id, transaction of its creation)."""
    lengths: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Instances of mapped tasks, by run and task, as their lists were read last."""
    unread: frozenset[tuple[str, str]] = frozenset()
    """Mapped tasks of which a dead letter says that their lists could not be read."""
    quarantined: frozenset[str] = frozenset()
    """Runs that were set aside at any time: their events may be later than their attempts' ends."""
    clock_shift_seconds: float = 0.0
    """How far the database's clock was moved by a test."""
    moments: tuple[Moment, ...] = ()
    worker_entries: tuple[WorkerEntry, ...] = ()
    client_entries: tuple[ClientEntry, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    faults: tuple[Fault, ...] = ()
    moves: tuple[tuple[str, datetime, int, int], ...] = ()
    """Runs that an operator moved: (run id, when, from which version id, to which), in that order."""
    calendar: Calendar = field(default_factory=Calendar)

    @property
    def last(self) -> Moment | None:
        return self.moments[-1] if self.moments else None

    @cached_property
    def runs(self) -> dict[str, Run]:
        return {run.run_id: run for run in self.last.runs} if self.last else {}

    @cached_property
    def version_by_id(self) -> dict[int, Version]:
        return {version.version_id: version for version in self.versions}

    @cached_property
    def call_of_child(self) -> dict[str, ChildCall]:
        return {call.child_id: call for call in self.last.child_calls} if self.last else {}

    @cached_property
    def all_attempts(self) -> tuple[Attempt, ...]:
        """Ended ones, then those that are live now."""
        return self.attempts + (self.last.live if self.last else ())

    @cached_property
    def attempt_by_key(self) -> dict[AttemptKey, Attempt]:
        return {attempt.key: attempt for attempt in self.all_attempts}

    @cached_property
    def ledger_by_key(self) -> dict[AttemptKey, list[LedgerEntry]]:
        found: dict[AttemptKey, list[LedgerEntry]] = {}
        for line in self.ledger:
            found.setdefault(line.key, []).append(line)
        return found

    @cached_property
    def reuses_by_run(self) -> dict[str, list[Reuse]]:
        found: dict[str, list[Reuse]] = {}
        for reuse in self.reuses:
            found.setdefault(reuse.key.run_id, []).append(reuse)
        return found

    @cached_property
    def audits_by_run(self) -> dict[str, list[Audit]]:
        found: dict[str, list[Audit]] = {}
        for audit in self.audits:
            if audit.target.startswith("dag_run/"):
                found.setdefault(audit.target.removeprefix("dag_run/"), []).append(audit)
        return found

    def pinned_at(self, run_id: str, time: datetime | None) -> Version | None:
        """The version that a run was pinned to at a time; None: at its creation."""
        moves = [move for move in self.moves if move[0] == run_id]
        if not moves:
            return self.version_of(run_id)
        before = [to for _, moved, _, to in moves if time is not None and moved <= time]
        return self.version_by_id.get(before[-1] if before else moves[0][2])

    def version_of(self, run_id: str) -> Version | None:
        """The version that a run is pinned to; None for a run that is not there."""
        run = self.runs.get(run_id)
        return self.version_by_id.get(run.version_id) if run else None
