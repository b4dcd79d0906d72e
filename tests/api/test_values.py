"""Values between tasks, and params that are computed from a run's dates, through a real server and database."""

from __future__ import annotations

import json

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from runs_room import CHAIN, Room, dag, open_room

from glidepath_proto.registry.v1 import dag_pb2

pytestmark = pytest.mark.asyncio

PARAMS = json.dumps(
    {"type": "object", "properties": {"day": {"type": "string"}, "hour": {"type": "integer"}, "rate": {"default": 1}}}
)
DATED = {"day": "{{ data_interval_end.ds }}", "hour": "{{ logical_date.hour }}"}


def at(text: str) -> Timestamp:
    time = Timestamp()
    time.FromJsonString(text)
    return time


async def params_of(room: Room, run_id: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((await room.run(run_id)).params)
    return found


async def test_an_edge_that_cannot_be_is_refused_with_both_ends_named(database_url: str) -> None:
    spec = dag("churn", {"load": [], "train": []})
    spec.tasks[0].output_schema = '{"type": "string"}'
    spec.tasks[1].input_schemas["rows"] = '{"type": "integer"}'
    spec.tasks[1].inputs["rows"].output.task_id = "load"
    async with open_room(database_url) as room:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await room.register(spec)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        said = "tasks.train.inputs.rows: got a string from load, expected an integer"
        assert said in (caught.value.details() or "")
        assert not await room.rows("select from dag_version")
        spec.tasks[0].output_schema = '{"type": "integer"}'
        assert await room.register(spec) == 1
        spec.tasks[0].output_schema = '{"enum": [1, 2]}'
        assert await room.register(spec) == 2, "other types are another version"
        spec.tasks[0].output_schema = '{ "type" : "integer" }'
        assert await room.register(spec) == 1


async def test_dated_params_are_final_when_the_run_is_created(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN, params_schema=PARAMS, param_defaults=DATED))
        run = {
            "dag_id": "churn",
            "logical_date": at("2026-03-05T07:00:00Z"),
            "data_interval_start": at("2026-03-04T00:00:00Z"),
            "data_interval_end": at("2026-03-05T00:00:00Z"),
        }
        later = {**run, "logical_date": at("2026-03-06T08:00:00Z"), "params": '{"day": "given"}'}
        answer = await room.trigger({**run, "run_key": "a"}, later)
        first, second = (each.dag_run_id for each in answer.runs)
        assert await params_of(room, first) == {"day": "2026-03-05", "hour": 7, "rate": 1}
        assert await params_of(room, second) == {"day": "given", "hour": 8, "rate": 1}
        # The same key again is the same run, also when the caller leaves the dates to the run that is there.
        again = await room.trigger({**run, "run_key": "a"}, {"dag_id": "churn", "run_key": "a"})
        assert [each.dag_run_id for each in again.runs] == [first, first]


async def test_a_default_that_is_no_date_is_refused(database_url: str) -> None:
    async with open_room(database_url) as room:
        spec = dag("churn", CHAIN, params_schema=PARAMS, param_defaults={"day": "{{ params.hour }}"})
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await room.register(spec)
        assert "param_defaults.day: got 'params.hour', expected dates of the run only" in (caught.value.details() or "")


async def test_a_version_comes_back_with_its_types_and_computed_defaults(database_url: str) -> None:
    async with open_room(database_url) as room:
        spec = dag("churn", {"load": []}, params_schema=PARAMS, param_defaults=DATED)
        spec.tasks[0].input_schemas["rows"] = '{"type":"integer"}'
        await room.register(spec)
        stored = (await room.rows("select spec from dag_version"))[0]["spec"]
        assert json.loads(stored)["tasks"][0]["input_schemas"] == {"rows": '{"type":"integer"}'}
        assert json.loads(stored)["param_defaults"] == DATED
        assert await room.register(dag_pb2.DagSpec.FromString(spec.SerializeToString())) == 1
