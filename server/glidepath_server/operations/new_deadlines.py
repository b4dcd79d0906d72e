"""The deadlines of runs that are being created, in the transaction that creates them; and of runs that are owed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from ..core.deadlines import RunTimes, due_time, holds, members, promised_due_time
from ..store import deadlines as store
from ..store.database import Connection
from ..store.deadlines import NewDeadline
from .plans import Plan, Plans


class Born(Protocol):
    """A run that this transaction has stored."""

    @property
    def dag_run_id(self) -> UUID: ...
    @property
    def dag_version_id(self) -> int: ...
    @property
    def dag_id(self) -> str: ...
    @property
    def run_key(self) -> str: ...
    @property
    def logical_date(self) -> datetime: ...
    @property
    def data_interval_end(self) -> datetime: ...
    @property
    def run_type(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Promised:
    """A run that a schedule owes. The version is that which it would have by now."""

    dag_id: str
    dag_version_id: int
    run_key: str
    tick_time: datetime
    logical_date: datetime
    data_interval_end: datetime


async def write_new_deadlines(
    connection: Connection, plans: Plans, namespace: str, now: datetime, runs: Sequence[Born]
) -> None:
    """Those that the runs' DAGs have by now, but for what the runs' versions have no task or group for. Runs of DAGs
    without deadlines need not be among `runs`; none of them costs nothing."""
    if not runs:
        return
    found = await store.dag_deadlines(connection, namespace, (run.dag_id for run in runs))
    new = []
    for run in runs:
        times = RunTimes(run.run_type, now, run.logical_date, run.data_interval_end)
        plan = plans.versions[run.dag_version_id]
        for each in found:
            deadline = each.deadline
            if each.dag_id != run.dag_id or not holds(deadline, times):
                continue
            if watches_something(plan, each):
                due = due_time(deadline, times)
                new.append(NewDeadline(namespace, run.dag_id, run.run_key, deadline, run.dag_run_id, due))
    if new:
        await store.insert_deadlines(connection, now, new)


def watches_something(plan: Plan, each: store.DagDeadline) -> bool:
    """Whether the version has what the deadline watches."""
    deadline = each.deadline
    if not deadline.task_id and not deadline.group_id:
        return True
    return bool(members(deadline, plan.graph.task_ids, [task.group_id for task in plan.spec.tasks]))


async def promise_runs(
    connection: Connection, plans: Plans, namespace: str, now: datetime, promised: Sequence[Promised]
) -> None:
    """The deadlines of runs that schedules owe, whether or not these are ever created: in the caller's transaction.

    Of a run that exists, or is created while we look, nothing is written here: its deadlines are its creator's affair.
    A run that is created later takes what was promised for its key, with what has become of it. What was set after a
    tick is not owed for it.
    """
    found = await store.dag_deadlines(connection, namespace, (each.dag_id for each in promised))
    new = [
        NewDeadline(namespace, each.dag_id, each.run_key, owned.deadline, None, due)
        for each in promised
        for owned in found
        if owned.dag_id == each.dag_id
        and owned.update_time <= each.tick_time
        and watches_something(plans.versions[each.dag_version_id], owned)
        and (due := promised_due_time(owned.deadline, each.logical_date, each.data_interval_end)) is not None
    ]
    if new:
        await store.promise_deadlines(connection, now, new)
