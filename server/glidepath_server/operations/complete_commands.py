"""What commands need to know that only rows say: read under the lock of their run, before its step advances."""

from __future__ import annotations

from dataclasses import replace

from ..core.events import Event, InstancesMarked, TasksCleared
from ..store import engine as store
from ..store.database import Connection
from .map_tasks import check_instances, parts_to_clear, states_of
from .step_types import LockedRun


async def completed(connection: Connection, run: LockedRun, event: Event) -> Event:
    """The event with all of its fields. Raises NotFound or InvalidInput for instances that their task does not have."""
    if isinstance(event, TasksCleared):
        return await _cleared(connection, run, event)
    if isinstance(event, InstancesMarked):
        check_instances(run.plan.graph, run.board, {event.task: event.indexes})
        return replace(event, states=await states_of(connection, run.dag_run_id, run.board, event.task, event.indexes))
    return event


async def _cleared(connection: Connection, run: LockedRun, event: TasksCleared) -> TasksCleared:
    tasks = tuple(sorted(run.board.with_surroundings(run.plan.graph, event.tasks)))
    check_instances(run.plan.graph, run.board, event.instances)
    attempts = await store.attempts_made(connection, run.dag_run_id, tasks)
    parts = await parts_to_clear(
        *(connection, run.dag_run_id, run.plan.graph, run.board, tasks),
        instances=event.instances,
        only_failed=event.only_failed,
    )
    return replace(event, tasks=tasks, attempts=attempts, parts=parts)
