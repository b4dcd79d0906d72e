"""Histories made by hand: a small system told step by step, which keeps every promise until a test alters its facts.

story = Story(Task("a"), Task("b", upstream=("a",)))
story.step("running", "a released")
story.run("a", "success")
story.step("success", "a success", ...)
facts = story.facts()
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.checker.facts import (
    LIVE,
    Attempt,
    AttemptKey,
    Audit,
    ClientEntry,
    Facts,
    Fault,
    Holder,
    LedgerEntry,
    Limit,
    Moment,
    Queued,
    Request,
    Run,
    RunEvent,
    Session,
    Task,
    Version,
    WorkerEntry,
)
from tests.checker.machines import RUN_FINAL

START = datetime(2026, 1, 1, tzinfo=UTC)
RUN = "run-00000001"


class Story:
    """One run of one DAG. Whatever is told takes a second and a transaction of its own."""

    def __init__(self, *tasks: Task, **version: Any) -> None:
        self.version = Version(1, "default", "d", 1, tasks, START, **version)
        self.versions = [self.version]
        self.seconds = 1
        self.run_state, self.intent, self.revision = "queued", "run", 0
        self.board = {task.task_id: "scheduled" for task in tasks}
        self.events: list[RunEvent] = []
        self.attempts: list[Attempt] = []
        self.live: dict[str, Attempt] = {}
        self.waiting: dict[str, Queued] = {}
        self.ended: dict[str, Attempt] = {}
        self.made: dict[str, int] = {}
        self.audits: list[Audit] = []
        self.requests: list[Request] = []
        self.limits: list[Limit] = []
        self.holders: list[Holder] = []
        self.worker_entries: list[WorkerEntry] = []
        self.client_entries: list[ClientEntry] = []
        self.ledger: list[LedgerEntry] = []
        self.faults: list[Fault] = []
        self.moments: list[Moment] = []
        self._deed: tuple[str, dict[str, Any]] | None = None

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    @property
    def wall(self) -> float:
        return self.now.timestamp()

    def pass_seconds(self, seconds: int) -> None:
        self.seconds += seconds

    # ---- what the server does
    def step(self, run_state: str, *changes: str, note: str = "") -> RunEvent:
        """One step: changes as "task state". What `run` and `operator` told before is part of it."""
        self.seconds += 1
        self.revision += 1
        moved = tuple((task_id, state) for task_id, state in (change.split() for change in changes))
        tasks = tuple(change for change in moved if "[" not in change[0])
        instances = tuple(
            (sum("[" not in each for each, _ in moved[:place]), *self.key(name, 0)[1:3], state)
            for place, (name, state) in enumerate(moved)
            if "[" in name
        )
        event = RunEvent(RUN, self.revision, self.now, self.seconds, run_state, tasks, note, instances)
        self.events.append(event)
        self.run_state = run_state
        again = [task_id for task_id in self.ended if task_id not in dict(moved)]
        for attempt in self.ended.values():
            self.attempts.append(replace(attempt, end_time=self.now, transaction=self.seconds))
        self.ended.clear()
        for task_id, state in moved:
            key = self.key(task_id, 0)
            if key.map_index < 0:
                self.board[task_id] = state
            self.waiting.pop(task_id, None)
            # What is released of a mapped task are its instances.
            if state == "released" and (key.map_index >= 0 or self.version.task(task_id).map is None):
                self.release(task_id)
        for task_id in again:
            self.release(task_id)
        self._audit()
        return event

    def release(self, task_id: str) -> None:
        """Into the queue, by the step of this second."""
        self.waiting[task_id] = Queued(self.key(task_id, self.made.get(task_id, 0) + 1), self.now, self.now)

    def _audit(self) -> None:
        if self._deed is not None:
            action, detail = self._deed
            self.audits.append(
                Audit(len(self.audits), self.now, self.seconds, "default", "me", action, f"dag_run/{RUN}", detail)
            )
            self._deed = None

    def key(self, task_id: str, number: int) -> AttemptKey:
        """Of a task, or of an instance of a mapped one: "m[0]"."""
        name, _, index = task_id.partition("[")
        return AttemptKey(RUN, name, int(index[:-1]) if index else -1, number)

    def claim(self, task_id: str, worker: str = "w1") -> Attempt:
        """What was released is put into a worker's hands."""
        self.seconds += 1
        row = self.waiting.pop(task_id)
        self.made[task_id] = row.key.number
        attempt = Attempt(row.key, LIVE, f"session-{worker}", row.queue_time, self.now)
        self.live[task_id] = attempt
        for limit in self.limits:
            task = self.version.task(row.key.task_id)
            if limit.name == task.pool:
                self.holders.append(Holder(limit.limit_id, RUN, task_id, -1, task.pool_slots))
            elif limit.kind == "named" and limit.name in dict(task.limits):
                self.holders.append(Holder(limit.limit_id, RUN, task_id, -1, dict(task.limits)[limit.name]))
        self.hear("assigned", attempt.key, worker, dag_version_number=1, handler="handler@")
        return attempt

    def end(self, task_id: str, state: str, worker: str = "w1") -> None:
        """The next step takes the end of a live attempt: its worker's word, or the server's verdict."""
        attempt = replace(self.live.pop(task_id), state=state)
        self.ended[task_id] = attempt
        self.holders = [holder for holder in self.holders if holder.task_id != task_id]
        if state not in ("lost", "returned"):
            self.hear("reported", attempt.key, worker, word=state)
            self.hear("verdict", attempt.key, worker, word="ACCEPTED")

    def run(self, task_id: str, state: str = "success", worker: str = "w1") -> None:
        """Claim and end."""
        self.claim(task_id, worker)
        self.end(task_id, state, worker)

    # ---- what people and workers do
    def operator(self, action: str, *task_ids: str, **detail: Any) -> None:
        """The next step carries out an operator's command."""
        self._deed = (action, {"task_ids": list(task_ids), **detail} if task_ids else {**detail})

    def pool(self, name: str, slots: int) -> Limit:
        self.seconds += 1
        limit = Limit(len(self.limits) + 1, "default", "pool", name, slots)
        self.limits = [*(each for each in self.limits if each.name != name), limit]
        detail = {"slots": slots}
        target = f"pool/{name}"
        self.audits.append(Audit(len(self.audits), self.now, self.seconds, "default", "me", "pool.set", target, detail))
        return limit

    def named_limit(self, name: str, slots: int | None, rate: tuple[int, float] | None = None) -> Limit:
        self.seconds += 1
        starts, seconds = rate or (None, 0.0)
        limit = Limit(len(self.limits) + 1, "default", "named", name, slots, False, starts, seconds)
        self.limits = [*(each for each in self.limits if each.name != name), limit]
        detail = {"capacity": slots, "rate_starts": starts, "rate_seconds": seconds or None}
        target = f"limit/{name}"
        self.audits.append(
            Audit(len(self.audits), self.now, self.seconds, "default", "me", "limit.set", target, detail)
        )
        return limit

    def hear(self, kind: str, key: AttemptKey, worker: str = "w1", **more: Any) -> WorkerEntry:
        """A line of a worker's journal."""
        place = f"{worker}:{len(self.worker_entries) + 1}"
        entry = WorkerEntry(kind, worker, f"session-{worker}", self.wall, self.wall, key, place=place, **more)
        self.worker_entries.append(entry)
        return entry

    def call(self, kind: str, method: str, request_id: str = "", **more: Any) -> ClientEntry:
        """A line of a client's journal."""
        place = f"me:{len(self.client_entries) + 1}"
        fields = {"body": "b", **more}
        entry = ClientEntry(kind, "me", 1, method, self.wall, self.wall, request_id, place=place, **fields)
        self.client_entries.append(entry)
        return entry

    def body(self, kind: str, key: AttemptKey, pid: int = 100, code: int = 0) -> LedgerEntry:
        """A line of a task's ledger."""
        entry = LedgerEntry(kind, key, pid, self.wall + 0.5, self.wall + 0.5, code, f"task:{len(self.ledger) + 1}")
        self.ledger.append(entry)
        return entry

    def fault(self, what: str = "kill server") -> None:
        self.seconds += 1
        self.faults.append(Fault(what, self.wall, self.wall, "fault:1"))

    # ---- what there is to judge
    def look(self) -> Moment:
        """What a snapshot shows now."""
        run = Run(RUN, 1, "default", "d", self.revision, self.run_state, tuple(self.board.values()), START, self.intent)
        return Moment(
            self.now,
            (run,),
            tuple(self.waiting.values()),
            tuple(self.live.values()),
            tuple(self.limits),
            tuple(self.holders),
        )

    def facts(self, **altered: Any) -> Facts:
        """Everything so far, with some of it replaced."""
        workers = sorted({entry.worker for entry in self.worker_entries})
        facts = Facts(
            versions=tuple(self.versions),
            events=tuple(self.events),
            attempts=tuple(self.attempts),
            audits=tuple(self.audits),
            requests=tuple(self.requests),
            sessions=tuple(Session(f"session-{worker}", worker, "open", START) for worker in workers),
            run_keys=((RUN, 1),),
            moments=(*self.moments, self.look()),
            worker_entries=tuple(self.worker_entries),
            client_entries=tuple(self.client_entries),
            ledger=tuple(self.ledger),
            faults=tuple(self.faults),
        )
        return replace(facts, **altered)


def retried() -> Story:
    """Two tasks, one after the other; the first fails once, and its worker is lost once."""
    story = Story(Task("a", retries_max=1), Task("b", upstream=("a",)))
    story.step("running", "a released")
    story.run("a", "failed")
    story.step("running")
    story.run("a", "lost", worker="w2")
    story.step("running")
    story.run("a", "success")
    story.step("running", "a success", "b released")
    story.run("b", "success")
    story.step("success", "b success")
    assert story.run_state in RUN_FINAL
    return story
