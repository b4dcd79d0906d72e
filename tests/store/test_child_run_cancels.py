"""Callers that are told to end tell their child runs, and have ended when these have."""

from __future__ import annotations

import pytest
from calling_room import BROKEN, DAG, family
from step_room import StepRoom

from glidepath_server.core.calls import Call
from glidepath_server.core.errors import StateConflict
from glidepath_server.core.events import (
    AttemptKey,
    RunCancelled,
    RunTimedOut,
    TasksCancelled,
    TasksCleared,
    TasksMarked,
)
from glidepath_server.core.states import AttemptState, TaskEvent
from glidepath_server.loops import timers
from glidepath_server.operations.step_types import Report, RunWork


async def test_the_cancel_of_a_run_cancels_its_child_runs_and_theirs_and_says_so(room: StepRoom) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key)
    grandchild = await home.calls(child)
    await home.operator(RunCancelled("not needed"))
    assert await home.states() == ("running", ["released"])  # not before what it has begun has ended
    await home.say(grandchild, AttemptState.CANCELLED)
    for run_id in (home.run_id, child.dag_run_id, grandchild.dag_run_id):
        assert await home.states(run_id) == ("cancelled", ["cancelled"])
    reason = await room.watcher.fetchval("select reason from dag_run where dag_run_id = $1", grandchild.dag_run_id)
    assert str(child.dag_run_id) in reason
    assert "not needed" in reason
    assert (await home.attempts(), await home.waiting()) == (["cancelled"], 0)


async def test_a_call_of_an_attempt_that_was_told_to_end_makes_no_child_run(room: StepRoom) -> None:
    home = await family(room)
    key = home.newest().key
    await home.operator(RunCancelled())
    await home.say(key, AttemptState.CALLED, call=DAG)
    assert (await home.children(), await home.attempts()) == ([], ["cancelled"])
    assert await home.states() == ("cancelled", ["cancelled"])


async def test_a_call_and_a_cancel_in_one_step_end_the_child_run_before_it_begins(room: StepRoom) -> None:
    home = await family(room)
    key = home.newest().key
    home.engine.submit([Report(key, AttemptState.CALLED, call=DAG, origin=home.worker)])
    home.engine.add_event(home.run_id, RunCancelled("not needed"))
    await home.turn()
    (child,) = await home.children()
    assert await home.states(child) == ("cancelled", ["cancelled"])
    assert await home.states() == ("cancelled", ["cancelled"])


async def test_a_child_run_that_succeeds_while_its_caller_is_cancelled_has_succeeded(room: StepRoom) -> None:
    home = await family(room, tasks=2)
    first, second = (each.key for each in home.worker.assigned)
    child = await home.calls(first)
    async with room.side() as elsewhere:  # another replica ends the child run while ours cancels
        work = [Report(AttemptKey(child.dag_run_id, task, -1, 1), AttemptState.SUCCESS) for task in (0, 1)]
        await elsewhere.step_and_commit({child.dag_run_id: RunWork(reports=work)})
    await home.operator(RunCancelled())
    await home.say(second, AttemptState.CANCELLED)
    await home.poll()
    assert await home.states() == ("cancelled", ["success", "cancelled"])


async def test_a_task_that_is_cancelled_cancels_its_child_run_and_no_other(room: StepRoom) -> None:
    home = await family(room, tasks=2)
    first, second = (each.key for each in home.worker.assigned)
    one, other = await home.calls(first), await home.calls(second)
    await home.operator(TasksCancelled((0,)))
    for task in (0, 1):
        await home.say(AttemptKey(one.dag_run_id, task, -1, 1), AttemptState.CANCELLED)
    assert (await home.states(one.dag_run_id))[0] == "cancelled"
    assert (await home.states(other.dag_run_id))[0] == "running"
    assert await home.states() == ("running", ["cancelled", "released"])


