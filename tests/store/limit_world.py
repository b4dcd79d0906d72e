"""Three replicas over one database, workers, and limits of every kind; replicas die at any line of a step.

A kill cancels the tasks of a replica's lanes wherever they are: before, within or after the commit. What its worker
had is lost with its session, and another replica takes its place.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from datetime import timedelta
from typing import Any

from replica_room import Worker
from step_room import HANDLER, SOON_SECONDS, StepRoom

from glidepath_server.core.definition import Handler
from glidepath_server.core.draft import DagDraft, PolicyDraft, RetryDraft, TaskDraft
from glidepath_server.core.errors import GlidepathError
from glidepath_server.core.events import AttemptKey, RunCancelled, RunStarted
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.states import AttemptState
from glidepath_server.core.validation import LeaseTerms
from glidepath_server.loops import timers
from glidepath_server.loops.engine import Engine
from glidepath_server.loops.level import LevelLoop
from glidepath_server.operations import named_limits, sessions
from glidepath_server.operations.register_dag_version import RegisterCall, RegisterDagVersion
from glidepath_server.operations.step_types import Assigned, Report
from glidepath_server.settings import Settings
from glidepath_server.store.database import transaction
from glidepath_server.store.named_limits import Terms

REPLICAS = 3
CREDITS = 6
RUNS_ACTIVE_MAX = 10
RATE_STARTS, RATE_SECONDS = 8, 0.25
GPU_SLOTS = (2, 4)
POLICIES = (
    PolicyDraft(limits={"gpu": 1}),
    PolicyDraft(limits={"gpu": 2, "narrow": 1}),
    PolicyDraft(limits={"narrow": 1}),
    PolicyDraft(active_max=2),
    PolicyDraft(limits={"api": 1}),
    PolicyDraft(),
)
# Slots that live attempts take by their classes, and slots that are held: in one statement, so of one moment.
USE = """
select c.kind, c.name, coalesce(w.slots, 0)::integer as wanted, coalesce(h.slots, 0)::integer as held
from concurrency_limit c
left join (select u.limit_id, sum(u.slots) as slots
           from live_attempt l join task_class k using (class_id)
           cross join lateral (select * from unnest(k.limit_ids, k.limit_slots) as s (limit_id, slots)
                               union all
                               select r.limit_id, 1 from concurrency_limit r
                               where k.run_limited and r.dag_run_id = l.dag_run_id) u
           group by u.limit_id) w using (limit_id)
