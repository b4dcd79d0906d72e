"""The listeners: grpc.aio servers with limits, keepalive, TLS, health and reflection.

Worker traffic gets a server of its own, with its own budget of calls, when `worker_address` is set; otherwise one
server carries both. Every service is registered together with its descriptor, because the rules of authorization are
read from there.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from ..core.errors import GlidepathError, InvalidInput, StateConflict, Unavailable
from ..settings import Settings
from .auth import Authenticator, AuthInterceptor, rules_of
from .budgets import Budgets
from .exposure import all_loopback, check_exposure, host_of
from .status import StatusInterceptor
from .streams import OpenStreams

CONNECTION_AGE_EXPOSED_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Service:
    """A servicer with its descriptor and the generated function that adds it to a server."""

    descriptor: ServiceDescriptor
    add: Callable[[Any, grpc.aio.Server], None]
    servicer: Any
    for_workers: bool = False
    # Called when the server stops: its streams end themselves within the grace. Without it they are ended at once, and
    # clients resume them elsewhere.
    drain: Callable[[], None] | None = None


def options(settings: Settings) -> list[tuple[str, int]]:
    """The channel arguments of a listener; each limit is a setting."""
    age = settings.connection_age_max_seconds
    if age is None:
        age = 0.0 if all_loopback(settings) else CONNECTION_AGE_EXPOSED_SECONDS
    found = [
        ("grpc.max_receive_message_length", settings.message_bytes_max),
        ("grpc.max_send_message_length", settings.message_bytes_max),
        # Above the first refusals begin at random, above the second they are certain: equal, so there is one limit.
        ("grpc.max_metadata_size", settings.metadata_bytes_max),
        ("grpc.absolute_max_metadata_size", settings.metadata_bytes_max),
        ("grpc.max_concurrent_streams", settings.streams_per_connection_max),
        ("grpc.keepalive_time_ms", _milliseconds(settings.keepalive_interval_seconds)),
        ("grpc.keepalive_timeout_ms", _milliseconds(settings.keepalive_timeout_seconds)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # What clients may do. The name with "recv_ping", found on many pages, is ignored by servers.
        ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(settings.ping_interval_min_seconds)),
        ("grpc.max_connection_idle_ms", _milliseconds(settings.connection_idle_max_seconds)),
        # Two servers on one port would each get half of the calls: the second shall fail.
        ("grpc.so_reuseport", 0),
    ]
    if age > 0:
        found.append(("grpc.max_connection_age_ms", _milliseconds(age)))
        found.append(("grpc.max_connection_age_grace_ms", _milliseconds(settings.connection_age_grace_seconds)))
    return found


class Listeners:
    """The gRPC servers of one process; open from `start` to `stop`."""

    def __init__(self, settings: Settings, authenticator: Authenticator, services: Sequence[Service]) -> None:
        """Raises InvalidInput for an unsafe address, ValueError for a method without a rule."""
        check_exposure(settings)
        self._settings, self._services = settings, services
        rules = rules_of(each.descriptor for each in services)
        self.streams = OpenStreams()
        admission = AuthInterceptor(authenticator, rules, self.streams, _budgets(settings))
        self._interceptors = [StatusInterceptor(), admission]
        self._health = health.aio.HealthServicer()
        self._servers: list[grpc.aio.Server] = []
        self.address = self.worker_address = ""

    async def start(self) -> None:
        """Open the listeners; `address` and `worker_address` then carry the real ports.

        Raises StateConflict for an address in use, InvalidInput for one that is not this host's and for files of TLS.
        """
        apart = bool(self._settings.worker_address)
        users = [each for each in self._services if not (apart and each.for_workers)]
        self.address = self.worker_address = self._listen(self._settings.address, users)
        if apart:
            workers = [each for each in self._services if each.for_workers]
            self.worker_address = self._listen(self._settings.worker_address, workers)
        for server in self._servers:
            await server.start()

    def _listen(self, address: str, services: Sequence[Service]) -> str:
        server = grpc.aio.server(
            interceptors=self._interceptors,
            options=options(self._settings),
            compression=grpc.Compression.NoCompression,
            maximum_concurrent_rpcs=self._settings.calls_max,
        )
        for each in services:
            each.add(each.servicer, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if self._reflects():
            names = [each.descriptor.full_name for each in services]
            reflection.enable_server_reflection(
                [*names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME], server
            )
        self._servers.append(server)
        return _bind(server, address, self._settings)

    def _reflects(self) -> bool:
        wanted = self._settings.reflection
        return wanted == "on" or (wanted == "auto" and all_loopback(self._settings))

    async def set_ready(self, ready: bool) -> None:
        """What the health service says of the whole ("") and of each service."""
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ["", *(each.descriptor.full_name for each in self._services)]:
            await self._health.set(name, status)

    async def stop(self, grace_seconds: float) -> None:
        """Take no new calls, let open ones end within the grace, cut the rest."""
        await self._health.enter_graceful_shutdown()
        stopping = [asyncio.create_task(server.stop(grace_seconds)) for server in self._servers]
        draining = tuple(f"/{each.descriptor.full_name}/" for each in self._services if each.drain)
        for each in self._services:
            if each.drain is not None:
                each.drain()
        self.streams.close(lambda stream: not stream.method.startswith(draining), _stopping)
        await asyncio.gather(*stopping)
        self._servers.clear()


def _budgets(settings: Settings) -> dict[str, Budgets]:
    return {
        "user": Budgets(settings.calls_per_token_max, settings.calls_running_per_token_max),
        "worker": Budgets(settings.calls_per_token_max, settings.worker_calls_running_per_token_max),
    }


def _stopping() -> Unavailable:
    return Unavailable("the server is stopping", hint="call again: another replica, or this one once it is back")


def _bind(server: grpc.aio.Server, address: str, settings: Settings) -> str:
    try:
        if settings.tls_certificate_file:
            port = server.add_secure_port(address, _credentials(settings))
        else:
            port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise _unlistenable(address) from error
    if address.startswith("unix:"):
        return address
    host = host_of(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _unlistenable(address: str) -> GlidepathError:
    """Why gRPC could not listen there, which it does not say: asked by trying the same."""
    host, _, port = address.rpartition(":")
    host, why = host.strip("[]"), OSError(0, "it cannot be bound")
    try:
        socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        why = error
    message = f"cannot listen on {address}: {why.strerror}"
    if why.errno == errno.EADDRINUSE:
        return StateConflict(message, hint="another server may run there; choose another port or end it")
    return InvalidInput(message, hint="choose an address of this host and a port that this user may take")


def _credentials(settings: Settings) -> grpc.ServerCredentials:
    """TLS by the files of the settings; read again when one of them has changed."""
    names = (settings.tls_certificate_file, settings.tls_key_file, settings.tls_client_ca_file)
    files = [Path(name) for name in names if name]

    try:
        seen, first = _stamps(files), _configuration(files)
    except OSError as error:
        raise InvalidInput(
            f"cannot read {error.filename}: {error.strerror}", hint="check the tls_*_file settings"
        ) from error

    def fetch() -> Any:
        """Called by gRPC for each handshake; None keeps what is in use, as does a file that cannot be read."""
        nonlocal seen
        try:
            stamps = _stamps(files)
            changed = None if stamps == seen else _configuration(files)
        except OSError:
            return None
        seen = stamps
        return changed

    return grpc.dynamic_ssl_server_credentials(first, fetch, bool(settings.tls_client_ca_file))


def _configuration(files: Sequence[Path]) -> grpc.ServerCertificateConfiguration:
    certificate, key, *authority = (path.read_bytes() for path in files)
    return grpc.ssl_server_certificate_configuration(
        [(key, certificate)], root_certificates=authority[0] if authority else None
    )


def _stamps(files: Sequence[Path]) -> list[tuple[int, int]]:
    return [(status.st_mtime_ns, status.st_size) for status in (path.stat() for path in files)]


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
