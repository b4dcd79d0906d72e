"""What the ends of runs have to tell: which failed, by which of their tasks; which had failed and have succeeded."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from ..core.facts import Fact, FactKind, fact_of_end
from ..core.states import TaskState
from ..store import outbox as store
from ..store.database import Connection
from .facts import SUMMARY_CHARACTERS_MAX, append_facts
from .step_types import LockedRun

# Of a run with more that failed, the others are counted: a body has a bound, and a letter may be twelve bytes in it.
TASKS_NAMED_MAX = 50
TASKS_BYTES_MAX = 48_000
TASKS_IN_SUMMARY_MAX = 3
REASON_CHARACTERS_MAX = 300
Causes = dict[tuple[UUID, int], store.Cause]


async def write_run_facts(connection: Connection, runs: Iterable[LockedRun], now: datetime) -> bool:
    """One fact per end that must be told, in the step's transaction, after its dead letters; whether there is any.

    An ordinary end costs a look at the board.
    """
    ends = [(run, kind) for run in runs if (kind := fact_of_end(run.was, run.board)) is not None]
    if not ends:
        return False
    failed = [run.dag_run_id for run, kind in ends if kind is FactKind.RUN_FAILED]
    causes = await store.read_causes(connection, failed) if failed else {}
    facts = [
        Fact(kind, run.plan.namespace, now, run.plan.dag_id, run.dag_run_id, body=_body(run, kind, causes))
        for run, kind in ends
    ]
    await append_facts(connection, facts)
    return True


def _body(run: LockedRun, kind: FactKind, causes: Causes) -> dict[str, Any]:
    about: dict[str, Any] = {
        "summary": "",
        "dag_version_number": run.plan.dag_version_number,
        "revision": run.revision + 1,
    }
    if kind is FactKind.RUN_RECOVERED:
        return about | {"summary": f"{run.plan.dag_id} has succeeded after it had failed"}
    # What follows from a failure (upstream_failed) is no cause; nor is what was cancelled because another failed.
    names = run.plan.graph.task_ids
    failed = [task for task, state in enumerate(run.board.states) if state == TaskState.FAILED]
    tasks = _fitting([_cause(names[task], causes.get((run.dag_run_id, task))) for task in failed[:TASKS_NAMED_MAX]])
    told = ", ".join(f"{each['task_id']} ({each['reason']})" for each in tasks[:TASKS_IN_SUMMARY_MAX])
    more = f" and {len(failed) - TASKS_IN_SUMMARY_MAX} more" if len(failed) > TASKS_IN_SUMMARY_MAX else ""
    summary = f"{run.plan.dag_id} has failed: {told}{more}" if told else f"{run.plan.dag_id} has failed"
    return about | {
        "summary": summary[:SUMMARY_CHARACTERS_MAX],
        "reason": run.board.reason[:SUMMARY_CHARACTERS_MAX],
        "tasks_failed": tasks,
        "tasks_failed_count": len(failed),
    }


def _fitting(tasks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first ones, as many as a body has room for."""
    found, left = [], TASKS_BYTES_MAX
    for each in tasks:
        left -= len(json.dumps(each))
        if left < 0:
            break
        found.append(each)
    return found


def _cause(task_id: str, cause: store.Cause | None) -> dict[str, Any]:
    if cause is None:
        return {"task_id": task_id, "reason": "marked as failed", "instances": 1}
    failure = json.loads(cause.failure) if cause.failure else {}
    lines = str(failure.get("message", "")).strip().splitlines()
    parts = [str(failure.get("type") or failure.get("kind") or ""), lines[0] if lines else ""]
    said = ": ".join(filter(None, parts)) or cause.reason
    return {
        "task_id": task_id,
        "reason": said[:REASON_CHARACTERS_MAX],
        "instances": cause.instances,
        "map_index": cause.map_index,
        "attempt_number": cause.attempt_number,
    }
