"""A replica with one worker and runs that call their own DAG, for tests of child runs."""

from __future__ import annotations

import json
import uuid
from typing import Any

from replica_room import Worker, pending, replica, turn
from step_room import StepRoom, command

from glidepath_server.core.calls import Call
from glidepath_server.core.events import AttemptKey, Event
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.states import AttemptState, TaskState
from glidepath_server.loops import timers
from glidepath_server.loops.engine import Engine
from glidepath_server.operations.step_types import Assigned, Output, Report

DAG = Call("dag")
BROKEN = Failure(FailureKind.APPLICATION, "ValueError", "no data")


def value(of: object) -> Output:
    body = json.dumps(of).encode()
    return Output("application/json", body, None, len(body), "")


class Hearing(Worker):
    """A worker that may be told to end attempts; what it does then is the test's."""

    def cancel(self, orders: list[Any]) -> None:
        """Heard."""


class Family:
    """A replica with one worker, and a run of the DAG whose tasks may call that very DAG."""

    def __init__(self, room: StepRoom, engine: Engine, worker: Worker, run_id: uuid.UUID) -> None:
        self.room, self.engine, self.worker, self.run_id = room, engine, worker, run_id

    async def turn(self) -> None:
        """Until nothing is left to do: what one lane does may be work for another."""
        while pending(self.engine):
            await turn(self.engine)

    def newest(self, run_id: uuid.UUID | None = None) -> Assigned:
        """The newest assignment, of the run if one is named."""
        return next(each for each in reversed(self.worker.assigned) if run_id is None or each.key.dag_run_id == run_id)

    async def say(self, key: AttemptKey, outcome: AttemptState = AttemptState.SUCCESS, **fields: Any) -> None:
        """The worker's word, and all that follows from it here."""
        self.engine.submit([Report(key, outcome, origin=self.worker, **fields)])
        self.worker.free += 1
        await self.turn()

    async def calls(self, key: AttemptKey, call: Call = DAG, **fields: Any) -> AttemptKey:
        """The attempt calls; the attempt of the child run that began because of it."""
        await self.say(key, AttemptState.CALLED, call=call, **fields)
        child = await self.room.watcher.fetchval(
            "select child_run_id from child_run where (parent_run_id, task_index, attempt_number) = ($1, $2, $3)",
            key.dag_run_id,
            key.task,
            key.attempt_number,
        )
        return self.newest(child).key

    async def operator(self, event: Event, run_id: uuid.UUID | None = None) -> None:
        """A command of its own step, and what follows."""
        async with self.room.side() as side:
            outcome = await side.step_and_commit(command(run_id or self.run_id, event))
        for told in outcome.inboxes:
            self.engine.add_inbox(told)
        self.engine.replica.pullers.hope_everywhere()
        await turn(self.engine)
        await self.turn()

    async def poll(self) -> None:
        """What stands behind every wake-up, and what follows."""
        await timers.lost_wake_ups(self.engine).once()
        await self.turn()

    # ---- what is committed
    async def states(self, run_id: uuid.UUID | None = None) -> tuple[str, list[str]]:
        row = await self.room.watcher.fetchrow(
            "select state, board from dag_run where dag_run_id = $1", run_id or self.run_id
        )
        tasks = await self.room.watcher.fetchval("select cardinality(class_ids) from dag_version")
        return row["state"], [TaskState(code).name.lower() for code in row["board"][:tasks]]

    async def attempts(self, run_id: uuid.UUID | None = None) -> list[str]:
        rows = await self.room.watcher.fetch(
            "select state from task_attempt where dag_run_id = $1 order by attempt_number", run_id or self.run_id
        )
        return [row["state"] for row in rows]

    async def failure(self, run_id: uuid.UUID | None = None) -> dict[str, Any]:
        """Of the newest attempt."""
        text = await self.room.watcher.fetchval(
            "select failure from task_attempt where dag_run_id = $1 order by attempt_number desc limit 1",
            run_id or self.run_id,
        )
        failure: dict[str, Any] = json.loads(text)
        return failure

    async def output(self, attempt_number: int = 1) -> Any:
        body = await self.room.watcher.fetchval(
            "select body from task_output where dag_run_id = $1 and attempt_number = $2", self.run_id, attempt_number
        )
        return None if body is None else json.loads(body)

    async def waiting(self) -> int:
        """Callers that wait for a child run."""
        count: int = await self.room.watcher.fetchval("select count(*) from child_run where waiting")
        return count

    async def children(self) -> list[uuid.UUID]:
        rows = await self.room.watcher.fetch("select dag_run_id from dag_run where run_type = 'child' order by 1")
        return [row["dag_run_id"] for row in rows]


async def family(room: StepRoom, tasks: int = 1, *, started: bool = True, **dag: Any) -> Family:
    """The run's first task is in the worker's hands."""
    await room.store_dag(tasks, **dag)
    engine = await replica(room)
    worker = Hearing(await room.session(), free=20)
    engine.replica.pullers.add(worker)
    run_id = await room.create_run(tasks)
    engine.runs_created([run_id])
    await turn(engine)
    return Family(room, engine, worker, run_id)
