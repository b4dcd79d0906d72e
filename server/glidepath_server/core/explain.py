"""Why a task instance is where it is, in one sentence, and what to do about it.

Pure: the facts are read in one snapshot by store/runs_read.py. The rules here are those of the step and of the claim,
read back from the rows they wrote (due, parked_on, admitted); nothing is guessed from timing.

A hint is a command of the command line as it can be pasted into a shell; what else a person should know of it stands
behind "  # ".
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from .board import BAD, FINAL, WHOLE_RUN
from .graph import Graph
from .matching import Offer, TaskClass, mismatch
from .past import LETS_GO, TaskBefore
from .run_view import RunRows, TaskInstanceView, ViewState, WaitingRow, names, waited_for
from .states import RUN_FINAL, RunIntent, RunState, TaskState
from .trigger_rules import TriggerRule
from .value_checks import ID

HOLDERS_SHOWN_MAX = 3
# What parked_on says of a row that waits for an equal call: see task_queue in store/schema.sql.
WAITS_FOR_A_CALL = -2


class Wait(StrEnum):
    NONE = "none"
    UPSTREAM = "upstream"
    DELAY = "delay"
    LIMIT = "limit"
    WORKER = "worker"
    PAUSED = "paused"
    RUNNING = "running"
    ORDER = "order"
    QUARANTINED = "quarantined"
    CHILD_RUN = "child_run"
    EQUAL_CALL = "equal_call"
    APPROVAL = "approval"
    PAST = "past"


@dataclass(frozen=True, slots=True)
class RunBefore:
    """The run of a DAG whose runs go in order that goes before the others."""

    dag_run_id: str
    logical_date: datetime
    active: bool
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The run, and the limit on active runs of its DAG (`runs_active_max` None: no cap)."""

    dag_id: str
    state: RunState
    intent: RunIntent
    admitted: bool
    quarantined: bool
    paused: bool
    runs_active: int
    runs_active_max: int | None
    reason: str = ""
    dag_run_id: str = ""
    # Who has paused which tasks; see core/board.py.
    pauses: Mapping[int, str] = field(default_factory=dict)
    # Of a DAG whose runs go in order, who goes first.
    first: RunBefore | None = None


