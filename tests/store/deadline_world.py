"""Runs with deadlines under a clock that the test moves: what each is to do is planned, and what must be told follows
from what its rows say that it did.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from step_room import Seat, StepRoom

from glidepath_server.core.deadlines import Anchor, Deadline
from glidepath_server.core.events import AttemptKey, RunCancelled, RunStarted, TasksCleared
from glidepath_server.core.states import AttemptState
from glidepath_server.loops.deadlines import deadlines as deadlines_loop
from glidepath_server.loops.level import LevelLoop
from glidepath_server.operations.new_deadlines import Promised, promise_runs
from glidepath_server.operations.new_runs import NewRuns, RunRequest
from glidepath_server.operations.step_runs import Step
from glidepath_server.operations.step_types import Command, Replica, Report, RunWork, StepOutcome
from glidepath_server.settings import Settings
from glidepath_server.store import deadlines as store
from glidepath_server.store import engine
from glidepath_server.store.trigger import Selector

FATES = ("never_created", "queued", "hung", "cancelled", "failed", "early", "late", "rerun")
ENOUGH = 100_000
DEADLINES = (
    Deadline("done", Anchor.QUEUE, 100.0),
    Deadline("first", Anchor.QUEUE, 50.0, task_id="task0"),
    Deadline("quick", Anchor.START, 70.0),
    Deadline("owed", Anchor.INTERVAL_END, 90.0),
)
ENDS_AFTER = 240
"""Virtual seconds after which nothing happens any more."""
LATE_SECONDS_MAX = 5.0


@dataclass
class Life:
    """A run as it is planned: what happens to it at which virtual second."""

    fate: str
    run_key: str
    plan: list[tuple[float, str]]
    run_id: UUID | None = None
    live: dict[int, AttemptKey] = field(default_factory=dict)


def plan_of(fate: str, chance: random.Random) -> list[tuple[float, str]]:
    """The deadlines of a run that is created at second c: task0 at c + 50, the run at c + 100, and so on."""
    created = chance.uniform(0, 20)
    begin = created + chance.uniform(1, 10)
    if fate == "never_created":
        # Some are, long after all was due.
        return [] if chance.random() < 0.7 else [(created + 150, "create"), *_success(created + 160, created + 170)]
    start = [(created, "create"), (begin, "start")]
    soon, middle = begin + chance.uniform(1, 15), begin + chance.uniform(16, 30)
    return {
        "queued": [(created, "create")],
        "hung": [*start, *([(soon, "success0")] if chance.random() < 0.5 else [])],
        "cancelled": [*start, (soon, "success0"), (middle, "cancel"), (middle + 1, "cancelled1")],
        "failed": [*start, (soon, "success0"), (middle, "failed1")],
        "early": [*start, (soon, "success0"), (middle, "success1")],
        "late": [*start, *_success(begin + chance.uniform(30, 80), begin + chance.uniform(105, 150))[1:]],
        "rerun": [
            *start,
            (soon, "success0"),
            (middle, chance.choice(["success1", "failed1"])),
            (middle + chance.uniform(1, 60), "clear"),
            *([(middle + chance.uniform(62, 100), "success1")] if chance.random() < 0.7 else []),
        ],
    }[fate]


def _success(first: float, second: float) -> list[tuple[float, str]]:
    return [(first - 5, "start"), (first, "success0"), (second, "success1")]


class DeadlineWorld:
    """One DAG of two tasks in a row, its runs, and replicas that judge their deadlines."""

    def __init__(self, room: StepRoom, chance: random.Random) -> None:
        self.room, self.chance = room, chance
        self.lives: list[Life] = []
        self.replica = Replica()
        self.loops: list[LevelLoop] = []
        self.told = 0
        self.began: datetime

    async def build(self, *, replicas: int = 1, deadlines: Sequence[Deadline] = DEADLINES) -> None:
        self.deadlines = deadlines
        await self.room.store_dag(2, upstream={1: [0]})
        self.began = await self.room.watcher.fetchval("select glidepath_now()")
        await store.put_dag_deadlines(
            self.room.watcher, "default", "dag", deadlines, declared=True, now=self.began, by="test"
        )
        session = await self.room.session()
        # Nobody renews it while the clock runs.
        await self.room.watcher.execute(
            "update worker_session set heard_until = heard_until + interval '1 day', "
            "lease_expire_time = lease_expire_time + interval '1 day'"
        )
        pullers = self.replica.pullers
        pullers.learn(await engine.task_classes(self.room.watcher, 0))
        self.seat = Seat(session, 1, ENOUGH)
        pullers.add(self.seat)
        settings = Settings()
        self.loops = [deadlines_loop(self.room.database, settings, self._hear) for _ in range(replicas)]

    def _hear(self) -> None:
        self.told += 1

    # ---- what happens
    async def live(self, runs: int) -> None:
        """So many runs through all their fates, second by second."""
        for number in range(runs):
            fate = FATES[number % len(FATES)]
            self.lives.append(Life(fate, f"{fate}-{number}", plan_of(fate, self.chance)))
        moments = sorted((second, index, what) for index, life in enumerate(self.lives) for second, what in life.plan)
        await self.promise()
        second = 0
        while second < ENDS_AFTER:
            second += 1
            await self.clock(second)
            due, moments = [each for each in moments if each[0] <= second], [e for e in moments if e[0] > second]
            await asyncio.gather(self._happen(due), *(self.round(loop) for loop in self.loops))

    async def _happen(self, due: list[tuple[float, int, str]]) -> None:
        for _, index, what in due:
            await self.act(self.lives[index], what)

    async def clock(self, second: float) -> None:
        await self.room.watcher.execute(
            "update clock set shift = $1::timestamptz + make_interval(secs => $2) - clock_timestamp()",
            self.began,
            second,
        )

    async def round(self, loop: LevelLoop) -> None:
        """What a replica does in a second: a round, and again while it finds runs held."""
        for _ in range(20):
            delay = await loop.once()
            if delay is None or delay > 0.1:
                return
            await asyncio.sleep(0)

    async def promise(self) -> None:
        """As a schedule owes them: every run but those of which the date is not known before."""
        await self.replica.plans.load(self.room.watcher, [self.room.version])
        promised = [
            Promised("dag", self.room.version, life.run_key, self.began, self.began, self.began)
            for life in self.lives
            if life.fate == "never_created"
        ]
        async with self.room.database.api.acquire() as connection, connection.transaction():
            await promise_runs(connection, self.replica.plans, "default", self.began, promised)

    async def act(self, life: Life, what: str) -> None:
        if what == "create":
            await self._create(life)
        elif what == "start":
            await self.step(life, RunWork(events=[RunStarted()]))
        elif what == "cancel":
            await self.step(life, RunWork(command=Command(RunCancelled("enough"))))
        elif what == "clear":
            await self.step(life, RunWork(command=Command(TasksCleared((1,), cancel_running=True))))
        else:
            key = life.live.pop(int(what[-1]))
            await self.step(life, RunWork(reports=[Report(key, AttemptState(what[:-1]), origin="worker")]))

    async def _create(self, life: Life) -> None:
        request = RunRequest(
            Selector("dag"), life.run_key, "", self.began, self.began, self.began, run_type="scheduled"
        )
        async with self.room.database.api.acquire() as connection, connection.transaction():
            (made,) = await NewRuns(connection, self.replica.plans, "default", "test", [request]).run()
        life.run_id = made.dag_run_id

    async def step(self, life: Life, work: RunWork) -> None:
        """With a lock that waits: a judge may be at the run."""
        assert life.run_id is not None
        async with self.room.database.worker.acquire() as connection, connection.transaction():
            outcome = await self.waiting_step(connection, {life.run_id: work})
        for each in outcome.assigned:
            owner = next(life for life in self.lives if life.run_id == each.key.dag_run_id)
            owner.live[each.key.task] = each.key

    async def waiting_step(self, connection: Any, batch: dict[UUID, RunWork]) -> StepOutcome:
        return await Step(self.replica, batch, wait_seconds=5.0).run(connection)

    # ---- what is committed
    async def facts(self) -> list[dict[str, Any]]:
        rows = await self.room.watcher.fetch("select kind, body, fact_time, dag_run_id from outbox order by fact_id")
        return [{**dict(row), "body": json.loads(row["body"])} for row in rows]

    async def states(self) -> dict[tuple[str, str], str]:
        rows = await self.room.watcher.fetch("select run_key, deadline_name, state from deadline")
        return {(row["run_key"], row["deadline_name"]): row["state"] for row in rows}

    async def done_times(self) -> dict[tuple[str, str], datetime]:
        """By run and deadline, when what it watches was first done: from the history of the runs alone."""
        rows = await self.room.watcher.fetch(
            """select r.run_key, e.event_time, e.run_state, e.task_indexes, e.states
               from dag_run_event e join dag_run r using (dag_run_id) order by e.revision"""
        )
        found: dict[tuple[str, str], datetime] = {}
        for row in rows:
            if (0, 10) in zip(row["task_indexes"], row["states"], strict=True):
                found.setdefault((row["run_key"], "first"), row["event_time"])
            if row["run_state"] == "success":
                for name in ("done", "quick", "owed"):
                    found.setdefault((row["run_key"], name), row["event_time"])
        return found

    async def due_times(self) -> dict[tuple[str, str], datetime]:
        """By run and deadline, when it is due: from the runs' own times."""
        found = {}
        # A clear starts a run again, in `start_time`; deadlines count from when it started first.
        rows = await self.room.watcher.fetch(
            """select r.run_key, r.create_time,
                      (select min(e.event_time) from dag_run_event e
                       where e.dag_run_id = r.dag_run_id and e.run_state = 'running') as start_time
               from dag_run r"""
        )
        for row in rows:
            for deadline in self.deadlines:
                anchors = {Anchor.QUEUE: row["create_time"], Anchor.START: row["start_time"]}
                begin = anchors.get(deadline.anchor, self.began)
                if begin is not None:
                    found[row["run_key"], deadline.name] = begin + timedelta(seconds=deadline.after_seconds)
        for life in self.lives:
            if life.fate == "never_created":
                found[life.run_key, "owed"] = self.began + timedelta(seconds=90)
        return found

    async def check(self) -> Counter[str]:
        """Every fact once where it is due, none elsewhere, each within its bound. How many there are of each kind."""
        done, due = await self.done_times(), await self.due_times()
        expected = set()
        for key, instant in due.items():
            if key not in done or done[key] > instant:
                expected.add((*key, "missed"))
                expected |= {(*key, "met_late")} if key in done else set()
        told = [(each["body"]["run_key"], each["body"]["deadline_name"], each["kind"]) for each in await self._mine()]
        assert len(told) == len(set(told)), "a fact was told twice"
        assert set(told) == expected, (sorted(set(told) - expected), sorted(expected - set(told)))
        for each in await self._mine():
            key = (each["body"]["run_key"], each["body"]["deadline_name"])
            instant = due[key] if each["kind"] == "missed" else done[key]
            created = await self._created(each["dag_run_id"])
            begin = max(instant, created) if created and each["kind"] == "missed" else instant
            assert timedelta(0) <= each["fact_time"] - begin <= timedelta(seconds=LATE_SECONDS_MAX), each
        states = await self.states()
        assert {key for key, state in states.items() if state == "missed"} == {
            key for key in due if (*key, "missed") in expected and key not in done
        }
        return Counter(kind for _, _, kind in told)

    async def _created(self, run_id: UUID | None) -> datetime | None:
        created: datetime | None = await self.room.watcher.fetchval(
            "select create_time from dag_run where dag_run_id = $1", run_id
        )
        return created

    async def _mine(self) -> list[dict[str, Any]]:
        return [each for each in await self.facts() if each["kind"] in ("missed", "met_late", "at_risk", "recovered")]
