"""Who may call what: tokens, roles, namespaces, and streams that end with their token."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor
from probe import FORGOTTEN, PROBE, ROLES, Probe, Question, path
from serving import Api, bearer, open_channel, until

from glidepath_proto.admin.v1 import admin_service_pb2 as pb
from glidepath_proto.admin.v1 import admin_service_pb2_grpc
from glidepath_proto.common.v1 import authorization_pb2
from glidepath_server.api import auth
from glidepath_server.api.grpc_server import Listeners
from glidepath_server.operations.tokens import revoke_token
from glidepath_server.store import identity
from glidepath_server.store.database import database_now, transaction

pytestmark = pytest.mark.asyncio
Code = grpc.StatusCode
# Written out from the comment of the Role enum, not taken from the code under test.
MAY = {
    "viewer": {"viewer"},
    "operator": {"viewer", "operator"},
    "author": {"viewer", "operator", "author"},
    "admin": {"viewer", "operator", "author", "admin"},
    "worker": {"worker"},
}


async def code_of(call: Any) -> tuple[grpc.StatusCode, str]:
    """How a call ended, and its message; a stream that sends something instead of ending is OK."""
    if hasattr(call, "read"):
        with suppress(grpc.aio.AioRpcError):
            if await call.read() is not grpc.aio.EOF:
                call.cancel()
                return Code.OK, ""
    return await call.code(), await call.details() or ""


class Bench:
    """The probe service behind the real interceptors."""

    def __init__(self, api: Api, probe: Probe, listeners: Listeners, authenticator: auth.Authenticator) -> None:
        self.api, self.probe, self.listeners, self.authenticator = api, probe, listeners, authenticator
        self.channel = open_channel(listeners.address)

    def call(self, name: str, token: str = "", **fields: str) -> Any:
        metadata = bearer(token) if token else ()
        if name == "Stream":
            return self.channel.unary_stream(path(name), Question.SerializeToString, Question.FromString)(
                Question(**fields), metadata=metadata
            )
        return self.channel.unary_unary(path(name), Question.SerializeToString, Question.FromString)(
            Question(**fields), metadata=metadata
        )


class Clock:
    """Monotonic time that only the test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest_asyncio.fixture
async def monotonic() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def bench(api: Api, monotonic: Clock):
    authenticator = auth.Authenticator(api.database, required=True, cache_seconds=5.0, monotonic=monotonic)
    probe = Probe()
    listeners = Listeners(api.server.settings, authenticator, [probe.service()])
    await listeners.start()
    found = Bench(api, probe, listeners, authenticator)
    yield found
    await found.channel.close()
    await listeners.stop(0)


# ---- tokens
async def test_a_public_method_needs_no_token(bench: Bench) -> None:
    answer = await bench.call("Public")
    assert answer.text == "anybody/"


async def test_a_call_without_a_token_is_told_what_to_send(bench: Bench) -> None:
    code, message = await code_of(bench.call("AsViewer"))
    assert code is Code.UNAUTHENTICATED
    assert "authorization: Bearer gp_" in message


async def test_another_scheme_is_not_a_token(bench: Bench) -> None:
    call = bench.channel.unary_unary(path("AsViewer"))(b"", metadata=(("authorization", "Basic YTpi"),))
    assert (await code_of(call))[0] is Code.UNAUTHENTICATED


async def test_a_token_names_its_caller(bench: Bench) -> None:
    token = await bench.api.token("author", name="ci")
    answer = await bench.call("AsAuthor", token)
    assert (answer.text, answer.namespace) == ("ci/author", "default")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-1],
        lambda token: token[:-1] + ("a" if token[-1] != "a" else "b"),
        lambda token: token.replace("gp_viewer", "gp_admin"),
        lambda token: token.upper(),
    ],
)
async def test_a_damaged_token_is_refused_without_asking_the_database(bench: Bench, spoil) -> None:
    token = await bench.api.token("viewer")
    assert (await code_of(bench.call("AsViewer", token)))[0] is Code.OK
    before = len(bench.authenticator._tokens)
    assert (await code_of(bench.call("AsViewer", spoil(token))))[0] is Code.UNAUTHENTICATED
    assert len(bench.authenticator._tokens) == before


async def test_a_token_of_another_server_is_refused(bench: Bench) -> None:
    token = await bench.api.token("viewer")
    async with bench.api.database.api.acquire() as connection:
        await connection.execute("delete from api_token")
    assert (await code_of(bench.call("AsViewer", token)))[0] is Code.UNAUTHENTICATED


async def test_a_right_id_with_a_wrong_secret_is_refused(bench: Bench) -> None:
    first, second = await bench.api.token("viewer"), await bench.api.token("viewer")
    async with bench.api.database.api.acquire() as connection:
        await connection.execute("update api_token set secret_hash = '\\x00' where token_id = $1", first.split("_")[2])
    assert (await code_of(bench.call("AsViewer", first)))[0] is Code.UNAUTHENTICATED
    assert (await code_of(bench.call("AsViewer", second)))[0] is Code.OK


