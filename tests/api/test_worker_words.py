"""What a worker says about an attempt, in values that no clock, database or reader could take as they are."""

from __future__ import annotations

import json
import math
from typing import Any

import grpc
import pytest
from runs_room import HANDLER, dag, open_room, rest
from worker_room import failure, hello, line, open_stream, open_workers, success, until_rows

from glidepath_proto.worker.v1 import task_pb2
from glidepath_proto.worker.v1 import worker_service_pb2 as pb
from glidepath_server.api.assignments import Assignments

CALM = {"lease_ttl_seconds": 60.0, "accept_timeout_seconds": 60.0}
DAYS_30 = 30 * 86_400


async def test_a_failure_asks_for_a_retry_within_30_days(database_url: str) -> None:
    async with open_stream(database_url, credits=1, **CALM) as (room, stream):
        await room.register(dag("churn", {"only": []}))
        run_id = await room.start("churn")
        (assignment,) = await stream.take("assignments")
        result = failure(assignment.task_token)
        result.failed.retry_after.seconds = 2**62
        await stream.send(results=[result])
        await room.watch(run_id)
        (row,) = await room.rows("select failure from task_attempt")
        assert json.loads(row["failure"])["retry_after_seconds"] == DAYS_30
        answer = await room.call("ListAttempts", dag_run_id=run_id)
        assert answer.attempts[0].failure.retry_after.seconds == DAYS_30


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("hello.queue_names", {"queue_names": ["a\0b"]}),
        ("hello.labels", {"labels": {"zone": "a\0b"}}),
        ("hello.handlers", {"handlers": [pb.HandlerOffer(name="a\0b")]}),
        ("hello.handlers", {"handlers": [pb.HandlerOffer(name=HANDLER, versions=["v" * 501])]}),
        ("hello.resources", {"resources": {"a\0b": 1}}),
        ("hello.resources['gpu']", {"resources": {"gpu": math.nan}}),
        ("hello.resources['gpu']", {"resources": {"gpu": math.inf}}),
        ("hello.resources['gpu']", {"resources": {"gpu": -1}}),
    ],
)
async def test_an_offer_that_cannot_be_stored_is_refused_by_its_field(
    module_database_url: str, field: str, fields: dict[str, Any]
) -> None:
    async with open_room(module_database_url, **CALM) as room, open_workers(room) as workers:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await workers.call("Claim", hello=hello(**fields))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (caught.value.details() or "").startswith(f"{field}: got ")


async def test_a_log_line_of_no_year_can_be_read(database_url: str) -> None:
    async with open_stream(database_url, credits=1, **CALM) as (room, stream):
        await room.register(dag("churn", {"only": []}))
        run_id = await room.start("churn")
        (assignment,) = await stream.take("assignments")
        for number, seconds in enumerate((2**62, -(2**62))):
            chunk = line(assignment.task_token, number, f"line {number}")
            chunk.entries[0].time.seconds = seconds
            await stream.send(log_chunks=[chunk])
        await stream.send(progress=[task_pb2.Progress(task_token=assignment.task_token, percent=math.nan)])
        await stream.take("log_acks", 2)
        await until_rows(room, "select progress_percent = 0 from task_progress", True)
        await stream.send(results=[success(assignment.task_token)])
        await room.watch(run_id)
        messages = await rest(room.stream("StreamLogs", dag_run_id=run_id))
        lines = [each for message in messages for each in message.lines]
        assert [each.text for each in lines] == ["line 0", "line 1"]
        assert [each.time.ToDatetime().year for each in lines] == [9999, 1970]


async def test_a_reference_that_would_be_cut_is_rejected(database_url: str) -> None:
    async with open_stream(database_url, credits=1, **CALM) as (room, stream):
        await room.register(dag("churn", {"only": []}))
        await room.start("churn")
        (assignment,) = await stream.take("assignments")
        result = success(assignment.task_token)
        result.success.output.uri = "s3://" + "x" * 2000
        await stream.send(results=[result])
        (ack,) = await stream.take("result_acks")
        assert (ack.verdict, ack.reason) == (pb.VERDICT_REJECTED, "the output's URI has more than 2000 characters")


async def test_an_assignment_that_fails_to_be_made_is_given_out_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, failures = Assignments.build, [RuntimeError("broken")]

    def build_but_once(self: Assignments, *arguments: Any) -> task_pb2.Assignment:
        if failures:
            raise failures.pop()
        return build(self, *arguments)

    monkeypatch.setattr(Assignments, "build", build_but_once)
    async with open_stream(database_url, credits=1, **CALM) as (room, stream):
        await room.register(dag("churn", {"only": []}))
        await room.start("churn")
        (assignment,) = await stream.take("assignments")
        assert assignment.attempt.attempt_number == 2
