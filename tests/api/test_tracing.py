"""Spans of runs and attempts: right parents, what the worker is told of them, receivers that are down, and off."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import grpc
import pytest
from runs_room import SOON_SECONDS, Room, dag, open_room
from serving import running, settings_for, until
from test_worker_calls import called
from worker_room import Stream, failure, open_stream, success, until_rows

from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.run.v1 import run_pb2
from glidepath_server import clock
from glidepath_server.api.otlp import check_otlp, headers_of
from glidepath_server.core.errors import InvalidInput
from glidepath_server.store import traces
from glidepath_server.store.database import Database
from tests.receivers.span_receiver import SpanReceiver, attributes

FEED = "select count(*) from trace_feed"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03"


@pytest.fixture
def receiver() -> Iterator[SpanReceiver]:
    found = SpanReceiver()
    yield found
    found.stop()


@asynccontextmanager
async def traced(database_url: str, receiver: SpanReceiver, **settings: Any) -> AsyncIterator[tuple[Room, Stream]]:
    on = {"otlp_endpoint": receiver.endpoint, "poll_interval_seconds": 0.05, "shutdown_grace_seconds": 0.0}
    async with open_stream(database_url, credits=20, **on, **settings) as (room, stream):
        yield room, stream


async def take(stream: Stream) -> Any:
    (assignment,) = await stream.take("assignments")
    return assignment


async def until_spans(receiver: SpanReceiver, count: int) -> None:
    async def there() -> bool:
        return len(receiver.spans()) >= count

    await until(there, SOON_SECONDS)


def retrying(dag_id: str) -> dag_pb2.DagSpec:
    spec = dag(dag_id, {"load": [], "train": ["load"]})
    spec.tasks[0].policy.retry.retries_max = 1
    return spec


async def test_a_run_is_a_trace_with_its_attempts_under_it_linked_to_the_ones_before(
    database_url: str, receiver: SpanReceiver
) -> None:
    async with traced(database_url, receiver, otlp_headers="X-Tenant=ml,authorization=secret") as (room, stream):
        await room.register(retrying("etl"))
        run_id = await room.start("etl")
        first = await take(stream)
        await stream.send(results=[failure(first.task_token)])
        second = await take(stream)
        for assignment in (second, await _after(stream, second)):
            await stream.send(results=[success(assignment.task_token)])
        await until_spans(receiver, 4)
    run = receiver.one("RUN etl")
    failed, loaded = receiver.by_name()["load"]
    trained = receiver.one("train")
    assert {span.trace_id for span in receiver.spans()} == {UUID(run_id).bytes}
    assert run.parent_span_id == b"" and {each.parent_span_id for each in (failed, loaded, trained)} == {run.span_id}
    assert [link.span_id for link in loaded.links] == [failed.span_id] and not failed.links and not trained.links
    assert first.traceparent == f"00-{UUID(run_id).hex}-{failed.span_id.hex()}-01"
    assert second.traceparent == f"00-{UUID(run_id).hex}-{loaded.span_id.hex()}-01"
    assert (run.kind, failed.kind) == (run.SPAN_KIND_SERVER, run.SPAN_KIND_INTERNAL)
    assert failed.status.code == failed.status.STATUS_CODE_ERROR and loaded.status.code == 0 == run.status.code
    assert run.start_time_unix_nano <= failed.start_time_unix_nano <= failed.end_time_unix_nano
    assert failed.end_time_unix_nano <= loaded.start_time_unix_nano and loaded.end_time_unix_nano
    assert trained.end_time_unix_nano <= run.end_time_unix_nano
    _tell_what_they_are(run_id, run, failed)
    assert receiver.resource["service.name"] == "glidepath"
    assert receiver.metadata["x-tenant"] == "ml" and receiver.metadata["authorization"] == "secret"


async def _after(stream: Stream, before: Any) -> Any:
    await stream.send(results=[success(before.task_token)])
    return await take(stream)


def _tell_what_they_are(run_id: str, run: Any, failed: Any) -> None:
    said = attributes(run)
    assert (said["cicd.pipeline.name"], said["cicd.pipeline.run.id"]) == ("etl", run_id)
    assert (said["cicd.pipeline.result"], said["glidepath.run.type"]) == ("success", "manual")
    assert said["glidepath.namespace"] == "default" and said["glidepath.dag.version"] == 1
    said = attributes(failed)
    assert (said["cicd.pipeline.task.name"], said["cicd.pipeline.task.run.result"]) == ("load", "failure")
    assert said["cicd.pipeline.task.run.id"] == f"{run_id}/load/-1/1" and said["cicd.worker.name"] == "worker"
    assert said["glidepath.attempt.number"] == 1 and 0 <= said["glidepath.attempt.queue_seconds"] < 60


async def test_a_run_that_was_triggered_with_a_traceparent_stands_under_its_caller(
    database_url: str, receiver: SpanReceiver
) -> None:
    async with traced(database_url, receiver) as (room, stream):
        await room.register(dag("etl", {"load": []}))
        await room.start("etl", traceparent=CALLER)
        assignment = await take(stream)
        await stream.send(results=[success(assignment.task_token)])
        await until_spans(receiver, 2)
    run, load = receiver.one("RUN etl"), receiver.one("load")
    assert {run.trace_id.hex(), load.trace_id.hex()} == {CALLER.split("-")[1]}
    assert run.parent_span_id.hex() == CALLER.split("-")[2] and load.parent_span_id == run.span_id
    assert assignment.traceparent == f"00-{CALLER.split('-')[1]}-{load.span_id.hex()}-03"


async def test_what_the_caller_does_not_sample_is_not_sent(database_url: str, receiver: SpanReceiver) -> None:
    async with traced(database_url, receiver) as (room, stream):
        await room.register(dag("quiet", {"load": []}))
        await room.register(dag("loud", {"load": []}))
        for dag_id, traceparent in (("quiet", CALLER[:-2] + "00"), ("loud", "")):
            await room.start(dag_id, traceparent=traceparent)
            await stream.send(results=[success((await take(stream)).task_token)])
        await until_spans(receiver, 2)
        await until_rows(room, FEED, 0)
    assert receiver.by_name().keys() == {"RUN loud", "load"}


async def test_a_child_run_stands_under_the_attempt_that_has_called_it(
    database_url: str, receiver: SpanReceiver
) -> None:
    async with traced(database_url, receiver) as (room, stream):
        await room.register(dag("child", {"work": []}))
        await room.register(dag("parent", {"call": []}))
        parent_id = await room.start("parent")
        await stream.send(results=[called((await take(stream)).task_token)])
        await stream.send(results=[success((await take(stream)).task_token)])
        await until_spans(receiver, 4)
    parent, call = receiver.one("RUN parent"), receiver.one("call")
    child, work = receiver.one("RUN child"), receiver.one("work")
    assert {span.trace_id for span in receiver.spans()} == {UUID(parent_id).bytes}
    assert work.parent_span_id == child.span_id and child.parent_span_id == call.span_id
    assert call.parent_span_id == parent.span_id and parent.parent_span_id == b""
    assert call.start_time_unix_nano <= child.start_time_unix_nano
    assert call.end_time_unix_nano >= child.end_time_unix_nano


async def test_an_answered_approval_is_a_span_too(database_url: str, receiver: SpanReceiver) -> None:
    async with traced(database_url, receiver) as (room, _):
        spec = dag_pb2.DagSpec(dag_id="ask", tasks=[dag_pb2.TaskSpec(task_id="ok", approval={"message": "Go?"})])
        await room.register(spec)
        run_id = await room.start("ask")
        await until_rows(room, "select count(*) from approval where state = 'open'", 1)
        await room.call("CancelDagRun", dag_run_id=run_id)
        await until_spans(receiver, 2)
    assert attributes(receiver.one("ok"))["cicd.pipeline.task.run.result"] == "cancellation"
    assert attributes(receiver.one("RUN ask"))["cicd.pipeline.result"] == "cancellation"


# ---- receivers that take nothing
async def one_run(room: Room, stream: Stream) -> None:
    """A run of one task, to its end: two spans."""
    run_id = await room.start("etl")
    await stream.send(results=[success((await take(stream)).task_token)])
    await room.watch(run_id)


async def test_what_a_receiver_does_not_take_is_kept_within_bounds_counted_and_sent_later(
    database_url: str, receiver: SpanReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glidepath_server.loops.trace_exporter.PAUSES_SECONDS", (0.05, 0.05))
    receiver.refuse = grpc.StatusCode.UNAVAILABLE
    async with traced(database_url, receiver, trace_backlog_max=4) as (room, stream):
        await room.register(dag("etl", {"load": []}))
        for _ in range(4):
            await one_run(room, stream)
        await until_rows(room, FEED, 4)
        assert receiver.calls and not receiver.spans()
        receiver.refuse = None
        await until_spans(receiver, 4)
        await until_rows(room, FEED, 0)

        async def counted() -> bool:
            return (spans_told(room, "sent"), spans_told(room, "dropped")) == (4, 4)

        await until(counted)
    assert len({span.span_id for span in receiver.spans()}) == len(receiver.spans()) == 4


async def test_spans_that_a_receiver_refuses_for_good_are_counted_and_not_sent_again(
    database_url: str, receiver: SpanReceiver
) -> None:
    async with traced(database_url, receiver) as (room, stream):
        await room.register(dag("etl", {"load": []}))
        receiver.refuse = grpc.StatusCode.INVALID_ARGUMENT
        await one_run(room, stream)
        await until_rows(room, FEED, 0)
        receiver.refuse, receiver.reject = None, 1
        await one_run(room, stream)
        await until_rows(room, FEED, 0)

        async def counted() -> bool:
            return spans_told(room, "refused") + spans_told(room, "sent") == 4

        await until(counted)
        assert spans_told(room, "refused") >= 3


def spans_told(room: Room, outcome: str) -> float:
    """How many spans have come to this by the server's own count."""
    found = re.search(f'spans_total{{outcome="{outcome}"}} (\\S+)', room.server.metrics.text().decode())
    return float(found[1]) if found else 0.0


