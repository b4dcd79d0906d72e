"""Reading runs: each answer comes from one snapshot of the database."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from ..core.board import FINAL, WHOLE_RUN
from ..core.definition import JSON
from ..core.errors import LimitExceeded, NotFound
from ..core.graph import Graph
from ..core.map_view import InstanceFacts
from ..core.run_view import EndedRow, TaskInstanceView, instance_views, task_counts, task_instance_views
from ..store import maps
from ..store import runs_read as store
from ..store.database import Connection, Database
from ..store.runs_read import ALL_TASKS, AttemptKeys, Output, Run
from .find_dag import no_such_dag
from .map_tasks import gather, items_of
from .plans import Plan, Plans

# Of a list that is gathered for a reader. Clients of gRPC accept messages of 4 MiB.
ANSWERED_BYTES_MAX = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RunReader:
    """Runs of any namespace; the caller has checked that the namespace may be read."""

    database: Database
    plans: Plans

    async def get(self, namespace: str, dag_run_id: UUID) -> tuple[Run, dict[str, int]]:
        """A run and its task instances per state. Raises NotFound."""
        async with store.snapshot(self.database) as connection:
            run, plan = await self.load(connection, namespace, dag_run_id)
            counts = await store.released_counts(connection, dag_run_id)
        run = replace(run, paused_by=run.unpacked(plan.graph.size).pauses.get(WHOLE_RUN, ""))
        return run, task_counts(run.states(plan.graph.size), *counts)

    async def load(self, connection: Connection, namespace: str, dag_run_id: UUID) -> tuple[Run, Plan]:
        """A run and its compiled version. Raises NotFound."""
        run = await store.run(connection, namespace, dag_run_id)
        if run is None:
            raise NotFound(
                f"there is no run {dag_run_id} in namespace {namespace!r}", hint="list the runs of the DAG to find it"
            )
        await self.plans.load(connection, [run.dag_version_id])
        return run, self.plans.versions[run.dag_version_id]

    async def list_runs(
        self, namespace: str, dag_id: str, states: Sequence[str], first: UUID, below: UUID, limit: int
    ) -> list[Run]:
        """Newest first, from one id to below another. Raises NotFound for a DAG that does not exist."""
        async with self.database.api.acquire() as connection:
            found = await store.list_runs(connection, namespace, dag_id, states, first, below, limit)
            if not found and dag_id:
                await self.check_dag(connection, namespace, dag_id)
        return found

    async def list_children(
        self, namespace: str, parent: UUID, states: Sequence[str], first: UUID, below: UUID, limit: int
    ) -> list[Run]:
        """The child runs of a run, as `list_runs`. Raises NotFound for a run that does not exist."""
        async with self.database.api.acquire() as connection:
            found = await store.list_children(connection, namespace, parent, states, first, below, limit)
            if not found:
                await self.load(connection, namespace, parent)
        return found

    async def dead_letters(self, namespace: str, dag_id: str, below: int, limit: int) -> list[store.DeadLetter]:
        """Newest first, below an id. Raises NotFound for a DAG that does not exist."""
        async with self.database.api.acquire() as connection:
            found = await store.dead_letters(connection, namespace, dag_id, below, limit)
            if not found and dag_id:
                await self.check_dag(connection, namespace, dag_id)
        return found

    async def check_dag(self, connection: Connection, namespace: str, dag_id: str) -> None:
        if not await store.dag_exists(connection, namespace, dag_id):
            raise await no_such_dag(connection, namespace, dag_id)

    async def task_instances(
        self, namespace: str, dag_run_id: UUID, task_id: str, first: int, limit: int
    ) -> tuple[Plan, list[TaskInstanceView], int]:
        """Views of `limit` tasks in topological order, from index `first` on, or of one, of a mapped one its instances;
        and how many there are in all. Raises NotFound."""
        async with store.snapshot(self.database) as connection:
            run, plan = await self.load(connection, namespace, dag_run_id)
            if task_id and (task := task_index(plan, task_id)) in plan.graph.maps:
                return plan, *(await self._instances(connection, run, plan, task, first, limit))
            chosen = [task_index(plan, task_id)] if task_id else range(plan.graph.size)
            tasks = chosen[first : first + limit]
            board = run.unpacked(plan.graph.size)
            rows = await store.rows_of(connection, dag_run_id, tasks, plan.graph, board.states)
        return plan, task_instance_views(plan.graph, board, rows, tasks), len(chosen)

    async def _instances(
        self, connection: Connection, run: Run, plan: Plan, task: int, first: int, limit: int
    ) -> tuple[list[TaskInstanceView], int]:
        """Views of `limit` instances of a mapped task, and how many it has."""
        board = run.unpacked(plan.graph.size)
        length = board.maps[task].length if task in board.maps else 0
        indexes = range(min(first, length), min(first + limit, length))
        if not indexes:
            return [], length
        rows = await store.instance_rows(connection, run.dag_run_id, task, indexes[0], indexes[-1])
        facts = InstanceFacts(
            await store.given_up(connection, run.dag_run_id, task, indexes[0], indexes[-1]),
            await items_of(connection, run.dag_run_id, task, indexes),
            await maps.instance_marks(connection, run.dag_run_id, task, indexes[0], indexes[-1]),
        )
        return instance_views(board, task, rows, indexes, facts), length

    async def attempts(
        self,
        namespace: str,
        dag_run_id: UUID,
        task_id: str,
        map_index: int | None,
        after: AttemptKeys,
        limit: int,
    ) -> tuple[Plan, list[EndedRow]]:
        """History behind the keys, oldest first; empty task id: all tasks, no map index: all. Raises NotFound."""
        async with store.snapshot(self.database) as connection:
            _, plan = await self.load(connection, namespace, dag_run_id)
            task = task_index(plan, task_id) if task_id else ALL_TASKS
            return plan, await store.attempts(connection, dag_run_id, task, map_index, after, limit)

    async def output(self, namespace: str, dag_run_id: UUID, task_id: str, map_index: int) -> Output:
        """The output of the newest successful attempt, of a mapped task as a whole the list that its instances make.

        Raises NotFound when there is none, LimitExceeded for a list that no answer can carry.
        """
        async with store.snapshot(self.database) as connection:
            run, plan = await self.load(connection, namespace, dag_run_id)
            task = task_index(plan, task_id)
            board = run.unpacked(plan.graph.size)
            if task in plan.graph.maps and map_index < 0:
                found = await _gathered(connection, dag_run_id, task) if board.states[task] in FINAL else None
            else:
                found = await store.output(connection, dag_run_id, task, map_index)
            if found is not None:
                return found
            rows = await store.rows_of(connection, dag_run_id, [task], plan.graph, board.states)
        view = task_instance_views(plan.graph, board, rows, [task])[0]
        if task in plan.graph.maps and map_index < 0:
            raise NotFound(f"task {task_id} has no output yet: it is {view.state.value}", hint="ask for one instance")
        raise NotFound(
            f"task {task_id} has no output: no attempt of it has succeeded, it is {view.state.value}",
            hint="ask again once it has succeeded",
        )


async def _gathered(connection: Connection, dag_run_id: UUID, task: int) -> Output | None:
    """What the instances of a mapped task have made; None when its lists were never read."""
    length = (await maps.lengths(connection, [dag_run_id], [task])).get((dag_run_id, task))
    if length is None:
        return None
    body, size, sha256 = await gather(connection, dag_run_id, task, length, ANSWERED_BYTES_MAX)
    if body is None:
        raise LimitExceeded(
            f"the list has {size} bytes, and an answer at most {ANSWERED_BYTES_MAX}",
            hint="ask for the outputs of its instances one by one",
        )
    return Output(0, JSON, body, None, size, sha256)


def task_index(plan: Plan, task_id: str) -> int:
    """The index of a task of the run's version. Raises NotFound, with the name that is nearest."""
    return task_indexes(plan, [task_id])[0]


def task_indexes(plan: Plan, task_ids: Sequence[str]) -> list[int]:
    """The indexes of tasks of the run's version, in the order given. Raises NotFound for the first unknown one."""
    known = index_of(plan.graph)
    for task_id in task_ids:
        if task_id not in known:
            close = difflib.get_close_matches(task_id, known, n=1)
            raise NotFound(
                f"DAG {plan.dag_id} version {plan.dag_version_number} has no task {task_id!r}",
                hint=f"did you mean {close[0]}?" if close else "list the run's task instances",
            )
    return [known[task_id] for task_id in task_ids]


def index_of(graph: Graph) -> dict[str, int]:
    return {task_id: index for index, task_id in enumerate(graph.task_ids)}
