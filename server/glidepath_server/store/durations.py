"""How long tasks take, and where the tasks of runs are: thin typed functions over queries/durations.sql."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from ..core.durations import Summary
from .database import Connection
from .sql import statements

_SQL = statements("durations")
# Versions to each side of one that may say something of it.
VERSIONS_AROUND = 20
AHEAD_COUNTED_MAX = 10_000
PACE_COUNTED_MAX = 5_000


class Place(NamedTuple):
    """How far the ends of runs were learnt from, in the order of commits."""

    end_written: str
    dag_run_id: UUID


class EndedRun(NamedTuple):
    dag_run_id: UUID
    dag_version_id: int
    end_written: str


class TaskKey(NamedTuple):
    namespace: str
    dag_id: str
    dag_version_number: int
    task_id: str


@dataclass(frozen=True, slots=True)
class TaskDuration:
    """What is known of a task of a version: `handler` is its code, `instances` how many it has in a run on average."""

    key: TaskKey
    handler: str
    work: Summary
    wait: Summary
    instances: float


class Measured(NamedTuple):
    """What the instances of a task took in one run."""

    dag_run_id: UUID
    task: int
    work: Summary
    wait: Summary


class Whereabouts(NamedTuple):
    """Instances of a task that are running, or queued: see queries/durations.sql."""

    is_running: bool
    instances: int
    elapsed: float
    delay: float
    queue_id: int | None
    order_key: float | None


# ---- learning
async def any_ended(connection: Connection) -> bool:
    """Whether runs have ended that were not learnt from."""
    return bool(await connection.fetchval(_SQL["any_ended"]))


async def lock_cursor(connection: Connection) -> Place | None:
    """Held until the transaction ends; None: somebody else holds it."""
    row = await connection.fetchrow(_SQL["lock_cursor"])
    return Place(*row) if row is not None else None


async def ended_runs(connection: Connection, after: Place, limit: int) -> list[EndedRun]:
    rows = await connection.fetch(_SQL["ended_runs"], *after, limit)
    return [EndedRun(*row) for row in rows]


async def move_cursor(connection: Connection, place: Place) -> None:
    await connection.execute(_SQL["move_cursor"], *place)


async def boards(connection: Connection, run_ids: Sequence[UUID]) -> list[tuple[UUID, int, bytes]]:
    return [(row[0], row[1], row[2]) for row in await connection.fetch(_SQL["boards"], run_ids)]


async def measured(
    connection: Connection, run_ids: Sequence[UUID], bases: Iterable[tuple[UUID, int, int]]
) -> list[Measured]:
    """By run and task; attempts up to a number of `bases` (run, task, number) do not count."""
    columns = list(zip(*bases, strict=True)) or [(), (), ()]
    found = []
    for row in await connection.fetch(_SQL["measured"], run_ids, *columns):
        run_id, task, count, work_mean, work_squares, wait_mean, wait_squares = row
        work, wait = Summary(count, work_mean, work_squares), Summary(count, wait_mean, wait_squares)
        found.append(Measured(run_id, task, work, wait))
    return found


async def hold_durations(connection: Connection, keys: Sequence[TaskKey]) -> dict[TaskKey, TaskDuration]:
    """What is known of these tasks, the rows held."""
    rows = await connection.fetch(_SQL["hold_durations"], *zip(*keys, strict=True))
    return {each.key: each for each in map(_duration, rows)}


async def write_durations(connection: Connection, durations: Sequence[TaskDuration]) -> None:
    rows = [
        (
            *each.key,
            each.handler,
            *(each.work.count, each.work.mean, each.work.squares),
            *(each.wait.count, each.wait.mean, each.wait.squares),
            each.instances,
        )
        for each in durations
    ]
    await connection.execute(_SQL["write_durations"], *zip(*rows, strict=True))


# ---- knowing
async def durations(connection: Connection, namespace: str, dag_id: str, version_number: int) -> list[TaskDuration]:
    """Of the tasks of a version and of those around it, this one first."""
    rows = await connection.fetch(_SQL["durations"], namespace, dag_id, version_number, VERSIONS_AROUND)
    return list(map(_duration, rows))


def _duration(row: Any) -> TaskDuration:
    namespace, dag_id, version, task_id, handler, *numbers, instances = row
    key = TaskKey(namespace, dag_id, version, task_id)
    return TaskDuration(key, handler, Summary(*numbers[:3]), Summary(*numbers[3:]), instances)


async def whereabouts(
    connection: Connection, run_ids: Sequence[UUID]
) -> Mapping[UUID, Mapping[int, Sequence[Whereabouts]]]:
    """By run and task: what is running of it, and what is queued."""
    found: dict[UUID, dict[int, list[Whereabouts]]] = {run_id: {} for run_id in run_ids}
    for run_id, task, phase, *rest in await connection.fetch(_SQL["whereabouts"], run_ids):
        found[run_id].setdefault(task, []).append(Whereabouts(phase == "running", *rest))
    return found


async def seconds_ahead(connection: Connection, queue_id: int, order_key: float) -> float:
    """How long what goes before a key of a queue will take, by the pace of what is running of it; 0: nobody can say.

    Of what is running all the time, half has passed on average: an attempt takes twice the mean age.
    """
    before = await connection.fetchval(_SQL["ahead"], queue_id, order_key, AHEAD_COUNTED_MAX)
    if not before:
        return 0.0
    row: Any = await connection.fetchrow(_SQL["pace"], queue_id, PACE_COUNTED_MAX)
    return float(before * 2 * row["age"] / row["live"]) if row["live"] else 0.0