async def test_a_run_is_noted_once_when_it_ends_and_not_by_later_steps(
    database_url: str, receiver: SpanReceiver
) -> None:
    receiver.refuse = grpc.StatusCode.UNAVAILABLE
    async with traced(database_url, receiver) as (room, stream):
        await room.register(dag("etl", {"load": []}))
        run_id = await room.start("etl")
        await stream.send(results=[success((await take(stream)).task_token)])
        await room.watch(run_id)
        mark = {"task_ids": ["load"], "state": run_pb2.TASK_STATE_FAILED, "reason": "not good"}
        await room.call("MarkTaskInstances", dag_run_id=run_id, **mark)
        found = await room.rows("select task_index, attempt_number from trace_feed order by feed_id")
    assert [tuple(each) for each in found] == [(0, 1), (None, None)]


async def test_nobody_takes_what_another_replica_is_at_until_its_time_is_over(database_url: str) -> None:
    database = await Database.open(database_url)
    try:
        async with database.api.acquire() as connection:
            await connection.execute("insert into trace_feed (dag_run_id) values ($1)", clock.uuid7(clock.utc_now()))
            (first,) = await traces.take(connection, 10, 60.0)
            assert await traces.take(connection, 10, 60.0) == []
            await connection.execute("update clock set shift = '61 seconds'")
            assert await traces.take(connection, 10, 60.0) == [first]
            await traces.give_back(connection, [first.feed_id])
            assert await traces.take(connection, 10, 60.0) == [first]
    finally:
        await database.close()


