"""Whatever may happen to a caller and to its child run meets whatever else may, at every statement of the first.

`end_child/cancel_run@3` is: a step in which the child run ends stands before its statement 3, a step that cancels the
caller's run comes and runs until it has ended or waits for the first; then both go on. What they missed is stepped
again, workers end what is left as they were told, and every promise is checked: one place for each task instance, one
end for each call, no wait and no event left over, and an end that one of the two has asked for.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from calling_room import family
from step_room import SOON_SECONDS, Seat, StepRoom

from glidepath_server.core.calls import Call
from glidepath_server.core.errors import StateConflict
from glidepath_server.core.events import AttemptKey, Event, RunCancelled, TasksCancelled, TasksCleared, TasksMarked
from glidepath_server.core.matching import TaskClass
from glidepath_server.core.states import AttemptState, TaskEvent, TaskState
from glidepath_server.operations.calls import cancel_overdue
from glidepath_server.operations.plans import Plans
from glidepath_server.operations.step_runs import Step
from glidepath_server.operations.step_types import Command, Replica, Report, RunWork, StepOutcome
from glidepath_server.store import engine
from glidepath_server.store.database import Database
from glidepath_server.store.sessions import key_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOCK_WAIT_SECONDS = 1.0
STATEMENTS_MAX = 30
MUTABLE = (
    "dag_run",
    "dag_run_event",
    "dag_run_key",
    "dead_letter",
    "run_inbox",
    "incident",
    "task_queue",
    "live_attempt",
    "limit_holder",
    "task_attempt",
    "task_output",
    "child_run",
    "worker_session",
)
RESTORE = "".join(
    f"delete from {table}; insert into {table} overriding system value table saved.{table};" for table in MUTABLE
)


class Stepped:
    """A connection that stops before its k-th statement, or before its commit, and counts them."""

    def __init__(self, connection: Any, stop_at: int | None) -> None:
        self.connection, self.stop_at, self.count = connection, stop_at, 0
        self.stopped, self.go = asyncio.Event(), asyncio.Event()

    async def _before(self) -> None:
        self.count += 1
        if self.count - 1 == self.stop_at:
            self.stopped.set()
            await self.go.wait()

    def __getattr__(self, name: str) -> Any:
        async def ask(*arguments: Any) -> Any:
            await self._before()
            return await getattr(self.connection, name)(*arguments)

        return ask

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        async with self.connection.transaction():
            yield
            await self._before()


class Pair:
    """A run whose only task waits for its child run, whose only task is live; made once, and put back."""

    def __init__(self, room: StepRoom) -> None:
        self.room = room
        self.missed: list[dict[uuid.UUID, RunWork]] = []
        self.plans = Plans()
        self.classes: list[TaskClass] = []
        self.parent: AttemptKey
        self.child: AttemptKey

    @classmethod
    async def build(cls, room: StepRoom) -> Pair:
        pair = cls(room)
        home = await family(room, retries=1)
        pair.parent = home.newest().key
        pair.child = await home.calls(pair.parent, Call("dag"))
        await room.watcher.execute("update child_run set timeout_time = glidepath_now()")
        pair.classes = await engine.task_classes(room.watcher, 0)
        await room.watcher.execute("create schema saved")
        for table in MUTABLE:
            await room.watcher.execute(f"create table saved.{table} as table {table}")
        return pair

    def replica(self) -> Replica:
        replica = Replica(self.plans)
        replica.pullers.learn(self.classes)
        return replica

    async def step(self, connection: Any, batch: dict[uuid.UUID, RunWork], *, waits: bool = False) -> StepOutcome:
        async with connection.transaction():
            step = Step(self.replica(), batch, wait_seconds=LOCK_WAIT_SECONDS if waits else None)
            outcome = await step.run(connection)
        self.missed.append(outcome.missed)
        return outcome

    async def command(self, connection: Any, run_id: uuid.UUID, event: Event) -> None:
        try:
            await self.step(connection, {run_id: RunWork(command=Command(event))}, waits=True)
        except StateConflict:  # as an operator is told who comes too late, or too early
            pass

    # ---- afterwards
    async def follow_up(self) -> None:
        """Steps until nothing is left: what was missed, inboxes, runs to begin; workers obey and end what is live."""
        connection = self.room.watcher
        session = await self.room.session("last")
        for _ in range(50):
            batch: dict[uuid.UUID, RunWork] = {}
            for missed in self.missed:
                for run_id, work in missed.items():
                    batch.setdefault(run_id, RunWork()).absorb(work)
            self.missed = []
            for row in await connection.fetch("select distinct dag_run_id from run_inbox"):
                batch.setdefault(row["dag_run_id"], RunWork()).inbox = True
            if not batch:
                for row in await connection.fetch("select * from live_attempt"):
                    told = AttemptState.CANCELLED if row["cancel_requested_time"] else AttemptState.SUCCESS
                    key = key_of(row)
                    batch.setdefault(key.dag_run_id, RunWork()).reports.append(Report(key, told, origin="worker"))
            if not batch and not await connection.fetchval("select exists (select from task_queue)"):
                return
            replica = self.replica()
            replica.pullers.add(Seat(session, 1, 10))
            async with connection.transaction():
                outcome = await Step(replica, batch).run(connection)
            self.missed.append(outcome.missed)
        raise AssertionError("it does not come to rest")

    async def check(self, asked: set[str], had_ended: bool) -> None:
        fetch = self.room.watcher.fetch
        assert not await fetch("select * from run_inbox"), "events are left"
        assert not await fetch("select * from incident"), "a run was set aside"
        calls = await fetch("select * from child_run order by attempt_number")
        assert calls and not [row for row in calls if row["waiting"]], "a caller still waits"
        attempts = await fetch("select * from task_attempt order by dag_run_id, attempt_number")
        for row in calls:
            ends = [a for a in attempts if key_of(a) == AttemptKey(*self.parent[:3], row["attempt_number"])]
            assert len(ends) == 1, "a call has not one end"
        numbers = [a["attempt_number"] for a in attempts if a["dag_run_id"] == self.parent.dag_run_id]
        assert numbers == sorted(set(numbers))
        states = {
            row["dag_run_id"]: (row["state"], TaskState(row["board"][0]))
            for row in await fetch("select dag_run_id, state, board from dag_run")
        }
        assert {state for state, _ in states.values()} <= {"success", "failed", "cancelled"}, "a run goes on"
        ended = next(a for a in attempts if key_of(a) == self.parent)["state"]
        self.check_end(asked, ended, *states[self.parent.dag_run_id])
        if asked == {"cancel_run", "take_end"} and not had_ended:
            assert {state for state, _ in states.values()} == {"cancelled"}, "a cancel was lost"

    def check_end(self, asked: set[str], ended: str, run: str, task: TaskState) -> None:
        """The end is one that somebody asked for; what nobody asked for, the child run's own, is success."""
        tasks, runs, ends = {TaskState.SUCCESS}, {"success"}, {"success"}
        if asked & {"cancel_run", "cancel_task"}:
            tasks.add(TaskState.CANCELLED)
            ends |= {"cancelled"}
            runs |= {"cancelled"} if "cancel_run" in asked else {"failed"}
            runs |= {"failed"} if "cancel_task" in asked else set()
        if "mark" in asked:
            tasks.add(TaskState.SKIPPED)
            ends |= {"cancelled"}
        if "clear" in asked:
            ends |= {"cancelled"}
        if "timeout" in asked:
            ends |= {"timed_out"}
        if "cancel_child" in asked:
            tasks.add(TaskState.FAILED)
            runs |= {"failed"}
            ends |= {"failed", "cancelled"}
        assert (ended in ends, run in runs, task in tasks) == (True, True, True), (asked, ended, run, task.name)


