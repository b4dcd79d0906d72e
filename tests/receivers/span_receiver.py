"""A receiver of OTLP over gRPC, made of the protocol's own definitions, in threads of the test's process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2


class SpanReceiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent. `refuse`: answer with this code; `reject`: take all but so many of each call;
    `on_export`: called when a call has been kept and is not answered yet."""

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        self.refuse: grpc.StatusCode | None = None
        self.reject = 0
        self.on_export: Callable[[], None] = lambda: None
        self.calls = 0
        self.metadata: dict[str, str] = {}
        self.resource: dict[str, Any] = {}
        self._spans: list[trace_pb2.Span] = []
        self._lock = threading.Lock()
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        host = address.rpartition(":")[0]
        self.address = f"{host}:{self._server.add_insecure_port(address)}"
        self._server.start()

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}"

    def Export(self, request: pb.ExportTraceServiceRequest, context: Any) -> pb.ExportTraceServiceResponse:
        self.calls += 1
        if self.refuse is not None:
            context.abort(self.refuse, "not now")
        with self._lock:
            self.metadata = dict(context.invocation_metadata())
            for resource in request.resource_spans:
                self.resource = attributes(resource.resource)
                self._spans += [span for scope in resource.scope_spans for span in scope.spans]
        self.on_export()
        return pb.ExportTraceServiceResponse(
            partial_success=pb.ExportTracePartialSuccess(rejected_spans=self.reject) if self.reject else None
        )

    def spans(self) -> list[trace_pb2.Span]:
        """Everything that came, in order."""
        with self._lock:
            return list(self._spans)

    def by_name(self) -> dict[str, list[trace_pb2.Span]]:
        found: dict[str, list[trace_pb2.Span]] = {}
        for span in self.spans():
            found.setdefault(span.name, []).append(span)
        return found

    def one(self, name: str) -> trace_pb2.Span:
        (span,) = self.by_name()[name]
        return span

    def stop(self) -> None:
        self._server.stop(None).wait()


def attributes(holder: Any) -> dict[str, Any]:
    """Attributes of a span or resource as a dict."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in holder.attributes}
