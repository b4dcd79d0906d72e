"""What is given up is on the list until it is cleared, whatever used it up; nothing else ever is."""

from __future__ import annotations

from typing import Any

import pytest
from step_room import StepRoom, command, ends
from test_ends import claimed, step

from glidepath_server.core.events import AttemptKey, RunCancelled, TasksCleared
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.next_attempt import REDELIVERIES_MAX
from glidepath_server.core.states import AttemptState
from glidepath_server.operations.step_types import Report, RunWork
from glidepath_server.store import runs_read


async def letters(room: StepRoom) -> list[tuple[Any, ...]]:
    rows = await runs_read.dead_letters(room.watcher, "default", "", 2**63 - 1, 10)
    return [(row.dag_run_id, row.task_id, row.attempt_number, row.budget) for row in rows]


async def given_up(room: StepRoom, key: AttemptKey, outcome: AttemptState, **budget: int) -> None:
    """The attempt ends when the budget that its end uses has nothing left."""
    for column, used in budget.items():
        await room.watcher.execute(f"update live_attempt set {column} = $1", used)
    await step(room, ends([key], outcome))


@pytest.mark.parametrize(
    ("outcome", "used", "budget"),
    [
        (AttemptState.FAILED, {}, "tries"),
        (AttemptState.TIMED_OUT, {}, "tries"),
        (AttemptState.LOST, {"losses": 3}, "losses"),
        (AttemptState.RETURNED, {"redeliveries": REDELIVERIES_MAX}, "redeliveries"),
    ],
)
async def test_a_task_that_is_given_up_is_a_dead_letter(
    room: StepRoom, outcome: AttemptState, used: dict[str, int], budget: str
) -> None:
    key = await claimed(room)
    await given_up(room, key, outcome, **used)
    assert await letters(room) == [(key.dag_run_id, "task0", 1, budget)]


async def test_a_failure_that_is_never_tried_again_used_nothing_up(room: StepRoom) -> None:
    key = await claimed(room, retries=3)
    failure = Failure(FailureKind.BAD_INPUT, message="no such column")
    await step(room, {key.dag_run_id: RunWork(reports=[Report(key, AttemptState.FAILED, failure)])})
    assert await letters(room) == [(key.dag_run_id, "task0", 1, "none")]


async def test_what_is_tried_again_or_cancelled_is_no_dead_letter(room: StepRoom) -> None:
    key = await claimed(room, retries=1)
    await step(room, ends([key], AttemptState.FAILED))
    assert (await letters(room), await room.queued()) == ([], {0: 0})
    await step(room, command(key.dag_run_id, RunCancelled("never mind")))
    assert (await letters(room), await room.queued()) == ([], {})


async def test_a_clear_takes_the_letter_off_the_list_and_the_next_failure_puts_one_there(room: StepRoom) -> None:
    key = await claimed(room)
    await given_up(room, key, AttemptState.FAILED)
    await step(room, command(key.dag_run_id, TasksCleared((0,))))
    assert (await letters(room), await room.queued()) == ([], {0: 0})
    again = await room.claim_one(await room.session("another"))
    await step(room, ends([again], AttemptState.FAILED))
    assert await letters(room) == [(key.dag_run_id, "task0", 2, "tries")]


async def test_a_clear_in_the_step_of_the_failure_leaves_no_letter(room: StepRoom) -> None:
    key = await claimed(room)
    batch = ends([key], AttemptState.FAILED)
    batch[key.dag_run_id].command = command(key.dag_run_id, TasksCleared((0,)))[key.dag_run_id].command
    await step(room, batch)
    assert (await letters(room), await room.queued()) == ([], {0: 0})
