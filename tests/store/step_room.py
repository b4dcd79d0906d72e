"""What the tests of interleavings share: stored DAGs and runs, and replicas that each work in a transaction of theirs.

A `Side` is one replica on one connection. Its transaction stays open until the test says `commit`, so that another
side meets it there; `waits` says when the other one does, by asking Postgres who blocks whom.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from glidepath_server.core.canonical import canonical_json
from glidepath_server.core.definition import CachePolicy, DagSpec, Handler, Input, MapSpec, ResolvedPolicy, TaskSpec
from glidepath_server.core.events import AttemptKey, Event, RunStarted
from glidepath_server.core.graph import TaskRole
from glidepath_server.core.matching import Offer
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.states import AttemptState
from glidepath_server.operations import sessions
from glidepath_server.operations.step_runs import Step
from glidepath_server.operations.step_types import Command, Replica, Report, RunWork, StepOutcome
from glidepath_server.store import engine
from glidepath_server.store.database import Database
from glidepath_server.store.sessions import WorkerFacts

T = TypeVar("T")
HANDLER = "test:task"
OFFER = Offer("default", frozenset({"default"}), {}, {}, ((HANDLER, frozenset({"*"})),))
TTL_SECONDS = 60.0
SOON_SECONDS = 10.0
"""Longer than anything that is waited for takes; shorter than anybody waits for a test that hangs."""


class Seat:
    """A connected session with its credits, as a step sees it."""

    def __init__(self, session_id: uuid.UUID, generation: int, free: int, offer: Offer = OFFER) -> None:
        self.session_id, self.generation, self.free = session_id, generation, free
        self.offer = offer
        self.resources_free: dict[str, float] = {}

    def assign(self, assigned: list[Any]) -> None:
        raise AssertionError("a step tells nobody before its commit")

    acknowledge = cancel = assign

    def ended(self) -> None:
        """A newer stream of the session has come: a seat has nothing to close."""


class Side:
    """A replica in one open transaction."""

    def __init__(self, connection: Any, watcher: Any) -> None:
        self.connection, self.watcher = connection, watcher
        self.replica = Replica()
        self._transaction: Any = None

    async def begin(self) -> None:
        self._transaction = self.connection.transaction()
        await self._transaction.start()

    async def commit(self) -> None:
        transaction, self._transaction = self._transaction, None
        await transaction.commit()

    async def rollback(self) -> None:
        transaction, self._transaction = self._transaction, None
        await transaction.rollback()

    async def seat(self, session_id: uuid.UUID, *, generation: int = 1, free: int = 1) -> Seat:
        """Connect a session to this replica, which knows the task classes and the capped limits of now."""
        pullers = self.replica.pullers
        pullers.learn(await engine.task_classes(self.connection, 0))
        pullers.set_capped(await engine.capped_limits(self.connection))
        seat = Seat(session_id, generation, free)
        pullers.add(seat)
        return seat

    async def step(self, batch: dict[uuid.UUID, RunWork] | None = None) -> StepOutcome:
        """One step in a transaction that stays open; without a batch it only claims."""
        if self._transaction is None:
            await self.begin()
        return await Step(self.replica, batch or {}).run(self.connection)

    async def step_and_commit(self, batch: dict[uuid.UUID, RunWork] | None = None) -> StepOutcome:
        outcome = await self.step(batch)
        await self.commit()
        return outcome

    async def waits(self, doing: Awaitable[T]) -> asyncio.Task[T]:
        """Begin something that must wait for another side's lock; back when it does."""
        task = asyncio.ensure_future(doing)
        blocked = "select cardinality(pg_blocking_pids($1)) > 0"
        await until_blocked(task, self.watcher, blocked, self.connection.get_server_pid())
        return task


async def until_blocked(task: asyncio.Future[Any], watcher: Any, blocked: str, argument: object) -> None:
    """Ask Postgres until the query says yes; the task must not end before."""
    async with asyncio.timeout(SOON_SECONDS):
        while not await watcher.fetchval(blocked, argument):
            assert not task.done(), f"went on without waiting: {task}"


