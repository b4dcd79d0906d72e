"""Pausing a run or single tasks of it: nothing of it starts once that is answered, and what runs goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from runs_room import CHAIN, Hand, Room, dag, open_room, run_state

from glidepath_proto.registry.v1 import dag_pb2
from glidepath_server.core.states import AttemptState

pytestmark = pytest.mark.asyncio(loop_scope="module")
WIDE = {"one": [], "two": [], "three": [], "last": ["one", "two", "three"]}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(module_database_url: str) -> AsyncIterator[Room]:
    async with open_room(module_database_url, poll_interval_seconds=0.1) as room:
        yield room


async def hand_for(room: Room, dag_id: str, tasks: dict[str, list[str]], slots: int = 8, retries: int = 0) -> Hand:
    """Registers the DAG with a queue of its own, and somebody who works on it."""
    spec = dag(
        dag_id, tasks, defaults=dag_pb2.TaskPolicy(queue_name=dag_id, retry=dag_pb2.RetryPolicy(retries_max=retries))
    )
    await room.register(spec)
    hand = Hand(room.server, slots, queue_names={dag_id}, identity=f"hand-{dag_id}")
    await hand.connect()
    return hand


async def reasons(room: Room, run_id: str) -> dict[str, str]:
    answer = await room.call("ListTaskInstances", dag_run_id=run_id)
    return {each.task_id: each.reason for each in answer.task_instances}


async def test_a_paused_run_starts_nothing_and_goes_on_when_it_is_resumed(room: Room) -> None:
    hand = await hand_for(room, "whole", WIDE, slots=1)
    run_id = await room.start("whole")
    first = next(iter(hand.taken), "") or await _any(hand)
    paused = (await room.call("PauseDagRun", dag_run_id=run_id, reason="look first")).dag_run
    assert paused.paused_by == "a-admin: look first"
    assert not await room.rows("select from task_queue where dag_run_id = $1", run_id)
    await hand.end(first)
    states = await room.states(run_id)
    assert sorted(states.values()) == ["scheduled", "scheduled", "scheduled", "success"]
    waiting = [name for name in WIDE if states[name] == "scheduled"]
    told = await reasons(room, run_id)
    assert told[waiting[0]] == "paused by a-admin: look first"
    explained = (await room.call("ExplainDagRun", dag_run_id=run_id, task_id=waiting[0])).explanations[0]
    assert (explained.message, explained.hint) == (told[waiting[0]], f"glidepath run resume {run_id}")
    resumed = (await room.call("ResumeDagRun", dag_run_id=run_id)).dag_run
    assert resumed.paused_by == ""
    for _ in range(3):
        await hand.end(await _any(hand))
    assert run_state(await room.watch(run_id)) == "success"


async def _any(hand: Hand) -> str:
    await hand._until(lambda: hand.taken)
    return next(iter(hand.taken))


async def test_a_breakpoint_holds_its_task_alone(room: Room) -> None:
    hand = await hand_for(room, "broken-at", CHAIN)
    run_id = await room.start("broken-at", pause_at_task_ids=["train"])
    await hand.end("load")
    assert await room.states(run_id) == {"load": "success", "train": "scheduled", "report": "scheduled"}
    explained = (await room.call("ExplainDagRun", dag_run_id=run_id)).explanations
    assert [(each.message, each.hint) for each in explained] == [
        ("paused by a-admin", f"glidepath run resume {run_id} --at train"),
        ("waits for 1 of 1 upstream tasks: train", ""),
    ]
    await room.call("ResumeDagRun", dag_run_id=run_id, task_ids=["train"])
    await hand.end("train")
    await hand.end("report")
    assert run_state(await room.watch(run_id)) == "success"


async def test_a_retry_that_falls_into_a_pause_keeps_its_count(room: Room) -> None:
    hand = await hand_for(room, "retried", {"only": []}, retries=1)
    run_id = await room.start("retried")
    await hand.take("only")
    await room.call("PauseDagRun", dag_run_id=run_id, task_ids=["only"])
    await hand.end("only", AttemptState.FAILED)
    assert await room.states(run_id) == {"only": "scheduled"}
    await room.call("ResumeDagRun", dag_run_id=run_id)
    await hand.end("only", AttemptState.FAILED)
    assert run_state(await room.watch(run_id)) == "failed", "it had one retry"


async def test_pauses_are_idempotent_audited_and_refused_where_they_mean_nothing(room: Room) -> None:
    hand = await hand_for(room, "told", CHAIN)
    run_id = await room.start("told")
    before = (await room.call("PauseDagRun", dag_run_id=run_id, request_id="once")).dag_run
    assert (await room.call("PauseDagRun", dag_run_id=run_id, request_id="once")).dag_run == before
    assert (await room.call("PauseDagRun", dag_run_id=run_id, reason="again")).dag_run == before
    with pytest.raises(grpc.aio.AioRpcError, match="the whole run is paused by a-admin"):
        await room.call("ResumeDagRun", dag_run_id=run_id, task_ids=["load"])
    with pytest.raises(grpc.aio.AioRpcError, match="has no task 'laod'"):
        await room.call("PauseDagRun", dag_run_id=run_id, task_ids=["laod"])
    await room.call("ResumeDagRun", dag_run_id=run_id)
    after = (await room.call("ResumeDagRun", dag_run_id=run_id)).dag_run
    assert after.paused_by == ""
    rows = await room.rows(
        "select action, detail from audit_event where target = $1 and action like 'dag_run.%e' order by audit_event_id",
        f"dag_run/{run_id}",
    )
    assert [row["action"] for row in rows] == ["dag_run.pause", "dag_run.resume"]
    assert json.loads(rows[0]["detail"]) == {"task_ids": [], "reason": ""}
    for name in CHAIN:
        await hand.end(name)
    await room.watch(run_id)
    with pytest.raises(grpc.aio.AioRpcError, match="has already ended: success"):
        await room.call("PauseDagRun", dag_run_id=run_id)


async def test_a_run_cannot_be_created_paused_at_what_it_does_not_have(room: Room) -> None:
    await room.register(dag("wrong", CHAIN))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await room.start("wrong", pause_at_task_ids=["trian"])
    assert refused.value.details() == (
        "runs[0].pause_at_task_ids: got 'trian', expected a task of DAG wrong; did you mean train?"
    )


async def test_a_cancel_ends_a_paused_run(room: Room) -> None:
    await room.register(dag("ended", CHAIN))
    run_id = await room.start("ended")
    await room.call("PauseDagRun", dag_run_id=run_id)
    await room.call("CancelDagRun", dag_run_id=run_id)
    assert run_state(await room.watch(run_id)) == "cancelled"