Doing = Callable[[Pair, Any], Awaitable[Any]]


# ---- what may happen
async def end_child(pair: Pair, connection: Any) -> None:
    """The child run's last attempt ends."""
    report = Report(pair.child, AttemptState.SUCCESS, origin="worker")
    await pair.step(connection, {pair.child.dag_run_id: RunWork(reports=[report])})


async def take_end(pair: Pair, connection: Any) -> None:
    """The caller is stepped, with whatever is in its inbox."""
    await pair.step(connection, {pair.parent.dag_run_id: RunWork(inbox=True)})


async def cancel_run(pair: Pair, connection: Any) -> None:
    await pair.command(connection, pair.parent.dag_run_id, RunCancelled("stop"))


async def cancel_task(pair: Pair, connection: Any) -> None:
    await pair.command(connection, pair.parent.dag_run_id, TasksCancelled((0,), "stop"))


async def mark(pair: Pair, connection: Any) -> None:
    await pair.command(connection, pair.parent.dag_run_id, TasksMarked((0,), TaskEvent.MARK_SKIPPED, "empty"))


async def clear(pair: Pair, connection: Any) -> None:
    await pair.command(connection, pair.parent.dag_run_id, TasksCleared((0,), cancel_running=True))


async def timeout(pair: Pair, connection: Any) -> None:
    async with connection.transaction():
        await cancel_overdue(connection, 100)


