"""What a caller sees of an error: code, sentence, details; and what it never sees."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from typing import Any

import asyncpg
import grpc
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from probe import Probe, Question, path
from serving import Api, bearer, open_channel, until

from glidepath_proto.admin.v1 import admin_service_pb2 as pb
from glidepath_proto.admin.v1 import admin_service_pb2_grpc
from glidepath_server import telemetry
from glidepath_server.api.auth import Authenticator
from glidepath_server.api.grpc_server import Listeners
from glidepath_server.api.status import CODES
from glidepath_server.core import errors

pytestmark = pytest.mark.asyncio
Code = grpc.StatusCode


class Caller:
    """Makes the probe fail and returns what arrives."""

    def __init__(self, probe: Probe, channel: grpc.aio.Channel) -> None:
        self.probe, self.channel = probe, channel

    async def failed(self, failure: BaseException, method: str = "Fail") -> grpc.aio.AioRpcError:
        self.probe.failure = lambda: failure
        call: Any = self.channel.unary_stream if method == "Stream" else self.channel.unary_unary
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            answers = call(path(method), Question.SerializeToString, Question.FromString)(Question())
            if method == "Stream":
                async for _ in answers:
                    pass
            else:
                await answers
        return caught.value


@asynccontextmanager
async def probing(api: Api) -> AsyncIterator[Caller]:
    probe = Probe()
    anybody = Authenticator(api.database, required=False, cache_seconds=5)
    listeners = Listeners(api.server.settings, anybody, [probe.service()])
    await listeners.start()
    async with open_channel(listeners.address) as channel:
        yield Caller(probe, channel)
    await listeners.stop(0)


@pytest_asyncio.fixture
async def caller(api: Api) -> AsyncIterator[Caller]:
    async with probing(api) as found:
        yield found


def detail_of(error: grpc.aio.AioRpcError, kind: Any) -> Any:
    """The detail of that kind; None when there is none."""
    status: Any = rpc_status.from_call(error)  # type: ignore[arg-type]
    for each in status.details if status else ():
        if each.Is(kind.DESCRIPTOR):
            found = kind()
            each.Unpack(found)
            return found
    return None


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (errors.InvalidInput("bad"), Code.INVALID_ARGUMENT),
        (errors.InvalidDag("bad"), Code.INVALID_ARGUMENT),
        (errors.NotFound("gone"), Code.NOT_FOUND),
        (errors.AlreadyExists("taken"), Code.ALREADY_EXISTS),
        (errors.StateConflict("not now"), Code.FAILED_PRECONDITION),
        (errors.Fenced("late"), Code.ABORTED),
        (errors.LimitExceeded("full"), Code.RESOURCE_EXHAUSTED),
        (errors.Unauthenticated("who"), Code.UNAUTHENTICATED),
        (errors.PermissionDenied("no"), Code.PERMISSION_DENIED),
        (errors.Unavailable("later"), Code.UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("method", ["Fail", "Stream"])
async def test_each_error_has_its_code_and_reason(
    caller: Caller,
    failure: errors.GlidepathError,
    code: grpc.StatusCode,
    method: str,
) -> None:
    failure.hint = "do something else"
    arrived = await caller.failed(failure, method)
    assert arrived.code() is code
    assert arrived.details() == f"{failure.message} (do something else)"
    info = detail_of(arrived, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain, info.metadata["hint"]) == (failure.reason, "glidepath", "do something else")


async def test_every_error_class_is_in_the_table_or_is_a_bug() -> None:
    foreseen = {kind for kind in errors.GlidepathError.__subclasses__() if kind is not errors.IllegalTransition}
    assert foreseen == set(CODES)


async def test_bad_input_names_each_field_its_value_and_what_was_expected(caller: Caller) -> None:
    violations = [errors.Violation("tasks.train.retries", "-1", "0 to 100"), errors.Violation("dag_id", "''", "a name")]
    arrived = await caller.failed(errors.InvalidInput("two things are wrong", violations=violations))
    found = detail_of(arrived, error_details_pb2.BadRequest).field_violations
    assert [(each.field, each.description) for each in found] == [
        ("tasks.train.retries", "got -1, expected 0 to 100"),
        ("dag_id", "got '', expected a name"),
    ]


async def test_more_violations_than_fit_are_counted(caller: Caller) -> None:
    violations = [errors.Violation(f"tasks.t{number}.retries", "-1" * 20, "0 to 100") for number in range(1000)]
    arrived = await caller.failed(errors.InvalidInput("ä" * 5000, violations=violations))
    assert arrived.code() is Code.INVALID_ARGUMENT
    found = detail_of(arrived, error_details_pb2.BadRequest).field_violations
    assert found[0].field == "tasks.t0.retries"
    assert found[-1].description == f"and {1000 - (len(found) - 1)} more that do not fit into one answer"


async def test_a_limit_says_when_to_come_back(caller: Caller) -> None:
    arrived = await caller.failed(errors.LimitExceeded("100 streams at most", retry_after_seconds=2.5))
    delay = detail_of(arrived, error_details_pb2.RetryInfo).retry_delay
    assert (delay.seconds, delay.nanos) == (2, 500_000_000)
    assert detail_of(await caller.failed(errors.LimitExceeded("never")), error_details_pb2.RetryInfo) is None


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionRefusedError("nobody there"),
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.InvalidCachedStatementError("plan changed"),
        TimeoutError(),
    ],
)
async def test_a_database_that_does_not_answer_is_unavailable_for_now(caller: Caller, failure: Exception) -> None:
    arrived = await caller.failed(failure)
    assert arrived.code() is Code.UNAVAILABLE
    assert detail_of(arrived, error_details_pb2.RetryInfo).retry_delay.seconds == 1


async def test_after_the_database_cut_its_connections_calls_are_unavailable_at_most_and_then_well(api: Api) -> None:
    admin = admin_service_pb2_grpc.AdminServiceStub(await api.channel())
    metadata = bearer(await api.token("viewer"))
    seen = set()

    async def answered() -> bool:
        call = admin.ListPools(pb.ListPoolsRequest(), metadata=metadata)
        seen.add(await call.code())
        return await call.code() is Code.OK

    await until(answered)
    connection = await asyncpg.connect(api.server.settings.database_url)
    await connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    await connection.close()
    await until(answered)
    assert seen <= {Code.OK, Code.UNAVAILABLE}


@pytest.mark.parametrize("method", ["Fail", "Stream"])
@pytest.mark.parametrize(
    "failure",
    [
        ZeroDivisionError("secret-detail"),
        asyncpg.UniqueViolationError("secret-detail"),
        errors.IllegalTransition("secret-detail"),
    ],
)
async def test_what_nobody_foresaw_is_an_incident_in_the_log_and_no_traceback_on_the_wire(
    caller: Caller,
    failure: Exception,
    method: str,
) -> None:
    log = StringIO()
    telemetry.configure("json", stream=log)
    try:
        arrived = await caller.failed(failure, method)
    finally:
        telemetry.configure()
    assert arrived.code() is Code.INTERNAL
    assert "secret-detail" not in str(arrived.details()) + str(arrived.trailing_metadata())
    line = next(found for found in map(json.loads, log.getvalue().splitlines()) if found["event"] == "call_failed")
    assert line["incident"] in str(arrived.details())
    assert line["incident"] == detail_of(arrived, error_details_pb2.ErrorInfo).metadata["incident"]
    assert "secret-detail" in line["exception"] and "Traceback" in line["exception"]