class StepRoom:
    """A database with one DAG of independent tasks."""

    def __init__(self, database: Database, watcher: Any) -> None:
        self.database, self.watcher = database, watcher
        self.tasks_limit = self.pool_limit = self.queue = self.version = 0

    async def store_dag(
        self,
        tasks: int,
        *,
        pool_slots: int | None = None,
        capacity: int | None = None,
        runs_active_max: int | None = None,
        retries: int = 0,
        upstream: Mapping[int, Sequence[int]] | None = None,
        roles: Mapping[int, TaskRole] | None = None,
        cache: CachePolicy | None = None,
        maps: Mapping[int, MapSpec] | None = None,
        inputs: Mapping[int, Mapping[str, Input]] | None = None,
        depends_on_past: bool = False,
        **fields: Any,
    ) -> None:
        """Tasks by number; they are independent, but for `upstream`. Other fields are the DAG's."""
        value = self.watcher.fetchval
        policy = ResolvedPolicy(
            pool_name="pool" if pool_slots is not None else None,
            retry=RetryPolicy(retries, delay_seconds=0),
            cache=cache,
            depends_on_past=depends_on_past,
        )
        names = [f"task{number}" for number in range(tasks)]
        specs = tuple(
            TaskSpec(
                name,
                Handler(HANDLER),
                policy=policy,
                upstream_task_ids=tuple(names[each] for each in (upstream or {}).get(number, ())),
                role=(roles or {}).get(number, TaskRole.WORK),
                map=(maps or {}).get(number),
                inputs=(inputs or {}).get(number, {}),
            )
            for number, name in enumerate(names)
        )
        spec = DagSpec("dag", specs, runs_active_max=runs_active_max, **fields)
        limit = "insert into concurrency_limit (namespace, kind, name, capacity) values ('default', $1, $2, $3)"
        self.tasks_limit = await value(f"{limit} returning limit_id", "dag_tasks", "dag", capacity)
        runs_limit = await value(f"{limit} returning limit_id", "dag_runs", "dag", runs_active_max)
        if pool_slots is not None:
            self.pool_limit = await value(f"{limit} returning limit_id", "pool", "pool", pool_slots)
        self.queue = await value(
            "insert into queue (namespace, queue_name) values ('default', 'default') returning queue_id"
        )
        class_id = await value(
            """insert into task_class (namespace, dag_id, queue_id, handler_name, handler_version, worker_selector,
                                       resources, tasks_limit_id, pool_limit_id, pool_slots, class_hash)
               values ('default', 'dag', $1, $2, '', '{}', '{}', $3, $4, 1, 'hash') returning class_id""",
            self.queue,
            HANDLER,
            self.tasks_limit,
            self.pool_limit or None,
        )
        self.version = await value(
            """insert into dag_version (namespace, dag_id, dag_version_number, content_hash, spec, class_ids,
                                        create_time, created_by)
               values ('default', 'dag', 1, 'hash', $1, $2, glidepath_now(), 'test') returning dag_version_id""",
            canonical_json(spec),
            [class_id] * tasks,
        )
        await self.watcher.execute(
            """insert into dag (namespace, dag_id, latest_version_number, tasks_limit_id, runs_limit_id, create_time)
               values ('default', 'dag', 1, $1, $2, glidepath_now())""",
            self.tasks_limit,
            runs_limit,
        )

    async def create_run(
        self,
        tasks: int,
        params: str = "{}",
        *,
        refresh_cache: bool = False,
        days: int = 0,
        run_type: str = "manual",
        run_id: uuid.UUID | None = None,
    ) -> uuid.UUID:
        """A run that nobody has started, so many days after today."""
        run_id = run_id or uuid.uuid4()
        await self.watcher.execute(
            """insert into dag_run (dag_run_id, dag_version_id, run_type, board, namespace, dag_id, run_key, params,
                                    logical_date, data_interval_start, data_interval_end, create_time, created_by,
                                    refresh_cache)
               select $1, $2, $7, $3, 'default', 'dag', 'key', $4, t, t, t, t, 'test', $5
               from (select glidepath_now() + make_interval(days => $6) as t) as at""",
            run_id,
            self.version,
            bytes(tasks),
            params,
            refresh_cache,
            days,
            run_type,
        )
        return run_id

    async def start_run(self, tasks: int) -> uuid.UUID:
        """A run whose tasks are all released and in the queue."""
        run_id = await self.create_run(tasks)
        async with self.side() as side:
            await side.step_and_commit({run_id: RunWork(events=[RunStarted()])})
        assert len(await self.queued()) == tasks
        return run_id

    @asynccontextmanager
    async def side(self) -> AsyncIterator[Side]:
        async with self.database.worker.acquire() as connection:
            yield Side(connection, self.watcher)

    async def until_waiting(self, statement: str, task: asyncio.Future[Any]) -> None:
        """Until some connection waits for a lock in a statement like this one."""
        waiting = """select exists (select from pg_stat_activity where datname = current_database()
                                    and wait_event_type = 'Lock' and query like $1)"""
        await until_blocked(task, self.watcher, waiting, statement)

    async def hello(self, incarnation: str = "1", *, identity: str = "worker") -> sessions.Greeting:
        facts = WorkerFacts(identity, incarnation, OFFER, "test", "0", "host", 1)
        return await sessions.hello(self.database.worker, facts, [], uuid.uuid4(), TTL_SECONDS)

    async def session(self, identity: str = "worker") -> uuid.UUID:
        return (await self.hello(identity=identity)).session_id

    async def claim_one(self, session_id: uuid.UUID) -> AttemptKey:
        """Make the best row live, committed."""
        async with self.side() as side:
            await side.seat(session_id)
            (assigned,) = (await side.step_and_commit()).assigned
            return assigned.key

    async def shift_clock(self, seconds: float) -> None:
        await self.watcher.execute("update clock set shift = make_interval(secs => $1)", seconds)

    # ---- what is committed
    async def live(self) -> list[AttemptKey]:
        rows = await self.watcher.fetch("select * from live_attempt order by dag_run_id, task_index")
        return [AttemptKey(r["dag_run_id"], r["task_index"], r["map_index"], r["attempt_number"]) for r in rows]

    async def queued(self) -> dict[int, int]:
        """Of each waiting task, the limit on which it is parked (0: none)."""
        return dict(await self.watcher.fetch("select task_index, parked_on from task_queue"))

    async def holders(self, limit_id: int) -> list[int]:
        """The tasks that hold the limit."""
        rows = await self.watcher.fetch(
            "select task_index from limit_holder where limit_id = $1 order by task_index", limit_id
        )
        return [row["task_index"] for row in rows]

    async def history(self) -> list[str]:
        return [row["state"] for row in await self.watcher.fetch("select state from task_attempt order by end_time")]


def command(run_id: uuid.UUID, event: Event) -> dict[uuid.UUID, RunWork]:
    return {run_id: RunWork(command=Command(event))}


def ends(
    keys: Sequence[AttemptKey], outcome: AttemptState = AttemptState.SUCCESS, **fields: Any
) -> dict[uuid.UUID, RunWork]:
    """Work in which the workers of these attempts of one run tell that they ended."""
    return {keys[0].dag_run_id: RunWork(reports=[Report(key, outcome, origin="worker", **fields) for key in keys])}
