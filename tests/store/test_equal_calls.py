"""Equal calls through the store: one runs, the others wait for its result, whoever meets whom and whatever ends."""

from __future__ import annotations

import asyncio

import pytest
from equal_calls_room import (
    CANCELLED,
    HOUR,
    ONE,
    RELEASED,
    SUCCESS,
    TUESDAY,
    WEDNESDAY,
    calls,
    follow,
    queued,
    running,
    running_anew,
    sources,
    started,
    state,
    states,
    store_one,
    success,
    value,
    woken,
)
from replica_room import replica
from step_room import StepRoom, command, ends
from test_ends import step

from glidepath_server.core.definition import CachePolicy, Literal, OutputRef, Param
from glidepath_server.core.events import RunCancelled, RunStarted, TasksCleared
from glidepath_server.core.states import AttemptState, TaskState
from glidepath_server.loops import timers
from glidepath_server.operations.step_types import RunWork, StepOutcome
from glidepath_server.store import caching, engine
from glidepath_server.store import calls as child_runs


# ---- hits
async def test_an_equal_call_takes_the_kept_result_in_the_step_that_releases_it(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    await step(room, success(first, 7))
    second = await started(room)
    assert await state(room, second) == SUCCESS
    assert await value(room, second) == 7
    assert await room.history() == ["success"], "nobody ran it"
    assert await sources(room) == {second: first.dag_run_id}
    assert await calls(room) == []


async def test_another_call_runs(room: StepRoom) -> None:
    await store_one(room)
    await step(room, success(await running(room), 7))
    other = await started(room, WEDNESDAY)
    assert await state(room, other) == RELEASED and await sources(room) == {}


async def test_a_result_is_not_taken_after_its_time(room: StepRoom) -> None:
    await store_one(room)
    await step(room, success(await running(room), 7))
    await room.shift_clock(HOUR + 1)
    assert await state(room, await started(room)) == RELEASED


async def test_a_call_without_an_output_has_none_when_it_is_taken(room: StepRoom) -> None:
    await store_one(room)
    await step(room, ends([await running(room)]))
    second = await started(room)
    assert await state(room, second) == SUCCESS and await value(room, second) is None


async def test_a_failure_is_not_kept(room: StepRoom) -> None:
    await store_one(room)
    await step(room, ends([await running(room)], AttemptState.FAILED))
    assert await state(room, await started(room)) == RELEASED


async def test_a_chain_of_kept_results_is_followed_in_one_step(room: StepRoom) -> None:
    inputs = {0: {"day": Param("day")}, 1: {"before": OutputRef("task0", "n")}, 2: {"before": OutputRef("task1", "n")}}
    await room.store_dag(3, cache=CachePolicy(), inputs=inputs, upstream={1: [0], 2: [1]})
    run_id = await started(room, tasks=3)
    for number in range(3):
        key = await room.claim_one(await room.session(f"worker {number}"))
        await step(room, success(key, {"n": number}))
    assert await states(room, run_id, 3) == [SUCCESS] * 3
    second = await started(room, tasks=3)
    assert await states(room, second, 3) == [SUCCESS] * 3
    assert await value(room, second, 2) == {"n": 2}
    assert await room.watcher.fetchval("select state from dag_run where dag_run_id = $1", second) == "success"


async def test_what_follows_a_taken_result_is_given_its_output(room: StepRoom) -> None:
    inputs = {0: {"day": Param("day")}, 1: {"before": OutputRef("task0")}}
    await room.store_dag(2, cache=CachePolicy(version="1"), inputs=inputs, upstream={1: [0]})
    await started(room, tasks=2)
    await step(room, success(await room.claim_one(await room.session("first")), "seven"))
    await room.watcher.execute("delete from cached_result where task_id = 'task1'")
    await room.watcher.execute("delete from cached_call")
    await room.watcher.execute("delete from task_queue")
    async with room.side() as side:
        await side.seat(await room.session("second"))
        run_id = await room.create_run(2, TUESDAY)
        (assigned,) = (await side.step_and_commit({run_id: RunWork(events=[RunStarted()])})).assigned
    assert assigned.key[:2] == (run_id, 1), "handed over in the step that took the result"
    assert assigned.upstream[0].body == b'"seven"'


async def test_a_child_run_gives_its_caller_what_it_has_taken(room: StepRoom) -> None:
    await store_one(room)
    await step(room, success(await running(room), 7))
    second = await started(room)
    (given,) = await child_runs.outputs(room.watcher, [(second, 0)], 1_000)
    assert given["body"] == b"7"


# ---- equal calls at once
async def test_of_equal_calls_at_once_one_runs_and_the_others_take_its_result(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    second, third = await started(room), await started(room)
    assert await calls(room) == [(first.dag_run_id, False), (second, True), (third, True)]
    async with room.side() as side:
        await side.seat(await room.session("idle"))
        assert (await side.step_and_commit()).assigned == [], "who waits is not in the claim index"
    outcome = await step(room, success(first, 7))
    assert outcome.woken == {second, third}
    await follow(room)
    assert [await value(room, each) for each in (second, third)] == [7, 7]
    assert await room.history() == ["success"] and await calls(room) == []


async def test_equal_calls_of_one_step_run_once(room: StepRoom) -> None:
    await room.store_dag(3, cache=CachePolicy(), inputs=dict.fromkeys(range(3), ONE[0]))
    run_id = await started(room, tasks=3)
    assert sorted(waits for _, waits in await calls(room)) == [False, True, True]
    await step(room, success(await room.claim_one(await room.session()), 7))
    await follow(room)
    assert await states(room, run_id, 3) == [SUCCESS] * 3 and await room.history() == ["success"]


async def test_when_the_call_fails_exactly_one_of_those_who_wait_goes_on(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    second, third = await started(room), await started(room)
    await step(room, ends([first], AttemptState.FAILED))
    await follow(room)
    assert await calls(room) == [(third, True), (second, False)]
    assert await room.queued() == {0: 0} or sorted((await queued(room)).values()) == [-2, 0]


async def test_a_call_that_is_tried_again_is_waited_for(room: StepRoom) -> None:
    await store_one(room, retries=1)
    first = await running(room)
    second = await started(room)
    await step(room, ends([first], AttemptState.FAILED))
    assert await woken(room) == [] and await calls(room) == [(first.dag_run_id, False), (second, True)]
    again = await room.claim_one(await room.session("again"))
    assert again == (first.dag_run_id, 0, -1, 2)
    await step(room, success(again, 7))
    await follow(room)
    assert await value(room, second) == 7


async def test_a_call_that_is_cancelled_lets_the_next_one_go_on(room: StepRoom) -> None:
    await store_one(room)
    first = await started(room)
    second = await started(room)
    await step(room, command(first, RunCancelled()))
    await follow(room)
    assert await calls(room) == [(second, False)] and await queued(room) == {second: 0}


async def test_who_waits_can_be_cancelled_and_is_not_waited_for(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    second, third = await started(room), await started(room)
    await step(room, command(second, RunCancelled()))
    assert await state(room, second) == CANCELLED
    await step(room, success(first, 7))
    await follow(room)
    assert await state(room, second) == CANCELLED and await value(room, third) == 7


async def test_who_is_cancelled_once_it_was_woken_leaves_its_turn_to_the_next(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    second, third = await started(room), await started(room)
    await step(room, ends([first], AttemptState.FAILED))
    assert await woken(room) == [second]
    await step(room, command(second, RunCancelled()))
    await follow(room)
    assert await calls(room) == [(third, False)]


async def test_a_call_whose_run_is_set_aside_lets_the_next_one_go_on(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    second = await started(room)
    assert await caching.sweep_calls(room.watcher, 10) == [], "it is waited for"
    await engine.quarantine(room.watcher, first.dag_run_id, "broken")
    assert await caching.sweep_calls(room.watcher, 10) == [second]
    await follow(room)
    assert (second, False) in await calls(room)


async def test_a_call_whose_run_is_gone_lets_the_next_one_go_on(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    second = await started(room)
    await room.watcher.execute("delete from dag_run where dag_run_id = $1", first.dag_run_id)
    assert await caching.sweep_calls(room.watcher, 10) == [second]
    await follow(room)
    assert (second, False) in await calls(room)


async def test_a_result_that_has_expired_since_is_not_taken_by_who_was_woken(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    second = await started(room)
    await step(room, success(first, 7))
    await room.shift_clock(HOUR + 1)
    await follow(room)
    assert await calls(room) == [(second, False)] and await sources(room) == {}


# ---- two replicas at one key
async def test_of_two_replicas_that_begin_equal_calls_one_runs(room: StepRoom) -> None:
    await store_one(room)
    first, second = await room.create_run(1, TUESDAY), await room.create_run(1, TUESDAY)
    async with room.side() as one, room.side() as other:
        await one.step({first: RunWork(events=[RunStarted()])})
        waiting = await other.waits(other.step({second: RunWork(events=[RunStarted()])}))
        await one.commit()
        await waiting
        await other.commit()
    assert await calls(room) == [(first, False), (second, True)]


async def test_who_begins_to_wait_while_the_call_ends_is_woken(room: StepRoom) -> None:
    """The end is committed first: whoever has waited for the key finds the result, and comes again for it."""
    await store_one(room)
    first = await running(room)
    second = await room.create_run(1, TUESDAY)
    async with room.side() as one, room.side() as other:
        await one.step(success(first, 7))
        waiting: asyncio.Task[StepOutcome] = await other.waits(other.step({second: RunWork(events=[RunStarted()])}))
        await one.commit()
        assert (await waiting).woken == {second}
        await other.commit()
    await follow(room)
    assert await value(room, second) == 7 and await room.history() == ["success"]


async def test_an_end_that_meets_who_begins_to_wait_sees_it(room: StepRoom) -> None:
    """The one that waits is committed first: the end reads who waits in a statement after its lock."""
    await store_one(room)
    first = await running(room)
    second = await room.create_run(1, TUESDAY)
    async with room.side() as one, room.side() as other:
        await other.step({second: RunWork(events=[RunStarted()])})
        ending = await one.waits(one.step(success(first, 7)))
        await other.commit()
        assert (await ending).woken == {second}
        await one.commit()
    await follow(room)
    assert await value(room, second) == 7


async def test_a_failure_that_meets_who_begins_to_wait_wakes_it(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    second = await room.create_run(1, TUESDAY)
    async with room.side() as one, room.side() as other:
        await other.step({second: RunWork(events=[RunStarted()])})
        ending = await one.waits(one.step(ends([first], AttemptState.FAILED)))
        await other.commit()
        await ending
        await one.commit()
    await follow(room)
    assert await calls(room) == [(second, False)]


async def test_a_step_that_is_lost_has_kept_nothing_and_woken_nobody(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    second = await started(room)
    async with room.side() as side:
        await side.step(success(first, 7))
        await side.rollback()
    assert await woken(room) == [] and await calls(room) == [(first.dag_run_id, False), (second, True)]
    await step(room, success(first, 7))
    await follow(room)
    assert await value(room, second) == 7


async def test_results_that_are_pruned_leave_calls_alone(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    second = await started(room)
    assert await caching.prune(room.watcher, 10) == 0, "somebody is at the key"
    await step(room, success(first, 7))
    await follow(room)
    assert await value(room, second) == 7
    await room.shift_clock(HOUR + 1)
    assert await caching.prune(room.watcher, 10) == 1
    assert await room.watcher.fetchval("select count(*) from cached_result") == 0


async def test_pruning_passes_over_a_key_at_which_a_call_begins(room: StepRoom) -> None:
    await store_one(room)
    await step(room, success(await running(room), 7))
    await room.shift_clock(HOUR + 1)
    second = await room.create_run(1, TUESDAY)
    async with room.side() as side:
        await side.step({second: RunWork(events=[RunStarted()])})
        assert await caching.prune(room.watcher, 10) == 0
        await side.commit()
    assert await room.watcher.fetchval("select count(*) from cached_result") == 1


# ---- operators
async def test_what_is_cleared_runs_anew_and_its_result_takes_the_place_of_the_older(room: StepRoom) -> None:
    await store_one(room)
    await step(room, success(await running(room), 7))
    second = await started(room)
    await step(room, command(second, TasksCleared((0,))))
    again = await room.claim_one(await room.session("again"))
    assert again == (second, 0, -1, 2), "the reused result had the number 1"
    await step(room, success(again, 8))
    assert await value(room, second) == 8
    assert await value(room, await started(room)) == 8


async def test_who_waits_and_is_cleared_runs_beside_the_call_that_it_has_waited_for(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    second = await started(room)
    await step(room, command(second, TasksCleared((0,))))
    assert await calls(room) == [(first.dag_run_id, False), (second, False)]
    assert await queued(room) == {second: 0}


async def test_a_run_that_refreshes_runs_anew_and_replaces_what_is_kept(room: StepRoom) -> None:
    await store_one(room)
    await step(room, success(await running(room), 7))
    second = await started(room, refresh_cache=True)
    assert await state(room, second) == RELEASED
    await step(room, success(await room.claim_one(await room.session("second")), 8))
    assert await value(room, await started(room)) == 8


async def test_results_that_are_forgotten_are_made_anew(room: StepRoom) -> None:
    await store_one(room)
    await step(room, success(await running(room), 7))
    assert await caching.forget_results(room.watcher, "default", "dag", "task1", 10) == 0
    assert await caching.forget_results(room.watcher, "default", "dag", "task0", 10) == 1
    assert await state(room, await started(room)) == RELEASED


async def test_a_result_outlives_the_run_that_made_it(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    await step(room, success(first, 7))
    for table in ("dag_run", "task_output", "task_attempt"):
        await room.watcher.execute(f"delete from {table} where dag_run_id = $1", first.dag_run_id)
    assert await value(room, await started(room)) == 7


async def test_constants_tell_calls_apart(room: StepRoom) -> None:
    inputs = {0: {"n": Literal(b"1")}, 1: {"n": Literal(b"2")}}
    await room.store_dag(2, cache=CachePolicy(), inputs=inputs)
    await started(room, tasks=2)
    assert [waits for _, waits in await calls(room)] == [False, False]


# ---- whose expiry, whose turn
async def test_a_result_is_not_taken_after_the_time_that_its_maker_gave(room: StepRoom) -> None:
    await store_one(room)
    await step(room, success(await running(room), 7))
    await room.watcher.execute("update cached_result set expire_time = glidepath_now() + interval '1 minute'")
    await room.shift_clock(61)
    assert await state(room, await started(room)) == RELEASED


async def test_a_result_is_not_taken_that_is_older_than_its_taker_wants(room: StepRoom) -> None:
    await store_one(room)
    await step(room, success(await running(room), 7))
    await room.watcher.execute("update cached_result set expire_time = 'infinity'")
    await room.shift_clock(HOUR - 60)
    assert await state(room, await started(room)) == SUCCESS
    await room.shift_clock(HOUR + 1)
    assert await state(room, await started(room)) == RELEASED


async def test_of_those_who_wait_one_whose_run_is_set_aside_is_passed_over(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    second, third = await started(room), await started(room)
    await engine.quarantine(room.watcher, second, "broken")
    await step(room, ends([first], AttemptState.FAILED))
    assert await woken(room) == [third]
    await follow(room)
    assert (third, False) in await calls(room)


async def test_a_result_that_a_retried_run_takes_is_not_made_younger(room: StepRoom) -> None:
    """The first call fails, and its run begins again in that step, with a result that another run has made since."""
    await store_one(room, run_retries_max=1)
    first = await running(room)
    await step(room, success(await running_anew(room), 7))
    made = await room.watcher.fetchval("select store_time from cached_result")
    await room.shift_clock(60)
    await step(room, ends([first], AttemptState.FAILED))
    assert await state(room, first.dag_run_id) == SUCCESS and await value(room, first.dag_run_id) == 7
    assert await room.watcher.fetchval("select store_time from cached_result") == made


async def test_the_calls_of_all_instances_end_with_their_task(room: StepRoom) -> None:
    """A list that is read anew may be shorter: what was the last instance has no end of its own."""
    await store_one(room)
    first = await started(room)
    second = await started(room)
    await room.watcher.execute("update cached_call set map_index = 5 where not waits")
    await step(room, command(first, RunCancelled()))
    await follow(room)
    assert await calls(room) == [(second, False)]


# ---- bounds
async def test_of_a_very_large_crowd_the_sweep_wakes_the_rest(room: StepRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glidepath_server.operations.equal_calls.WOKEN_MAX", 2)
    await store_one(room)
    first = await running(room)
    others = [await started(room) for _ in range(5)]
    outcome = await step(room, success(first, 7))
    assert len(outcome.woken) == 2 and outcome.equal_calls, "the sweep is told"
    engine_of_this = await replica(room)
    sweeper = timers.equal_call_sweeper(engine_of_this)
    while await calls(room):
        await follow(room)
        await sweeper.once()
    assert [await value(room, each) for each in others] == [7] * 5 and await room.history() == ["success"]


async def test_a_chain_that_is_longer_than_a_step_goes_on_in_the_next(
    room: StepRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {0: {"day": Param("day")}, 1: {"before": OutputRef("task0", "n")}, 2: {"before": OutputRef("task1", "n")}}
    await room.store_dag(3, cache=CachePolicy(), inputs=inputs, upstream={1: [0], 2: [1]})
    await started(room, tasks=3)
    for number in range(3):
        await step(room, success(await room.claim_one(await room.session(f"worker {number}")), {"n": number}))
    monkeypatch.setattr("glidepath_server.operations.equal_calls.ROUNDS_MAX", 1)
    second = await started(room, tasks=3)
    assert await states(room, second, 3) == [SUCCESS, RELEASED, TaskState.SCHEDULED]
    await follow(room)
    assert await states(room, second, 3) == [SUCCESS] * 3 and len(await room.history()) == 3


async def test_a_quarantined_run_that_is_let_go_takes_what_was_kept_meanwhile(room: StepRoom) -> None:
    await store_one(room)
    first = await running(room)
    second = await started(room)
    await engine.quarantine(room.watcher, second, "broken")
    await step(room, success(first, 7))
    await step(room, {second: RunWork(inbox=True)})
    assert await state(room, second) == RELEASED, "nothing of it is stepped"
    await room.watcher.execute("update dag_run set quarantined = false")
    await follow(room)
    assert await value(room, second) == 7
