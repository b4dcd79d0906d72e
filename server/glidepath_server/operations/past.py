"""Tasks that depend on the past inside a step transaction: who may start, who waits for which run, whom to wake.

Authority. The board of the run before says how its task has ended; past_wait says who waits for it. No step touches
another's run:
1. What may start but for the run before is looked up, one statement for all of it. What finds it ended well is released
   in this very step.
2. The others get a row. Once that is committed, a loop (loops/past.py) looks again under the lock of the run that is
   waited for: its step may have ended the task meanwhile, without seeing the row.
3. A step that ends such a task well, by whatever way, tells those who wait by their inboxes. Each looks anew: the run
   before may be another one by then.
A sweep finds the rest: another run has become the run before; the version of that run knows of no such waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from ..core.board import Board
from ..core.events import PastLetsGo
from ..core.past import LETS_GO, TaskBefore, place_before
from ..core.states import TaskState
from ..store import past as store
from ..store.database import Connection
from .plans import Plan, Plans
from .step_types import LockedRun, Replica, StepOutcome


class Past:
    """The part of a step about such tasks. A step without them asks the database nothing here."""

    def __init__(self, replica: Replica, outcome: StepOutcome) -> None:
        self.replica, self.outcome = replica, outcome
        # By run and task, the run that is waited for, and the place of the task there.
        self._waits: dict[store.Task, store.Task] = {}

    async def answer(self, connection: Connection, runs: Iterable[LockedRun]) -> list[tuple[LockedRun, PastLetsGo]]:
        """What the runs before say of the tasks that these runs have asked for."""
        asked = {run.dag_run_id: (run, run.effects.past_asked) for run in runs}
        own = [run_id for run_id, (run, _) in asked.items() if not run.is_child]
        before = await store.runs_before(connection, own) if own else {}
        await self.replica.plans.load(connection, {row["dag_version_id"] for row in before.values()})
        found = []
        for run_id, (run, tasks) in asked.items():
            run.effects.past_asked = []
            free = []
            for task in tasks:
                wait = self._wait(run.plan, task, before[run_id]) if run_id in before else None
                if wait is None:
                    free.append(task)
                else:
                    self._waits[run_id, task] = wait
            found.append((run, PastLetsGo(tuple(free))))
        return found

    def _wait(self, plan: Plan, task: int, row: store.Row) -> store.Task | None:
        place = _place(plan, task, row, self.replica.plans)
        if place is None or row["board"][place] in LETS_GO:
            return None
        return row["previous_run_id"], place

    async def write(self, connection: Connection, runs: Mapping[UUID, LockedRun]) -> None:
        """Who waits from now on, who does not any more; and tell those who wait for what has ended well here."""
        concerned = [run for run in runs.values() if run.plan.graph.on_past or run.effects.past_told]
        if not concerned:
            return
        waits = {task: other for task, other in self._waits.items() if _still_waits(runs.get(task[0]), task[1])}
        changed = {
            (run.dag_run_id, task): run.board.states[task]
            for run in concerned
            for task, _, _ in run.effects.changes
            if task in run.plan.graph.on_past
        }
        told = {(run.dag_run_id, task) for run in concerned for task in run.effects.past_told}
        if over := sorted((told | changed.keys()) - waits.keys()):
            await store.forget(connection, over)
        if waits:
            await store.wait(connection, [(*task, *other) for task, other in sorted(waits.items())])
            self.outcome.past = True
        if ended := [task for task, state in changed.items() if state in LETS_GO]:
            self.outcome.woken |= await store.wake(connection, ended)


def _still_waits(run: LockedRun | None, task: int) -> bool:
    """Whether nothing else has become of the task in the rest of the step."""
    return run is not None and run.board.states[task] == TaskState.SCHEDULED


def _place(plan: Plan, task: int, row: store.Row, plans: Plans) -> int | None:
    return place_before(plan.graph.task_ids[task], task, plans.versions[row["dag_version_id"]].graph)


async def tasks_before(
    connection: Connection, plans: Plans, plan: Plan, dag_run_id: UUID, board: Board, tasks: Iterable[int]
) -> dict[int, TaskBefore]:
    """How the same tasks stand in the run before, of those that depend on it and have not started."""
    asked = [task for task in tasks if task in plan.graph.on_past and board.states[task] == TaskState.SCHEDULED]
    row = (await store.runs_before(connection, [dag_run_id])).get(dag_run_id) if asked else None
    if row is None:
        return {}
    await plans.load(connection, [row["dag_version_id"]])
    places = {task: _place(plan, task, row, plans) for task in asked}
    return {
        task: TaskBefore(str(row["previous_run_id"]), row["logical_date"], TaskState(row["board"][place]))
        for task, place in places.items()
        if place is not None
    }
