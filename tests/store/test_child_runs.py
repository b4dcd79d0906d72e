"""Attempts that go on as child runs: made once, told once, ended by their caller's step, whoever comes in between."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from calling_room import BROKEN, DAG, family, value
from step_room import HANDLER, StepRoom, command

from glidepath_server.core.calls import Call
from glidepath_server.core.canonical import canonical_json
from glidepath_server.core.definition import DagSpec, Handler, Literal, MapInput, MapSpec, TaskSpec
from glidepath_server.core.events import AttemptKey, TasksCancelled, TasksCleared
from glidepath_server.core.states import AttemptState
from glidepath_server.operations.step_types import Output, Report, RunWork, Verdict
from glidepath_server.store import runs_read


# ---- the whole of it
async def test_a_caller_ends_as_its_child_run_does_with_the_output_of_its_last_tasks(room: StepRoom) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key)
    assert await home.states() == ("running", ["released"])
    assert (await home.attempts(), await home.waiting(), await room.live()) == ([], 1, [child])
    await home.say(child, output=value(7))
    assert await home.states() == ("success", ["success"])
    assert (await home.attempts(), await home.output(), await home.waiting()) == (["success"], {"task0": 7}, 0)


async def test_the_output_of_a_named_task_is_the_callers_own(room: StepRoom) -> None:
    home = await family(room, tasks=2, upstream={1: [0]})
    child = await home.calls(home.newest().key, Call("dag", output_task_id="task0"))
    await home.say(child, output=value([1, 2]))
    await home.say(home.newest(child.dag_run_id).key, output=value("of the last"))
    assert await home.output() == [1, 2]


async def test_a_child_run_has_its_callers_dates_and_type_and_is_made_by_it(room: StepRoom) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key)
    row = await room.watcher.fetchrow(
        """select c.run_type, c.created_by, c.run_key, c.logical_date = p.logical_date as same_date
           from dag_run c, dag_run p where c.dag_run_id = $1 and p.dag_run_id = $2""",
        child.dag_run_id,
        home.run_id,
    )
    assert tuple(row) == ("child", f"run {home.run_id}", f"called/{home.run_id}/0/-1/1", True)


async def test_a_child_run_that_fails_fails_the_attempt_with_its_reason(room: StepRoom) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key)
    await home.say(child, AttemptState.FAILED, failure=BROKEN)
    assert await home.states() == ("failed", ["failed"])
    failure = await home.failure()
    assert (failure["kind"], failure["type"]) == ("application", "ChildRunFailed")
    assert str(child.dag_run_id) in failure["message"]
    assert "no data" in failure["message"]


async def test_each_retry_of_a_caller_is_a_child_run_of_its_own(room: StepRoom) -> None:
    home = await family(room, retries=1)
    first = await home.calls(home.newest().key)
    await home.say(first, AttemptState.FAILED, failure=BROKEN)
    again = home.newest(first.dag_run_id).key  # the child's own task is retried, too
    await home.say(again, AttemptState.FAILED, failure=BROKEN)
    second = await home.calls(home.newest(home.run_id).key)
    assert second.dag_run_id != first.dag_run_id
    await home.say(second)
    assert (await home.attempts(), await home.states()) == (["failed", "success"], ("success", ["success"]))


async def test_with_resume_the_task_is_called_again_and_told_how_the_child_run_ended(room: StepRoom) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key, Call("dag", resume=True), checkpoint=b"round 1")
    await home.say(child, AttemptState.FAILED, failure=BROKEN)
    resumed = home.newest()
    assert (resumed.key, resumed.checkpoint) == (AttemptKey(home.run_id, 0, -1, 2), b"round 1")
    assert resumed.child is not None
    assert (resumed.child.dag_run_id, resumed.child.state) == (child.dag_run_id, "failed")
    second = await home.calls(resumed.key, Call("dag", resume=True))
    await home.say(second, output=value(3))
    resumed = home.newest()
    assert resumed.child is not None
    assert resumed.child.output == Output("application/json", b'{"task0":3}', None, 11, "")
    await home.say(resumed.key)
    assert (await home.attempts(), await home.states()) == (["called", "called", "success"], ("success", ["success"]))


async def test_an_attempt_that_was_lost_is_told_of_the_child_run_again_and_one_after_a_failure_is_not(
    room: StepRoom,
) -> None:
    home = await family(room, retries=1)
    child = await home.calls(home.newest().key, Call("dag", resume=True))
    await home.say(child)
    await home.say(home.newest(home.run_id).key, AttemptState.LOST)
    after_loss = home.newest()
    assert after_loss.key.attempt_number == 3
    assert after_loss.child is not None
    await home.say(after_loss.key, AttemptState.FAILED, failure=BROKEN)
    after_failure = home.newest()
    assert (after_failure.key.attempt_number, after_failure.child) == (4, None)


# ---- slots
async def test_a_caller_holds_no_slot_while_its_child_run_goes_on(room: StepRoom) -> None:
    home = await family(room, pool_slots=1)
    child = await home.calls(home.newest().key)
    assert await room.live() == [child]
    holders = "select array_agg(dag_run_id) from limit_holder where limit_id = $1"
    assert await room.watcher.fetchval(holders, room.pool_limit) == [child.dag_run_id]
    await home.say(child)
    assert await home.states() == ("success", ["success"])


async def test_a_child_run_waits_for_the_cap_on_active_runs_of_its_dag(room: StepRoom) -> None:
    home = await family(room, runs_active_max=1, tasks=2)
    await home.say(home.newest().key, AttemptState.CALLED, call=DAG)
    (child,) = await home.children()
    assert not await room.watcher.fetchval("select admitted from dag_run where dag_run_id = $1", child)
    assert home.newest().key.dag_run_id == home.run_id


# ---- calls that cannot be made
@pytest.mark.parametrize(
    ("call", "names"),
    [
        (Call("dog"), "there is no DAG 'dog' in namespace 'default' (did you mean dag?)"),
        (Call("dag", number=7), "has no version 7"),
        (Call("dag", alias="production"), "has no alias 'production'"),
        (Call("dag", params='{"rate": 1}'), "call.params"),
        (Call("dag", output_task_id="nothing"), "has no task 'nothing'"),
    ],
)
async def test_what_cannot_be_called_fails_the_attempt_for_good_and_names_what_is_wrong(
    room: StepRoom, call: Call, names: str
) -> None:
    home = await family(room, retries=3)
    await home.say(home.newest().key, AttemptState.CALLED, call=call)
    failure = await home.failure()
    assert names in failure["message"]
    assert (failure["kind"], await home.attempts(), await home.children()) == ("bad_input", ["failed"], [])
    assert await home.states() == ("failed", ["failed"])


async def test_calls_go_no_deeper_than_they_may(room: StepRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glidepath_server.operations.calls.DEPTH_MAX", 2)
    home = await family(room)
    second = await home.calls(await home.calls(home.newest().key))
    await home.say(second, AttemptState.CALLED, call=DAG)
    assert "nested 2 deep" in (await home.failure(second.dag_run_id))["message"]
    assert len(await home.children()) == 2
    assert await home.states() == ("failed", ["failed"])


async def test_a_run_calls_no_more_than_it_may(room: StepRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glidepath_server.operations.calls.CHILDREN_MAX", 1)
    home = await family(room)
    child = await home.calls(home.newest().key, Call("dag", resume=True))
    await home.say(child)
    await home.say(home.newest(home.run_id).key, AttemptState.CALLED, call=DAG)
    assert "as many as a run may" in (await home.failure())["message"]


async def test_outputs_that_are_too_much_together_fail_the_caller(
    room: StepRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glidepath_server.operations.calls.COMBINED_BYTES_MAX", 10)
    home = await family(room)
    child = await home.calls(home.newest().key)
    await home.say(child, output=value("a" * 20))
    failure = await home.failure()
    assert failure["kind"] == "bad_input"
    assert "22 bytes together, and 10 may be given on" in failure["message"]


async def test_a_run_key_that_somebody_else_has_taken_is_left_to_him(room: StepRoom) -> None:
    home = await family(room)
    await room.watcher.execute(
        "insert into dag_run_key values ('default', 'dag', $1, $2)", f"called/{home.run_id}/0/-1/1", uuid.uuid4()
    )
    child = await home.calls(home.newest().key)
    key = await room.watcher.fetchval("select run_key from dag_run where dag_run_id = $1", child.dag_run_id)
    assert key == str(child.dag_run_id)


# ---- once
async def test_a_call_that_is_told_twice_makes_one_child_run(room: StepRoom) -> None:
    home = await family(room)
    key = home.newest().key
    child = await home.calls(key)
    await home.say(key, AttemptState.CALLED, call=DAG)
    await home.say(child)
    await home.say(key, AttemptState.CALLED, call=DAG)
    assert await home.children() == [child.dag_run_id]
    assert [v for r, v in home.worker.acks if r.key == key] == [Verdict.ACCEPTED, Verdict.DUPLICATE, Verdict.DUPLICATE]


async def test_a_step_that_is_lost_has_made_no_child_run_and_the_next_one_makes_it(room: StepRoom) -> None:
    home = await family(room)
    key = home.newest().key
    work = {home.run_id: RunWork(reports=[Report(key, AttemptState.CALLED, call=DAG)])}
    async with room.side() as side:
        await side.step(work)
        await side.rollback()
    assert (await home.children(), await room.live()) == ([], [key])
    await home.calls(key)
    assert len(await home.children()) == 1


async def test_an_end_that_two_replicas_see_ends_the_caller_once(room: StepRoom) -> None:
    home = await family(room, tasks=1)
    child = await home.calls(home.newest().key)
    async with room.side() as here, room.side() as there:
        await here.step_and_commit({child.dag_run_id: RunWork(reports=[Report(child, AttemptState.SUCCESS)])})
        await here.step({home.run_id: RunWork(inbox=True)})
        passed = await there.step({home.run_id: RunWork(inbox=True)})
        await here.commit()
        await there.commit()
        assert home.run_id in passed.missed
        await there.step_and_commit({home.run_id: RunWork(inbox=True)})
    assert (await home.attempts(), await home.states()) == (["success"], ("success", ["success"]))


async def test_an_end_that_no_replica_was_told_of_is_found_by_the_poll(room: StepRoom) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key)
    async with room.side() as dies_after_its_commit:
        work = {child.dag_run_id: RunWork(reports=[Report(child, AttemptState.SUCCESS)])}
        await dies_after_its_commit.step_and_commit(work)
    assert await home.waiting() == 1
    await home.poll()
    assert await home.states() == ("success", ["success"])


async def test_a_child_run_that_is_run_again_by_hand_changes_its_caller_no_more(room: StepRoom) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key)
    await home.say(child, output=value(1))
    await home.operator(TasksCleared((0,)), child.dag_run_id)
    again = home.newest(child.dag_run_id).key
    assert again.attempt_number == 2
    await home.say(again, AttemptState.FAILED, failure=BROKEN)
    assert (await home.states(child.dag_run_id))[0] == "failed"
    assert (await home.attempts(), await home.output(), await home.states()) == (
        ["success"],
        {"task0": 1},
        ("success", ["success"]),
    )


async def test_a_child_run_that_is_run_again_before_its_caller_was_told_has_given_what_it_gave_first(
    room: StepRoom,
) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key)
    async with room.side() as elsewhere:
        for number, given in enumerate((1, 2), 1):
            key = child._replace(attempt_number=number)
            report = Report(key, AttemptState.SUCCESS, output=value(given))
            await elsewhere.step_and_commit({child.dag_run_id: RunWork(reports=[report])})
            if number == 1:
                await home.operator(TasksCleared((0,)), child.dag_run_id)
    await home.poll()
    assert (await home.attempts(), await home.output()) == (["success"], {"task0": 1})


async def test_a_second_end_that_is_told_while_the_first_is_being_taken_changes_nothing(room: StepRoom) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key)
    async with room.side() as caller, room.side() as elsewhere:
        await elsewhere.step_and_commit({child.dag_run_id: RunWork(reports=[Report(child, AttemptState.SUCCESS)])})
        await elsewhere.step_and_commit(command(child.dag_run_id, TasksCleared((0,))))
        await room.claim_one(await room.session("other"))
        await caller.step({home.run_id: RunWork(inbox=True)})
        again = Report(child._replace(attempt_number=2), AttemptState.FAILED, failure=BROKEN)
        await elsewhere.step_and_commit({child.dag_run_id: RunWork(reports=[again])})
        await caller.commit()
    assert await room.watcher.fetchval("select count(*) from run_inbox") == 1
    await home.poll()
    assert await room.watcher.fetchval("select count(*) from incident") == 0
    assert (await home.attempts(), await home.states()) == (["success"], ("success", ["success"]))


async def test_a_cancel_spares_a_child_run_of_an_earlier_attempt_that_somebody_has_begun_again(room: StepRoom) -> None:
    home = await family(room, retries=1)
    child = await home.calls(home.newest().key)
    for _ in range(2):
        await home.say(home.newest(child.dag_run_id).key, AttemptState.FAILED, failure=BROKEN)
    second = home.newest(home.run_id).key
    assert second.attempt_number == 2
    await home.operator(TasksCleared((0,)), child.dag_run_id)
    await home.operator(TasksCancelled((0,)))
    intent = await room.watcher.fetchval("select intent from dag_run where dag_run_id = $1", child.dag_run_id)
    assert intent == "run"


async def test_a_task_that_was_cleared_is_not_told_of_child_runs_from_before(room: StepRoom) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key, Call("dag", resume=True))
    await home.say(child)
    await home.say(home.newest(home.run_id).key)
    await home.operator(TasksCleared((0,)))
    await home.say(home.newest(home.run_id).key, AttemptState.LOST)
    anew = home.newest(home.run_id)
    assert (anew.key.attempt_number, anew.child) == (4, None)


# ---- set aside
async def test_the_end_of_a_child_run_waits_for_a_caller_that_is_set_aside(room: StepRoom) -> None:
    home = await family(room)
    child = await home.calls(home.newest().key)
    await room.watcher.execute("update dag_run set quarantined = true where dag_run_id = $1", home.run_id)
    await home.say(child)
    assert (await home.states(), await home.waiting()) == (("running", ["released"]), 1)
    await room.watcher.execute("update dag_run set quarantined = false where dag_run_id = $1", home.run_id)
    home.engine.add_inbox(home.run_id)
    await home.turn()
    assert await home.states() == ("success", ["success"])


async def test_a_run_that_is_set_aside_while_it_calls_has_its_child_run(room: StepRoom) -> None:
    home = await family(room)
    key = home.newest().key
    work = RunWork(reports=[Report(key, AttemptState.CALLED, call=DAG)])
    await home.engine.quarantine(home.run_id, work, ValueError("a bug"))
    assert (len(await home.children()), await home.waiting(), await room.live()) == (1, 1, [])


async def test_runs_that_nobody_has_called_are_told_to_nobody(room: StepRoom) -> None:
    home = await family(room)
    await home.say(home.newest().key)
    assert await room.watcher.fetchval("select count(*) from run_inbox") == 0


async def test_the_history_of_one_instance_has_none_of_the_others_that_wait_for_child_runs(room: StepRoom) -> None:
    home = await family(room, maps={0: MapSpec((MapInput("x", Literal(b"[1, 2]")),))})
    for each in list(home.worker.assigned):
        await home.calls(each.key)
    beginning = (datetime.min.replace(tzinfo=UTC), 0, 0, 0)
    for index in range(2):
        found = await runs_read.attempts(room.watcher, home.run_id, 0, index, beginning, 10)
        assert [each.map_index for each in found] == [index]
    row = await room.watcher.fetchrow("select * from dag_run where dag_run_id = $1", home.run_id)
    graph = home.engine.replica.plans.versions[row["dag_version_id"]].graph
    rows = await runs_read.rows_of(room.watcher, home.run_id, [0], graph, row["board"][:1])
    assert rows.instances[0].running == 2 and rows.instances[0].start_time == found[0].start_time


async def test_a_task_that_a_move_has_brought_calls_also_where_the_run_was_known_before(room: StepRoom) -> None:
    """What this replica remembers of the run is from before another one has moved it."""
    home = await family(room, tasks=2, upstream={1: [0]})
    await home.say(home.newest().key)
    before = DagSpec("dag", (TaskSpec("task0", Handler(HANDLER)),))
    version_id = await room.watcher.fetchval(
        """insert into dag_version (namespace, dag_id, dag_version_number, content_hash, spec, class_ids, create_time,
                                    created_by)
           select namespace, dag_id, 2, 'before', $1, class_ids[1:1], create_time, created_by from dag_version
           returning dag_version_id""",
        canonical_json(before),
    )
    facts = home.engine.replica.plans.facts
    facts[home.run_id] = replace(facts[home.run_id], dag_version_id=version_id)
    await home.calls(home.newest().key)
    assert await room.watcher.fetchval("select task_id from child_run where waiting") == "task1"
    assert await room.watcher.fetchval("select count(*) from incident") == 0
