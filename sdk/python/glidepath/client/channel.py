"""gRPC channels as every client of this SDK opens them: limits, keepalive, retries, credentials."""

from __future__ import annotations

import ipaddress
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from glidepath.client.connection import Connection, ConnectionSettingsError, Tls

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
# gRPC shares connections of a process: whoever closes a client because its connection is dead would get that one again
# while any other client still has it.
OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)

Options = Sequence[tuple[str, Any]]


class PlainTextToken(UserWarning):
    """A token is sent to another host without encryption."""


def open_channel(connection: Connection) -> grpc.Channel:
    """A channel for synchronous calls. Connects with the first call, over a connection that no other channel has."""
    options = [*channel_options(connection), OWN_CONNECTION]
    if connection.tls is None:
        return grpc.insecure_channel(connection.address, options)
    return grpc.secure_channel(connection.address, _credentials(connection.tls), options)


def open_async_channel(connection: Connection, *, anew: bool = False) -> grpc.aio.Channel:
    """A channel for the running event loop. Connects with the first call.

    `anew`: over a connection that no other channel has; gRPC would give it one that was in use a moment ago.
    """
    options = channel_options(connection)
    if anew:
        options = [*options, OWN_CONNECTION]
    if connection.tls is None:
        return grpc.aio.insecure_channel(connection.address, options)
    return grpc.aio.secure_channel(connection.address, _credentials(connection.tls), options)


def call_metadata(connection: Connection) -> tuple[tuple[str, str], ...]:
    """Metadata of every call. Warns when a token would cross the network readable."""
    if not connection.token:
        return ()
    if connection.tls is None and not is_loopback(connection.address):
        warnings.warn(
            f"the token for {connection.address} is sent unencrypted; use TLS unless the network is trusted",
            PlainTextToken,
            stacklevel=3,
        )
    return (("authorization", f"Bearer {connection.token}"),)


def channel_options(connection: Connection) -> Options:
    """Keepalive notices a dead server within 40 s; the ping interval is above the least that the server admits."""
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ]
    if is_loopback(connection.address):
        options.append(("grpc.enable_http_proxy", 0))
    if connection.tls is not None and connection.tls.server_name:
        options.append(("grpc.ssl_target_name_override", connection.tls.server_name))
    return options


def is_loopback(address: str) -> bool:
    """Whether an address ("host:port", "unix:path", "ipv4:host:port,host:port") stays on this machine."""
    if address.startswith("unix:"):
        return True
    if address.startswith(("ipv4:", "ipv6:")):
        return all(map(is_loopback, address.partition(":")[2].split(",")))
    host = address.rpartition(":")[0].removeprefix("dns:///").strip("[]") or address
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_ADMIN = "glidepath.admin.v1.AdminService"

# UNAVAILABLE only: the one code that says a later try may be answered differently. Everything retried here is
# idempotent, by nature or by its request id; the two exceptions have none, so a lost answer is the caller's to judge.
SERVICE_CONFIG: dict[str, Any] = {
    "methodConfig": [
        {"name": [{"service": _ADMIN, "method": "CreateToken"}, {"service": _ADMIN, "method": "CreateNamespace"}]},
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "3s",
                "backoffMultiplier": 2.0,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        },
    ],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    def content(path: str) -> bytes | None:
        try:
            return Path(path).read_bytes() if path else None
        except OSError as error:
            raise ConnectionSettingsError(f"TLS: cannot read {path}: {error.strerror}") from error

    return grpc.ssl_channel_credentials(
        root_certificates=content(tls.ca_file),
        private_key=content(tls.key_file),
        certificate_chain=content(tls.certificate_file),
    )
