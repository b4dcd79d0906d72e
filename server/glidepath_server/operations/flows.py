"""Who shares a queue with whom: a released task instance stands in the flow of its DAG, or of its backfill."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.backfill import WEIGHT_DEFAULT
from ..store import backfills
from ..store.database import Connection
from ..store.engine import Row
from .step_types import LockedRun, Replica


async def learn_backfills(connection: Connection, replica: Replica, rows: Iterable[Row]) -> None:
    """See that the weights of these runs' backfills are known."""
    new = {row["backfill_id"] for row in rows if row["backfill_id"] is not None} - replica.backfill_weights.keys()
    if new:
        replica.backfill_weights.update(await backfills.weights(connection, new))


def order_key(replica: Replica, run: LockedRun, queue_id: int, task: int) -> tuple[float, int]:
    """The key by which a released task of a run is claimed, and the priority that is in it.

    A backfill goes ahead of nobody, however late it will be: what it may take is bounded already.
    """
    priority, flow, weight = flow_of(replica, run, task)
    urgency = replica.urgency_of(run.dag_run_id, task) if run.backfill_id is None else 0.0
    return replica.flow(queue_id).key(flow, priority=priority, weight=weight, urgency=urgency), priority


def flow_of(replica: Replica, run: LockedRun, task: int) -> tuple[int, object, float]:
    """Priority, flow and weight of a task of a run.

    What its DAG says of priorities does not lift a backfill above runs that are not part of one: only an operator's
    word does.
    """
    plan, backfill_id = run.plan, run.backfill_id
    planned = plan.priorities[task]
    if backfill_id is None:
        return run.priorities.of(task, planned), (plan.namespace, plan.dag_id), plan.spec.weight
    weight = replica.backfill_weights.get(backfill_id, WEIGHT_DEFAULT)
    return run.priorities.of(task, min(planned, 0)), backfill_id, weight