async def test_a_revoked_token_ends_within_the_cache_time(bench: Bench, monotonic: Clock) -> None:
    token = await bench.api.token("viewer")
    assert (await code_of(bench.call("AsViewer", token)))[0] is Code.OK
    await _revoke(bench, token)
    monotonic.now += 4.9
    assert (await code_of(bench.call("AsViewer", token)))[0] is Code.OK
    monotonic.now += 0.2
    code, message = await code_of(bench.call("AsViewer", token))
    assert code is Code.UNAUTHENTICATED
    assert "revoked or has expired" in message


async def test_a_token_expires_by_the_clock_of_the_database(bench: Bench, monotonic: Clock) -> None:
    async with bench.api.database.api.acquire() as connection:
        now = await database_now(connection)
    token = await bench.api.token("viewer", expire_time=now + timedelta(hours=1))
    assert (await code_of(bench.call("AsViewer", token)))[0] is Code.OK
    async with bench.api.database.api.acquire() as connection:
        await connection.execute("update clock set shift = interval '1 hour'")
    monotonic.now += 5.1
    assert (await code_of(bench.call("AsViewer", token)))[0] is Code.UNAUTHENTICATED


async def test_a_stream_ends_when_its_token_is_revoked(bench: Bench) -> None:
    token, other = await bench.api.token("viewer"), await bench.api.token("viewer")
    doomed, kept = bench.call("Stream", token), bench.call("Stream", other)
    assert (await doomed.read()).text == (await kept.read()).text == "first"
    await bench.probe.streaming.wait()
    await _revoke(bench, token)
    await bench.authenticator.end_revoked_streams(bench.listeners.streams)
    assert (await code_of(doomed))[0] is Code.UNAUTHENTICATED
    assert not kept.done()
    kept.cancel()


async def test_a_stream_that_its_client_leaves_is_forgotten(bench: Bench) -> None:
    call = bench.call("Stream", await bench.api.token("viewer"))
    await call.read()
    await bench.probe.streaming.wait()
    assert len(bench.listeners.streams) == 1
    call.cancel()

    async def forgotten() -> bool:
        return not bench.listeners.streams

    await until(forgotten)


async def test_a_stopping_server_ends_streams_so_that_clients_go_elsewhere(bench: Bench) -> None:
    call = bench.call("Stream", await bench.api.token("viewer"))
    await call.read()
    await bench.probe.streaming.wait()
    async with asyncio.timeout(5):
        await bench.listeners.stop(60)
    code, message = await code_of(call)
    assert code is Code.UNAVAILABLE and "stopping" in message


async def test_a_stream_that_is_being_admitted_when_the_server_stops_is_ended_too(bench: Bench) -> None:
    token = await bench.api.token("viewer")
    async with bench.api.database.api.acquire() as connection:
        async with connection.transaction():
            await connection.execute("lock table api_token in access exclusive mode")
            call = bench.call("Stream", token)

            async def is_looked_up() -> bool:
                return bool(await connection.fetchval("select exists (select from pg_locks where not granted)"))

            await until(is_looked_up)
            stopping = asyncio.create_task(bench.listeners.stop(60))

            async def takes_no_calls() -> bool:
                return (await code_of(bench.call("Public")))[0] is Code.UNAVAILABLE

            await until(takes_no_calls)
        async with asyncio.timeout(5):
            code, message = await code_of(call)
            await stopping
    assert code is Code.UNAVAILABLE and "stopping" in message


async def test_a_service_that_drains_has_the_grace_to_end_its_streams(api: Api) -> None:
    probe = Probe()
    authenticator = auth.Authenticator(api.database, required=True, cache_seconds=5.0)
    listeners = Listeners(api.server.settings, authenticator, [probe.service(drain=probe.leave.set)])
    await listeners.start()
    bench = Bench(api, probe, listeners, authenticator)
    call = bench.call("Stream", await api.token("viewer"))
    await call.read()
    await probe.streaming.wait()
    async with asyncio.timeout(5), bench.channel:
        await listeners.stop(60)
        assert (await call.read()).text == "drained"
        assert (await code_of(call))[0] is Code.OK


async def _revoke(bench: Bench, token: str) -> None:
    async with transaction(bench.api.database.api, "test") as connection:
        await revoke_token(connection, token_id=token.split("_")[2], namespace="*", actor="test")


# ---- roles
@pytest.mark.parametrize("role", ROLES)
async def test_a_role_reaches_what_it_includes_and_nothing_else(bench: Bench, role: str) -> None:
    token = await bench.api.token(role)
    for needed in ROLES:
        code, message = await code_of(bench.call(f"As{needed.capitalize()}", token))
        if needed in MAY[role]:
            assert code is Code.OK, needed
        else:
            assert code is Code.PERMISSION_DENIED, needed
            assert f"needs the role {needed}" in message


