"""Spans on the wire: OTLP over gRPC, by the protocol's own messages. Needs the extra `glidepath-server[otlp]`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import grpc

from .. import __version__
from ..core.errors import InvalidInput, Violation
from ..operations.export_traces import Undelivered
from ..settings import Settings
from ..telemetry.spans import Attributes, Span

SEND_SECONDS_MAX = 10.0
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
PORT = 4317
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class OtlpSender:
    """A channel to the receiver of `otlp_endpoint`, from `OtlpSender(...)` to `close`."""

    def __init__(self, settings: Settings) -> None:
        """Raises InvalidInput for an endpoint or headers that are none, or without the library."""
        check_otlp(settings)
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

        parts = urlsplit(settings.otlp_endpoint)
        target = f"{parts.netloc}" if parts.port else f"{parts.netloc}:{PORT}"
        # Not through a proxy of the environment: a collector stands beside the server.
        options = [("grpc.enable_http_proxy", 0), ("grpc.max_send_message_length", MESSAGE_BYTES_MAX)]
        self._channel = (
            grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options)
            if parts.scheme == "https"
            else grpc.aio.insecure_channel(target, options)
        )
        self._stub: Any = trace_service_pb2_grpc.TraceServiceStub(self._channel)
        self._headers = headers_of(settings.otlp_headers)

    async def send(self, spans: Sequence[Span]) -> int:
        """How many the receiver refused for good; it has the others. Raises Undelivered when it has none."""
        try:
            answer = await self._stub.Export(request_of(spans), metadata=self._headers, timeout=SEND_SECONDS_MAX)
        except grpc.aio.AioRpcError as error:
            # The one code that says that the spans are wrong; with any other they may be taken later.
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                return len(spans)
            raise Undelivered(f"{error.code().name}: {error.details()}") from error
        rejected: int = answer.partial_success.rejected_spans
        return min(len(spans), rejected)

    async def close(self) -> None:
        await self._channel.close()


def check_otlp(settings: Settings) -> None:
    """Raises InvalidInput when spans cannot be sent as the settings say."""
    parts = urlsplit(settings.otlp_endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise _invalid(
            "otlp_endpoint", settings.otlp_endpoint, "http://host:4317 or https://host:4317 (OTLP over gRPC)"
        )
    headers_of(settings.otlp_headers)
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.proto") is None:
        violation = Violation(
            "otlp_endpoint", repr(settings.otlp_endpoint), "nothing, as opentelemetry-proto is missing"
        )
        raise InvalidInput(str(violation), hint="install glidepath-server[otlp]", violations=[violation])


def headers_of(text: str) -> list[tuple[str, str]]:
    """`name=value,name=value` as metadata. Raises InvalidInput, without the values: they are secrets."""
    found = []
    for number, each in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        name, equals, value = each.partition("=")
        name = name.strip().lower()
        if not equals or not name or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in name):
            raise _invalid("otlp_headers", f"header {number}", "name=value,name=value")
        found.append((name, value.strip()))
    return found


def _invalid(name: str, value: str, expected: str) -> InvalidInput:
    violation = Violation(name, repr(value), expected)
    return InvalidInput(
        str(violation), hint=f"set GLIDEPATH_{name.upper()} so, or leave it empty", violations=[violation]
    )


# ---- messages
def request_of(spans: Iterable[Span]) -> Any:
    """The ExportTraceServiceRequest of these spans."""
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    request = trace_service_pb2.ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    _add_attributes(resource.resource, {"service.name": "glidepath", "service.version": __version__})
    scope = resource.scope_spans.add()
    scope.scope.name, scope.scope.version = "glidepath_server", __version__
    for each in spans:
        _fill(scope.spans.add(), each)
    return request


def _fill(message: Any, span: Span) -> None:
    message.trace_id, message.span_id, message.parent_span_id = span.trace_id, span.span_id, span.parent_id
    message.flags, message.name = span.flags, span.name
    message.kind = message.SPAN_KIND_SERVER if span.is_run else message.SPAN_KIND_INTERNAL
    message.start_time_unix_nano = _nanoseconds(span.start_time)
    message.end_time_unix_nano = _nanoseconds(span.end_time)
    _add_attributes(message, span.attributes)
    for span_id in span.links:
        message.links.add(trace_id=span.trace_id, span_id=span_id)
    if span.error is not None:
        message.status.code, message.status.message = message.status.STATUS_CODE_ERROR, span.error


def _add_attributes(message: Any, attributes: Attributes) -> None:
    for name, value in attributes.items():
        attribute = message.attributes.add(key=name)
        if isinstance(value, str):
            attribute.value.string_value = value
        elif isinstance(value, int):
            attribute.value.int_value = value
        else:
            attribute.value.double_value = value


def _nanoseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1) * 1000
