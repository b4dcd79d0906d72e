"""Look ahead at the deadlines of runs under way: which of them will probably be missed, and what makes it so.

Each deadline is looked at a hundred times on the way to its instant, the nearest first; a round has a bound, and what
it leaves is due for a look in the next. A forecast that is a guess (a task that is still to come has never succeeded)
warns nobody. What is said is written by judge_deadlines.set_risks, which changes nothing that is settled meanwhile; so
any number of replicas may look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ..core.deadlines import TASK_DONE, DeadlineState, members
from ..core.errors import NotFound
from ..core.graph import reached
from ..core.order import urgency
from ..core.states import TASK_FINAL, RunState
from ..core.warning import is_at_risk, span
from ..store import deadlines as store
from ..store import runs_read
from ..store.database import Connection, database_now
from ..store.deadlines import HeldDeadline
from .foresee_runs import Beliefs, Eta, beliefs_of, causes_of, foresee
from .plans import Plan
from .read_runs import RunReader

DEADLINES_MAX = 5_000
LOOKS_PER_DEADLINE = 100
# Of a run whose order of claims is moved by their slack.
URGENT_TASKS_MAX = 1_000
# How old what is known of a version may be: it changes little by one run.
BELIEFS_SECONDS = 60.0
_OVER = frozenset(int(state) for state in TASK_FINAL - TASK_DONE)

Why = Mapping[str, Any]


@dataclass(slots=True)
class Looks:
    """What a replica remembers from round to round; losing it costs a look at each."""

    again: dict[int, datetime] = field(default_factory=dict)
    beliefs: dict[int, tuple[datetime, Beliefs]] = field(default_factory=dict)
    # By run and task: for the order of claims (core/order.py).
    urgency: dict[UUID, Mapping[int, float]] = field(default_factory=dict)

    def forget(self, deadlines: Sequence[HeldDeadline], now: datetime) -> None:
        """All but these deadlines; and what is known of versions, when it is old."""
        ids, runs = {each.deadline_id for each in deadlines}, {each.dag_run_id for each in deadlines}
        self.again = {each: time for each, time in self.again.items() if each in ids}
        for gone in self.urgency.keys() - runs:
            del self.urgency[gone]
        oldest = now - timedelta(seconds=BELIEFS_SECONDS)
        self.beliefs = {each: (time, known) for each, (time, known) in self.beliefs.items() if time >= oldest}


async def foresee_misses(reader: RunReader, looks: Looks, threshold: float, runs_max: int) -> dict[int, Why | None]:
    """By deadline of which something else is to be said than before: why it will probably be missed, or None when it
    will probably be met. Looks at so many runs at most."""
    async with reader.database.api.acquire() as connection:
        found = await store.foreseeable(connection, DEADLINES_MAX)
        now = await database_now(connection)
    looks.forget(found, now)
    by_run: dict[UUID, list[HeldDeadline]] = {}
    for each in found:
        if each.dag_run_id is not None and looks.again.get(each.deadline_id, now) <= now:
            by_run.setdefault(each.dag_run_id, []).append(each)
    said: dict[int, Why | None] = {}
    for run_id, deadlines in list(by_run.items())[:runs_max]:
        said |= await _look(reader, looks, run_id, deadlines, threshold)
        for each in deadlines:
            assert each.watched.due_time is not None
            looks.again[each.deadline_id] = now + (each.watched.due_time - now) / LOOKS_PER_DEADLINE
    return said


async def _look(
    reader: RunReader, looks: Looks, run_id: UUID, deadlines: Sequence[HeldDeadline], threshold: float
) -> dict[int, Why | None]:
    said: dict[int, Why | None] = {}
    async with runs_read.snapshot(reader.database) as connection:
        try:
            run, plan = await reader.load(connection, deadlines[0].namespace, run_id)
        except NotFound:
            return said
        if run.state is not RunState.RUNNING:
            return said
        due_time = min(each.watched.due_time for each in deadlines if each.watched.due_time is not None)
        eta = await foresee(connection, run, plan, due_time, await _beliefs(connection, looks, plan))
        looks.urgency[run_id] = _urgency(eta, (due_time - eta.now).total_seconds())
        for each in deadlines:
            late = _late(eta, each)
            was = each.watched.state is DeadlineState.AT_RISK
            if late is not None and (now_is := is_at_risk(late, was, threshold)) != was:
                said[each.deadline_id] = await _why(connection, eta, each, late) if now_is else None
    return said


def _urgency(eta: Eta, left: float) -> dict[int, float]:
    """Of the tasks with the least slack, if what is known of them is no guess."""
    if eta.forecast.unknown:
        return {}
    slacks = sorted((each.slack, each.task) for each in eta.forecast.tasks.values())
    return {task: urgency(slack, left) for slack, task in slacks[:URGENT_TASKS_MAX]}


async def _beliefs(connection: Connection, looks: Looks, plan: Plan) -> Beliefs:
    known = looks.beliefs.get(plan.dag_version_id)
    if known is None:
        known = looks.beliefs[plan.dag_version_id] = (
            await database_now(connection),
            await beliefs_of(connection, plan),
        )
    return known[1]


def _watched(eta: Eta, deadline: HeldDeadline) -> list[int]:
    """The tasks that it watches; none: the run."""
    if not deadline.deadline.task_id and not deadline.deadline.group_id:
        return []
    return members(deadline.deadline, eta.plan.graph.task_ids, [task.group_id for task in eta.plan.spec.tasks])


def _late(eta: Eta, deadline: HeldDeadline) -> float | None:
    """The probability that it will be missed; None: nobody can say."""
    tasks = _watched(eta, deadline)
    if any(eta.board.states[task] in _OVER for task in tasks):
        return 1.0
    before = set(eta.forecast.tasks)
    if tasks:
        before &= reached(tasks, eta.plan.graph.upstream)
    if before & set(eta.forecast.unknown):
        return None
    assert deadline.watched.due_time is not None
    if tasks and not before:
        return 0.0
    return eta.forecast.late((deadline.watched.due_time - eta.now).total_seconds(), tasks)


async def _why(connection: Connection, eta: Eta, deadline: HeldDeadline, late: float) -> Why:
    """Joins the body of the fact; `because` its line for people."""
    ids, tasks = eta.plan.graph.task_ids, _watched(eta, deadline)
    failed = [ids[task] for task in tasks if eta.board.states[task] in _OVER]
    if failed:
        return {"because": f"{', '.join(failed[:3])} has not succeeded", "late_probability": 1.0}
    causes = await causes_of(connection, eta)
    median, nine_tenths = (eta.forecast.end(share, tasks) for share in (0.5, 0.9))
    assert deadline.watched.due_time is not None
    behind = median - (deadline.watched.due_time - eta.now).total_seconds()
    words = [f"expected {span(behind)} late, {late:.0%} likely", *(each.text(ids[each.task]) for each in causes)]
    return {
        "because": "; ".join(words),
        "late_probability": round(late, 3),
        "p50_end_time": (eta.now + timedelta(seconds=median)).isoformat(),
        "p90_end_time": (eta.now + timedelta(seconds=nine_tenths)).isoformat(),
        "causes": [
            {
                "task_id": ids[each.task],
                "seconds": round(each.took, 3),
                "usual_seconds": round(each.usual, 3),
                "message": each.text(ids[each.task]),
            }
            for each in causes
        ],
    }
