"""A failed call becomes an exception that says what to do; UNAVAILABLE alone is tried again."""

import threading
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2  # type: ignore[import-untyped]

from glidepath import (
    AlreadyExists,
    AsyncClient,
    Client,
    InvalidDag,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    RpcError,
    StateConflict,
    Unauthenticated,
    Unavailable,
    Violation,
)
from glidepath.client.status import Details, cause, read_details
from glidepath_proto.admin.v1 import admin_service_pb2
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.run.v1 import run_service_pb2

CODES = [
    (grpc.StatusCode.NOT_FOUND, NotFound, "the server's words"),
    (grpc.StatusCode.ALREADY_EXISTS, AlreadyExists, "the server's words"),
    (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequest, "the server's words"),
    (grpc.StatusCode.UNAUTHENTICATED, Unauthenticated, "GLIDEPATH_TOKEN"),
    (grpc.StatusCode.PERMISSION_DENIED, PermissionDenied, "the server's words"),
    (grpc.StatusCode.FAILED_PRECONDITION, StateConflict, "the server's words"),
    (grpc.StatusCode.ABORTED, StateConflict, "the server's words"),
    (grpc.StatusCode.RESOURCE_EXHAUSTED, LimitExceeded, "the server's words"),
    (grpc.StatusCode.UNIMPLEMENTED, RpcError, "does not know glidepath.registry.v1.RegistryService/GetDag"),
    (grpc.StatusCode.INTERNAL, RpcError, "Its log says more"),
]


@pytest.mark.parametrize(("code", "kind", "message"), CODES, ids=lambda value: getattr(value, "name", None))
async def test_each_code_has_its_exception(
    server: Any, code: grpc.StatusCode, kind: type[RpcError], message: str
) -> None:
    server.on("GetDag", lambda request, context: context.abort(code, "the server's words"))
    with Client(server.address) as client, pytest.raises(kind, match=message) as caught:
        client.get_dag("d")
    async with AsyncClient(server.address) as asynchronous:
        with pytest.raises(kind, match=message):
            await asynchronous.get_dag("d")
    assert type(caught.value) is kind and caught.value.code == code.name
    assert caught.value.method == "glidepath.registry.v1.RegistryService/GetDag"
    assert len(server.calls) == 2


def _bad_request(*violations: tuple[str, str]) -> status_pb2.Status:
    bad = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=field, description=text) for field, text in violations
        ]
    )
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="2 mistakes")
    for detail in (error_details_pb2.ErrorInfo(reason="INVALID_DAG", domain="y", metadata={"hint": "h"}), bad):
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def test_violations_are_listed(server: Any) -> None:
    status = _bad_request(("tasks.a.policy", "größer"), ("tasks.b", "unknown upstream 'c'"))

    def refuse(request: Any, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "DAG 'd' was refused")

    server.on("RegisterDagVersion", refuse)
    with Client(server.address) as client, pytest.raises(InvalidDag) as caught:
        client.register(dag_pb2.DagSpec(dag_id="d"))
    assert caught.value.violations == (
        Violation("tasks.a.policy", "größer"),
        Violation("tasks.b", "unknown upstream 'c'"),
    )
    assert caught.value.reason == "INVALID_DAG"
    assert "DAG 'd' was refused\n  tasks.a.policy: größer\n" in str(caught.value)


def test_violations_that_the_message_lists_are_not_repeated() -> None:
    assert str(InvalidRequest("a: too long", [Violation("a", "too long")])) == "a: too long"


def test_broken_details_are_no_error_of_their_own() -> None:
    whole = _bad_request(("a", "b"), ("c", "d" * 200)).SerializeToString()
    assert read_details(whole) == Details("INVALID_DAG", (Violation("a", "b"), Violation("c", "d" * 200)))
    for length in range(len(whole)):
        read_details(whole[:length])
    assert read_details(b"\xff" * 40) == read_details(b"") == Details()


async def test_unavailable_is_tried_again_under_the_same_request_id(server: Any) -> None:
    def moody(request: Any, context: grpc.ServicerContext) -> Any:
        if len(server.calls) % 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "moving")
        return run_service_pb2.TriggerDagRunsResponse(runs=[run_service_pb2.TriggeredDagRun(dag_run_id="r")])

    server.on("TriggerDagRuns", moody)
    with Client(server.address) as client:
        assert client.trigger("d").dag_run_id == "r"
    async with AsyncClient(server.address) as asynchronous:
        assert (await asynchronous.trigger("d")).dag_run_id == "r"
    ids = [each.request_id for each in server.requests("TriggerDagRuns")]
    assert len(ids) == 6 and len(set(ids[:3])) == len(set(ids[3:])) == 1


def test_what_has_no_request_id_is_never_repeated(server: Any) -> None:
    for method in ("CreateToken", "CreateNamespace"):
        server.on(method, lambda request, context: context.abort(grpc.StatusCode.UNAVAILABLE, "moving"))
    with Client(server.address) as client:
        with pytest.raises(Unavailable):
            client.create_token("ci", "author")
        with pytest.raises(Unavailable):
            client.create_namespace("ml")
    assert len(server.calls) == 2


def test_no_server_says_what_to_do(server: Any) -> None:
    server.stop()
    with Client(server.address) as client, pytest.raises(Unavailable) as caught:
        client.get_server_info()
    assert server.address in str(caught.value) and "`glidepath up`" in str(caught.value)


def test_a_server_that_is_unavailable_speaks_for_itself(server: Any) -> None:
    status = _bad_request().SerializeToString()

    def refuse(request: Any, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", status),))
        context.abort(grpc.StatusCode.UNAVAILABLE, "the database does not answer (try again)")

    server.on("CreateNamespace", refuse)
    with Client(server.address) as client, pytest.raises(Unavailable) as caught:
        client.create_namespace("ml")
    assert str(caught.value) == "the database does not answer (try again)"


def test_a_server_that_does_not_answer_in_time_is_unavailable(server: Any) -> None:
    def never(request: Any, context: grpc.ServicerContext) -> Any:
        done = threading.Event()
        context.add_callback(done.set)
        done.wait(30)
        return admin_service_pb2.GetServerInfoResponse()

    server.on("GetServerInfo", never)
    with Client(server.address, timeout=0.2) as client, pytest.raises(Unavailable, match="did not answer in time"):
        client.get_server_info()


@pytest.mark.parametrize(
    ("details", "said"),
    [
        (
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:7711: No route to host",
            "No route to host",
        ),
        ("DNS resolution failed for h:1: [C-ares status is not OK: Timeout]", "Timeout"),
        ("the server is stopping: call again (another replica: this one)", None),
        ("Socket closed", None),
        ("", None),
    ],
)
def test_of_a_connection_that_does_not_come_about_the_cause_alone_is_told(details: str, said: str | None) -> None:
    assert cause(details) == (details if said is None else said)
