"""The output of a mapped task as a whole, as a reader gets it: a real server and database, a worker played by hand."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from runs_room import Hand, Room, dag, open_room

from glidepath.payloads import decode, encode
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_server.core.states import AttemptState
from glidepath_server.operations import read_runs

pytestmark = pytest.mark.asyncio


def mapped(values: list[Any], **fields: Any) -> dag_pb2.DagSpec:
    spec = dag("churn", {"train": []})
    source = dag_pb2.Input(literal=encode(values))
    inputs = [dag_pb2.MapInput(name="value", source=source)]
    spec.tasks[0].map.CopyFrom(dag_pb2.MapSpec(inputs=inputs, **fields))
    return spec


async def output(room: Room, run_id: str, **fields: Any) -> Any:
    answer = await room.call("GetTaskOutput", dag_run_id=run_id, task_id="train", **fields)
    return decode(answer.task_output.output)


async def refusal(room: Room, run_id: str) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await output(room, run_id)
    return caught.value


async def test_it_is_the_list_of_its_instances_once_they_have_ended(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_room(database_url) as room:
        await room.register(mapped(["a", "b"], active_max=1, success_ratio_min=0.5))
        hand = Hand(room.server, 1)
        await hand.connect()
        run_id = await room.start("churn")
        await hand.end("train", output='{"n": 1}')
        assert (await hand.take("train")).key.map_index == 1
        assert await output(room, run_id, map_index=0) == {"n": 1}
        early = await refusal(room, run_id)
        assert early.code() is grpc.StatusCode.NOT_FOUND
        assert "task train has no output yet: it is running" in (early.details() or "")
        await hand.end("train", AttemptState.FAILED)
        await room.watch(run_id)
        assert await output(room, run_id) == await output(room, run_id, map_index=-1) == [{"n": 1}, None]
        monkeypatch.setattr(read_runs, "ANSWERED_BYTES_MAX", 14)
        large = await refusal(room, run_id)
        assert large.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "the list has 15 bytes, and an answer at most 14" in (large.details() or "")


async def test_of_a_map_over_nothing_that_succeeds_it_is_an_empty_list(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(mapped([], empty=dag_pb2.MAP_EMPTY_SUCCEED))
        run_id = await room.start("churn")
        await room.watch(run_id)
        assert await output(room, run_id) == []
