"""Mapped tasks as clients see and steer them: counts, instances, outputs, reasons, and single instances cleared."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import grpc
import pytest
from runs_room import HANDLER, Hand, Room, dag, open_room, run_state, state_name

from glidepath_proto.common.v1 import payload_pb2
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.run.v1 import run_pb2
from glidepath_server.core.states import AttemptState
from glidepath_server.store import runs_read

pytestmark = pytest.mark.asyncio
SQUARES, SUM = "squares", "sum"


def mapped(values: list[int], **fields: Any) -> dag_pb2.DagSpec:
    """squares, over these values -> sum of the list."""
    spec = dag("numbers", {SUM: [SQUARES]})
    spec.tasks[0].inputs["all"].output.task_id = SQUARES
    literal = payload_pb2.Payload(content_type="application/json", data=json.dumps(values).encode())
    over = dag_pb2.MapInput(name="x", source=dag_pb2.Input(literal=literal))
    spec.tasks.append(
        dag_pb2.TaskSpec(
            task_id=SQUARES,
            handler=dag_pb2.Handler(name=HANDLER),
            map=dag_pb2.MapSpec(inputs=[over], name="x is {{ map_item.x }}", **fields),
        )
    )
    return spec


async def start(room: Room, values: list[int], slots: int = 0, **fields: Any) -> tuple[str, Hand]:
    await room.register(mapped(values, **fields))
    hand = Hand(room.server, slots)
    if slots:
        await hand.connect()
    return await room.start("numbers"), hand


async def whole(room: Room, run_id: str) -> run_pb2.TaskInstance:
    answer = await room.call("ListTaskInstances", dag_run_id=run_id)
    (found,) = [each for each in answer.task_instances if each.task_id == SQUARES]
    return found


async def instances(room: Room, run_id: str, **fields: Any) -> list[run_pb2.TaskInstance]:
    answer = await room.call("ListTaskInstances", dag_run_id=run_id, task_id=SQUARES, **fields)
    return list(answer.task_instances)


async def test_a_mapped_task_is_one_with_counts_that_opens_into_its_instances(database_url: str) -> None:
    async with open_room(database_url) as room:
        run_id, hand = await start(room, [1, 2, 3, 4], slots=1, active_max=3)
        first = await hand.take(SQUARES)
        await room.watch(run_id, **{SQUARES: "running"})
        counts = (await whole(room, run_id)).map_counts
        assert (counts.total, counts.running, counts.queued, counts.scheduled) == (4, 1, 2, 1)
        assert (await room.run(run_id)).task_counts == {"running": 1, "scheduled": 1}
        found = await instances(room, run_id)
        assert [(each.map_index, state_name(each.state)) for each in found] == [
            (0, "running"),
            (1, "queued"),
            (2, "queued"),
            (3, "scheduled"),
        ]
        assert found[1].map_item == '{"x":2}' and found[1].map_name == "x is {{ map_item.x }}"
        assert first.key.map_index == 0


async def test_instances_come_in_pages_and_by_their_states(database_url: str) -> None:
    async with open_room(database_url) as room:
        run_id, _ = await start(room, [1, 2, 3])
        await room.watch(run_id, **{SQUARES: "queued"})
        page = await room.call("ListTaskInstances", dag_run_id=run_id, task_id=SQUARES, page_size=2)
        rest = await room.call(
            "ListTaskInstances", dag_run_id=run_id, task_id=SQUARES, page_size=2, page_token=page.next_page_token
        )
        assert [each.map_index for each in [*page.task_instances, *rest.task_instances]] == [0, 1, 2]
        assert not rest.next_page_token
        assert await instances(room, run_id, states=[run_pb2.TASK_STATE_RUNNING]) == []


async def test_explain_says_how_far_a_map_is_and_what_its_next_instance_waits_for(database_url: str) -> None:
    async with open_room(database_url) as room:
        run_id, _ = await start(room, [1, 2])
        await room.watch(run_id, **{SQUARES: "queued"})
        answer = await room.call("ExplainDagRun", dag_run_id=run_id, task_id=SQUARES)
        (said,) = answer.explanations
        assert said.message.startswith("0 of 2 instances have ended; instance 0: no worker is connected")
        assert said.hint.startswith("glidepath workers")


async def test_the_output_of_a_mapped_task_is_the_list_and_that_of_an_instance_its_own(database_url: str) -> None:
    async with open_room(database_url) as room:
        run_id, hand = await start(room, [1, 2, 3], slots=1)
        for number in (1, 2, 3):
            await hand.end(SQUARES, output=str(number * number))
        gathered = (await hand.take(SUM)).upstream
        assert [json.loads(output.body or b"") for output in gathered.values()] == [[1, 4, 9]]
        answer = await room.call("GetTaskOutput", dag_run_id=run_id, task_id=SQUARES)
        assert json.loads(answer.task_output.output.data) == [1, 4, 9]
        answer = await room.call("GetTaskOutput", dag_run_id=run_id, task_id=SQUARES, map_index=2)
        assert json.loads(answer.task_output.output.data) == 9


async def test_a_rerun_keeps_the_instances_that_succeeded(database_url: str) -> None:
    async with open_room(database_url) as room:
        run_id, hand = await start(room, [1, 2], slots=1)
        await hand.end(SQUARES, output="1")
        await hand.end(SQUARES, AttemptState.FAILED)
        assert run_state(await room.watch(run_id)) == "failed"
        failed = await instances(room, run_id, states=[run_pb2.TASK_STATE_FAILED])
        assert [(each.map_index, each.failure.message) for each in failed] == [(1, "broken")]
        assert (await whole(room, run_id)).map_counts.failed == 1
        await room.call("RerunDagRun", dag_run_id=run_id)
        again = await hand.take(SQUARES)
        assert (again.key.map_index, again.key.attempt_number) == (1, 2)


async def test_one_instance_is_cleared_by_its_index_and_one_that_is_not_there_is_refused(database_url: str) -> None:
    async with open_room(database_url) as room:
        run_id, hand = await start(room, [1, 2], slots=1)
        await hand.end(SQUARES, output="1")
        await hand.end(SQUARES, output="4")
        await hand.end(SUM)
        assert run_state(await room.watch(run_id)) == "success"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await room.call("ClearTaskInstances", dag_run_id=run_id, task_ids=[SQUARES], map_indexes=[2])
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert "squares has no instance 2, it has 2" in (refused.value.details() or "")
        fields = {"dag_run_id": run_id, "task_ids": [SQUARES], "map_indexes": [1], "downstream": True}
        answer = await room.call("ClearTaskInstances", **fields)
        assert list(answer.cleared_task_ids) == [SQUARES, SUM]
        again = await hand.take(SQUARES)
        assert (again.key.map_index, again.key.attempt_number) == (1, 2)
        await hand.end(SQUARES, output="5")
        assert [json.loads(each.body or b"") for each in (await hand.take(SUM)).upstream.values()] == [[1, 5]]


async def test_what_a_pause_holds_of_a_map_is_scheduled_and_not_cancelled(database_url: str) -> None:
    async with open_room(database_url) as room:
        run_id, hand = await start(room, [1, 2, 3, 4], slots=1, active_max=3)
        await hand.take(SQUARES)
        await room.watch(run_id, **{SQUARES: "running"})
        await room.call("PauseDagRun", dag_run_id=run_id)
        counts = (await whole(room, run_id)).map_counts
        assert (counts.total, counts.running, counts.queued, counts.scheduled) == (4, 1, 0, 3)
        found = await instances(room, run_id)
        assert [state_name(each.state) for each in found] == ["running", "scheduled", "scheduled", "scheduled"]
        assert found[1].reason.startswith("paused by ")
        await hand.end(SQUARES)
        await room.watch(run_id, **{SQUARES: "scheduled"})


async def test_a_map_in_the_queue_stands_where_its_first_instance_does(database_url: str) -> None:
    async with open_room(database_url) as room:
        first, _ = await start(room, [1, 2])
        await room.watch(first, **{SQUARES: "queued"})
        second = await room.start("numbers")
        await room.watch(second, **{SQUARES: "queued"})
        async with room.database.api.acquire() as connection:
            ahead = [await runs_read.rows_ahead(connection, UUID(each)) for each in (first, second)]
        assert [list(each.values()) for each in ahead] == [[0], [2]]
