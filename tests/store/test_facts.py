"""What ends of runs leave for those who want to hear of them: once, with the change, and nothing of ordinary ends."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from step_room import StepRoom, command, ends
from test_ends import claimed, step

from glidepath_server.core.events import RunCancelled, RunStarted, TasksCleared, TasksMarked
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.states import AttemptState, TaskEvent
from glidepath_server.operations.quarantine_run import mark_quarantined
from glidepath_server.operations.step_types import RunWork


async def facts(room: StepRoom) -> list[tuple[str, uuid.UUID | None, dict[str, Any]]]:
    rows = await room.watcher.fetch("select kind, dag_run_id, body from outbox order by fact_id")
    return [(row["kind"], row["dag_run_id"], json.loads(row["body"])) for row in rows]


async def kinds(room: StepRoom) -> list[str]:
    return [kind for kind, _, _ in await facts(room)]


async def again(room: StepRoom, run_id: uuid.UUID, outcome: AttemptState) -> None:
    """Clear the run's only task, and let its next attempt end so."""
    await step(room, command(run_id, TasksCleared((0,))))
    await step(room, ends([await room.claim_one(await room.session(uuid.uuid4().hex))], outcome))


async def test_a_run_that_fails_tells_the_tasks_that_failed_by_themselves_and_why(room: StepRoom) -> None:
    await room.store_dag(3, upstream={1: [0], 2: [1]})
    run_id = await room.create_run(3)
    await step(room, {run_id: RunWork(events=[RunStarted()])})
    failure = Failure(FailureKind.APPLICATION, type="ValueError", message="no such column: rate\nat line 5")
    await step(room, ends([await room.claim_one(await room.session())], AttemptState.FAILED, failure=failure))
    ((kind, of_run, body),) = await facts(room)
    assert (kind, of_run, body["tasks_failed_count"]) == ("run_failed", run_id, 1)
    cause = {"task_id": "task0", "reason": "ValueError: no such column: rate", "instances": 1, "map_index": -1}
    assert body["tasks_failed"] == [{**cause, "attempt_number": 1}]
    assert body["summary"] == "dag has failed: task0 (ValueError: no such column: rate)"


async def test_fifty_tasks_that_fail_are_one_fact_that_names_them(room: StepRoom) -> None:
    await room.store_dag(50)
    await room.start_run(50)
    session = await room.session()
    await step(room, ends([await room.claim_one(session) for _ in range(50)], AttemptState.FAILED))
    ((kind, _, body),) = await facts(room)
    assert (kind, len(body["tasks_failed"]), body["tasks_failed_count"]) == ("run_failed", 50, 50)
    assert body["summary"].endswith("and 47 more") and len(body["summary"]) <= 500


@pytest.mark.parametrize("letter", ["\N{SNOWMAN}", "\N{PILE OF POO}", "\x01"])
async def test_what_fails_at_length_in_any_script_is_a_fact_and_sets_no_run_aside(room: StepRoom, letter: str) -> None:
    """A letter of a message may be six or twelve bytes of a body, and a body has a bound."""
    await room.store_dag(50)
    run_id = await room.start_run(50)
    session = await room.session()
    failure = Failure(FailureKind.APPLICATION, type=letter * 100, message=letter * 400)
    keys = [await room.claim_one(session) for _ in range(50)]
    await step(room, ends(keys, AttemptState.FAILED, failure=failure))
    ((kind, of_run, body),) = await facts(room)
    assert (kind, of_run, body["tasks_failed_count"]) == ("run_failed", run_id, 50)
    assert 10 < len(body["tasks_failed"]) < 50


async def test_a_run_that_succeeds_or_is_cancelled_tells_nothing(room: StepRoom) -> None:
    key = await claimed(room)
    await step(room, ends([key]))
    await again(room, key.dag_run_id, AttemptState.SUCCESS)
    await step(room, command(key.dag_run_id, TasksCleared((0,))))
    await step(room, command(key.dag_run_id, RunCancelled("not needed")))
    assert await facts(room) == []


async def test_a_failed_run_that_succeeds_has_recovered_once(room: StepRoom) -> None:
    key = await claimed(room)
    await step(room, ends([key], AttemptState.FAILED))
    await again(room, key.dag_run_id, AttemptState.FAILED)
    await again(room, key.dag_run_id, AttemptState.SUCCESS)
    await again(room, key.dag_run_id, AttemptState.SUCCESS)
    assert await kinds(room) == ["run_failed", "run_failed", "run_recovered"]


async def test_a_run_that_is_cleared_and_cancelled_between_has_recovered_all_the_same(room: StepRoom) -> None:
    key = await claimed(room)
    await step(room, ends([key], AttemptState.FAILED))
    await step(room, command(key.dag_run_id, TasksCleared((0,))))
    await step(room, command(key.dag_run_id, RunCancelled("wait for the fix")))
    await again(room, key.dag_run_id, AttemptState.SUCCESS)
    assert await kinds(room) == ["run_failed", "run_recovered"]


@pytest.mark.parametrize(
    ("mark", "told"),
    [(TaskEvent.MARK_SUCCESS, ["run_failed", "run_recovered"]), (TaskEvent.MARK_FAILED, ["run_failed"])],
)
async def test_what_an_operator_marks_is_told_if_the_end_of_the_run_changes(
    room: StepRoom, mark: TaskEvent, told: list[str]
) -> None:
    key = await claimed(room)
    await step(room, ends([key], AttemptState.FAILED))
    await step(room, command(key.dag_run_id, TasksMarked((0,), mark)))
    assert await kinds(room) == told


async def test_a_step_that_is_rolled_back_has_told_nothing(room: StepRoom) -> None:
    key = await claimed(room)
    async with room.side() as side:
        await side.step(ends([key], AttemptState.FAILED))
        await side.rollback()
    assert await facts(room) == []


async def test_a_run_that_is_set_aside_is_told_once(room: StepRoom) -> None:
    key = await claimed(room)
    for _ in range(2):
        await mark_quarantined(room.watcher, key.dag_run_id, "ValueError: bad\x01 board")
    ((kind, run_id, body),) = await facts(room)
    assert (kind, run_id, body["incident_kind"]) == ("incident", key.dag_run_id, "run_quarantined")
    assert await room.watcher.fetchval("select count(*) from incident") == 1
