"""One replica, one worker that several namespaces may share, and DAGs with more work than it can do.

Time is virtual: a second passes when the test says so; in it the worker does what it has slots for.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

from replica_room import Worker, learn, replica, turn
from step_room import HANDLER, StepRoom

from glidepath_server.core.definition import Handler
from glidepath_server.core.draft import DagDraft, PolicyDraft, TaskDraft
from glidepath_server.core.events import RunStarted
from glidepath_server.core.matching import Offer
from glidepath_server.core.states import AttemptState
from glidepath_server.core.validation import LeaseTerms
from glidepath_server.loops.engine import Engine
from glidepath_server.operations.register_dag_version import RegisterCall, RegisterDagVersion
from glidepath_server.operations.step_types import Report
from glidepath_server.store import engine as store


class FairWorld:
    def __init__(self, room: StepRoom) -> None:
        self.room = room
        self.engine: Engine
        self.worker: Worker
        self.versions: dict[tuple[str, str], tuple[int, int]] = {}
        self.started: Counter[tuple[str, str]] = Counter()
        self.seconds = 0

    async def register(self, namespace: str, dag_id: str, tasks: int, *, chain: bool = False, **fields: Any) -> None:
        """A DAG of independent tasks, or of a chain; `policy` is that of all."""
        policy = fields.pop("policy", PolicyDraft())
        names = [f"t{number:04}" for number in range(tasks)]
        drafts = [
            TaskDraft(name, Handler(HANDLER), upstream_task_ids=names[number - 1 : number] if chain else ())
            for number, name in enumerate(names)
        ]
        await self.room.watcher.execute(
            "insert into namespace (namespace) values ($1) on conflict do nothing", namespace
        )
        register = RegisterDagVersion(self.room.database, LeaseTerms(30, 5), _nobody)
        call = RegisterCall(namespace, "test", "", b"", DagDraft(dag_id, drafts, defaults=policy, **fields))
        await register(call, lambda registered: b"")
        version_id = await self.room.watcher.fetchval("select max(dag_version_id) from dag_version")
        self.versions[namespace, dag_id] = version_id, tasks

    async def weigh(self, weights: Mapping[str, float]) -> None:
        for namespace, weight in weights.items():
            await self.room.watcher.execute("update namespace set weight = $2 where namespace = $1", namespace, weight)

    async def open(self, *, slots: int, others: frozenset[str] = frozenset()) -> None:
        """The replica starts, and the worker says hello."""
        self.engine = await replica(self.room)
        async with self.room.database.worker.acquire() as connection:
            self.engine.replica.pullers.weights = await store.namespace_weights(connection)
        offer = Offer("default", frozenset({"default"}), {}, {}, ((HANDLER, frozenset({"*"})),), others)
        self.slots = slots
        self.worker = Worker(await self.room.session(), free=0, offer=offer)
        await self.room.watcher.execute(
            "update worker_session set heard_until = heard_until + interval '1 day', lease_expire_time = 'infinity'"
        )
        self.engine.replica.pullers.add(self.worker)

    async def start_run(self, namespace: str, dag_id: str) -> uuid.UUID:
        """A run whose ready tasks are in the queue."""
        version_id, tasks = self.versions[namespace, dag_id]
        run_id = uuid.uuid4()
        await self.room.watcher.execute(
            """insert into dag_run (dag_run_id, dag_version_id, run_type, board, namespace, dag_id, run_key, params,
                                    logical_date, data_interval_start, data_interval_end, create_time, created_by)
               select $1, $2, 'manual', $3, $4, $5, $1::uuid::text, '{}', t, t, t, t, 'test'
               from glidepath_now() as t""",
            run_id,
            version_id,
            bytes(tasks),
            namespace,
            dag_id,
        )
        await learn(self.engine)
        self.engine.add_event(run_id, RunStarted())
        await turn(self.engine)
        return run_id

    async def second(self) -> list[tuple[str, str]]:
        """What runs ends, its slots are filled anew, a second passes. Returns what was started, in order."""
        reports = [Report(each.key, AttemptState.SUCCESS, origin=self.worker) for each in self.worker.assigned]
        # As a worker does: a result and the slot that it frees come together.
        self.worker.assigned, self.worker.free = [], self.slots
        self.engine.submit(reports)
        self.engine.replica.pullers.hope_everywhere()
        await turn(self.engine)
        begun = [(each.facts.namespace, each.facts.dag_id) for each in self.worker.assigned if each.facts is not None]
        self.started.update(begun)
        self.seconds += 1
        await self.room.shift_clock(self.seconds)
        return begun

    async def keep_busy(self, least: int) -> None:
        """New runs of whatever has less than so many tasks waiting."""
        rows = await self.room.watcher.fetch(
            """select r.namespace, r.dag_id, count(*) as n from task_queue q join dag_run r using (dag_run_id)
               group by 1, 2"""
        )
        waiting = {(row["namespace"], row["dag_id"]): row["n"] for row in rows}
        for key in self.versions:
            if waiting.get(key, 0) < least:
                await self.start_run(*key)


async def _nobody(_: Any) -> None:
    """Nobody waits to be told."""