async def cancel_child(pair: Pair, connection: Any) -> None:
    """An operator cancels the child run itself."""
    await pair.command(connection, pair.child.dag_run_id, RunCancelled("by hand"))


async def clear_child(pair: Pair, connection: Any) -> None:
    """An operator has the child run's task run again, if it has ended."""
    await pair.command(connection, pair.child.dag_run_id, TasksCleared((0,)))


OPERATIONS: tuple[Doing, ...] = (
    end_child,
    take_end,
    cancel_run,
    cancel_task,
    mark,
    clear,
    timeout,
    cancel_child,
    clear_child,
)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pair(module_database_url: str) -> AsyncIterator[Pair]:
    database = await Database.open(module_database_url)
    watcher = await asyncpg.connect(module_database_url)
    yield await Pair.build(StepRoom(database, watcher))
    await watcher.close()
    await database.close()


async def meet(pair: Pair, first: Doing, second: Doing, stop_at: int) -> bool:
    """Both to their ends; False when the first has no such statement."""
    async with pair.room.database.worker.acquire() as one, pair.room.database.worker.acquire() as other:
        standing = Stepped(one, stop_at)
        going = asyncio.ensure_future(first(pair, standing))
        stopped = asyncio.ensure_future(standing.stopped.wait())
        await asyncio.wait([going, stopped], timeout=SOON_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not standing.stopped.is_set():
            stopped.cancel()
            await going
            return False
        coming = asyncio.ensure_future(second(pair, Stepped(other, None)))
        blocked = "select cardinality(pg_blocking_pids($1)) > 0"
        async with asyncio.timeout(SOON_SECONDS):
            while not coming.done() and not await pair.room.watcher.fetchval(blocked, other.get_server_pid()):
                pass
        standing.go.set()
        await asyncio.gather(going, coming)
        return True


async def restored(pair: Pair, *, ended: bool) -> None:
    """As it was built; or with the child run at its end, and its caller not told yet."""
    await pair.room.watcher.execute(RESTORE)
    pair.missed = []
    if ended:
        await end_child(pair, pair.room.watcher)


@pytest.mark.parametrize("ended", [False, True], ids=["goes_on", "has_ended"])
@pytest.mark.parametrize(
    ("first", "second"), list(itertools.product(OPERATIONS, repeat=2)), ids=lambda each: each.__name__
)
async def test_every_pair(pair: Pair, first: Doing, second: Doing, ended: bool) -> None:
    for stop_at in range(STATEMENTS_MAX):
        await restored(pair, ended=ended)
        if not await meet(pair, first, second, stop_at):
            assert stop_at
            return
        await pair.follow_up()
        await pair.check({first.__name__, second.__name__}, ended)
    raise AssertionError(f"{first.__name__} has more than {STATEMENTS_MAX} statements")
