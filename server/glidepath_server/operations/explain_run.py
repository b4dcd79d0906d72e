"""Say what each task instance of a run waits for, and what decided how long the run took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from uuid import UUID

from ..core.board import FINAL
from ..core.critical_path import Step, critical_path
from ..core.explain import WAITS_FOR_A_CALL, Explanation, Facts, LimitFacts, RunFacts, explain
from ..core.past import TaskBefore
from ..core.run_view import RunRows, task_instance_views
from ..store import caching
from ..store import runs_read as store
from ..store.database import Connection, database_now
from ..store.runs_read import Run
from .past import tasks_before
from .plans import Plan, Plans
from .read_runs import RunReader, task_index


async def explain_run(
    reader: RunReader, namespace: str, dag_run_id: UUID, task_id: str
) -> tuple[Plan, list[Explanation], list[Step]]:
    """Explanations of one task, or of every one that is not final; and the critical path so far. Raises NotFound."""
    async with store.snapshot(reader.database) as connection:
        run, plan = await reader.load(connection, namespace, dag_run_id)
        board = run.unpacked(plan.graph.size)
        if task_id:
            tasks = [task_index(plan, task_id)]
        else:
            tasks = [task for task, state in enumerate(board.states) if state not in FINAL]
        rows = await store.rows_of(connection, dag_run_id, tasks, plan.graph, board.states)
        own = () if run.run_type == "child" else tasks
        before = await tasks_before(connection, reader.plans, plan, dag_run_id, board, own)
        facts = await _facts(connection, reader.plans, run, rows, board.pauses, before)
        times = await store.attempt_times(connection, dag_run_id, board)
    views = task_instance_views(plan.graph, board, rows, tasks)
    path = critical_path(plan.graph, board.states, times, run.end_time or facts.now)
    return plan, explain(plan.graph, board.states, views, rows, facts), path


async def _facts(
    connection: Connection,
    plans: Plans,
    run: Run,
    rows: RunRows,
    pauses: Mapping[int, str],
    before: Mapping[int, TaskBefore],
) -> Facts:
    paused, active_max, active, in_order = await store.run_limits(connection, run.namespace, run.dag_id)
    waits = in_order and not run.admitted
    reason = await store.run_incident(connection, run.dag_run_id) if run.quarantined else run.reason
    waiting = rows.waiting.values()
    return Facts(
        run=RunFacts(
            run.dag_id,
            run.state,
            run.intent,
            run.admitted,
            run.quarantined,
            paused,
            active,
            active_max,
            reason,
            str(run.dag_run_id),
            pauses,
            await store.first_in_order(connection, run.namespace, run.dag_id) if waits else None,
        ),
        now=await database_now(connection),
        limits=await _limits(connection, plans, {row.parked_on for row in waiting if row.parked_on > 0}),
        classes=await store.classes(connection, {row.class_id for row in waiting}) if waiting else {},
        sessions=await store.sessions(connection, run.namespace) if waiting else (),
        ahead=await store.rows_ahead(connection, run.dag_run_id) if waiting else {},
        equal_calls=await caching.waited_for(connection, run.dag_run_id)
        if any(row.parked_on == WAITS_FOR_A_CALL for row in waiting)
        else {},
        before=before,
    )


async def _limits(connection: Connection, plans: Plans, limit_ids: set[int]) -> dict[int, LimitFacts]:
    if not limit_ids:
        return {}
    rows = await store.limit_holders(connection, limit_ids)
    await plans.load(connection, {row["dag_version_id"] for row in rows})
    holders: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        task_id = plans.versions[row["dag_version_id"]].graph.task_ids[row["task_index"]]
        holders[row["limit_id"]].append(f"{row['dag_id']} {task_id} (run {row['dag_run_id']})")
    return await store.limits(connection, limit_ids, {limit_id: tuple(names) for limit_id, names in holders.items()})
