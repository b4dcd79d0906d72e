"""Learn how long tasks take, from runs that have ended since: outside of the steps, once for each end of a run.

The cursor and what was learnt are written in one transaction, so a run counts once whatever dies. Runs come in the
order in which their ends were committed. Where very many of a version have ended at once, some say enough: what is
known of a task weighs as COUNT_MAX observations at most, whatever more there is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from ..core.board import Board
from ..core.definition import TaskSpec
from ..core.durations import COUNT_MAX, Summary
from ..core.states import RunIntent, RunState
from ..store import durations as store
from ..store.database import Connection
from ..store.durations import EndedRun, Measured, Place, TaskDuration, TaskKey
from .plans import Plan, Plans

# Of one version in one transaction; evenly chosen of those that have ended.
RUNS_PER_VERSION_MAX = 20
# The instances of a mapped task in one run are no independent witnesses: they weigh as so many at most.
INSTANCES_COUNT_MAX = 10.0
# How much the newest run counts in the mean number of instances.
_INSTANCES_SHARE = 0.2


async def learn_durations(connection: Connection, plans: Plans, runs_max: int) -> int:
    """In the caller's transaction: take in at most so many runs that have ended; how many there were."""
    place = await store.lock_cursor(connection)
    if place is None:
        return 0
    ended = await store.ended_runs(connection, place, runs_max)
    if not ended:
        await store.move_cursor(connection, place)
        return 0
    await _take_in(connection, plans, [run.dag_run_id for run in _chosen(ended)])
    await store.move_cursor(connection, Place(ended[-1].end_written, ended[-1].dag_run_id))
    return len(ended)


async def _take_in(connection: Connection, plans: Plans, run_ids: Sequence[UUID]) -> None:
    boards = await store.boards(connection, run_ids)
    versions = {run_id: version_id for run_id, version_id, _ in boards}
    await plans.load(connection, versions.values())
    bases = [
        each for run_id, version_id, packed in boards for each in _bases(run_id, plans.versions[version_id], packed)
    ]
    by_key: dict[TaskKey, list[Measured]] = defaultdict(list)
    handlers: dict[TaskKey, str] = {}
    for each in await store.measured(connection, run_ids, bases):
        plan = plans.versions[versions[each.dag_run_id]]
        task = plan.task(each.task)
        key = TaskKey(plan.namespace, plan.dag_id, plan.dag_version_number, task.task_id)
        by_key[key].append(each)
        handlers[key] = handler_of(task)
    if not by_key:
        return
    keys, nothing = sorted(by_key), Summary()
    known = await store.hold_durations(connection, keys)
    rows = [
        _taken_in(known.get(key, TaskDuration(key, "", nothing, nothing, 0.0)), handlers[key], by_key[key])
        for key in keys
    ]
    await store.write_durations(connection, rows)


def handler_of(task: TaskSpec) -> str:
    """The code of a task: what has another one may take another time."""
    return f"{task.handler.name}@{task.handler.version}"


def _chosen(ended: Sequence[EndedRun]) -> list[EndedRun]:
    by_version: dict[int, list[EndedRun]] = defaultdict(list)
    for run in ended:
        by_version[run.dag_version_id].append(run)
    return [each for runs in by_version.values() for each in runs[:: -(-len(runs) // RUNS_PER_VERSION_MAX)]]


def _bases(run_id: UUID, plan: Plan, packed: bytes) -> Iterable[tuple[UUID, int, int]]:
    board = Board.unpack(plan.graph.size, packed, RunState.RUNNING, RunIntent.RUN)
    return [(run_id, task, base) for task, base in enumerate(board.bases or ()) if base]


def _taken_in(known: TaskDuration, handler: str, runs: Sequence[Measured]) -> TaskDuration:
    work, wait, instances = known.work, known.wait, known.instances
    for run in runs:
        instances += (run.work.count - instances) * (_INSTANCES_SHARE if instances else 1.0)
        work = work.merged(run.work.faded(INSTANCES_COUNT_MAX)).faded(COUNT_MAX)
        wait = wait.merged(run.wait.faded(INSTANCES_COUNT_MAX)).faded(COUNT_MAX)
    return TaskDuration(known.key, handler, work, wait, instances)