# ---- off
async def test_without_a_receiver_nothing_is_noted_and_the_callers_context_is_handed_on_as_it_is(
    database_url: str,
) -> None:
    async with open_stream(database_url, credits=20) as (room, stream):
        await room.register(dag("child", {"work": []}))
        await room.register(dag("etl", {"load": []}))
        await room.start("etl", traceparent=CALLER)
        assignment = await take(stream)
        assert assignment.traceparent == CALLER
        await stream.send(results=[called(assignment.task_token)])
        work = await take(stream)
        assert work.traceparent == CALLER
        await stream.send(results=[success(work.task_token)])
        await until_rows(room, "select count(*) from dag_run where end_time is not null", 2)
        assert (await room.rows(FEED))[0][0] == 0
        await room.start("etl")
        assert (await take(stream)).traceparent == ""


@pytest.mark.parametrize("endpoint", ["localhost:4317", "ftp://host", "http://", "http://host:4318/v1/traces"])
async def test_an_endpoint_that_is_none_is_refused_by_name(endpoint: str) -> None:
    with pytest.raises(InvalidInput, match=r"otlp_endpoint: got .*, expected http://host:4317"):
        check_otlp(settings_for("postgresql://nowhere", otlp_endpoint=endpoint))


async def test_headers_that_are_none_are_refused_without_their_values(database_url: str) -> None:
    assert headers_of(" A=b , c-d=e=f,") == [("a", "b"), ("c-d", "e=f")]
    with pytest.raises(InvalidInput, match="otlp_headers: got 'header 2', expected name=value") as caught:
        async with running(database_url, otlp_endpoint="http://127.0.0.1:1", otlp_headers="a=b,hunter2"):
            pass
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(settings_for("postgresql://nowhere", otlp_headers="x=hunter2"))


async def test_a_receiver_that_is_not_there_keeps_no_server_from_starting(database_url: str) -> None:
    async with open_room(database_url, otlp_endpoint="http://127.0.0.1:1") as room:
        await room.register(dag("etl", {"load": []}))
        assert await room.start("etl")
