"""Operators and the engine race over single tasks, in every state that a task can be in; what may come of it is data.

Each round puts the pair world back, draws a task and some commands, and lets these race, as transactions of their own,
with a claim and the end of an attempt. `ENDS` says how the task may have ended once everything is worked off.
"""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest
import pytest_asyncio
from pair_checks import Seen, faults
from pair_meeting import Ledger
from pair_world import State, Task, World, offer
from step_room import SOON_SECONDS, Seat
from test_every_pair import work_off

from glidepath_server.core.approvals import Answer, Decision
from glidepath_server.core.errors import StateConflict
from glidepath_server.core.events import (
    ApprovalAnswered,
    Event,
    RunPaused,
    RunResumed,
    TasksCancelled,
    TasksCleared,
    TasksMarked,
)
from glidepath_server.core.states import AttemptState, TaskEvent, TaskState
from glidepath_server.operations.step_runs import Step
from glidepath_server.operations.step_types import Command, Report, RunWork
from glidepath_server.store.database import Database, transaction

pytestmark = pytest.mark.asyncio(loop_scope="module")
WAIT_SECONDS = 5.0
S = TaskState

COMMANDS: dict[str, Callable[[Task], Event]] = {
    "cancel": lambda task: TasksCancelled((task,), "stop"),
    "clear": lambda task: TasksCleared((task,), cancel_running=True),
    "mark": lambda task: TasksMarked((task,), TaskEvent.MARK_SKIPPED, "known to be empty"),
    "pause": lambda task: RunPaused((task,), "alice"),
    "answer": lambda task: ApprovalAnswered(task, -1, 1, Answer(Decision.APPROVE, "alice")),
}
_Words = frozenset[str]


def _of(*words: str) -> _Words:
    return frozenset(words)


# How a task may have ended, by what was said of it; pauses are lifted in the end. A word may come after the end of its
# attempt (a cancel is nothing then), or before it; of a mark and a cancel the later one counts, and so do clears.
ENDS: dict[_Words, set[TaskState]] = {
    _of(): {S.SUCCESS},
    _of("cancel"): {S.CANCELLED, S.SUCCESS},
    _of("clear"): {S.SUCCESS},
    _of("mark"): {S.SKIPPED},
    _of("cancel", "clear"): {S.CANCELLED, S.SUCCESS},
    # A cancel takes back a mark that waits for the end of an attempt, and that may be a success.
    _of("cancel", "mark"): {S.CANCELLED, S.SKIPPED, S.SUCCESS},
    _of("clear", "mark"): {S.SUCCESS, S.SKIPPED},
    _of("cancel", "clear", "mark"): {S.CANCELLED, S.SUCCESS, S.SKIPPED},
}
# The same of a task that asks people. Cleared it asks anew: the answer that is under way is one to the old question.
ENDS_OF_A_QUESTION: dict[_Words, set[TaskState]] = {
    _of(): {S.WAITING},
    _of("answer"): {S.SUCCESS},
    _of("cancel"): {S.CANCELLED},
    _of("clear"): {S.WAITING},
    _of("mark"): {S.SKIPPED},
    _of("answer", "cancel"): {S.SUCCESS, S.CANCELLED},
    _of("answer", "clear"): {S.WAITING},
    _of("answer", "mark"): {S.SKIPPED},
    _of("cancel", "clear"): {S.CANCELLED, S.WAITING},
    _of("cancel", "mark"): {S.CANCELLED, S.SKIPPED},
    _of("clear", "mark"): {S.SKIPPED, S.WAITING},
    _of("answer", "cancel", "clear"): {S.CANCELLED, S.WAITING},
    _of("answer", "cancel", "mark"): {S.CANCELLED, S.SKIPPED},
    _of("answer", "clear", "mark"): {S.SKIPPED, S.WAITING},
    _of("cancel", "clear", "mark"): {S.CANCELLED, S.SKIPPED, S.WAITING},
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(module_database_url: str) -> AsyncIterator[World]:
    watcher = await asyncpg.connect(module_database_url)
    database = await Database.open(module_database_url)
    yield await World.build(database, watcher)
    await database.close()
    await watcher.close()


async def say(world: World, ledger: Ledger, run_id: uuid.UUID, word: str, task: Task) -> None:
    """One command in a transaction of its own; what the state does not allow is refused, and changes nothing."""
    try:
        await act(world, ledger, {run_id: RunWork(command=Command(COMMANDS[word](task)))}, wait=True)
    except StateConflict as refused:
        ledger.refused.append(str(refused))


async def act(
    world: World, ledger: Ledger, batch: dict[uuid.UUID, RunWork], *, wait: bool = False, free: int = 0
) -> None:
    seats = [Seat(world.session_id, 1, free, offer())] if free else []
    step = Step(world.replica(*seats), batch, wait_seconds=WAIT_SECONDS if wait else None)
    async with transaction(world.database.worker, "test") as connection:
        outcome = await step.run(connection)
    ledger.seats += seats
    ledger.credits += free
    ledger.note(outcome)


async def race(world: World, seed: int) -> None:
    chance = random.Random(seed)
    await world.restore(State.OPEN)
    ledger, run_id = Ledger(), world.runs[0]
    task = chance.choice(list(Task))
    words = tuple(chance.sample(sorted(COMMANDS), chance.randint(1, 3)))
    if task is not Task.WAITS:
        words = tuple(word for word in words if word != "answer")
    report = Report(world.key(run_id, Task.FIRST), AttemptState.SUCCESS, origin="worker")
    ledger.told.append(report)
    doing = [
        *(say(world, ledger, run_id, word, task) for word in words),
        act(world, ledger, {}, free=3),
        act(world, ledger, {run_id: RunWork(reports=[report])}, wait=True),
    ]
    chance.shuffle(doing)
    async with asyncio.timeout(2 * SOON_SECONDS):
        await asyncio.gather(*doing)
    while ledger.missed:
        batch = ledger.missed.pop()
        ledger.note(await world.step(batch))
    found = faults(world, await Seen.read(world.watcher, len(Task)), ledger)
    assert not found, f"seed {seed}, {task.name}, {words}: {found}"
    if "pause" in words:
        await world.step({run_id: RunWork(events=[RunResumed((), "alice")])})
    seen = await work_off(world)
    state = TaskState(seen.boards[run_id].states[task])
    ends = ENDS_OF_A_QUESTION if task is Task.WAITS else ENDS
    assert state in ends[frozenset(words) - {"pause"}], f"seed {seed}: {task.name} ended {state.name} after {words}"


@pytest.mark.parametrize("seed", range(20))
async def test_operators_race_with_the_engine(world: World, seed: int) -> None:
    await race(world, seed)


@pytest.mark.prove
@pytest.mark.timeout(1200)
async def test_a_thousand_races(world: World) -> None:
    first = int(os.environ.get("RACE_SEED", "1000"))
    for seed in range(first, first + 1000):
        await race(world, seed)
