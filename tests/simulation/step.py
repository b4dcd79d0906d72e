"""One step transaction over the rows: what operations/step_runs.py does with SQL, in the same order and no cleverer.

Every decision about a run is `advance`, who may run what is `mismatch`, in which order is `FlowClock`. Here is only
what the design asks of the transaction around them: the fence, the withdrawal, the rows, and the count of limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from glidepath_server.core.advance import advance
from glidepath_server.core.board import Board, Tally
from glidepath_server.core.effects import Effects, Release
from glidepath_server.core.errors import StateConflict
from glidepath_server.core.events import (
    AttemptEnded,
    Event,
    RunTimedOut,
    TasksCleared,
    Withdrawn,
    event_from_json,
)
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.matching import Offer, TaskClass, mismatch
from glidepath_server.core.order import FlowClock
from glidepath_server.core.run_view import EndedRow
from glidepath_server.core.states import RUN_FINAL, AttemptState, RunState, TaskEvent

from .rows import Attempt, Database, Key, LiveRow, Overdue, QueueRow, Report, RunRow, SessionRow
from .scenario import Plan


@dataclass(slots=True)
class Replica:
    """What a replica remembers: what has arrived and waits for its step, flow clocks, and tallies by revision."""

    name: str
    arrived: list[Report | Overdue | tuple[str, Event]] = field(default_factory=list)
    flows: dict[int, FlowClock] = field(default_factory=dict)
    tallies: dict[str, tuple[int, Tally]] = field(default_factory=dict)


@dataclass(slots=True)
class RunStep:
    """What a step did to one run, as the judge gets it."""

    run: str
    before: RunRow
    events: list[Event] = field(default_factory=list)
    withdrawn: list[Withdrawn] = field(default_factory=list)
    effects: Effects = field(default_factory=Effects)
    after: RunRow | None = None


@dataclass(slots=True)
class Told:
    """What the replica says once the step is committed."""

    acks: list[tuple[Report, str]] = field(default_factory=list)
    assigned: list[tuple[Attempt, str]] = field(default_factory=list)
    cancels: list[tuple[Attempt, str]] = field(default_factory=list)
    runs: list[RunStep] = field(default_factory=list)
    claims: list[tuple[Key, LiveRow]] = field(default_factory=list)
    lost: list[tuple[Attempt, SessionRow]] = field(default_factory=list)


@dataclass(slots=True)
class Rules:
    """What never changes in a scenario: plans by DAG, classes, seats and offers of workers."""

    plans: Mapping[str, Plan]
    classes: Mapping[int, TaskClass]
    slots: Mapping[int, Mapping[int, int]]
    seats: Mapping[str, tuple[int, Offer]]


class Step:
    """Use: `told = Step(...).run()`; on StateConflict (a command that is refused) the database must be put back."""

    def __init__(self, rules: Rules, db: Database, replica: Replica, now: datetime) -> None:
        self.rules, self.db, self.replica, self.now = rules, db, replica, now
        self.told = Told()
        self.events: dict[str, list[Event]] = {}

    def run(self, command: tuple[str, Event] | None = None) -> Told:
        batch, self.replica.arrived = self.replica.arrived, []
        self._take_inbox()
        # Of two ends of one attempt a worker's word goes before a verdict over its session.
        for report in sorted((each for each in batch if isinstance(each, Report)), key=lambda each: each.judged != ""):
            self._accept(report)
        for each in batch:
            if isinstance(each, Overdue):
                self._overdue(each.attempt)
            elif not isinstance(each, Report):
                self.events.setdefault(each[0], []).append(each[1])
        if command is not None:
            self.events.setdefault(command[0], []).append(self._completed(*command))
        for run in sorted(self.events):
            self._step_run(run)
        self.claim()
        return self.told

    def _take_inbox(self) -> None:
        """What waited for a run goes first, in the order in which it was put there."""
        for run, text in self.db.inbox:
            self.events.setdefault(run, []).append(event_from_json(text))
        self.db.inbox = []

    def plan(self, run: str) -> Plan:
        return self.rules.plans[self.db.runs[run].dag_id]

    def key(self, attempt: Attempt) -> Key:
        return attempt.run, self.plan(attempt.run).graph.task_ids.index(attempt.task_id)

    # ---- accept
    def _accept(self, report: Report) -> None:
        """The fence: the live row of exactly this attempt is deleted, and a verdict finds the session it judged."""
        key = self.key(report.attempt)
        row = self.db.live.get(key)
        fits = row is not None and row.release.attempt_number == report.attempt.number
        if row is None or not fits or report.judged not in ("", row.session):
            self._refuse(report, key)
            return
        del self.db.live[key]
        outcome, failure = report.outcome, report.failure
        if outcome is AttemptState.CANCELLED and row.timed_out:
            outcome = AttemptState.TIMED_OUT
        if outcome is AttemptState.TIMED_OUT and failure is None:
            failure = Failure(FailureKind.TIMEOUT, message="execution timeout")
        told_to_end = row.cancel_requested and not row.timed_out
        counts = (row.release.tries, row.release.losses, row.release.redeliveries)
        if outcome is AttemptState.LOST:
            self.told.lost.append((report.attempt, self.db.sessions[row.session]))
        ended = AttemptEnded(key[1], -1, report.attempt.number, outcome, *counts, failure, report.reason, told_to_end)
        self.events.setdefault(key[0], []).append(ended)
        said = failure.to_json() if failure is not None else None
        self.db.ended[*key, report.attempt.number] = EndedRow(
            key[1],
            -1,
            report.attempt.number,
            report.outcome,
            row.session,
            row.queue_time,
            row.start_time,
            self.now,
            said,
        )
        self.told.acks.append((report, "accepted"))

    def _refuse(self, report: Report, key: Key) -> None:
        known = self.db.ended.get((*key, report.attempt.number))
        same = known is not None and known.state is report.outcome
        self.told.acks.append((report, "duplicate" if same else "fenced"))

    def _overdue(self, attempt: Attempt) -> None:
        """A timer holds for the attempt that it was set for, and changes nothing of a later one."""
        key = self.key(attempt)
        row = self.db.live.get(key)
        if row is not None and row.release.attempt_number == attempt.number and not row.cancel_requested:
            self.db.live[key] = row._replace(cancel_requested=True, timed_out=True)
            self.told.cancels.append((attempt, row.session))

    def _completed(self, run: str, event: Event) -> Event:
        if not isinstance(event, TasksCleared):
            return event
        return TasksCleared(event.tasks, event.cancel_running, event.reason, self.db.attempts_made(run, event.tasks))

    # ---- advance
    def _step_run(self, run: str) -> None:
        row, plan = self.db.runs[run], self.plan(run)
        board = Board.unpack(plan.graph.size, row.board, row.state, row.intent, row.reason)
        revision, tally = self.replica.tallies.pop(run, (-1, None))
        board.tally = tally if revision == row.revision else None
        events = [event for event in self.events[run] if self._holds(row, event)]
        record = RunStep(run, row, events)
        effects = record.effects = advance(plan.graph, board, events, self.now)
        asked: set[int] = set()
        while any(each.task not in asked for each in effects.withdrawals):
            back = self._withdraw(run, events, effects, asked)
            record.withdrawn += back
            advance(plan.graph, board, back, self.now, effects)
        record.after = self._write(run, row, board, effects)
        self._refuse_reopening(row, record.after)
        if board.tally is not None:
            self.replica.tallies[run] = (record.after.revision, board.tally)
        self.told.runs.append(record)

    def _holds(self, row: RunRow, event: Event) -> bool:
        """A timer's word is looked at again under the lock: the run may have ended and begun anew since."""
        if not isinstance(event, RunTimedOut):
            return True
        return row.timeout_time is not None and row.timeout_time <= self.now

    def _withdraw(self, run: str, events: list[Event], effects: Effects, asked: set[int]) -> list[Withdrawn]:
        """Take back what was not asked for before, in this step."""
        back: list[Withdrawn] = []
        refuses = any(isinstance(event, TasksCleared) and not event.cancel_running for event in events)
        # A timeout and a cancel in one step may both ask for a task: it is taken back once.
        wanted = {each.task: each.event for each in effects.withdrawals if each.task not in asked}
        asked.update(wanted)
        for task, event in wanted.items():
            queued = self.db.queue.pop((run, task), None)
            if queued is not None:
                back.append(Withdrawn(task, -1, queued.release.attempt_number, event))
                continue
            if refuses and event is TaskEvent.CLEAR:
                raise StateConflict("a task is running", hint="ask for cancel_running")
            live = self.db.live.get((run, task))
            if live is None:
                continue  # its attempt ended in this very step
            self.db.live[run, task] = live._replace(cancel_requested=True, timed_out=False)
            task_id = self.plan(run).graph.task_ids[task]
            self.told.cancels.append((Attempt(run, task_id, live.release.attempt_number), live.session))
        return back

    def _refuse_reopening(self, before: RunRow, after: RunRow) -> None:
        cap = self.rules.plans[after.dag_id].spec.runs_active_max
        if before.state in RUN_FINAL and after.state not in RUN_FINAL and cap is not None:
            active = [each for each in self.db.runs.values() if is_active(each, after.dag_id)]
            if len(active) > cap:
                raise StateConflict("too many active runs", hint="wait until one has ended")

    # ---- write
    def _write(self, run: str, row: RunRow, board: Board, effects: Effects) -> RunRow:
        timeout, seconds = None, self.plan(run).spec.run_timeout_seconds
        if board.state is RunState.RUNNING and seconds is not None:
            timeout = row.timeout_time or self.now + timedelta(seconds=seconds)
        written = row._replace(
            board=board.pack(),
            state=board.state,
            intent=board.intent,
            reason=board.reason,
            revision=row.revision + 1,
            timeout_time=timeout,
        )
        self.db.runs[run] = written
        for release in effects.releases:
            self._enqueue(run, release)
        return written

    def _enqueue(self, run: str, release: Release) -> None:
        plan = self.plan(run)
        needs, priority = plan.classes[release.task], plan.spec.tasks[release.task].policy.priority
        flow = self.replica.flows.setdefault(needs.queue_id, FlowClock())
        order_key = flow.key(("default", needs.dag_id), priority=priority)
        due = release.at is None
        available = release.at or self.now
        self.db.queue[run, release.task] = QueueRow(
            release, needs.class_id, order_key, priority, self.now, available, due
        )

    # ---- claim
    def claim(self) -> None:
        """Give what is due, in order, to open sessions with a free seat; say on which full limit the others wait."""
        free = self._seats()
        used = self.db.use(self.rules.slots)
        waiting = [(row.order_key, key) for key, row in self.db.queue.items() if row.due]
        for _, key in sorted(waiting):
            row = self.db.queue[key]
            full = self._full(row.class_id, used)
            if full != row.parked_on:
                self.db.queue[key] = row._replace(parked_on=full)
            session = None if full else self._session(free, row.class_id)
            if session is not None:
                free[session] -= 1
                for limit, slots in self.rules.slots[row.class_id].items():
                    used[limit] += slots
                self._take(key, row, session)

    def _seats(self) -> dict[str, int]:
        """Free seats by session that may get work: derived, a credit is only a hint."""
        free = {
            name: self.rules.seats[row.worker][0]
            for name, row in self.db.sessions.items()
            if row.is_open and row.lease_expire_time > self.now
        }
        for live in self.db.live.values():
            if live.session in free:
                free[live.session] -= 1
        return free

    def _full(self, class_id: int, used: Mapping[int, int]) -> int:
        for limit, slots in self.rules.slots[class_id].items():
            room = self.db.limits[limit].room
            if room is not None and used[limit] + slots > room:
                return limit
        return 0

    def _session(self, free: Mapping[str, int], class_id: int) -> str | None:
        needs = self.rules.classes[class_id]
        for name, seats in free.items():
            if seats > 0 and not mismatch(self.rules.seats[self.db.sessions[name].worker][1], needs):
                return name
        return None

    def _take(self, key: Key, row: QueueRow, session: str) -> None:
        del self.db.queue[key]
        spec = self.plan(key[0]).spec.tasks[key[1]]
        seconds = spec.policy.execution_timeout_seconds
        timeout = None if seconds is None else self.now + timedelta(seconds=seconds)
        live = self.db.live[key] = LiveRow(row.release, row.class_id, session, row.queue_time, self.now, timeout)
        self.replica.flows.setdefault(self.rules.classes[row.class_id].queue_id, FlowClock()).served(
            row.order_key, row.priority
        )
        self.told.claims.append((key, live))
        self.told.assigned.append((Attempt(key[0], spec.task_id, row.release.attempt_number), session))


def is_active(row: RunRow, dag_id: str) -> bool:
    """Whether a run counts among the active ones of the DAG."""
    return row.dag_id == dag_id and row.admitted and row.state not in RUN_FINAL
