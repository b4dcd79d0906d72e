"""Values between tasks, and params that are computed from a run's dates, through a real server and database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from runs_room import CHAIN, Room, dag, open_room
from worker_room import Stream, Workers, failure, open_workers, success

from glidepath_proto.common.v1 import artifact_pb2
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.run.v1 import value_service_pb2, value_service_pb2_grpc
from glidepath_proto.worker.v1 import task_pb2
from glidepath_proto.worker.v1 import worker_service_pb2 as pb

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


# ---- XComs and lineage
CALM = {"lease_ttl_seconds": 60.0, "accept_timeout_seconds": 60.0}
DIGESTS = {name: f"{number:064x}" for number, name in enumerate(("rows", "model", "report", "extra"), 1)}


def use(direction: str, name: str, /, **fields: Any) -> artifact_pb2.ArtifactUse:
    artifact = {"uri": f"s3://bucket/{name}", "sha256": DIGESTS[name], "size_bytes": 7, "type": "dataset", **fields}
    return artifact_pb2.ArtifactUse(direction=f"DIRECTION_{direction.upper()}", artifact=artifact)


def saying(
    token: bytes, xcoms: dict[str, str] | None = None, uses: list[artifact_pb2.ArtifactUse] | None = None
) -> task_pb2.AttemptResult:
    result = success(token)
    for key, value in (xcoms or {}).items():
        result.success.xcoms.add(key=key, value=value)
    result.success.artifacts.extend(uses or [])
    return result


def moving() -> dag_pb2.DagSpec:
    """load -> train -> report, whose first input is what load pushed."""
    spec = dag("churn", CHAIN, defaults=dag_pb2.TaskPolicy(retry=dag_pb2.RetryPolicy(retries_max=1)))
    spec.tasks[1].inputs["rows"].output.MergeFrom(dag_pb2.OutputRef(task_id="load", xcom_key="rows"))
    spec.tasks[1].inputs["other"].output.MergeFrom(dag_pb2.OutputRef(task_id="load", xcom_key="other"))
    return spec


class Bench:
    """A run of `moving` and its worker."""

    def __init__(self, room: Room, workers: Workers, stream: Stream, run_id: str) -> None:
        self.room, self.workers, self.stream, self.run_id = room, workers, stream, run_id
        self._stub: Any = value_service_pb2_grpc.ValueServiceStub(room.api_channel)

    async def ask(self, method: str, **fields: Any) -> Any:
        request = getattr(value_service_pb2, f"{method}Request")(**fields)
        return await getattr(self._stub, method)(request, metadata=self.room.metadata)

    async def take(self) -> Any:
        return (await self.stream.take("assignments"))[0]

    async def end(self, result: task_pb2.AttemptResult) -> Any:
        await self.stream.send(results=[result])
        return (await self.stream.take("result_acks"))[0]

    async def xcoms(self) -> dict[str, str]:
        answer = await self.ask("ListXComs", dag_run_id=self.run_id)
        return {f"{each.attempt.task_id}.{each.key}": each.value for each in answer.xcoms}

    async def uses(self) -> list[tuple[str, int, str, str]]:
        answer = await self.ask("ListArtifactUses", dag_run_id=self.run_id)
        return [
            (each.attempt.task_id, each.attempt.attempt_number, word(each.use), each.use.artifact.uri[12:])
            for each in answer.uses
        ]


def word(use: artifact_pb2.ArtifactUse) -> str:
    return artifact_pb2.ArtifactUse.Direction.Name(use.direction).removeprefix("DIRECTION_").lower()


@asynccontextmanager
async def bench(database_url: str) -> AsyncIterator[Bench]:
    async with (
        open_room(database_url, **CALM) as room,
        open_workers(room) as workers,
        workers.stream(credits=10) as stream,
    ):
        await room.register(moving())
        yield Bench(room, workers, stream, await room.start("churn"))


async def test_a_success_leaves_values_and_a_fenced_attempt_nothing(database_url: str) -> None:
    async with bench(database_url) as made:
        first = await made.take()
        assert (await made.end(failure(first.task_token))).verdict == pb.VERDICT_ACCEPTED
        second = await made.take()
        late = saying(first.task_token, {"rows": "1", "late": "true"}, [use("write", "extra")])
        assert (await made.end(late)).verdict == pb.VERDICT_FENCED
        assert await made.xcoms() == {} and await made.uses() == []

        counted = saying(second.task_token, {"rows": " 2"}, [use("write", "rows")])
        assert (await made.end(counted)).verdict == pb.VERDICT_ACCEPTED
        again = saying(second.task_token, {"rows": "3"}, [use("write", "extra")])
        assert (await made.end(again)).verdict == pb.VERDICT_DUPLICATE
        assert await made.xcoms() == {"load.rows": "2"}
        assert await made.uses() == [("load", 2, "write", "rows")]

        train = await made.take()
        carried = {each.key: each.value.data if each.HasField("value") else None for each in train.xcoms}
        assert carried == {"rows": b"2", "other": None}, "what a success did not push is told from what is not there"


async def test_a_value_is_pulled_from_what_is_upstream_and_live(database_url: str) -> None:
    async with bench(database_url) as made:
        load = await made.take()
        await made.end(saying(load.task_token, {"rows": "[1]"}))
        train = await made.take()

        async def pull(token: bytes, task_id: str, key: str) -> Any:
            try:
                return (await made.workers.call("GetXCom", task_token=token, task_id=task_id, key=key)).value
            except grpc.aio.AioRpcError as error:
                return error.code()

        assert await pull(train.task_token, "load", "rows") == "[1]"
        assert await pull(train.task_token, "load", "other") is grpc.StatusCode.NOT_FOUND
        assert await pull(train.task_token, "report", "rows") is grpc.StatusCode.PERMISSION_DENIED
        assert await pull(load.task_token, "load", "rows") is grpc.StatusCode.ABORTED


async def test_a_cleared_task_pushes_anew(database_url: str) -> None:
    async with bench(database_url) as made:
        await made.end(saying((await made.take()).task_token, {"rows": "1", "other": "1"}))
        await made.take()
        await made.room.call(
            "ClearTaskInstances", dag_run_id=made.run_id, task_ids=["load"], cancel_running=True, request_id="c"
        )
        again = await made.take()
        assert again.attempt.task_id == "load"
        await made.end(saying(again.task_token, {"rows": "2"}))
        assert await made.xcoms() == {"load.rows": "2"}, "what the first success pushed is not mixed with it"


BAD_USES = {
    "sha256 'x', expected 64 hexadecimal digits": use("read", "rows", sha256="x"),
    "has no direction": artifact_pb2.ArtifactUse(artifact=use("read", "rows").artifact),
    "metadata of the artifact 's3://bucket/rows' is '[]', expected a JSON object": use("read", "rows", metadata="[]"),
    "metadata of the artifact 's3://bucket/rows' has over 4096 bytes": use("read", "rows", metadata=" " * 5000),
    "the numbers of metrics are finite": use("write", "rows", numbers={"loss": float("nan")}),
}


@pytest.mark.parametrize("said", BAD_USES)
async def test_a_use_that_cannot_be_stored_fails_the_attempt_with_the_reason(database_url: str, said: str) -> None:
    async with bench(database_url) as made:
        load = await made.take()
        ack = await made.end(saying(load.task_token, {"rows": "1"}, [BAD_USES[said]]))
        assert ack.verdict == pb.VERDICT_REJECTED and said in ack.reason
        assert await made.xcoms() == {} and await made.uses() == []


@pytest.mark.parametrize(
    ("xcoms", "said"),
    [
        ({"a b": "1"}, "the XCom key 'a b' is none: expected 1 to 200 of"),
        ({"rows": "{"}, "the XCom 'rows' is '{', expected JSON"),
        ({"rows": f'"{"x" * 70_000}"'}, "at most 65536 are taken"),
        ({f"k{number}": "1" for number in range(101)}, "pushed 101 XComs, at most 100 are taken"),
    ],
)
async def test_an_xcom_that_cannot_be_stored_fails_the_attempt_with_the_reason(
    database_url: str, xcoms: dict[str, str], said: str
) -> None:
    async with bench(database_url) as made:
        load = await made.take()
        ack = await made.end(saying(load.task_token, xcoms))
        assert ack.verdict == pb.VERDICT_REJECTED and said in ack.reason
        assert await made.xcoms() == {}


async def test_lineage_goes_both_ways_as_far_as_it_is_asked_for(database_url: str) -> None:
    async with bench(database_url) as made:
        await made.end(saying((await made.take()).task_token, {"rows": "1"}, [use("write", "rows")]))
        model = [use("read", "rows"), use("write", "model", type="model")]
        await made.end(saying((await made.take()).task_token, {}, model))
        await made.end(
            saying((await made.take()).task_token, {}, [use("read", "model", type="model"), use("write", "report")])
        )

        async def lineage(artifact: str, depth: int) -> tuple[list[str], list[tuple[int, str]], list[tuple[int, str]]]:
            found = await made.ask("GetArtifactLineage", artifact=artifact, depth=depth)
            assert not found.truncated
            uses = [f"{each.attempt.task_id} {word(each.use)}" for each in found.uses]
            up, down = (
                [(each.distance, each.use.use.artifact.uri[12:]) for each in side]
                for side in (found.upstream, found.downstream)
            )
            return uses, up, down

        near = (["report read", "train write"], [(1, "rows")], [(1, "report")])
        assert await lineage(DIGESTS["model"], 1) == near == await lineage("s3://bucket/model", 1)
        assert (await lineage("s3://bucket/rows", 3))[2] == [(1, "model"), (2, "report")]
        assert (await lineage("s3://bucket/report", 0))[1] == [(1, "model")]
        assert (await lineage("s3://bucket/report", 2))[1] == [(1, "model"), (2, "rows")]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await lineage("s3://bucket/extra", 1)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_metrics_are_told_by_run_newest_first(database_url: str) -> None:
    async with bench(database_url) as made:
        for loss in (0.5, 0.25):
            metrics = use("write", "rows", type="metrics", name="fit", numbers={"loss": loss, "n": 3})
            await made.end(saying((await made.take()).task_token, {"rows": "1"}, [metrics]))
            await made.take()
            made.run_id = await made.room.start("churn") if loss == 0.5 else made.run_id
        found = (await made.ask("ListMetrics", dag_id="churn")).metrics
        assert [dict(each.numbers) for each in found] == [{"loss": 0.25, "n": 3}, {"loss": 0.5, "n": 3}]
        assert (found[0].attempt.dag_run_id, found[0].name) == (made.run_id, "fit")
        assert len((await made.ask("ListMetrics", dag_id="churn", runs_max=1)).metrics) == 1


async def test_lists_of_values_are_paged(database_url: str) -> None:
    async with bench(database_url) as made:
        pushed = {"rows": "1", "b": "2", "a": "3"}
        uses = [use("write", "rows"), use("read", "extra"), use("write", "model")]
        await made.end(saying((await made.take()).task_token, pushed, uses))
        keys, token = [], ""
        while True:
            page = await made.ask("ListXComs", dag_run_id=made.run_id, page_size=2, page_token=token)
            keys += [each.key for each in page.xcoms]
            if not (token := page.next_page_token):
                break
        assert keys == ["a", "b", "rows"]
        first = await made.ask("ListArtifactUses", dag_run_id=made.run_id, page_size=2)
        rest = await made.ask("ListArtifactUses", dag_run_id=made.run_id, page_token=first.next_page_token)
        assert [each.use.artifact.uri[12:] for each in (*first.uses, *rest.uses)] == ["rows", "extra", "model"]