@dataclass(frozen=True, slots=True)
class LimitFacts:
    """A limit that something is parked on. `holders` are a few of those who have its slots, largest share first."""

    kind: str
    name: str
    capacity: int | None
    paused: bool
    used: int
    holders: tuple[str, ...] = ()
    # Of a rate: `rate_starts` in any `rate_seconds`, `started` of them; then another may start at `free_time`.
    rate_starts: int | None = None
    rate_seconds: float = 0.0
    started: int = 0
    free_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """A connected worker and what it offers."""

    worker_identity: str
    offer: Offer
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything beside the views that an explanation may need. `ahead` counts rows before a task's in its queue."""

    run: RunFacts
    now: datetime
    limits: Mapping[int, LimitFacts] = field(default_factory=dict)
    classes: Mapping[int, TaskClass] = field(default_factory=dict)
    sessions: Sequence[SessionFacts] = ()
    ahead: Mapping[int, int] = field(default_factory=dict)
    # By (task, map index) of what waits for an equal call: the run that is at it, if one is known.
    equal_calls: Mapping[tuple[int, int], str] = field(default_factory=dict)
    # Of tasks that depend on the past and have not started, the same task in the run before.
    before: Mapping[int, TaskBefore] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one task instance waits for. `hint` is a command, or empty when nothing needs doing."""

    task: int
    map_index: int
    state: ViewState
    wait: Wait
    message: str
    hint: str = ""


def explain(
    graph: Graph, states: Sequence[int], views: Sequence[TaskInstanceView], rows: RunRows, facts: Facts
) -> list[Explanation]:
    """One explanation per view, in order."""
    causes: dict[int, int] = {}
    return [Explanation(v.task, v.map_index, v.state, *_why(graph, states, v, rows, facts, causes)) for v in views]


_Why = tuple[Wait, str, str]


def _why(
    graph: Graph, states: Sequence[int], view: TaskInstanceView, rows: RunRows, facts: Facts, causes: dict[int, int]
) -> _Why:
    if states[view.task] in FINAL:
        cause = f"; {view.reason}" if view.reason else ""
        hint = _look(graph, states, view.task, facts.run.dag_run_id, causes)
        return Wait.NONE, f"ended: {view.state.value}{cause}", hint
    if view.state is ViewState.RUNNING and view.task in rows.live:
        return _running(view, rows, facts)
    if facts.run.quarantined:
        return (
            Wait.QUARANTINED,
            f"the run is quarantined: {facts.run.reason or 'its step kept raising'}",
            f"glidepath run release {facts.run.dag_run_id}  # when what glidepath incidents says of it is mended",
        )
    if facts.run.state in RUN_FINAL or facts.run.intent is not RunIntent.RUN:
        return Wait.RUNNING, f"the run is ending: {facts.run.reason or facts.run.intent.value}", ""
    if facts.run.state is RunState.QUEUED:
        return _run_waits(facts.run)
    if view.state is ViewState.WAITING:
        answer = f"glidepath approval answer {facts.run.dag_run_id} {shlex.quote(graph.task_ids[view.task])} --approve"
        return Wait.APPROVAL, view.reason, f"{answer}  # or --reject"
    if view.task in graph.maps and states[view.task] != TaskState.SCHEDULED:
        return _mapped(graph, view, rows.waiting.get(view.task), facts)
    waiting = rows.waiting.get(view.task)
    if waiting is None:
        return _scheduled(graph, states, view.task, facts)
    wait, message, hint = _released(waiting, view, facts)
    before = f"; {view.reason}" if view.reason and wait is not Wait.DELAY else ""
    return wait, f"{message}{before}", hint


def _running(view: TaskInstanceView, rows: RunRows, facts: Facts) -> _Why:
    live = rows.live[view.task]
    lasted = _duration(facts.now - live.start_time)
    told = "; it was told to end" if live.cancel_requested_time else ""
    if live.child_run_id is not None:
        waits = f"waits for {live.waits_for()}, which attempt {live.attempt_number} has called"
        return Wait.CHILD_RUN, f"{waits}{told}", f"glidepath run explain {live.child_run_id}"
    progress = f", {live.progress_percent:.0f} % done" if live.progress_percent else ""
    where = f"running on worker {live.worker_identity or 'unknown'} for {lasted}"
    return Wait.RUNNING, f"{where} (attempt {live.attempt_number}{progress}){told}", ""


def _run_waits(run: RunFacts) -> _Why:
    if run.paused:
        return _paused(run.dag_id)
    if not run.admitted and run.first is not None and run.first.dag_run_id != run.dag_run_id:
        return _run_before(run, run.first)
    if not run.admitted and run.runs_active_max is not None and run.runs_active >= run.runs_active_max:
        active = f"{run.runs_active} of {run.runs_active_max} runs of {run.dag_id} are active"
        hint = f"glidepath run list --dag {run.dag_id} --state running  # wait for one to end, or raise runs_active_max"
        return Wait.LIMIT, f"the run is not admitted yet: {active}", hint
    return Wait.ORDER, "the run has not been started yet; an engine takes it next", ""


def _run_before(run: RunFacts, first: RunBefore) -> _Why:
    message = f"the runs of {run.dag_id} go one after the other, by logical date: run {first.dag_run_id} "
    which = f"({_instant(first.logical_date)}) {'has yet to end' if first.active else 'goes first'}"
    if first.quarantined:
        return Wait.LIMIT, f"{message}{which}, and is quarantined", f"glidepath run release {first.dag_run_id}"
    return Wait.LIMIT, f"{message}{which}", f"glidepath run explain {first.dag_run_id}"


def _paused(dag_id: str) -> _Why:
    return Wait.PAUSED, f"the DAG {dag_id} is paused", f"glidepath dag unpause {dag_id}"


def _mapped(graph: Graph, view: TaskInstanceView, waiting: WaitingRow | None, facts: Facts) -> _Why:
    """A mapped task that is under way: how far it is, and what the first of its instances in the queue waits for."""
    if paused := _paused_by(graph, view.task, facts.run):
        wait, message, hint = paused
        return wait, f"{message}; {view.reason}" if view.reason else message, hint
    if view.state is ViewState.RUNNING or waiting is None:
        hint = f"glidepath run show {facts.run.dag_run_id} --task {shlex.quote(graph.task_ids[view.task])}"
        return Wait.RUNNING, view.reason, hint
    wait, message, hint = _released(waiting, replace(view, reason=""), facts)
    return wait, f"{view.reason}; instance {waiting.map_index}: {message}", hint


def _paused_by(graph: Graph, task: int, run: RunFacts) -> _Why | None:
    by = run.pauses.get(task) or run.pauses.get(WHOLE_RUN)
    if by is None:
        return None
    at = "" if WHOLE_RUN in run.pauses else f" --at {shlex.quote(graph.task_ids[task])}"
    return Wait.PAUSED, f"paused by {by}", f"glidepath run resume {run.dag_run_id}{at}"


def _scheduled(graph: Graph, states: Sequence[int], task: int, facts: Facts) -> _Why:
    """By its upstreams; by a pause, or by the run before, once these have ended."""
    still_open = waited_for(graph, states, task)
    paused = _paused_by(graph, task, facts.run)
    if paused is None and not still_open and task in facts.before:
        return _past(graph.task_ids[task], facts.before[task])
    if paused is None or still_open:
        return _upstream(graph, task, still_open, f"; {paused[1]}" if paused is not None else "")
    return paused


def _past(task_id: str, before: TaskBefore) -> _Why:
    run = f"run {before.dag_run_id} ({_instant(before.logical_date)})"
    if before.state in LETS_GO:
        return Wait.PAST, f"it has ended well in the run before, {run}; it goes on with its next step", ""
    message = f"depends on the past: waits for the same task in the run before, {run}"
    if before.state not in FINAL:
        return Wait.PAST, f"{message}, which has yet to end", f"glidepath run explain {before.dag_run_id}"
    clear = f"glidepath run clear {before.dag_run_id} --task {shlex.quote(task_id)}  # or glidepath run mark"
    return Wait.PAST, f"{message}: {before.state.name.lower()}", clear


def _upstream(graph: Graph, task: int, still_open: Sequence[int], paused: str) -> _Why:
    rule = graph.rules[task]
    if task in graph.teardowns:
        by_rule = " (teardown)"
    else:
        by_rule = "" if rule is TriggerRule.ALL_SUCCESS else f" (trigger rule {rule.value})"
    before = graph.before.get(task) or len({*graph.upstream[task], *graph.gates.get(task, ())})
    count = f"{len(still_open)} of {before} upstream tasks"
    return Wait.UPSTREAM, f"waits for {count}: {names(graph, still_open)}{by_rule}{paused}", ""


def _released(waiting: WaitingRow, view: TaskInstanceView, facts: Facts) -> _Why:
    if not waiting.due and waiting.available_time > facts.now:
        after = f" after: {view.reason}" if view.reason else ""
        left = _duration(waiting.available_time - facts.now)
        start = f"attempt {waiting.attempt_number} may start at {_instant(waiting.available_time)}"
        return Wait.DELAY, f"{start}, in {left}{after}", ""
    if facts.run.paused:
        return _paused(facts.run.dag_id)
    if waiting.parked_on == WAITS_FOR_A_CALL:
        return _equal_call(facts.equal_calls.get((waiting.task, waiting.map_index)))
    if waiting.parked_on:
        needs = facts.classes.get(waiting.class_id)
        slots = needs.slots().get(waiting.parked_on, 1) if needs is not None else 1
        return _parked(facts.limits.get(waiting.parked_on), slots)
    return _unclaimed(waiting, facts)


def _equal_call(run_id: str | None) -> _Why:
    if run_id is None:
        return Wait.EQUAL_CALL, "the same call has ended; it goes on with its next step", ""
    hint = f"glidepath run explain {run_id}  # its result is taken when it succeeds; else this one goes on"
    return Wait.EQUAL_CALL, f"waits for the same call in run {run_id}", hint


def _parked(limit: LimitFacts | None, slots: int) -> _Why:
    if limit is None:
        return Wait.LIMIT, "waits for a limit that is gone; the next sweep takes it up", ""
    if limit.paused:
        return _paused(limit.name)  # of all limits, only the one on a DAG's live attempts can be paused
    if limit.rate_starts is not None and limit.started >= limit.rate_starts:
        return _too_fast(limit, limit.rate_starts)
    held = f"; held by {', '.join(limit.holders[:HOLDERS_SHOWN_MAX])}" if limit.holders else ""
    message = f"{_limit_name(limit)} is full: {limit.used} of {limit.capacity} in use{held}"
    if limit.kind in _SETTABLE:
        name, enough = shlex.quote(limit.name), limit.used + slots
        rate = f" --rate {limit.rate_starts}/{limit.rate_seconds:g}s" if limit.rate_starts is not None else ""
        return Wait.LIMIT, message, f"{_SETTABLE[limit.kind]} {name} {enough}{rate}  # or wait for a holder"
    if limit.kind == "run":
        return (
            Wait.LIMIT,
            message,
            f"glidepath run show {limit.name}  # wait for a holder, or raise run_tasks_active_max",
        )
    dag_id, _, task_id = limit.name.partition("/")
    option = "active_max of the task" if task_id else "tasks_active_max"
    hint = f"glidepath run list --dag {dag_id} --state running  # wait for a holder, or raise {option}"
    return Wait.LIMIT, message, hint


# What an operator changes by a command; the others are a DAG's to say.
_SETTABLE = {"pool": "glidepath pool set", "named": "glidepath limit set"}
_LIMIT_NAMES = {"pool": "pool", "named": "limit", "run": "the limit on live attempts of run"}


def _limit_name(limit: LimitFacts) -> str:
    return f"{_LIMIT_NAMES.get(limit.kind, 'the limit on live attempts of')} {limit.name}"


def _too_fast(limit: LimitFacts, rate: int) -> _Why:
    free = f"; another may start at {_instant(limit.free_time)}" if limit.free_time is not None else ""
    message = f"limit {limit.name} has made {limit.started} of {rate} starts in {limit.rate_seconds:g} s{free}"
    slots = f" {limit.capacity}" if limit.capacity is not None else ""
    faster = f"{shlex.quote(limit.name)}{slots} --rate {rate + 1}/{limit.rate_seconds:g}s"
    return Wait.LIMIT, message, f"glidepath limit set {faster}  # or wait"


def _unclaimed(waiting: WaitingRow, facts: Facts) -> _Why:
    """Due, not parked, not claimed: nobody can run it, or others go first."""
    needs = facts.classes.get(waiting.class_id)
    if needs is None:
        return Wait.ORDER, "queued", ""
    able = sum(1 for session in facts.sessions if not _misses(session, needs))
    if not able:
        return _no_worker(needs, facts.sessions)
    ahead = facts.ahead.get(waiting.task, 0)
    workers = f"{able} worker{'s' if able > 1 else ''} can run it"
    if ahead:
        return Wait.ORDER, f"queued on {needs.queue_name} behind {ahead} others; {workers}", ""
    return Wait.ORDER, f"next on queue {needs.queue_name}; {workers}, none has room yet", ""


def _misses(session: SessionFacts, needs: TaskClass) -> str:
    return mismatch(session.offer, needs) or ("is draining" if session.draining else "")


def _no_worker(needs: TaskClass, sessions: Sequence[SessionFacts]) -> _Why:
    wanted = _needs_text(needs)
    if not sessions:
        return Wait.WORKER, f"no worker is connected; it needs {wanted}", _worker_command(needs)
    nearest = max(sessions, key=lambda session: _closeness(session.offer, needs))
    message = (
        f"none of {len(sessions)} connected workers can run it: it needs {wanted}; "
        f"the nearest, {nearest.worker_identity}: {_misses(nearest, needs)}"
    )
    return Wait.WORKER, message, _worker_hint(needs, sessions)


def _closeness(offer: Offer, needs: TaskClass) -> int:
    """How many of the needs a worker meets, each looked at as if it met all the others."""
    perfect: dict[str, Any] = {
        "queue_names": frozenset({needs.queue_name}),
        "handlers": (("*", frozenset({"*"})),),
        "labels": needs.worker_selector,
        "resources": needs.resources,
    }
    return sum(
        not mismatch(replace(offer, **{name: value for name, value in perfect.items() if name != own}), needs)
        for own in perfect
    )


def _worker_hint(needs: TaskClass, sessions: Sequence[SessionFacts]) -> str:
    # A worker serves what it says; only what a task may name as well is a spelling of it, and fit for a shell.
    served = sorted({name for session in sessions for name in session.offer.queue_names if ID.fullmatch(name)})
    close = [] if needs.queue_name in served else difflib.get_close_matches(needs.queue_name, served, n=1)
    doubt = f"  # queue {close[0]} is served: is {needs.queue_name} a misspelling?" if close else ""
    return _worker_command(needs) + doubt


def _worker_command(needs: TaskClass) -> str:
    """What starts a worker that offers all of it; the handlers that our own worker offers are those named here."""
    if not needs.handler_name.startswith("python:") and needs.handler_name not in ("shell", "call"):
        return f"glidepath workers  # start a worker of yours that offers handler {needs.handler_name}"
    words = ["glidepath", "worker", "--queue", needs.queue_name]
    if needs.namespace != "default":
        words += ["--namespace", needs.namespace]
    for name, value in sorted(needs.worker_selector.items()):
        words += ["--label", f"{name}={value}"]
    for name, amount in sorted(needs.resources.items()):
        words += ["--resource", f"{name}={amount:g}"]
    return shlex.join(words)


def _look(graph: Graph, states: Sequence[int], task: int, dag_run_id: str, causes: dict[int, int]) -> str:
    """Where the cause of a bad end can be read: at the task itself, or at the upstream that failed first.

    `causes` keeps what was found, so that a long chain is walked once for all of its tasks.
    """
    if states[task] not in BAD:
        return ""
    walked = []
    while task not in causes and states[task] == TaskState.UPSTREAM_FAILED:
        bad = next((index for index in graph.upstream[task] if states[index] in BAD), None)
        if bad is None:
            break
        walked.append(task)
        task = bad
    task = causes.get(task, task)
    causes.update(dict.fromkeys(walked, task))
    return f"glidepath run logs {dag_run_id} --task {shlex.quote(graph.task_ids[task])}"


def _needs_text(needs: TaskClass) -> str:
    version = f" version {needs.handler_version[:12]}" if needs.handler_version else ""
    parts = [f"queue {needs.queue_name}", f"handler {needs.handler_name}{version}"]
    parts += [f"label {label}={value}" for label, value in sorted(needs.worker_selector.items())]
    parts += [f"{amount:g} {resource}" for resource, amount in sorted(needs.resources.items())]
    return ", ".join(parts)


def _instant(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(span: timedelta) -> str:
    """For a person: the two largest units."""
    seconds = max(int(span.total_seconds()), 0)
    for unit, size, smaller, smaller_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            rest = seconds % size // smaller_size
            return f"{seconds // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds} s"
