"""Say when runs that go on will end: what is known of their tasks, where these are now, and core/prediction.py."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ..core.board import FINAL, Board
from ..core.critical_path import critical_path
from ..core.durations import Summary, believe
from ..core.errors import StateConflict
from ..core.prediction import Forecast, Phase, TaskBelief, TaskNow, forecast
from ..core.states import RUN_FINAL, TaskState
from ..core.warning import Cause, causes
from ..store import deadlines, runs_read
from ..store import durations as store
from ..store.database import Connection, database_now
from ..store.durations import TaskDuration, Whereabouts
from ..store.runs_read import Run
from .learn_durations import handler_of
from .plans import Plan
from .read_runs import RunReader


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What is known of a version's tasks, by index; and how many instances a mapped one has, 0: nobody knows."""

    tasks: Sequence[TaskBelief]
    instances: Sequence[int]


@dataclass(frozen=True, slots=True)
class Eta:
    """When a run will end, as it was known at `now`, and where its tasks are. Slack counts up to `due_time`."""

    run: Run
    plan: Plan
    board: Board
    now: datetime
    due_time: datetime | None
    tasks: Sequence[TaskNow]
    beliefs: Beliefs
    forecast: Forecast


async def get_run_eta(
    reader: RunReader, namespace: str, dag_run_id: UUID, due_time: datetime | None
) -> tuple[Eta, Sequence[Cause]]:
    """When a run will end, and what makes it late, or would. Without a `due_time` it is that of the run's next open
    deadline, if it has one. Raises NotFound, StateConflict for one that has ended."""
    async with runs_read.snapshot(reader.database) as connection:
        run, plan = await reader.load(connection, namespace, dag_run_id)
        if run.state in RUN_FINAL:
            raise StateConflict(
                f"run {dag_run_id} has ended: {run.state.value}", hint=f"glidepath run show {dag_run_id}"
            )
        if due_time is None:
            due_time = await deadlines.next_of_run(connection, dag_run_id)
        eta = await foresee(connection, run, plan, due_time, await beliefs_of(connection, plan))
        return eta, await causes_of(connection, eta)


async def foresee(connection: Connection, run: Run, plan: Plan, due_time: datetime | None, beliefs: Beliefs) -> Eta:
    """When a run will end; run and connection are of one snapshot."""
    now = await database_now(connection)
    where = (await store.whereabouts(connection, [run.dag_run_id]))[run.dag_run_id]
    board = run.unpacked(plan.graph.size)
    tasks = tasks_now(plan, board, where, beliefs, await queues_ahead(connection, where.values()))
    target = (due_time - now).total_seconds() if due_time is not None else None
    # In a thread: for a DAG of 20,000 tasks it takes a second.
    found = await asyncio.to_thread(forecast, plan.graph, tasks, beliefs.tasks, target)
    return Eta(run, plan, board, now, due_time, tasks, beliefs, found)


async def beliefs_of(connection: Connection, plan: Plan) -> Beliefs:
    """What the runs of a version have shown of its tasks, and those of the versions around it as far as they say
    something of it."""
    known: dict[str, list[TaskDuration]] = {}
    for each in await store.durations(connection, plan.namespace, plan.dag_id, plan.dag_version_number):
        known.setdefault(each.key.task_id, []).append(each)
    tasks, instances = [], []
    for task in plan.spec.tasks:
        rows, handler = known.get(task.task_id, []), handler_of(task)
        own = [each for each in rows if each.key.dag_version_number == plan.dag_version_number]
        older = [each for each in rows if each.key.dag_version_number != plan.dag_version_number]
        same = _merged(each.work for each in older if each.handler == handler)
        other = _merged(each.work for each in older if each.handler != handler)
        # A wait is not of the code's making.
        waits = believe(_merged(each.wait for each in own), _merged(each.wait for each in older), Summary(), _NO_WAIT)
        tasks.append(TaskBelief(believe(_merged(each.work for each in own), same, other), waits))
        instances.append(round(rows[0].instances) if rows else 0)
    return Beliefs(tasks, instances)


# Log seconds of a wait of which nothing is known: a tenth of a second.
_NO_WAIT = -2.3


def _merged(summaries: Iterable[Summary]) -> Summary:
    whole = Summary()
    for each in summaries:
        whole = whole.merged(each)
    return whole


async def queues_ahead(
    connection: Connection, found: Iterable[Sequence[Whereabouts]]
) -> Mapping[tuple[int, float], float]:
    """Seconds that go before rows of queues, by queue and order key."""
    places = {
        (each.queue_id, each.order_key)
        for rows in found
        for each in rows
        if each.queue_id is not None and each.order_key is not None
    }
    return {place: await store.seconds_ahead(connection, *place) for place in sorted(places)}


def tasks_now(
    plan: Plan,
    board: Board,
    where: Mapping[int, Sequence[Whereabouts]],
    beliefs: Beliefs,
    ahead: Mapping[tuple[int, float], float],
) -> list[TaskNow]:
    """Where each task is, by index."""
    return [_task_now(plan, board, task, where.get(task, ()), beliefs, ahead) for task in range(plan.graph.size)]


def _task_now(
    plan: Plan,
    board: Board,
    task: int,
    where: Sequence[Whereabouts],
    beliefs: Beliefs,
    ahead: Mapping[tuple[int, float], float],
) -> TaskNow:
    if board.states[task] in FINAL or task in plan.graph.removed:
        return TaskNow(Phase.ENDED)
    running = next((each for each in where if each.is_running), None)
    queued = next((each for each in where if not each.is_running), None)
    counts, policy = board.maps.get(task), plan.graph.maps.get(task)
    live = running.instances if running is not None else 0
    rest, window = 0, 1
    if policy is not None:
        length = counts.length - counts.ended if counts is not None else max(beliefs.instances[task], 1)
        rest, window = max(length - live, 0), policy.window
    if running is not None:
        return TaskNow(Phase.RUNNING, running.elapsed, live=live, rest=rest, window=window)
    if queued is not None:
        before = 0.0
        if queued.queue_id is not None and queued.order_key is not None:
            before = ahead.get((queued.queue_id, queued.order_key), 0.0)
        return TaskNow(Phase.QUEUED, queued.elapsed, queued.delay, before, rest=rest, window=window)
    phase = Phase.SCHEDULED if board.states[task] == TaskState.SCHEDULED else Phase.QUEUED
    return TaskNow(phase, rest=rest, window=window)


async def causes_of(connection: Connection, eta: Eta) -> Sequence[Cause]:
    """What makes, or would make, a run late, the most first: also of what has ended already."""
    plan, tasks = eta.plan, eta.tasks
    times = await runs_read.attempt_times(connection, eta.run.dag_run_id, eta.board)
    path = {
        each.task: (each.waited + each.worked).total_seconds()
        for each in critical_path(plan.graph, eta.board.states, times, eta.now)
        if tasks[each.task].phase is Phase.ENDED and each.task not in plan.graph.maps
    }
    known = ((task, belief) for task, belief in enumerate(eta.beliefs.tasks) if belief.work.count)
    usual = {task: belief.work.median + belief.wait.median for task, belief in known}
    spent = {
        task: each.elapsed
        for task, each in enumerate(tasks)
        if each.phase in (Phase.RUNNING, Phase.QUEUED) and task not in plan.graph.maps
    }
    return causes(eta.forecast, spent, path, usual)
