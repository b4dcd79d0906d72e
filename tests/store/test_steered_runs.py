"""Deferrals, marks, branches and runs that fail fast, through the store: what only the rows can lose or keep."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from step_room import StepRoom, command, ends
from test_ends import claimed, step

from glidepath_server.core.events import AttemptKey, Deferral, RunStarted, TasksMarked
from glidepath_server.core.graph import TaskRole
from glidepath_server.core.states import AttemptState, TaskEvent
from glidepath_server.operations.step_types import Output, RunWork
from glidepath_server.store import engine, worker_feed


# ---- deferrals
async def waited(room: StepRoom, key: AttemptKey) -> tuple[int, bool]:
    """How often the live attempt's task has deferred, and whether it is known since when."""
    row = await room.watcher.fetchrow("select deferrals, waiting_since from live_attempt where dag_run_id = $1", key[0])
    return row["deferrals"], row["waiting_since"] is not None


async def checkpoint(room: StepRoom, key: AttemptKey) -> bytes:
    rows = await engine.read_checkpoints(room.watcher, [key.dag_run_id], [key.task])
    return rows[0]["checkpoint"] if rows else b""


async def defer(room: StepRoom, key: AttemptKey, checkpoint: bytes = b"") -> AttemptKey:
    """The attempt defers for a moment, and its successor is claimed once that has passed."""
    await step(room, ends([key], AttemptState.DEFERRED, deferral=Deferral(None, 30), checkpoint=checkpoint))
    assert await engine.wake_due(room.watcher, 10) == []
    shifted = await room.watcher.fetchval("select extract(epoch from shift)::integer from clock")
    await room.shift_clock(shifted + 31)
    assert len(await engine.wake_due(room.watcher, 10)) == 1
    return await room.claim_one(await room.session(f"next after {shifted} s"))


async def test_a_deferral_is_known_to_the_attempt_that_is_claimed_after_it(room: StepRoom) -> None:
    key = await defer(room, await claimed(room), b"page 7")
    assert key.attempt_number == 2 and await room.history() == ["deferred"]
    assert await waited(room, key) == (1, True)
    assert await checkpoint(room, key) == b"page 7"


@pytest.mark.parametrize("outcome", [AttemptState.LOST, AttemptState.RETURNED, AttemptState.FAILED])
async def test_a_deferral_is_known_to_the_attempt_that_is_handed_over_after_it(
    room: StepRoom, outcome: AttemptState
) -> None:
    key = await defer(room, await claimed(room, retries=1), b"page 7")
    async with room.side() as side:
        await side.seat(await room.session("free"))
        (assigned,) = (await side.step_and_commit(ends([key], outcome))).assigned
    assert assigned.key.attempt_number == 3, "handed over, never queued"
    assert await waited(room, assigned.key) == (1, True)
    assert await checkpoint(room, assigned.key) == b"page 7"


async def test_who_leaves_no_checkpoint_leaves_the_last_one(room: StepRoom) -> None:
    key = await defer(room, await defer(room, await claimed(room), b"one"))
    assert (await waited(room, key), await checkpoint(room, key)) == ((2, True), b"one")


# ---- marks
async def test_an_older_word_that_comes_while_an_attempt_ends_hides_nothing(room: StepRoom) -> None:
    key = await claimed(room)
    async with room.side() as side:
        await side.step(ends([key], AttemptState.DEFERRED, deferral=Deferral(None, 30), checkpoint=b"page 8"))
        await worker_feed.put_progress(room.watcher, {key: (10.0, "", b"page 7")}, "*")
        await side.commit()
    assert await room.watcher.fetchval("select checkpoint from task_progress") == b"page 8"


async def test_a_mark_that_fails_a_run_fast_takes_back_what_waits_beside_it(room: StepRoom) -> None:
    await room.store_dag(3, fail_fast=True)
    run_id = await room.start_run(3)
    live = await room.claim_one(await room.session())
    waiting = next(task for task in range(3) if task != live.task)
    async with room.side() as side:
        outcome = await side.step_and_commit(command(run_id, TasksMarked((waiting,), TaskEvent.MARK_FAILED, "known")))
    assert await room.queued() == {}, "nothing of it starts any more"
    assert [order.key for order in outcome.cancels] == [live]
    await step(room, ends([live], AttemptState.CANCELLED))
    assert await room.watcher.fetchval("select state from dag_run") == "failed"


async def test_a_mark_leaves_the_end_of_a_run_where_it_was(room: StepRoom) -> None:
    key = await claimed(room)
    await step(room, ends([key], AttemptState.FAILED))
    times = "select state, end_time - start_time as lasted from dag_run"
    before = await room.watcher.fetchrow(times)
    await room.shift_clock(600)
    await step(room, command(key.dag_run_id, TasksMarked((0,), TaskEvent.MARK_SUCCESS, "by hand")))
    after = await room.watcher.fetchrow(times)
    assert (before["state"], after["state"]) == ("failed", "success")
    assert after["lasted"] == before["lasted"]


# ---- branches
def output(body: bytes | None) -> Output:
    return Output("application/json", body, None if body is not None else "artifact:1", len(body or b""), "")


async def branched(room: StepRoom, role: TaskRole, said: Output | None) -> tuple[UUID, list[str]]:
    """A run in which task 0 comes before the tasks 1 and 2 and has said this: its id, and the attempts' ends."""
    await room.store_dag(3, upstream={1: [0], 2: [0]}, roles={0: role})
    run_id = await room.create_run(3)
    async with room.side() as side:
        await side.step_and_commit({run_id: RunWork(events=[RunStarted()])})
    key = await room.claim_one(await room.session())
    await step(room, ends([key], output=said))
    assert await room.watcher.fetchval("select count(*) from incident") == 0
    return run_id, await room.history()


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (output(b"[" * 60_000), "nested too deeply"),
        (output(b'["task1", "task9"]'), "expected ids of tasks directly downstream: task1, task2"),
        (output(None), "bytes; expected at most"),
    ],
)
async def test_a_branch_that_says_nothing_sensible_fails_and_quarantines_nothing(
    room: StepRoom, said: Output, says: str
) -> None:
    _, ends_of_attempts = await branched(room, TaskRole.BRANCH, said)
    assert ends_of_attempts == ["failed"] and await room.queued() == {}
    failure = json.loads(await room.watcher.fetchval("select failure from task_attempt"))
    assert (failure["kind"], failure["type"]) == ("bad_input", "NoChoice") and says in failure["message"]
    assert await room.watcher.fetchval("select count(*) from task_output") == 0


async def test_a_choice_is_in_the_row_of_the_run(room: StepRoom) -> None:
    await branched(room, TaskRole.BRANCH, output(b'"task2"'))
    assert await room.queued() == {2: 0}
    board = await room.watcher.fetchval("select board from dag_run")
    assert json.loads(board[15:]) == {"choices": {"0": [2]}}


@pytest.mark.parametrize(("said", "goes_on"), [(None, False), (output(b"[]"), False), (output(None), True)])
async def test_a_short_circuit_goes_by_its_output(room: StepRoom, said: Output | None, goes_on: bool) -> None:
    await branched(room, TaskRole.SHORT_CIRCUIT, said)
    assert await room.queued() == ({1: 0, 2: 0} if goes_on else {})
