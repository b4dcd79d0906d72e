"""Who of what waits goes first, said anew: for a run, or for single tasks of it.

One transaction under the run's lock: what is queued moves in the order of its queue, and what the run releases later
goes by the new word. Nothing that runs is touched. Lock order: the run > its queue rows (waiting for claims).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import InvalidInput, NotFound, Violation
from ..core.policy_checks import PRIORITY_MAX
from ..store import priorities as store
from ..store.database import Connection, database_now, transaction
from .audit import append_audit
from .command_runs import AUDITED_TASKS_MAX, TASK_IDS_MAX, CommandCall
from .read_runs import RunReader, task_indexes
from .requests import once


@dataclass(frozen=True, slots=True)
class SetPriority:
    """The operation. Raises NotFound and InvalidInput; then nothing has changed."""

    reader: RunReader

    async def __call__(self, call: CommandCall, task_ids: Sequence[str], priority: int | None) -> int:
        """Set the priority of the run, or of these tasks of it; None: as the DAG says. Returns how many rows moved."""
        _check(task_ids, priority)

        async def run() -> bytes:
            return str(await self._set(connection, call, task_ids, priority)).encode()

        async with transaction(self.reader.database.api, "set_priority") as connection:
            answer = await once(
                connection,
                namespace=call.namespace,
                request_id=call.request_id,
                method=call.method,
                body=call.body,
                run=run,
            )
        return int(answer)

    async def _set(
        self, connection: Connection, call: CommandCall, task_ids: Sequence[str], priority: int | None
    ) -> int:
        found = await store.lock_run(connection, call.namespace, call.dag_run_id)
        if found is None:
            raise NotFound(
                f"there is no run {call.dag_run_id} in namespace {call.namespace!r}",
                hint="list the runs of the DAG to find it",
            )
        version_id, before = found
        await self.reader.plans.load(connection, [version_id])
        plan = self.reader.plans.versions[version_id]
        tasks = sorted(set(task_indexes(plan, task_ids)))
        said = before.said(priority, tasks)
        if said == before:
            return 0
        await store.set_priorities(connection, call.dag_run_id, said)
        concerned = tasks or range(plan.graph.size)
        moved = await store.reorder(
            connection, call.dag_run_id, {task: said.of(task, plan.priorities[task]) for task in concerned}
        )
        named = [plan.graph.task_ids[task] for task in tasks[:AUDITED_TASKS_MAX]]
        await append_audit(
            connection,
            namespace=call.namespace,
            actor=call.actor,
            action="dag_run.priority",
            target=f"dag_run/{call.dag_run_id}",
            detail={"priority": priority, "task_ids": named, "tasks": len(tasks), "reason": call.reason},
            now=await database_now(connection),
        )
        return moved


def _check(task_ids: Sequence[str], priority: int | None) -> None:
    wrong = []
    if priority is not None and not -PRIORITY_MAX <= priority <= PRIORITY_MAX:
        wrong.append(Violation("priority", str(priority), f"{-PRIORITY_MAX} to {PRIORITY_MAX}"))
    if len(task_ids) > TASK_IDS_MAX:
        wrong.append(Violation("task_ids", f"{len(task_ids)} task ids", f"at most {TASK_IDS_MAX} task ids"))
    if wrong:
        raise InvalidInput("; ".join(map(str, wrong)), violations=wrong)
