"""A step of a large run costs no more than one of a small run: through Postgres, one result per step."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

import pytest
from step_room import HANDLER, StepRoom, ends

from glidepath_server.core.canonical import canonical_json
from glidepath_server.core.definition import DagSpec, Handler, TaskSpec
from glidepath_server.core.events import RunStarted
from glidepath_server.operations.step_types import RunWork

SMALL, LARGE = 1_000, 10_000
STEPS = 700
RATIO_MAX = 2.0
ROUNDS_MAX = 5


@pytest.mark.prove
@pytest.mark.parametrize("shape", ["chain", "fan"])
async def test_a_step_costs_no_more_in_a_large_run(room: StepRoom, shape: str) -> None:
    await room.store_dag(1)
    session_id = await room.session()
    small, large = (float("inf"),) * 2
    for _ in range(ROUNDS_MAX):
        small = min(small, await seconds_per_step(room, session_id, shape, SMALL))
        large = min(large, await seconds_per_step(room, session_id, shape, LARGE))
        if large / small <= RATIO_MAX:
            return
    pytest.fail(f"{shape}: {small * 1e6:.0f} us per step of {SMALL:,} tasks, {large * 1e6:.0f} us of {LARGE:,}")


async def seconds_per_step(room: StepRoom, session_id: uuid.UUID, shape: str, tasks: int) -> float:
    """Of the steps after the first, which also compiles the version."""
    run_id = await new_run(room, shape, tasks)
    async with room.side() as side:
        seat = await side.seat(session_id)
        work = {run_id: RunWork(events=[RunStarted()])}
        begun = 0.0
        for number in range(STEPS):
            outcome = await side.step_and_commit(work)
            for each in outcome.tallies:
                side.replica.keep_tally(*each)
            (assigned,) = outcome.assigned
            work = ends([assigned.key])
            seat.free += 1
            side.replica.pullers.hope_everywhere()
            begun = begun or (time.perf_counter() if number == 10 else 0.0)
        seconds = (time.perf_counter() - begun) / (STEPS - 11)
        await room.watcher.execute("delete from live_attempt")
        await room.watcher.execute("delete from task_queue")
        return seconds


async def new_run(room: StepRoom, shape: str, tasks: int) -> uuid.UUID:
    """A run of a version of its own."""
    names = [f"t{number:05}" for number in range(tasks)]
    specs = tuple(
        TaskSpec(name, Handler(HANDLER), upstream_task_ids=upstream(shape, names, number))
        for number, name in enumerate(names)
    )
    room.version = await room.watcher.fetchval(
        """insert into dag_version (namespace, dag_id, dag_version_number, content_hash, spec, class_ids, create_time,
                                    created_by)
           select namespace, dag_id, dag_version_number + 1, gen_random_uuid()::text, $1,
                  array_fill(class_ids[1], array[$2::integer]), create_time, created_by
           from dag_version order by dag_version_number desc limit 1 returning dag_version_id""",
        canonical_json(DagSpec("dag", specs)),
        tasks,
    )
    return await room.create_run(tasks)


def upstream(shape: str, names: Sequence[str], task: int) -> tuple[str, ...]:
    """Of a chain the one before; of a fan the first, and for its last task all between."""
    if task == 0:
        return ()
    if shape == "chain":
        return (names[task - 1],)
    return tuple(names[1:-1]) if task == len(names) - 1 else (names[0],)