@pytest.mark.parametrize("role", ROLES)
async def test_every_method_of_the_server_holds_to_the_rule_in_its_proto(api: Api, role: str) -> None:
    channel, metadata = await api.channel(), bearer(await api.token(role))
    for method in _methods(api):
        rule = method.GetOptions().Extensions[authorization_pb2.authorization]
        needed = authorization_pb2.Role.Name(rule.role).removeprefix("ROLE_").lower()
        code, message = await code_of(_call_empty(channel, method, metadata))
        refused = code is Code.PERMISSION_DENIED and f"needs the role {needed}" in message
        assert refused == (not rule.public and needed not in MAY[role]), (method.full_name, code, message)


async def test_no_method_but_public_ones_answers_without_a_token(api: Api) -> None:
    channel = await api.channel()
    for method in _methods(api):
        rule = method.GetOptions().Extensions[authorization_pb2.authorization]
        code, _ = await code_of(_call_empty(channel, method, ()))
        assert (code is Code.UNAUTHENTICATED) == (not rule.public), method.full_name


def _methods(api: Api) -> list[MethodDescriptor]:
    return [method for service in api.server.services for method in service.descriptor.methods]


def _call_empty(channel: grpc.aio.Channel, method: MethodDescriptor, metadata):
    where = f"/{method.containing_service.full_name}/{method.name}"
    if method.client_streaming and method.server_streaming:
        return channel.stream_stream(where)(iter([b""]), metadata=metadata, timeout=10)
    if method.client_streaming:
        return channel.stream_unary(where)(iter([b""]), metadata=metadata, timeout=10)
    if method.server_streaming:
        return channel.unary_stream(where)(b"", metadata=metadata, timeout=10)
    return channel.unary_unary(where)(b"", metadata=metadata, timeout=10)


async def test_a_method_without_a_rule_stops_the_start_and_is_named() -> None:
    with pytest.raises(ValueError, match=r"glidepath\.test\.v1\.ForgottenService\.Open"):
        auth.rules_of([PROBE, FORGOTTEN])


# ---- namespaces
async def test_a_token_of_one_namespace_cannot_name_another(bench: Bench) -> None:
    await _namespaces(bench, "red", "blue")
    token = await bench.api.token("admin", namespace="red")
    assert (await bench.call("AsViewer", token)).namespace == "red"
    assert (await bench.call("AsViewer", token, namespace="red")).namespace == "red"
    for foreign in ("blue", "default", "nowhere", "*"):
        code, message = await code_of(bench.call("AsViewer", token, namespace=foreign))
        assert code is Code.PERMISSION_DENIED, foreign
        assert "'red'" in message


async def test_the_namespace_is_checked_before_the_handler_runs(bench: Bench) -> None:
    await _namespaces(bench, "red", "blue")
    bench.probe.failure = lambda: AssertionError("the handler ran")
    token = await bench.api.token("viewer", namespace="red")
    assert (await code_of(bench.call("Fail", token, namespace="blue")))[0] is Code.PERMISSION_DENIED
    assert (await code_of(bench.call("Stream", token, namespace="blue")))[0] is Code.PERMISSION_DENIED


async def test_a_namespace_that_does_not_exist_is_not_found(bench: Bench) -> None:
    token = await bench.api.token("admin")
    code, message = await code_of(bench.call("AsViewer", token, namespace="typo"))
    assert code is Code.NOT_FOUND
    assert "'typo'" in message and "ListNamespaces" in message


async def test_every_list_and_change_of_the_server_refuses_a_foreign_namespace(api: Api) -> None:
    channel = await api.channel()
    admin = admin_service_pb2_grpc.AdminServiceStub(channel)
    everywhere = bearer(await api.token("admin"))
    for name in ("red", "blue"):
        await admin.CreateNamespace(pb.CreateNamespaceRequest(new_namespace=name), metadata=everywhere)
    metadata = {role: bearer(await api.token(role, namespace="red")) for role in ROLES}
    checked = 0
    for method in _methods(api):
        if method.client_streaming or "namespace" not in method.input_type.fields_by_name:
            continue
        rule = method.GetOptions().Extensions[authorization_pb2.authorization]
        role = authorization_pb2.Role.Name(rule.role).removeprefix("ROLE_").lower()
        number = method.input_type.fields_by_name["namespace"].number
        body = bytes([number << 3 | 2, 4]) + b"blue"
        where = f"/{method.containing_service.full_name}/{method.name}"
        call = (channel.unary_stream if method.server_streaming else channel.unary_unary)(where)(
            body, metadata=metadata[role], timeout=10
        )
        code, message = await code_of(call)
        assert code is Code.PERMISSION_DENIED and "'blue'" in message, (method.full_name, code, message)
        checked += 1
    assert checked >= 7


async def _namespaces(bench: Bench, *names: str) -> None:
    async with bench.api.database.api.acquire() as connection:
        for name in names:
            await identity.insert_namespace(connection, name)
    bench.authenticator.forget()


async def test_with_authentication_off_everybody_on_this_host_may_do_everything(api: Api) -> None:
    authenticator = auth.Authenticator(api.database, required=False, cache_seconds=5.0)
    found = await authenticator.identify({})
    assert (found.name, found.namespace) == ("local", "*")
    assert all(role in auth.INCLUDES[found.role] for role in ROLES)