left join (select limit_id, sum(slots) as slots from limit_holder group by limit_id) h using (limit_id)
where c.kind in ('named', 'task', 'run')"""


class Patient(Worker):
    """It repeats what it has to tell until that is acknowledged, and does not hear that it should end something."""

    def __init__(self, session_id: uuid.UUID, **fields: Any) -> None:
        super().__init__(session_id, **fields)
        self.told: dict[AttemptKey, Report] = {}

    def acknowledge(self, acks: list[Any]) -> None:
        for report, _ in acks:
            self.told.pop(report.key, None)

    def cancel(self, orders: list[Any]) -> None:
        """Its attempts end when they end."""


class LimitWorld:
    """`chance` decides all that is not a matter of timing."""

    def __init__(self, room: StepRoom, seed: int) -> None:
        self.room, self.chance = room, random.Random(seed)
        self.replicas: list[Engine] = []
        self.workers: dict[Engine, Patient] = {}
        self.polls: dict[Engine, list[LevelLoop]] = {}
        self.commands: set[asyncio.Task[None]] = set()
        self.verdicts: list[Report] = []
        self.kills = self.full = self._named = 0

    async def open(self) -> None:
        for name, terms in {
            "gpu": Terms(GPU_SLOTS[1]),
            "narrow": Terms(1),
            "api": Terms(None, RATE_STARTS, RATE_SECONDS),
        }.items():
            await self.set_limit(name, terms)
        tasks = [TaskDraft(f"t{number}", Handler(HANDLER), policy=policy) for number, policy in enumerate(POLICIES)]
        retries = PolicyDraft(retry=RetryDraft(retries_max=1, delay_seconds=0.0, losses_max=5))
        draft = DagDraft("dag", tasks, defaults=retries, run_tasks_active_max=3)
        register = RegisterDagVersion(self.room.database, LeaseTerms(30, 5), _nobody)
        await register(RegisterCall("default", "test", "", b"", draft), lambda registered: b"")
        self.room.version = await self.room.watcher.fetchval("select dag_version_id from dag_version")
        for _ in range(REPLICAS):
            await self.replace()

    async def set_limit(self, name: str, terms: Terms) -> None:
        async with transaction(self.room.database.api, "set_limit") as connection:
            _, queues = await named_limits.set_limit(
                connection, namespace="default", name=name, terms=terms, actor="test"
            )
        for engine in self.replicas:
            engine.look_for_work(queues)

    async def replace(self) -> None:
        """A replica that starts, with a worker of its own."""
        engine = Engine(self.room.database, Settings.load({}, engine_lanes=2))
        await engine.start()
        engine.on_queues = self._on_queues
        self._named += 1
        worker = Patient(await self.room.session(identity=f"worker-{self._named}"), free=CREDITS)
        self.replicas.append(engine)
        self.workers[engine] = worker
        loops = (timers.due_rows, timers.rates, timers.lost_wake_ups, timers.limit_sweeper)
        self.polls[engine] = [loop(engine) for loop in loops]
        engine.attach(worker)

    def _on_queues(self, queues: set[int]) -> None:
        for engine in self.replicas:
            engine.look_for_work(queues)

    async def kill(self) -> None:
        engine = self.chance.choice(self.replicas)
        self.replicas.remove(engine)
        tasks = [each._task for each in (*engine.lanes, engine.patient) if each._task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        worker = self.workers.pop(engine)
        lost = await sessions.leave(self.room.database.worker, worker.session_id, worker.generation)
        self.kills += 1
        self.verdicts += lost
        await self.replace()

    # ---- what people and workers do
    async def start_run(self) -> None:
        active = await self.room.watcher.fetchval("select count(*) from dag_run where state in ('queued', 'running')")
        if active < RUNS_ACTIVE_MAX:
            run_id = await self.room.create_run(len(POLICIES))
            self.chance.choice(self.replicas).add_event(run_id, RunStarted())

    async def cancel_run(self) -> None:
        run_id = await self.room.watcher.fetchval("select dag_run_id from dag_run where state = 'running' limit 1")
        if run_id is not None:
            command = asyncio.create_task(self._cancel(self.chance.choice(self.replicas), run_id))
            self.commands.add(command)
            command.add_done_callback(self.commands.discard)

    async def _cancel(self, engine: Engine, run_id: uuid.UUID) -> None:
        try:
            async with asyncio.timeout(1.0):  # a replica that dies answers nothing
                await engine.command(run_id, RunCancelled("enough"))
        except (GlidepathError, TimeoutError):
            pass

    async def end_some(self, most: int = 8) -> None:
        """Workers tell that attempts have ended, to whichever replica."""
        held = [(worker, each) for worker in self.workers.values() for each in worker.assigned]
        for worker, each in self.chance.sample(held, min(len(held), most)):
            worker.assigned.remove(each)
            worker.free += 1
            report = worker.told[each.key] = self._report(each, worker)
            self.chance.choice(self.replicas).submit([report])
        for engine in self.replicas:
            engine.credits_changed()

    def repeat(self) -> None:
        """What a replica may have taken into its grave is told to another one."""
        for worker in self.workers.values():
            self.chance.choice(self.replicas).submit(worker.told.values())
        self.chance.choice(self.replicas).submit(self.verdicts)

    def _report(self, each: Assigned, worker: Patient) -> Report:
        if self.chance.random() < 0.8:
            return Report(each.key, AttemptState.SUCCESS, origin=worker)
        failure = Failure(FailureKind.APPLICATION, "ValueError", "bad luck")
        return Report(each.key, AttemptState.FAILED, failure, origin=worker)

    async def change_gpu(self) -> None:
        await self.set_limit("gpu", Terms(self.chance.randint(*GPU_SLOTS)))

    async def poll(self) -> None:
        """The loops behind the wake-ups, once each, on one replica."""
        self.repeat()
        engine = self.chance.choice(self.replicas)
        for loop in self.polls[engine]:
            await loop.once()

    # ---- what must hold
    async def look(self) -> None:
        """Holders are what is live; nothing is over its limit."""
        for row in await self.room.watcher.fetch(USE):
            assert row["held"] == row["wanted"], dict(row)
            most = {"gpu": GPU_SLOTS[1], "narrow": 1, "dag/t3": 2}.get(row["name"], 3 if row["kind"] == "run" else None)
            assert most is None or row["held"] <= most, dict(row)
            self.full += most is not None and row["held"] == most

    async def look_at_rates(self) -> None:
        """No span of the rate had more starts than it allows."""
        rows = await self.room.watcher.fetch(
            """select start_time from (select start_time, task_index from task_attempt
                                       union all select start_time, task_index from live_attempt) a
               where task_index = 4 order by start_time"""
        )
        starts = [row["start_time"] for row in rows]
        span = timedelta(seconds=RATE_SECONDS)
        for early, late in zip(starts, starts[RATE_STARTS:], strict=False):
            assert late - early >= span, (early, late)

    async def live_through(self, kills: int) -> None:
        actions = [self.start_run] * 4 + [self.end_some] * 6 + [self.cancel_run, self.change_gpu, self.poll, self.kill]
        while self.kills < kills:
            await self.chance.choice(actions)()
            await self.look()

    async def come_to_rest(self) -> None:
        """No further harm: all that is there ends, and nothing is held."""
        await asyncio.gather(*self.commands)
        async with asyncio.timeout(6 * SOON_SECONDS):
            while True:
                await self.end_some(1_000)
                await self.poll()
                await self.look()
                if not await self.room.watcher.fetchval("select exists (select from dag_run where end_time is null)"):
                    break
                await asyncio.sleep(0.01)
        await self.poll()
        for table in ("live_attempt", "limit_holder", "task_queue"):
            assert await self.room.watcher.fetchval(f"select count(*) from {table}") == 0, table
        assert await self.room.watcher.fetchval("select count(*) from concurrency_limit where kind = 'run'") == 0
        await self.look_at_rates()

    async def close(self) -> None:
        for engine in self.replicas:
            await engine.stop()


async def _nobody(_: Any) -> None:
    """Nobody waits to be told."""
