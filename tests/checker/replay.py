"""Run events played again: the board of each run after each step, and which arrow was crossed when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache

from tests.checker.facts import Attempt, Audit, Facts, Run, RunEvent, Version
from tests.checker.instances import Instances, in_order, named_instances
from tests.checker.machines import CANCELS, CLEARS, MARK, TASK_FINAL
from tests.checker.steering import BRANCHING, left_out_by, task_says

NAMED_MAX = 100
RUN_RETRY = "run retry "
FAILS_FAST = "the first failure ends a run"
BY_ITS_CALLER = "ended by its caller"
Clear = tuple[int, tuple[str, ...]]
"""The revision of a clear, and the tasks that it names."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """A task that got another state. `said` is what its trigger rule said then, of a task that was scheduled."""

    event: RunEvent
    task_id: str
    was: str
    now: str
    said: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    """At `event` the run (`tasks` empty) or some of its tasks were told to end, until `until` (exclusive; 0: for good).

    `out` are the tasks that had been released by then.
    """

    event: RunEvent
    tasks: frozenset[str]
    until: int
    out: frozenset[str]
    cause: object

    def covers(self, task_id: str) -> bool:
        return not self.tasks or task_id in self.tasks

    def holds_at(self, revision: int) -> bool:
        return revision >= self.event.revision and (not self.until or revision < self.until)


@dataclass
class History:
    """One run, replayed. `before` and `after` give the run's state around each revision, `board` that of the end."""

    run: Run
    version: Version
    events: list[RunEvent]
    arrows: list[Arrow] = field(default_factory=list)
    board: dict[str, str] = field(default_factory=dict)
    open_after: dict[int, int] = field(default_factory=dict)
    """How many tasks were not final after a revision."""
    bad_after: dict[int, bool] = field(default_factory=dict)
    out_before: dict[int, frozenset[str]] = field(default_factory=dict)
    """Released tasks before a revision; kept for the steps in which an operator had a say."""

    @cached_property
    def revision_at(self) -> dict[datetime, int]:
        return {event.time: event.revision for event in self.events}

    @cached_property
    def event_in(self) -> dict[int, RunEvent]:
        """By transaction."""
        return {event.transaction: event for event in self.events}

    @cached_property
    def clears(self) -> dict[str, list[int]]:
        """Revisions at which a task began a new generation."""
        found: dict[str, list[int]] = defaultdict(list)
        for arrow in self.arrows:
            if arrow.now == "scheduled" and arrow.was != "released":  # that one is a pause
                found[arrow.task_id].append(arrow.event.revision)
        return found

    def release_of(self, attempt: Attempt) -> int | None:
        """The revision that released an attempt: it was queued at that step's time."""
        return self.revision_at.get(attempt.queue_time)

    @cached_property
    def instance_releases(self) -> dict[tuple[str, int], list[int]]:
        """Revisions at which an instance of a mapped task began a new generation."""
        found: dict[tuple[str, int], list[int]] = defaultdict(list)
        for event in self.events:
            for _, task_id, index, state in event.instances:
                if state == "released":
                    found[task_id, index].append(event.revision)
        return found

    def generation_of(self, attempt: Attempt) -> int | None:
        released = self.release_of(attempt)
        if released is None:
            return None
        if attempt.key.map_index >= 0:
            own = self.instance_releases.get((attempt.key.task_id, attempt.key.map_index), ())
            return sum(revision <= released for revision in own) or None
        return sum(revision <= released for revision in self.clears.get(attempt.key.task_id, ()))


@lru_cache(maxsize=2)
def histories(facts: Facts) -> dict[str, History]:
    """Every run that is there, by id."""
    events: dict[str, list[RunEvent]] = defaultdict(list)
    for event in facts.events:
        events[event.run_id].append(event)
    choices: dict[str, dict[tuple[str, int], str | None]] = defaultdict(dict)
    for attempt in facts.attempts:
        if attempt.choice is not None:
            choices[attempt.key.run_id][attempt.key.task_id, attempt.transaction] = attempt.choice
    found = {}
    for run_id, run in facts.runs.items():
        version = facts.version_by_id.get(run.version_id)
        if version is not None:
            told = {audit.transaction: audit for audit in facts.audits_by_run.get(run_id, ())}
            history = History(run, version, sorted(events[run_id], key=lambda e: e.revision))
            found[run_id] = _replay(history, told, choices[run_id])
    return found


