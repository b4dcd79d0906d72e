"""The world in which any two operations meet: two runs of one DAG with a task in every place that a task can be in.

It is made once by the real operations, kept aside as tables, and put back before every meeting.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from enum import IntEnum, StrEnum
from typing import Any

import asyncpg
from step_room import Seat, ends

from glidepath_server.core.approvals import ApprovalSpec
from glidepath_server.core.definition import Handler
from glidepath_server.core.draft import DagDraft, PolicyDraft, TaskDraft
from glidepath_server.core.events import AttemptKey, RunStarted
from glidepath_server.core.matching import Offer, TaskClass
from glidepath_server.core.validation import LeaseTerms
from glidepath_server.operations import sessions
from glidepath_server.operations.new_runs import RunRequest
from glidepath_server.operations.plans import Plans
from glidepath_server.operations.pools import set_pool
from glidepath_server.operations.register_dag_version import RegisterCall, RegisterDagVersion
from glidepath_server.operations.step_runs import Step
from glidepath_server.operations.step_types import Replica, RunWork, StepOutcome
from glidepath_server.operations.trigger_dag_runs import TriggerCall, TriggerDagRuns
from glidepath_server.store import engine
from glidepath_server.store.database import Database, Pool, transaction
from glidepath_server.store.sessions import WorkerFacts, key_of
from glidepath_server.store.trigger import Selector

# Longer than all meetings take: the world is built once, and its session is heard until then.
TTL_SECONDS = 3600.0
NARROW_SLOTS, ROOMY_SLOTS = 2, 1
# What was put back so often has left so many dead rows that every scan grows slow.
RESTORED_PER_VACUUM = 20


class Task(IntEnum):
    """The tasks of the DAG by index, named after where the world has them."""

    DONE = 0  # has succeeded
    FIRST = 1  # live, and alone before THEN
    HELD = 2  # live, holds a slot of the narrow pool, which both runs fill
    LONE = 3  # in the queue; the roomy pool has one slot, and both runs want it
    NEXT = 4  # in the queue, for the narrow pool
    OPEN = 5  # in the queue, without a limit
    PARKED = 6  # parked on the narrow pool
    THEN = 7  # scheduled; its queue is empty, so it can be handed over directly
    WAITS = 8  # asks people


class State(StrEnum):
    """How the world has the session of its worker, in which all is live that is live."""

    OPEN = "open"
    LEASE_ENDED = "lease_ended"  # may be judged; a replica that read the time a moment ago may still give it work
    LOST = "lost"  # was judged, but what it has live was not yet


_SESSION_IS = {
    State.OPEN: "",
    State.LEASE_ENDED: "update worker_session set lease_expire_time = glidepath_now() - interval '1 s'",
    State.LOST: "update worker_session set state = 'lost', end_time = glidepath_now()",
}
_POOLS = {Task.HELD: "narrow", Task.NEXT: "narrow", Task.PARKED: "narrow", Task.LONE: "roomy"}
# A queue for what has a limit, one for what has none, and an empty one.
_QUEUES = {Task.DONE: "plain", Task.FIRST: "plain", Task.OPEN: "plain", Task.THEN: "quick"}
_MUTABLE = (
    "dag_run",
    "dag_run_event",
    "run_inbox",
    "incident",
    "task_queue",
    "live_attempt",
    "limit_holder",
    "concurrency_limit",
    "task_attempt",
    "task_output",
    "dead_letter",
    "approval",
    "worker_session",
)
_RESTORE = "".join(
    f"delete from {table}; insert into {table} overriding system value table saved.{table};" for table in _MUTABLE
)


def offer(*tasks: Task) -> Offer:
    """A worker that can run these tasks (none named: all)."""
    names = [handler(task) for task in tasks] or ["test:*"]
    return Offer(
        "default", frozenset({"default", "plain", "quick"}), {}, {}, tuple((name, frozenset({"*"})) for name in names)
    )


def handler(task: Task) -> str:
    return f"test:{task.name.lower()}"


def worker(identity: str, incarnation: str) -> WorkerFacts:
    return WorkerFacts(identity, incarnation, offer(), "test", "0", "host", 1)


def _draft() -> DagDraft:
    tasks = [
        TaskDraft(
            task.name.lower(),
            Handler(handler(task)),
            upstream_task_ids=("first",) if task is Task.THEN else (),
            policy=PolicyDraft(pool_name=_POOLS.get(task), queue_name=_QUEUES.get(task, "default")),
        )
        for task in Task
        if task is not Task.WAITS
    ]
    tasks.append(TaskDraft("waits", Handler(""), approval=ApprovalSpec("Go on?", timeout_seconds=TTL_SECONDS)))
    return DagDraft("dag", tasks)


class World:
    """The stored world, and what a replica that has been up for a while knows of it."""

    def __init__(self, database: Database, watcher: asyncpg.Connection) -> None:
        self.database, self.watcher = database, watcher
        self.plans = Plans()
        self.classes: list[TaskClass] = []
        self.runs: list[uuid.UUID] = []
        self.claimable: set[AttemptKey] = set()
        self.restored = 0
        self.session_id: uuid.UUID

    # ---- building, once
    @classmethod
    async def build(cls, database: Database, watcher: asyncpg.Connection) -> World:
        world = cls(database, watcher)
        await world._register()
        await world._trigger()
        greeting = await sessions.hello(database.worker, worker("worker", "1"), [], uuid.uuid4(), TTL_SECONDS)
        world.session_id = greeting.session_id
        for run_id in world.runs:
            await world.step({run_id: RunWork(events=[RunStarted()])})
        live = await world._claim(Task.DONE, Task.FIRST, Task.HELD)
        assert len(live) == 6
        for run_id in world.runs:
            done = next(key for key in live if key[:2] == (run_id, Task.DONE))
            await world.step(ends([done]))
        assert await world._claim(Task.PARKED) == []
        await world._keep()
        return world

    async def _register(self) -> None:
        async with transaction(self.database.api, "test") as connection:
            for name, slots in (("narrow", NARROW_SLOTS), ("roomy", ROOMY_SLOTS)):
                await set_pool(connection, namespace="default", name=name, slots=slots, actor="test")
        register = RegisterDagVersion(self.database, LeaseTerms(TTL_SECONDS, 10.0), _nobody_listens)
        await register(RegisterCall("default", "test", "", b"", _draft()), lambda _: b"")
        self.classes = await engine.task_classes(self.watcher, 0)

    async def _trigger(self) -> None:
        engine: Any = self  # of the engine only `runs_created` is needed
        call = TriggerCall("default", "test", "", b"", [RunRequest(Selector("dag")) for _ in range(2)])
        await TriggerDagRuns(self.database, self.plans, engine, _nobody_listens)(call, lambda _: b"")
        (plan,) = self.plans.versions.values()
        assert plan.graph.task_ids == tuple(task.name.lower() for task in Task)

    def runs_created(self, run_ids: Sequence[uuid.UUID]) -> None:
        self.runs = list(run_ids)

    async def _claim(self, *tasks: Task) -> list[AttemptKey]:
        """Claim all of these tasks that may be claimed."""
        outcome = await self.step({}, Seat(self.session_id, 1, 100, offer(*tasks)))
        return [each.key for each in outcome.assigned]

    async def _keep(self) -> None:
        rows = await self.watcher.fetch("select * from task_queue where due and parked_on = 0")
        self.claimable = {key_of(row) for row in rows}
        await self.watcher.execute("create schema saved")
        for table in _MUTABLE:
            await self.watcher.execute(f"create table saved.{table} as table {table}")

    # ---- for the tests
    async def restore(self, session: State) -> None:
        """Everything as it was built, but for the session."""
        if self.restored % RESTORED_PER_VACUUM == 0:
            await self.watcher.execute(f"vacuum {', '.join(_MUTABLE)}")
        self.restored += 1
        await self.watcher.execute(_RESTORE + _SESSION_IS[session])

    def replica(self, *seats: Seat) -> Replica:
        replica = Replica(self.plans)
        replica.pullers.learn(self.classes)
        for seat in seats:
            replica.pullers.add(seat)
        return replica

    async def step(self, batch: dict[uuid.UUID, RunWork], *seats: Seat) -> StepOutcome:
        """One step, committed, that nobody disturbs."""
        async with transaction(self.database.worker, "test") as connection:
            return await Step(self.replica(*seats), batch).run(connection)

    def key(self, run_id: uuid.UUID, task: Task) -> AttemptKey:
        """The attempt of a task that the world has live."""
        return AttemptKey(run_id, task, -1, 1)

    def limit(self, task: Task) -> int | None:
        """The pool's limit of a task."""
        return next(each.pool_limit_id for each in self.classes if each.handler_name == handler(task))

    @property
    def pool(self) -> Pool:
        return self.database.worker


async def _nobody_listens(_: set[int]) -> None:
    """No replica is up yet."""
