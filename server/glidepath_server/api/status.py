"""Errors on their way out: the one table from error classes to gRPC codes and google.rpc details.

`StatusInterceptor` is the outermost interceptor, so handlers just raise. What is not in the table is a bug: the caller
gets INTERNAL with an incident id, the log gets the same id with the traceback, and no traceback crosses the wire.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from .. import clock
from ..core import errors
from ..store.database import is_retryable
from ..telemetry import get_logger
from .handlers import Context, answering_handler

DOMAIN = "glidepath"
Code = grpc.StatusCode

CODES: dict[type[errors.GlidepathError], grpc.StatusCode] = {
    errors.InvalidInput: Code.INVALID_ARGUMENT,
    errors.NotFound: Code.NOT_FOUND,
    errors.AlreadyExists: Code.ALREADY_EXISTS,
    errors.StateConflict: Code.FAILED_PRECONDITION,
    errors.Fenced: Code.ABORTED,
    errors.LimitExceeded: Code.RESOURCE_EXHAUSTED,
    errors.Unauthenticated: Code.UNAUTHENTICATED,
    errors.PermissionDenied: Code.PERMISSION_DENIED,
    errors.Unavailable: Code.UNAVAILABLE,
}

# Clients accept 8 KiB of trailing metadata by default, and text in it may grow threefold when it is escaped.
MESSAGE_BYTES_MAX = 1024
DETAILS_BYTES_MAX = 4096

_log = get_logger("api")


@dataclass(frozen=True, slots=True)
class WireStatus:
    """What the caller gets: code, sentence, and the details as google.rpc messages."""

    code: grpc.StatusCode
    message: str
    details: tuple[Message, ...]


def status_of(error: BaseException) -> WireStatus | None:
    """The wire form of an error that has one; None for what nobody foresaw."""
    if isinstance(error, errors.GlidepathError):
        code = _code(type(error))
        return None if code is None else WireStatus(code, _cut(str(error), MESSAGE_BYTES_MAX), tuple(_details(error)))
    if is_retryable(error):
        return status_of(errors.Unavailable("the database does not answer", hint="try again"))
    return None


def _code(kind: type[BaseException]) -> grpc.StatusCode | None:
    return next((CODES[each] for each in kind.__mro__ if each in CODES), None)


def _details(error: errors.GlidepathError) -> list[Message]:
    metadata = {"hint": _cut(error.hint, MESSAGE_BYTES_MAX)} if error.hint else {}
    found: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)]
    if isinstance(error, errors.InvalidInput):
        found.append(_bad_request(error.violations))
    retry_after = getattr(error, "retry_after_seconds", 0.0)
    if retry_after > 0:
        found.append(error_details_pb2.RetryInfo(retry_delay=_duration(retry_after)))
    return found


def _bad_request(violations: list[errors.Violation]) -> error_details_pb2.BadRequest:
    """As many violations as fit, then one that counts the rest."""
    answer, room = error_details_pb2.BadRequest(), DETAILS_BYTES_MAX - 2 * MESSAGE_BYTES_MAX
    for index, each in enumerate(violations):
        text = _cut(f"got {each.value}, expected {each.expected}", 512)
        room -= len(text.encode()) + len(each.field.encode()) + 8
        if room < 0:
            left = len(violations) - index
            answer.field_violations.add(field="", description=f"and {left} more that do not fit into one answer")
            break
        answer.field_violations.add(field=_cut(each.field, 256), description=text)
    return answer


def _duration(seconds: float) -> duration_pb2.Duration:
    whole = int(seconds)
    return duration_pb2.Duration(seconds=whole, nanos=int((seconds - whole) * 1e9))


def _cut(text: str, bytes_max: int) -> str:
    data = text.encode()
    return text if len(data) <= bytes_max else data[: bytes_max - 4].decode(errors="ignore") + " ..."


class StatusInterceptor(grpc.aio.ServerInterceptor):
    """Turns what a handler raises into a status. Outermost, so that it covers the other interceptors too."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        return answering_handler(await continuation(details), partial(_answer, details.method))


def _answer(method: str, error: Exception, context: Context) -> Callable[[], Awaitable[None]]:
    """What ends the call with the error's status."""
    status = status_of(error)
    if status is None:
        status = _incident(method, error, context)
    elif status.code is Code.UNAVAILABLE:
        _log.warning("database_unavailable", method=method, error=repr(error))
    wire = rpc_status.to_status(
        status_pb2.Status(
            code=status.code.value[0], message=status.message, details=[_any(each) for each in status.details]
        )
    )
    return partial(context.abort, wire.code, wire.details, wire.trailing_metadata)


def _incident(name: str, error: Exception, context: Context) -> WireStatus:
    incident = str(clock.uuid7(clock.utc_now()))
    _log.error("call_failed", method=name, incident=incident, peer=context.peer(), exc_info=error)
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"incident": incident})
    return WireStatus(Code.INTERNAL, f"the server failed; the log has it under incident {incident}", (info,))


def _any(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