def _replay(history: History, told: Mapping[int, Audit], choices: Mapping[tuple[str, int], str | None]) -> History:
    version = history.version
    tasks = {task.task_id: task for task in version.tasks}
    board = history.board = dict.fromkeys(tasks, "scheduled")
    left_out: dict[str, frozenset[str]] = {}
    maps = {task.task_id: Instances(task) for task in version.tasks if task.map is not None}
    said_failed: set[str] = set()
    seen: dict[str, list[str]] = {}
    still_open, bad = len(board), 0
    for event in history.events:
        by_itself = "timeout" in event.note or BY_ITS_CALLER in event.note or _fails_fast(version, event)
        if event.transaction in told or by_itself:
            history.out_before[event.revision] = frozenset(
                t for t, s in board.items() if s in ("released", "restarting")
            )
        order = told.get(event.transaction)
        if order is not None and _is_whole(order, MARK) and order.detail.get("state") == "failed":
            said_failed |= maps.keys() & set(_named(order))
        for task_id, index, now in in_order(event):
            if index >= 0:
                if task_id in maps:
                    maps[task_id].note(index, now)
                    if task_id in seen:  # an operator says how an instance has ended
                        seen[task_id] = maps[task_id].seen()
                continue
            was = board.get(task_id, "unknown")
            task = tasks.get(task_id)
            said = task_says(version, task, board, left_out, seen) if task and was == "scheduled" else ""
            history.arrows.append(Arrow(event, task_id, was, now, said))
            board[task_id] = now
            if task_id in maps:
                seen.pop(task_id, None)
                if now == "scheduled" and was != "released":
                    maps[task_id].cleared(event, was, order, retried=retries_run(version, event))
                    said_failed.discard(task_id)
                elif now == "failed" and task_id not in said_failed and maps[task_id].states:
                    seen[task_id] = maps[task_id].seen()
            if task and task.role in BRANCHING and now == "success":
                left_out[task_id] = left_out_by(version, task, choices.get((task_id, event.transaction)))
            still_open += (was in TASK_FINAL) - (now in TASK_FINAL)
            if task is None or task.role != "teardown":
                bad += _is_bad(now) - _is_bad(was)
        history.open_after[event.revision] = still_open
        history.bad_after[event.revision] = bad > 0
    return history


def retries_run(version: Version, event: RunEvent) -> bool:
    """Whether in this step a run began again by itself that would have failed."""
    return version.run_retries_max > 0 and RUN_RETRY in event.note


def _fails_fast(version: Version, event: RunEvent) -> bool:
    """Whether a task failed in this step whose DAG ends a run then."""
    if not version.fail_fast:
        return False
    failed = any(state == "failed" and version.task(task_id).role != "teardown" for task_id, state in event.changes)
    # Of a mapped task so many instances have failed that it will.
    return failed or (FAILS_FAST in event.note and any(state == "failed" for *_, state in event.instances))


def _is_bad(state: str) -> bool:
    return state in ("failed", "upstream_failed", "cancelled")


def cancels(facts: Facts, history: History) -> list[Cancel]:
    """What operators, run timeouts and failures told a run, or tasks of it, to end."""
    audits = facts.audits_by_run.get(history.run.run_id, [])
    cleared = sorted(
        (event.revision, _named(audit))
        for audit in audits
        if audit.action in CLEARS and (event := history.event_in.get(audit.transaction)) is not None
    )
    # A retry of the run lifts what a failure that came before it has ended.
    cleared += [(event.revision, ()) for event in history.events if retries_run(history.version, event)]
    cleared.sort()
    found = []
    for audit in audits:
        event = history.event_in.get(audit.transaction)
        if _is_whole(audit, *CANCELS) and event is not None:
            found += _cancels(history, event, frozenset(_named(audit)), cleared, audit)
    timed = history.version.run_timeout_seconds is not None
    for event in history.events:
        ends = _fails_fast(history.version, event) and not retries_run(history.version, event)
        if (timed and "run timeout" in event.note) or ends:
            found += _cancels(history, event, frozenset(), cleared, event)
        call = facts.call_of_child.get(event.run_id)
        if call is not None and BY_ITS_CALLER in event.note:
            found += _cancels(history, event, frozenset(), cleared, call)
    return found


def marks(facts: Facts, history: History, arrow: Arrow) -> bool:
    """Whether an operator has said, by the step of the arrow, that the task has this end."""
    for audit in facts.audits_by_run.get(history.run.run_id, ()):
        if _is_whole(audit, MARK) and audit.detail.get("state") == arrow.now:
            event, named = history.event_in.get(audit.transaction), _named(audit)
            is_named = arrow.task_id in named or len(named) > NAMED_MAX
            if is_named and event is not None and event.revision <= arrow.event.revision:
                return True
    return False


def _is_whole(audit: Audit, *actions: str) -> bool:
    """Whether it is one of these orders, and about tasks or the run, not about single instances."""
    return audit.action in actions and not named_instances(audit)


def _named(audit: Audit) -> tuple[str, ...]:
    """The tasks that an order names; none: the whole run."""
    named = audit.detail.get("task_ids", ())
    return tuple(named) if isinstance(named, list | tuple) else ()


def _cancels(
    history: History, event: RunEvent, tasks: frozenset[str], cleared: list[Clear], cause: object
) -> Iterator[Cancel]:
    """One order to end: any clear lifts that of a run, that of a task only a clear that names the task."""
    out = history.out_before.get(event.revision, frozenset())
    if not tasks:
        yield Cancel(event, tasks, _lifted(event, "", cleared), out, cause)
    by_end: dict[int, set[str]] = defaultdict(set)
    for task in tasks:
        by_end[_lifted(event, task, cleared)].add(task)
    for until, some in by_end.items():
        yield Cancel(event, frozenset(some), until, out & some, cause)


def _lifted(event: RunEvent, task: str, cleared: list[Clear]) -> int:
    """The revision of the first clear that lifts it; 0: none. Of many tasks the audit trail names the first hundred."""
    for revision, named in cleared:
        if revision > event.revision and (not task or task in named or len(named) > NAMED_MAX):
            return revision
    return 0