async def test_a_child_run_that_is_told_twice_to_end_is_ended_once(room: StepRoom) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key)
    for reason in ("first", "second"):
        await home.operator(TasksCancelled((0,), reason))
    await home.say(child, AttemptState.CANCELLED)
    assert await home.states(child.dag_run_id) == ("cancelled", ["cancelled"])
    reason = await room.watcher.fetchval("select reason from dag_run where dag_run_id = $1", child.dag_run_id)
    assert reason.endswith(": first")


async def test_a_caller_that_is_cleared_begins_anew_once_its_child_run_has_ended(room: StepRoom) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key)
    with pytest.raises(StateConflict, match="is running"):
        await home.operator(TasksCleared((0,)))
    await home.operator(TasksCleared((0,), cancel_running=True))
    assert await home.states() == ("running", ["restarting"])
    await home.say(child, AttemptState.CANCELLED)
    assert (await home.attempts(), await home.states()) == (["cancelled"], ("running", ["released"]))
    second = await home.calls(home.newest(home.run_id).key)
    assert (second.dag_run_id != child.dag_run_id, home.newest(home.run_id).key.attempt_number) == (True, 2)


async def test_what_an_operator_marks_while_it_calls_has_that_end_once_its_child_run_has_ended(room: StepRoom) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key)
    await home.operator(TasksMarked((0,), TaskEvent.MARK_SUCCESS, "done by hand"))
    await home.say(child, AttemptState.CANCELLED)
    assert (await home.states(), await home.attempts()) == (("success", ["success"]), ["cancelled"])
    assert (await home.states(child.dag_run_id))[0] == "cancelled"


async def test_with_resume_a_caller_that_was_told_to_end_is_not_called_again(room: StepRoom) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key, Call("dag", resume=True))
    await home.operator(TasksCancelled((0,)))
    await home.say(child)
    assert (await home.attempts(), await home.states()) == (["cancelled"], ("failed", ["cancelled"]))


async def test_a_child_run_that_an_operator_cancels_fails_its_caller_and_is_not_begun_again(room: StepRoom) -> None:
    home = await family(room, retries=3)
    child = await home.calls(home.newest().key)
    await home.operator(RunCancelled("by anna"), child.dag_run_id)
    await home.say(child, AttemptState.CANCELLED)
    failure = await home.failure()
    assert (failure["type"], "by anna" in failure["message"]) == ("ChildRunCancelled", True)
    assert await home.states() == ("failed", ["failed"])


async def test_a_caller_that_is_over_its_timeout_ends_its_child_run_and_is_tried_again(room: StepRoom) -> None:
    home = await family(room, retries=1)
    child = await home.calls(home.newest().key)
    await room.watcher.execute("update child_run set timeout_time = glidepath_now() - interval '1 second'")
    await timers.call_timeouts(home.engine).once()
    await home.turn()
    await home.say(child, AttemptState.CANCELLED)
    assert await home.attempts() == ["timed_out"]
    assert home.newest(home.run_id).key.attempt_number == 2


async def test_a_run_over_its_timeout_takes_its_child_runs_along(room: StepRoom) -> None:
    home = await family(room, run_timeout_seconds=3600.0)
    child = await home.calls(home.newest().key)
    await room.watcher.execute("update dag_run set timeout_time = glidepath_now() where dag_run_id = $1", home.run_id)
    home.engine.add_event(home.run_id, RunTimedOut())
    await home.turn()
    await home.say(child, AttemptState.CANCELLED)
    assert (await home.states())[0] == "failed"
    assert (await home.states(child.dag_run_id))[0] == "cancelled"


async def test_the_first_failure_of_a_run_that_fails_fast_ends_its_child_runs(room: StepRoom) -> None:
    home = await family(room, tasks=2, fail_fast=True)
    first, second = (each.key for each in home.worker.assigned)
    child = await home.calls(first)
    await home.say(second, AttemptState.FAILED, failure=BROKEN)
    for task in (0, 1):
        await home.say(AttemptKey(child.dag_run_id, task, -1, 1), AttemptState.CANCELLED)
    assert await home.states() == ("failed", ["cancelled", "failed"])
