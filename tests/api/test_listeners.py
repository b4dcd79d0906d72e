"""The listeners: where they may open, TLS, limits of the wire, two listeners apart, health, reflection."""

from __future__ import annotations

import asyncio
import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from serving import CHANNEL_OPTIONS, Api, bearer, open_channel, running, settings_for, until

from glidepath_proto.admin.v1 import admin_service_pb2 as pb
from glidepath_proto.admin.v1 import admin_service_pb2_grpc
from glidepath_server.api.exposure import check_exposure, is_loopback
from glidepath_server.api.grpc_server import options
from glidepath_server.core.errors import InvalidInput, StateConflict

pytestmark = pytest.mark.asyncio
Code = grpc.StatusCode


async def server_info(channel: grpc.aio.Channel) -> pb.GetServerInfoResponse:
    return await admin_service_pb2_grpc.AdminServiceStub(channel).GetServerInfo(pb.GetServerInfoRequest(), timeout=10)


async def failure_of(awaitable: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return caught.value.code()


async def code_of(awaitable: Any) -> grpc.StatusCode:
    try:
        await awaitable
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


# ---- where
@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:1", True),
        ("127.8.8.8:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("unix:run/socket", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("example.org:1", False),
    ],
)
async def test_only_this_hosts_own_addresses_are_loopback(address: str, local: bool) -> None:
    assert is_loopback(address) is local


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"auth": "off", "insecure_plaintext": True}, "GLIDEPATH_AUTH=required"),
        ({"auth": "required"}, "GLIDEPATH_TLS_CERTIFICATE_FILE"),
        ({"auth": "off"}, "GLIDEPATH_AUTH=required"),
    ],
)
@pytest.mark.parametrize("which", ["address", "worker_address"])
async def test_beyond_loopback_a_server_does_not_start_unprotected_and_says_what_to_set(
    which: str,
    overrides: dict[str, Any],
    named: str,
) -> None:
    settings = settings_for("postgresql://nowhere", **{which: "0.0.0.0:0", **overrides})
    with pytest.raises(InvalidInput) as caught:
        check_exposure(settings)
    assert named in caught.value.hint and "0.0.0.0:0" in caught.value.message


async def test_beyond_loopback_plaintext_can_be_asked_for_with_tokens(database_url: str) -> None:
    async with running(database_url, address="0.0.0.0:0", insecure_plaintext=True) as api:
        port = api.address.rpartition(":")[2]
        async with open_channel(f"127.0.0.1:{port}") as channel:
            assert (await server_info(channel)).authentication_required


@pytest.mark.parametrize("address", ["7711", "host", ":7711", "host:port", "host:70000"])
async def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="address: got"):
        check_exposure(settings_for("postgresql://nowhere", address=address))


async def test_an_address_in_use_is_refused_and_nothing_stays_open(api: Api, database_url: str) -> None:
    with pytest.raises(StateConflict, match=f"cannot listen on {api.address}: Address already in use"):
        async with running(database_url, address=api.address):
            pass
    settings = api.server.settings
    own = settings.engine_lanes + settings.worker_pool_size + settings.api_pool_size + 1

    async def only_own_connections() -> bool:
        async with api.database.api.acquire() as connection:
            found = await connection.fetchval(
                "select count(*) from pg_stat_activity where datname = current_database() and client_port is not null"
            )
            return found <= own

    await until(only_own_connections)


