"""Judging deadlines of runs: each has one outcome, and each fact of it is written once, with the change of its state.

Three callers. A step (`judge_runs`) says that what a deadline watches is done, in the transaction of the board; and
when what counts from the start is due. The loop (`judge_due`) says that an instant has passed. The prediction
(`set_risks`) says that it doubts a deadline.

Met or missed is never a race. A step reads its time, which is the time of all that ends in it, under the lock of its
run. The loop holds the lock of the run, too, and judges what is past by then: a step that held the run across the
instant has committed its end before, and the row is no longer open; one that comes after it reads a later time. So an
end that counts as in time cannot be committed after a miss, however late it arrives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ..core.deadlines import (
    DEADLINE_FINAL,
    Anchor,
    DeadlineEvent,
    Watched,
    describe,
    follow,
    is_done,
    judge,
    target,
)
from ..core.facts import Fact, FactKind
from ..core.states import RunState
from ..store import deadlines as store
from ..store.database import Connection, database_now
from ..store.deadlines import HeldDeadline
from .facts import SUMMARY_CHARACTERS_MAX, append_facts
from .step_types import LockedRun

# Those of a run that has no start yet; one that has started and is cancelled has its due times.
_NOT_STARTED = frozenset({RunState.QUEUED, RunState.CANCELLED})


# ---- the step
async def judge_runs(connection: Connection, runs: Iterable[LockedRun], now: datetime) -> bool:
    """The deadlines of runs whose boards the caller's step has changed; whether there is something to tell."""
    moved = {
        run.dag_run_id: run for run in runs if run.has_deadlines and (run.effects.changes or run.effects.run_state)
    }
    if not moved:
        return False
    judged = []
    for held in await store.hold_unsettled(connection, list(moved)):
        assert held.dag_run_id is not None
        run = moved[held.dag_run_id]
        before = _started(held, run, now)
        after, facts = judge(before, now, done=_is_done(held, run))
        if after != held.watched:
            judged.append(_Judged(held, after, facts, run.board.state.value))
    return await _write(connection, now, judged)


def _started(held: HeldDeadline, run: LockedRun, now: datetime) -> Watched:
    """The deadline, due from here on if the run starts in this step: the first time, also after it was cancelled
    while it was queued."""
    starts = run.was in _NOT_STARTED and run.board.state not in _NOT_STARTED
    if held.deadline.anchor is Anchor.START and held.watched.due_time is None and starts:
        return replace(held.watched, due_time=now + timedelta(seconds=held.deadline.after_seconds))
    return held.watched


def _is_done(held: HeldDeadline, run: LockedRun) -> bool:
    plan = run.plan
    groups = [task.group_id for task in plan.spec.tasks]
    return is_done(held.deadline, run.board.state, run.board.states, plan.graph.task_ids, groups)


# ---- the loop
async def judge_due(connection: Connection, rows_max: int, *, wait_seconds: float | None = None) -> tuple[bool, int]:
    """Deadlines whose instant has passed. Whether something was told; and how many were left, because their runs are
    held: those are found again, and waited for if `wait_seconds` is given."""
    rows = await store.due(connection, rows_max)
    if not rows:
        return False, 0
    wanted = [row["dag_run_id"] for row in rows if row["run_exists"]]
    states = await store.hold_runs(connection, wanted, wait_seconds=wait_seconds) if wanted else {}
    mine = [row["deadline_id"] for row in rows if not row["run_exists"] or row["dag_run_id"] in states]
    if promised := [row["deadline_id"] for row in rows if row["dag_run_id"] is None]:
        await store.forget_promises(connection, promised)
    # After the locks: no step that comes later reads an earlier time.
    now = await database_now(connection)
    judged = []
    for held in await store.hold_due(connection, mine):
        after, facts = judge(held.watched, now, done=False)
        judged.append(_Judged(held, after, facts, states.get(held.dag_run_id) if held.dag_run_id else None))
    return await _write(connection, now, judged), len(rows) - len(mine)


# ---- the prediction
async def set_risks(connection: Connection, risks: Mapping[int, Mapping[str, Any] | None]) -> bool:
    """What a prediction says of deadlines, by id, in the caller's transaction: why one will probably be missed (joins
    the body of its fact; `summary` replaces its line), or None when it will probably be met. Whether something is told.

    What is settled, or due, is left as it is; so is a deadline of which the same is said again.
    """
    now = await database_now(connection)
    judged = []
    for held in await store.hold_for_risk(connection, sorted(risks)):
        why = risks[held.deadline_id]
        after, fact = follow(held.watched, DeadlineEvent.CALM if why is None else DeadlineEvent.RISK)
        if after != held.watched:
            judged.append(_Judged(held, after, [fact] if fact else [], None, why or {}))
    return await _write(connection, now, judged)


# ---- rows and facts
@dataclass(frozen=True, slots=True)
class _Judged:
    """A deadline that has moved, what is to be told of that, and the state of its run, where it is known."""

    held: HeldDeadline
    after: Watched
    facts: Sequence[FactKind]
    run_state: str | None
    why: Mapping[str, Any] | None = None


async def _write(connection: Connection, now: datetime, judged: Sequence[_Judged]) -> bool:
    if not judged:
        return False
    await store.write_deadlines(connection, now, [(each.held.deadline_id, each.after) for each in judged])
    facts = [_fact(each, kind, now) for each in judged for kind in each.facts]
    await append_facts(connection, facts)
    return bool(facts)


def _fact(judged: _Judged, kind: FactKind, now: datetime) -> Fact:
    held = judged.held
    body: dict[str, Any] = {
        "summary": _summary(judged, kind),
        "deadline_id": held.deadline_id,
        "deadline_name": held.deadline.name,
        "watches": target(held.deadline) or "run",
        "run_key": held.run_key,
        "due_time": judged.after.due_time.isoformat() if judged.after.due_time else None,
        "state": judged.after.state.value,
    }
    if judged.run_state is not None:
        body["run_state"] = judged.run_state
    if kind is FactKind.MET_LATE and judged.after.due_time is not None:
        body["late_seconds"] = round((now - judged.after.due_time).total_seconds(), 3)
    if kind is FactKind.AT_RISK:
        body |= judged.why or {}
    body["summary"] = body["summary"][:SUMMARY_CHARACTERS_MAX]
    return Fact(kind, held.namespace, now, held.dag_id, held.dag_run_id, held.deadline.task_id, body)


def _summary(judged: _Judged, kind: FactKind) -> str:
    held, due = judged.held, judged.after.due_time
    what = " of ".join(filter(None, (target(held.deadline), f"{held.dag_id} run {held.run_key}")))
    by = f"{describe(held.deadline)} ({_utc(due)})" if due is not None else describe(held.deadline)
    if kind is FactKind.MISSED:
        if held.dag_run_id is None:
            return f"{what} was not even created by {by}"
        return f"{what} was not done by {by}" + (f"; the run is {judged.run_state}" if judged.run_state else "")
    if kind is FactKind.MET_LATE:
        return f"{what} is done, after {by}"
    if kind is FactKind.AT_RISK:
        because = (judged.why or {}).get("because")
        return f"{what} will probably not be done by {by}" + (f": {because}" if because else "")
    done = judged.after.state in DEADLINE_FINAL
    return f"{what} is done in time, by {by}" if done else f"{what} will probably be done by {by}"


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
