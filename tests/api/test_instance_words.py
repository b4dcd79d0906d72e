"""Single instances of a mapped task, marked and cancelled by clients: what they see, once per request, audited."""

from __future__ import annotations

import json

import grpc
import pytest
from runs_room import open_room, run_state, state_name
from test_runs_mapped import SQUARES, SUM, instances, start, whole

from glidepath_proto.run.v1 import run_pb2
from glidepath_server.core.states import AttemptState

pytestmark = pytest.mark.asyncio
SUCCESS, SKIPPED = run_pb2.TASK_STATE_SUCCESS, run_pb2.TASK_STATE_SKIPPED


async def test_instances_are_marked_once_per_request_and_readers_see_by_whom(database_url: str) -> None:
    async with open_room(database_url) as room:
        run_id, hand = await start(room, [1, 2, 3, 4], slots=1, active_max=2)
        await hand.take(SQUARES)
        fields = {"dag_run_id": run_id, "task_ids": [SQUARES], "map_indexes": [3, 1, 3], "state": SKIPPED}
        asked = fields | {"reason": "known to be empty", "request_id": "once"}
        for _ in range(2):
            await room.call("MarkTaskInstances", **asked)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await room.call("MarkTaskInstances", **asked | {"map_indexes": [2]})
        assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
        found = await instances(room, run_id)
        assert [state_name(each.state) for each in found] == ["running", "skipped", "queued", "skipped"]
        assert found[3].reason.startswith("marked: known to be empty (by ")
        counts = (await whole(room, run_id)).map_counts
        assert (counts.total, counts.running, counts.queued, counts.scheduled, counts.skipped) == (4, 1, 1, 0, 2)
        (audit,) = await room.rows("select action, detail from audit_event where action like 'task_instance.%'")
        detail = json.loads(audit["detail"])
        assert audit["action"] == "task_instance.mark" and detail["state"] == "skipped"
        assert detail["task_ids"] == [SQUARES] and detail["map_indexes"] == {SQUARES: [1, 3]}
        await hand.end(SQUARES, output="1")
        await hand.end(SQUARES, output="9")
        gathered = (await hand.take(SUM)).upstream
        assert [json.loads(each.body or b"") for each in gathered.values()] == [[1, None, 9, None]]


async def test_a_failed_run_goes_on_behind_an_instance_that_is_marked(database_url: str) -> None:
    async with open_room(database_url) as room:
        run_id, hand = await start(room, [1, 2], slots=1)
        await hand.end(SQUARES, output="1")
        await hand.end(SQUARES, AttemptState.FAILED)
        assert run_state(await room.watch(run_id)) == "failed"
        marked = await room.call(
            "MarkTaskInstances", dag_run_id=run_id, task_ids=[SQUARES], map_indexes=[1], state=SUCCESS
        )
        assert run_state(marked.dag_run) == "failed", "what follows waits for a rerun"
        assert (await room.states(run_id)) == {SQUARES: "success", SUM: "upstream_failed"}
        assert not (await room.call("ListDeadLetters")).dead_letters
        await room.call("RerunDagRun", dag_run_id=run_id)
        await hand.end(SUM)
        assert run_state(await room.watch(run_id)) == "success"


async def test_an_instance_is_cancelled_and_one_that_has_ended_is_not(database_url: str) -> None:
    async with open_room(database_url) as room:
        run_id, hand = await start(room, [1, 2, 3], slots=1, active_max=2, success_ratio_min=0.3)
        await hand.take(SQUARES)
        fields = {"dag_run_id": run_id, "task_ids": [SQUARES]}
        await room.call("CancelTaskInstances", map_indexes=[0, 2], reason="not that", **fields)
        await hand.told_to_end(SQUARES)
        await hand.end(SQUARES, AttemptState.CANCELLED)
        await hand.end(SQUARES, output="4")
        await hand.take(SUM)
        found = await instances(room, run_id)
        assert [state_name(each.state) for each in found] == ["cancelled", "success", "cancelled"]
        assert found[2].reason.startswith("cancelled: not that (by ")
        await room.call("CancelTaskInstances", map_indexes=[0], **fields)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await room.call("CancelTaskInstances", map_indexes=[1], **fields)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.value.details() == "squares[1] has already ended: success"