# ---- TLS
class Authority:
    """A certificate authority that lives for one test."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.key = directory, ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign("authority", self.key.public_key(), authority=True)
        self.file = directory / "ca.pem"
        self.file.write_bytes(self.pem)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """Certificate and key, for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key.public_key(), authority=False)
        return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def _sign(self, name: str, public_key: Any, *, authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if authority else self.certificate.subject
        hour = timedelta(hours=1)
        builder = x509.CertificateBuilder(
            issuer, subject, public_key, x509.random_serial_number(), now - hour, now + hour
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def tls_settings(directory: Path, authority: Authority, name: str = "server") -> dict[str, str]:
    """Writes the server's files; the settings that name them."""
    certificate, key = authority.issue(name)
    (directory / "server.key").write_bytes(key)
    (directory / "server.pem").write_bytes(certificate)
    return {"tls_certificate_file": str(directory / "server.pem"), "tls_key_file": str(directory / "server.key")}


async def test_tls_serves_those_who_trust_its_authority_and_no_plaintext(database_url: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with running(database_url, **tls_settings(tmp_path, authority)) as api:
        async with open_channel(api.address, grpc.ssl_channel_credentials(authority.pem)) as channel:
            assert (await server_info(channel)).schema_revision
        async with open_channel(api.address) as channel:
            assert await failure_of(server_info(channel)) is Code.UNAVAILABLE


async def test_with_a_client_authority_only_its_certificates_connect(database_url: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    overrides = {**tls_settings(tmp_path, authority), "tls_client_ca_file": str(authority.file)}
    async with running(database_url, **overrides) as api:
        certificate, key = authority.issue("worker-1")
        async with open_channel(api.address, grpc.ssl_channel_credentials(authority.pem, key, certificate)) as channel:
            assert (await server_info(channel)).schema_revision
        async with open_channel(api.address, grpc.ssl_channel_credentials(authority.pem)) as channel:
            assert await failure_of(server_info(channel)) is Code.UNAVAILABLE


async def test_a_renewed_certificate_is_served_without_a_restart(database_url: str, tmp_path: Path) -> None:
    first, second = Authority(tmp_path), Authority(tmp_path)
    async with running(database_url, **tls_settings(tmp_path, first)) as api:
        async with open_channel(api.address, grpc.ssl_channel_credentials(first.pem)) as channel:
            await server_info(channel)
        tls_settings(tmp_path, second)
        async with open_channel(api.address, grpc.ssl_channel_credentials(second.pem)) as channel:
            assert (await server_info(channel)).schema_revision


async def test_an_address_of_another_host_is_refused(database_url: str) -> None:
    with pytest.raises(InvalidInput, match=r"cannot listen on 192\.0\.2\.1:0: Cannot assign requested address"):
        async with running(database_url, address="192.0.2.1:0", insecure_plaintext=True):
            pass


async def test_a_missing_certificate_is_named(database_url: str, tmp_path: Path) -> None:
    overrides = {"tls_certificate_file": str(tmp_path / "none.pem"), "tls_key_file": str(tmp_path / "none.key")}
    with pytest.raises(InvalidInput, match=r"cannot read .*none\.pem"):
        async with running(database_url, **overrides):
            pass


# ---- limits
async def test_a_message_over_the_limit_is_refused_with_the_limit(database_url: str) -> None:
    async with running(database_url, message_bytes_max=64 * 1024) as api:
        admin = admin_service_pb2_grpc.AdminServiceStub(await api.channel())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await admin.ListPools(pb.ListPoolsRequest(namespace="x" * 70_000), metadata=bearer(await api.token()))
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED and "65536" in str(caught.value.details())


async def test_metadata_over_the_limit_is_refused(api: Api) -> None:
    channel = await api.channel()
    admin = admin_service_pb2_grpc.AdminServiceStub(channel)
    call = admin.GetServerInfo(pb.GetServerInfoRequest(), metadata=(("filler", "x" * 20_000),))
    assert await failure_of(call) in (Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNAVAILABLE)
    assert (await server_info(channel)).schema_revision


async def test_more_calls_than_the_limit_are_refused(database_url: str) -> None:
    async with running(database_url, calls_max=1) as api:
        channel = await api.channel()
        health = health_pb2_grpc.HealthStub(channel)
        watching = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
        assert await failure_of(server_info(channel)) is Code.RESOURCE_EXHAUSTED
        watching.cancel()


async def test_the_keepalive_options_have_the_names_that_servers_read() -> None:
    named = dict(options(settings_for("postgresql://nowhere", ping_interval_min_seconds=7)))
    assert named["grpc.http2.min_ping_interval_without_data_ms"] == 7000
    assert "grpc.max_connection_age_ms" not in named
    exposed = dict(options(settings_for("postgresql://nowhere", address="0.0.0.0:1", insecure_plaintext=True)))
    assert exposed["grpc.max_connection_age_ms"] == 1_800_000
    asked = dict(options(settings_for("postgresql://nowhere", connection_age_max_seconds=60)))
    assert asked["grpc.max_connection_age_ms"] == 60_000


async def test_clients_may_ping_as_often_as_the_setting_allows(database_url: str) -> None:
    busy = [
        *CHANNEL_OPTIONS,
        ("grpc.keepalive_time_ms", 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    async with (
        running(database_url) as strict,
        running(database_url, ping_interval_min_seconds=0.1) as lenient,
        grpc.aio.insecure_channel(strict.address, busy) as sent_away,
        grpc.aio.insecure_channel(lenient.address, busy) as welcome,
    ):
        watches = [
            health_pb2_grpc.HealthStub(each).Watch(health_pb2.HealthCheckRequest()) for each in (sent_away, welcome)
        ]
        for watch in watches:
            await watch.read()
        assert "too many pings" in str(await watches[0].details()).lower().replace("_", " ")
        assert not watches[1].done()
        watches[1].cancel()


# ---- apart
async def test_two_addresses_keep_workers_and_users_apart(database_url: str) -> None:
    async with running(database_url, worker_address="127.0.0.1:0") as api:
        assert api.server.worker_address != api.address
        for_workers = {each.descriptor.full_name for each in api.server.services if each.for_workers}
        assert for_workers == {"glidepath.worker.v1.WorkerService"}
        for service in (each.descriptor for each in api.server.services):
            for address in (api.address, api.server.worker_address):
                served = await _serves(address, service.full_name, service.methods[0])
                assert served == ((address == api.server.worker_address) == (service.full_name in for_workers)), address


async def _serves(address: str, service: str, method: Any) -> bool:
    async with open_channel(address) as channel:
        where = f"/{service}/{method.name}"
        call: Any = (
            channel.stream_stream(where)(iter([b""])) if method.client_streaming else channel.unary_unary(where)(b"")
        )
        return await call.code() is not Code.UNIMPLEMENTED


async def test_one_address_serves_everything(api: Api) -> None:
    assert api.server.worker_address == api.address
    for service in (each.descriptor for each in api.server.services):
        assert await _serves(api.address, service.full_name, service.methods[0])


# ---- health and reflection
async def test_health_follows_the_database(api: Api) -> None:
    health = health_pb2_grpc.HealthStub(await api.channel())
    assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
    watch = health.Watch(health_pb2.HealthCheckRequest(service="glidepath.admin.v1.AdminService"))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    async with api.database.api.acquire() as connection:
        await connection.execute("alter function glidepath_now() rename to stopped")
    async with asyncio.timeout(10):
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        async with api.database.api.acquire() as connection:
            await connection.execute("alter function stopped() rename to glidepath_now")
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


@pytest.mark.parametrize(("setting", "reflects"), [("auto", True), ("off", False)])
async def test_reflection_lists_services_when_it_is_on(database_url: str, setting: str, reflects: bool) -> None:
    async with running(database_url, reflection=setting) as api:
        stub = reflection_pb2_grpc.ServerReflectionStub(await api.channel())
        if not reflects:
            # Nothing is written: a write that meets the refusal may itself be what the client reports.
            assert await stub.ServerReflectionInfo().code() is Code.UNIMPLEMENTED
            return
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        names = {each.name for each in (await call.read()).list_services_response.service}
        assert {"glidepath.admin.v1.AdminService", "grpc.health.v1.Health"} <= names


async def test_stopping_tells_watchers_of_health_and_takes_no_new_calls(api: Api) -> None:
    channel = await api.channel()
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    stopping = asyncio.create_task(api.server.stop())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    # Watchers hear of it first, so that balancers turn away; a call of that moment is answered or cut off.
    async with asyncio.timeout(10):
        while (code := await code_of(server_info(channel))) in (Code.OK, Code.CANCELLED):
            pass
    assert code is Code.UNAVAILABLE
    await stopping
