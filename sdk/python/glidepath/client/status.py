"""From a failed call to an exception that says what to do. The one table of codes, for sync and async alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from glidepath import errors
from glidepath.errors import RpcError, Violation

_CLASSES: dict[grpc.StatusCode, type[RpcError]] = {
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: errors.InvalidRequest,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.FAILED_PRECONDITION: errors.StateConflict,
    grpc.StatusCode.ABORTED: errors.StateConflict,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.LimitExceeded,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.Unavailable,
}
_DETAILS_KEY = "grpc-status-details-bin"


def to_error(error: Any, method: str, address: str) -> RpcError:
    """The exception for a `grpc.RpcError` of `method` ("package.Service/Method") at `address`."""
    code: grpc.StatusCode = error.code()
    details = read_details(_status_details(error))
    kind = _CLASSES.get(code, RpcError)
    message = _message(code, error.details() or "", method, address, by_server=bool(details.reason))
    if not issubclass(kind, errors.InvalidRequest):
        return kind(message, code=code.name, method=method, reason=details.reason)
    if method.endswith("/RegisterDagVersion"):
        kind = errors.InvalidDag
    return kind(message, details.violations, code=code.name, method=method, reason=details.reason)


# What gRPC tells of a connection that does not come about, in words for whoever set it up. The first that is found.
_CAUSES = (
    ("CERTIFICATE_VERIFY_FAILED", "no authority of GLIDEPATH_CA_FILE vouches for its certificate"),
    ("Hostname Verification Check", "its certificate is made out to another name"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS; without GLIDEPATH_CA_FILE it is spoken to in plain text"),
    ("HTTP/2", "what listens there is no Glidepath server"),
    ("Misformatted domain name", "no host can have that name"),
    ("Domain name not found", "no host is known by that name"),
    ("Connection refused", "nothing listens there"),
    ("all addresses; last error: UNAVAILABLE", "it closes connections; it may want TLS: GLIDEPATH_CA_FILE"),
)


def cause(details: str) -> str:
    """Why there is no connection, without gRPC's way to it; other details as they are."""
    known = next((words for sign, words in _CAUSES if sign in details), "")
    is_way = details.startswith(("failed to connect", "DNS resolution failed"))
    return known or (details.rstrip("]").rpartition(": ")[2] if is_way else details)


def _message(code: grpc.StatusCode, details: str, method: str, address: str, by_server: bool) -> str:
    """The server's own words say what to do; what comes from the connection needs ours."""
    match code:
        case grpc.StatusCode.UNAUTHENTICATED:
            return f"{details}. Give a valid token: GLIDEPATH_TOKEN, GLIDEPATH_TOKEN_FILE or Client(token=...)"
        case grpc.StatusCode.UNAVAILABLE if not by_server:
            return (
                f"cannot reach Glidepath at {address} ({cause(details)}). Check that the server runs there: "
                "`glidepath up` starts one on this machine, GLIDEPATH_ADDRESS names another"
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return (
                f"Glidepath at {address} did not answer in time; it may still do what was asked: look before retrying"
            )
        case grpc.StatusCode.UNIMPLEMENTED:
            return f"Glidepath at {address} does not know {method}; it may be older than this SDK, or another service"
        case grpc.StatusCode.INTERNAL | grpc.StatusCode.UNKNOWN:
            return f"Glidepath at {address} failed: {details}. Its log says more"
    return details or code.name


@dataclass(frozen=True)
class Details:
    """What a status says beside its message: the server's name for the error, and the fields that are wrong."""

    reason: str = ""
    violations: tuple[Violation, ...] = ()


def read_details(status: bytes) -> Details:
    """Read an encoded google.rpc.Status; empty when it has no details or cannot be read.

    By hand, because the well-known error messages come with another distribution. The shapes are
    Status{3: Any{1: type_url, 2: value}}, ErrorInfo{1: reason}, BadRequest{1: Violation{1: field, 2: description}}.
    """
    reason = ""
    violations: list[Violation] = []
    try:
        for detail in _all(status, 3):
            name, value = _text(detail, 1).rpartition("/")[2], b"".join(_all(detail, 2))
            if name == "google.rpc.ErrorInfo":
                reason = _text(value, 1)
            elif name == "google.rpc.BadRequest":
                violations += [Violation(_text(each, 1), _text(each, 2)) for each in _all(value, 1)]
    except (IndexError, ValueError):
        return Details()
    return Details(reason, tuple(violations))


def _status_details(error: Any) -> bytes:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            return value
    return b""


def _all(message: bytes, number: int) -> list[bytes]:
    return [value for each, value in _length_delimited(message) if each == number]


def _text(message: bytes, number: int) -> str:
    values = _all(message, number)
    return values[-1].decode(errors="replace") if values else ""


def _length_delimited(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Fields of wire type 2 by number; the others are stepped over."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        match tag & 7:
            case 0:
                _, position = _varint(message, position)
            case 1:
                position += 8
            case 2:
                length, position = _varint(message, position)
                if position + length > len(message):
                    raise ValueError("a field is longer than its message")
                yield tag >> 3, message[position : position + length]
                position += length
            case 5:
                position += 4
            case wire_type:
                raise ValueError(f"wire type {wire_type}")


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
