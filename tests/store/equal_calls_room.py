"""What the tests of equal calls share: a DAG whose calls are told by a param, its runs, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from step_room import StepRoom
from test_ends import step

from glidepath_server.core.board import Board
from glidepath_server.core.definition import JSON, CachePolicy, Param
from glidepath_server.core.events import AttemptKey, RunStarted
from glidepath_server.core.states import AttemptState, RunIntent, RunState, TaskState
from glidepath_server.operations.step_types import Output, Report, RunWork
from glidepath_server.store import runs_read

HOUR = 3600.0
ONE = {0: {"day": Param("day")}}
TUESDAY, WEDNESDAY = '{"day": "Tuesday"}', '{"day": "Wednesday"}'
SUCCESS, CANCELLED, RELEASED = TaskState.SUCCESS, TaskState.CANCELLED, TaskState.RELEASED


async def store_one(room: StepRoom, **fields: Any) -> None:
    """A DAG of one cached task, whose call is told by a param."""
    await room.store_dag(1, cache=CachePolicy(HOUR), inputs=ONE, **fields)


async def started(room: StepRoom, params: str = TUESDAY, tasks: int = 1, **fields: Any) -> UUID:
    run_id = await room.create_run(tasks, params, **fields)
    await step(room, {run_id: RunWork(events=[RunStarted()])})
    return run_id


async def running(room: StepRoom, params: str = TUESDAY) -> AttemptKey:
    """A run whose only task is with a worker."""
    run_id = await started(room, params)
    key = await room.claim_one(await room.session(f"of {run_id}"))
    assert key.dag_run_id == run_id
    return key


def success(key: AttemptKey, value: object) -> dict[UUID, RunWork]:
    body = json.dumps(value).encode()
    output = Output(JSON, body, None, len(body), "")
    return {key.dag_run_id: RunWork(reports=[Report(key, AttemptState.SUCCESS, output=output, origin="worker")])}


async def woken(room: StepRoom) -> list[UUID]:
    """The runs that have something in their inbox."""
    rows = await room.watcher.fetch("select dag_run_id from run_inbox order by inbox_id")
    return [row["dag_run_id"] for row in rows]


async def follow(room: StepRoom) -> None:
    """Step whoever has something in its inbox, until nobody has."""
    while found := await woken(room):
        await step(room, {run_id: RunWork(inbox=True) for run_id in found})


async def states(room: StepRoom, run_id: UUID, tasks: int = 1) -> Sequence[int]:
    row = await room.watcher.fetchrow("select board, state, intent from dag_run where dag_run_id = $1", run_id)
    return list(Board.unpack(tasks, row["board"], RunState(row["state"]), RunIntent(row["intent"])).states)


async def state(room: StepRoom, run_id: UUID) -> int:
    return (await states(room, run_id))[0]


async def value(room: StepRoom, run_id: UUID, task: int = 0) -> object:
    found = await runs_read.output(room.watcher, run_id, task, -1)
    assert found is not None, "no success"
    return json.loads(found.body) if found.body is not None else None


async def calls(room: StepRoom) -> list[tuple[UUID, bool]]:
    """(run, whether it waits) of what is under way."""
    rows = await room.watcher.fetch("select dag_run_id, waits from cached_call order by call_id")
    return [(row["dag_run_id"], row["waits"]) for row in rows]


async def sources(room: StepRoom) -> dict[UUID, UUID]:
    """Whose result a run has."""
    return dict(await room.watcher.fetch("select dag_run_id, source_run_id from task_reuse"))


async def queued(room: StepRoom) -> dict[UUID, int]:
    return dict(await room.watcher.fetch("select dag_run_id, parked_on from task_queue"))


async def running_anew(room: StepRoom) -> AttemptKey:
    """Like `running`, beside an equal call that is under way."""
    run_id = await started(room, refresh_cache=True)
    key = await room.claim_one(await room.session(f"of {run_id}"))
    assert key.dag_run_id == run_id
    return key
