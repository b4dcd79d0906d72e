"""Every two of the engine's operations meet, at every statement of the first.

`claim/accept@4-candidates` is: a claim stands before its statement 4, an accept comes and runs until it has
ended or waits for the claim; then both go on, what follows from them is stepped, and every promise is checked. In a
second round the one that came keeps its transaction open until the other has ended or waits for it. At the end the
rest of both runs is worked off: what had been lost on the way would be missing there.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple

import asyncpg
import pytest
import pytest_asyncio
from _pytest.mark.structures import ParameterSet
from pair_checks import Seen, faults
from pair_meeting import Actor, Doing, Ledger, Operation, meet
from pair_world import TTL_SECONDS, State, Task, World, offer, worker
from step_room import SOON_SECONDS, Seat

from glidepath_server.core.approvals import Answer, Decision
from glidepath_server.core.errors import StateConflict
from glidepath_server.core.events import (
    ApprovalAnswered,
    ApprovalExpired,
    AttemptKey,
    RunPaused,
    RunResumed,
    TasksCancelled,
    TasksCleared,
    TasksMarked,
)
from glidepath_server.core.states import AttemptState, TaskEvent, TaskState
from glidepath_server.operations import sessions
from glidepath_server.operations.step_types import Command, Report, RunWork
from glidepath_server.store import limits
from glidepath_server.store.database import Database, transaction
from glidepath_server.store.sessions import key_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
LOCK_WAIT_SECONDS = 1.0
TAKEN_BACK = (Task.FIRST, Task.LONE, Task.OPEN, Task.PARKED, Task.WAITS)
"""Of these a withdrawal finds one live, one that asks people, and the others in the queue, one of them parked."""


# ---- the operations
PAUSED = (Task.FIRST, Task.LONE, Task.OPEN, Task.PARKED, Task.THEN)
"""Of these a pause finds one live, one that has not been released, and the others in the queue, one of them parked."""


async def claim(actor: Actor) -> None:
    """Credits for a task without a limit and for the one slot of the roomy pool."""
    await actor.step({}, credits=2)


async def park(actor: Actor) -> None:
    """Credits for everything: what finds its pool full is parked."""
    await actor.step({}, credits=8)


async def accept(actor: Actor) -> None:
    """The end of an attempt without a limit; what it releases is handed to the session directly."""
    await actor.step({actor.run_id: _told(actor, Task.FIRST)}, credits=1)


async def free_slot(actor: Actor) -> None:
    """The end of an attempt that holds a slot for which others are parked."""
    await actor.step({actor.run_id: _told(actor, Task.HELD)})


async def withdraw(actor: Actor) -> None:
    event = TasksCancelled(TAKEN_BACK, "stop")
    await actor.step({actor.run_id: RunWork(command=Command(event))}, credits=1, wait_seconds=LOCK_WAIT_SECONDS)


async def mark(actor: Actor) -> None:
    event = TasksMarked(TAKEN_BACK, TaskEvent.MARK_SKIPPED, "known to be empty")
    await actor.step({actor.run_id: RunWork(command=Command(event))}, credits=1, wait_seconds=LOCK_WAIT_SECONDS)


async def clear(actor: Actor) -> None:
    event = TasksCleared((Task.DONE, *TAKEN_BACK), cancel_running=True)
    await actor.step({actor.run_id: RunWork(command=Command(event))}, credits=1, wait_seconds=LOCK_WAIT_SECONDS)


async def pause(actor: Actor) -> None:
    """What is in the queue waits again; what is live goes on."""
    await actor.step(
        {actor.run_id: RunWork(command=Command(RunPaused(PAUSED, "alice")))}, wait_seconds=LOCK_WAIT_SECONDS
    )


async def answer(actor: Actor) -> None:
    """Somebody approves what the first question asked, if it is still open."""
    event = ApprovalAnswered(Task.WAITS, -1, 1, Answer(Decision.APPROVE, "alice"))
    try:
        await actor.step({actor.run_id: RunWork(command=Command(event))}, wait_seconds=LOCK_WAIT_SECONDS)
    except StateConflict as refused:
        actor.ledger.refused.append(str(refused))


async def run_out(actor: Actor) -> None:
    """The time of the first question is up."""
    await actor.step({actor.run_id: RunWork(events=[ApprovalExpired(Task.WAITS, -1, 1)])})


async def expire(actor: Actor) -> None:
    """The judge comes round, and its verdicts are stepped."""
    await _judge(actor, await sessions.expire(actor.connection))


async def hello(actor: Actor) -> None:
    """The worker connects again and still has one attempt of each run; the second time it has got one more."""
    held = [actor.world.key(run_id, Task.FIRST) for run_id in actor.world.runs]
    more = [actor.world.key(actor.run_id, Task.HELD)] if actor.comes_second else []
    await _greet(actor, "1", held + more)


async def restart(actor: Actor) -> None:
    """The worker is a new process and has nothing."""
    await _greet(actor, "2", [])


async def judge(actor: Actor) -> None:
    """The verdicts over what a lost session has live."""
    await _judge(actor, await sessions.judge(actor.connection, [actor.world.session_id], "lost"))


async def _greet(actor: Actor, incarnation: str, held: list[AttemptKey]) -> None:
    facts = worker("worker", incarnation)
    greeting = await sessions.hello(actor.connection, facts, held, uuid.uuid4(), TTL_SECONDS)
    actor.ledger.greetings.append(greeting)
    await _judge(actor, greeting.verdicts)


async def _judge(actor: Actor, verdicts: list[Report]) -> None:
    if verdicts:
        await actor.step(by_run(verdicts))


def _told(actor: Actor, task: Task) -> RunWork:
    report = Report(actor.world.key(actor.run_id, task), AttemptState.SUCCESS, origin="worker")
    actor.ledger.told.append(report)
    return RunWork(reports=[report])


SOUGHT = "now lock_sessions claim claim candidates hold_uncapped lock_limits limit_use"
JUDGED = "lock_runs accept write_step lock_limits limit_use unpark commit"
FREED = JUDGED
GREETED = "lock_worker lock_sessions_of_worker now"
LOOKED = "lock_runs_waiting rebind live_of_worker commit"
TOOK_BACK = (
    "lock_timeout lock_run_waiting withdraw request_cancel write_step close_approvals lock_sessions claim lock_limits "
    "limit_use unpark unpark commit"
)
WHILE_OPEN: dict[Doing, str] = {
    claim: f"{SOUGHT} take_limited commit",
    park: f"{SOUGHT} take_limited park unpark commit",
    accept: "lock_runs accept busy_queues lock_sessions hand_over write_step commit",
    free_slot: FREED,
    withdraw: TOOK_BACK,
    mark: TOOK_BACK,
    clear: "lock_timeout lock_run_waiting attempts_made withdraw request_cancel busy_queues lock_sessions write_step "
    "close_approvals open_approvals lock_sessions claim lock_limits limit_use unpark unpark commit",
    pause: "lock_timeout lock_run_waiting withdraw write_step lock_limits limit_use unpark unpark commit",
    answer: "lock_timeout lock_run_waiting write_step close_approvals commit",
    run_out: "lock_runs write_step write_dead_letters close_approvals commit",
    expire: f"lock_expired expire commit live_of_sessions {JUDGED}",
    hello: f"{GREETED} raise_generation commit {LOOKED} {JUDGED}",
    restart: f"{GREETED} close_sessions open_session commit live_of_worker commit {JUDGED}",
}
"""By operation, what it says to Postgres when nobody is in its way."""
WHEN_LOST: dict[Doing, str] = {
    free_slot: FREED,
    judge: f"live_of_sessions {JUDGED}",
    hello: f"{GREETED} open_session commit {LOOKED} {JUDGED}",
    restart: f"{GREETED} open_session commit live_of_worker commit {JUDGED}",
}
"""The same when the session has been lost before, and what it had is not judged yet. Nobody gets work in it."""
OF_ONE_RUN = (accept, free_slot, withdraw, mark, clear, pause, answer, run_out)
"""What works on the rows of one run meets another such on the same run and on the other one."""


# ---- the meetings
class Meeting(NamedTuple):
    first: Operation
    second: Operation
    stop_at: int
    other_run: bool

    def __str__(self) -> str:
        lost = "-lost" if self.first.session is State.LOST else ""
        run = "-other_run" if self.other_run else ""
        return f"{self.first.name}/{self.second.name}{lost}{run}@{self.stop_at}-{self.first.statements[self.stop_at]}"

    @property
    def session(self) -> State:
        """How the world has the session."""
        states = self.first.session, self.second.session
        return State.LEASE_ENDED if State.LEASE_ENDED in states else self.first.session


def operations(said: dict[Doing, str], state: State) -> list[Operation]:
    return [
        Operation(run, run.__name__, tuple(words.split()), State.LEASE_ENDED if run is expire else state)
        for run, words in said.items()
    ]


def meetings(of: Sequence[Operation]) -> list[Meeting]:
    return [
        Meeting(first, second, stop_at, other_run)
        for first, second in itertools.product(of, repeat=2)
        for other_run in ([False, True] if {first.run, second.run} <= {*OF_ONE_RUN} else [False])
        for stop_at in range(len(first.statements))
    ]


OPERATIONS = operations(WHILE_OPEN, State.OPEN), operations(WHEN_LOST, State.LOST)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(module_database_url: str) -> AsyncIterator[World]:
    watcher = await asyncpg.connect(module_database_url)
    name = await watcher.fetchval("select current_database()")
    # Who waits for each other is found at once.
    await watcher.execute(f"alter database {name} set deadlock_timeout = '10ms'")
    database = await Database.open(module_database_url)
    yield await World.build(database, watcher)
    await database.close()
    assert await deadlocks(watcher) == 0
    await watcher.close()


async def deadlocks(watcher: asyncpg.Connection) -> int:
    """How many the database has seen. A connection tells its share when it ends."""
    others = (
        "select exists (select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid())"
    )
    async with asyncio.timeout(SOON_SECONDS):
        while await watcher.fetchval(others):
            pass
    count: int = await watcher.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
    return count


@pytest.mark.parametrize("operation", [*OPERATIONS[0], *OPERATIONS[1]], ids=lambda each: f"{each.name}-{each.session}")
async def test_an_operation_says_to_postgres_what_the_meetings_stop_at(world: World, operation: Operation) -> None:
    ledger = Ledger()
    await world.restore(operation.session)
    async with world.database.engine.acquire() as connection:
        actor = Actor(world, ledger, operation, world.runs[0], connection)
        actor.start()
        await actor.end()
    assert actor.connection.noted == list(operation.statements)
    await check(world, ledger, [actor])


SHORT_STRIDE = 4
"""In `make test` one meeting in so many: by and by each operation meets each, somewhere. `make prove` has all."""


def whole_and_short(found: Sequence[Meeting]) -> list[ParameterSet]:
    return [
        pytest.param(each, marks=() if number % SHORT_STRIDE == 0 else pytest.mark.prove, id=str(each))
        for number, each in enumerate(found)
    ]


@pytest.mark.parametrize("meeting", whole_and_short([*meetings(OPERATIONS[0]), *meetings(OPERATIONS[1])]))
async def test_every_pair(world: World, meeting: Meeting) -> None:
    for stays_open in (False, True):
        ledger = Ledger()
        await world.restore(meeting.session)
        async with world.database.engine.acquire() as one, world.database.engine.acquire() as other:
            first = Actor(world, ledger, meeting.first, world.runs[0], one)
            second = Actor(world, ledger, meeting.second, world.runs[meeting.other_run], other)
            waited = await meet(first, second, meeting.stop_at, stays_open=stays_open)
        await check(world, ledger, [first, second])
        if waited:
            break  # the second round would be the same


async def check(world: World, ledger: Ledger, actors: list[Actor]) -> None:
    await follow_up(world, ledger, {actor.operation for actor in actors})
    found = faults(world, await Seen.read(world.watcher, len(Task)), ledger)
    assert not found, "\n".join(found)
    told = {each.operation.run for each in actors}
    if pause in told:
        found = started_while_paused(await work_off(world), ledger)
        assert not found, "\n".join(found)
        for run_id in world.runs:
            await world.step({run_id: RunWork(events=[RunResumed((), "alice")])})
    seen = await work_off(world)
    wrong = [fault for run_id in world.runs for fault in unlike_told(seen, run_id, actors)]
    assert not wrong, "\n".join(wrong)


async def follow_up(world: World, ledger: Ledger, done: set[Operation]) -> None:
    """Step what was missed and what is still to be judged, until nothing is left."""
    if expire in {each.run for each in done}:
        # The judge comes round again: it may have stepped over a session that was being given work.
        ledger.missed.append(by_run(await sessions.expire(world.database.worker)))
    if {(each.run, each.session) for each in done} == {(free_slot, State.LOST)}:
        ledger.missed.append(by_run(await sessions.judge(world.database.worker, [world.session_id], "lost")))
    while ledger.missed:
        batch: dict[uuid.UUID, RunWork] = {}
        for run_id, work in (item for missed in ledger.missed for item in missed.items()):
            batch.setdefault(run_id, RunWork()).absorb(work)
        ledger.missed = []
        ledger.note(await world.step(batch))


def started_while_paused(seen: Seen, ledger: Ledger) -> list[str]:
    """What of paused tasks has started although the pause is committed, and was not given to a worker before."""
    told = {each[:2] for each in ledger.assigned}
    return [
        f"task {task.name} started while it was paused"
        for run_id, board in seen.boards.items()
        for task in Task
        if board.paused_by(task) is not None
        and board.states[task] in (TaskState.SUCCESS, TaskState.RELEASED)
        and (run_id, task) not in told
        and task is not Task.FIRST
    ]


def by_run(reports: Iterable[Report]) -> dict[uuid.UUID, RunWork]:
    batch: dict[uuid.UUID, RunWork] = {}
    for report in reports:
        batch.setdefault(report.key.dag_run_id, RunWork()).reports.append(report)
    return batch


async def work_off(world: World) -> Seen:
    """A new worker with room for everything ends what is left, obeying cancels. Returns what is committed then."""
    greeting = await sessions.hello(world.database.worker, worker("last", "1"), [], uuid.uuid4(), TTL_SECONDS)
    async with transaction(world.database.worker, "test") as connection:
        for limit_id in sorted({each.pool_limit_id for each in world.classes if each.pool_limit_id is not None}):
            await limits.set_capacity(connection, limit_id, 100)
    while True:
        seen = await Seen.read(world.watcher, len(Task))
        if not seen.rows["live_attempt"] and not seen.rows["task_queue"]:
            return seen
        ends = [
            Report(
                key_of(row),
                AttemptState.CANCELLED if row["cancel_requested_time"] else AttemptState.SUCCESS,
                origin="worker",
            )
            for row in seen.rows["live_attempt"]
        ]
        outcome = await world.step(by_run(ends), Seat(greeting.session_id, greeting.generation, 100, offer()))
        assert ends or outcome.assigned, f"waits, but nobody gets it: {seen.rows['task_queue']}"


# What becomes of a question: by what was told to its run, whatever came first. A clear makes it ask anew.
ENDS_OF_A_QUESTION: dict[frozenset[Doing], set[TaskState]] = {
    frozenset(): {TaskState.WAITING},
    frozenset({answer}): {TaskState.SUCCESS},
    frozenset({run_out}): {TaskState.FAILED},
    frozenset({withdraw}): {TaskState.CANCELLED},
    frozenset({mark}): {TaskState.SKIPPED},
    frozenset({clear}): {TaskState.WAITING},
    frozenset({answer, run_out}): {TaskState.SUCCESS, TaskState.FAILED},
    frozenset({answer, withdraw}): {TaskState.SUCCESS, TaskState.CANCELLED},
    frozenset({answer, mark}): {TaskState.SKIPPED},
    frozenset({answer, clear}): {TaskState.WAITING},
    frozenset({run_out, withdraw}): {TaskState.FAILED, TaskState.CANCELLED},
    frozenset({run_out, mark}): {TaskState.SKIPPED},
    frozenset({run_out, clear}): {TaskState.WAITING},
    frozenset({withdraw, mark}): {TaskState.CANCELLED, TaskState.SKIPPED},
    frozenset({withdraw, clear}): {TaskState.CANCELLED, TaskState.WAITING},
    frozenset({mark, clear}): {TaskState.SKIPPED, TaskState.WAITING},
}


def asked(told: set[Doing]) -> set[TaskState]:
    return ENDS_OF_A_QUESTION[frozenset(told & {answer, run_out, withdraw, mark, clear})]


def unlike_told(seen: Seen, run_id: uuid.UUID, actors: list[Actor]) -> list[str]:
    """How the end of a run differs from what the two have told it."""
    told = {actor.operation.run for actor in actors if actor.run_id == run_id}
    found = []
    for task, state in zip(Task, seen.boards[run_id].states, strict=True):
        allowed = {TaskState.SUCCESS}
        if task is Task.WAITS:
            if TaskState(state) not in asked(told):
                found.append(f"task WAITS ended {TaskState(state).name}")
            continue
        if withdraw in told and task in TAKEN_BACK:
            # What had ended before stays; what was cleared after goes on.
            allowed = {TaskState.CANCELLED} | ({TaskState.SUCCESS} if task is Task.FIRST or clear in told else set())
        if mark in told and task in TAKEN_BACK:
            # Who speaks last is heard.
            others = {withdraw: TaskState.CANCELLED, clear: TaskState.SUCCESS}
            allowed = {TaskState.SKIPPED} | {state for each, state in others.items() if each in told}
        if withdraw in told and task is Task.THEN:
            allowed |= {TaskState.UPSTREAM_FAILED}
        if mark in told and task is Task.THEN:
            allowed |= {TaskState.SKIPPED}
        if state not in allowed:
            found.append(f"task {task.name} ended {TaskState(state).name}")
    attempts = max(key.attempt_number for key in seen.history() if key[:2] == (run_id, Task.DONE))
    if attempts != (2 if clear in told else 1):
        found.append(f"task DONE was attempted {attempts} times")
    return found
