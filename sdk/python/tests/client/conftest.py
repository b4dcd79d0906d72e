"""A real gRPC server whose answers a test scripts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory

from glidepath.client import calls
from glidepath_proto.admin.v1 import admin_service_pb2, alert_service_pb2, capacity_service_pb2
from glidepath_proto.registry.v1 import registry_service_pb2
from glidepath_proto.run.v1 import approval_service_pb2, backfill_service_pb2, run_service_pb2, value_service_pb2
from glidepath_proto.schedule.v1 import deadline_service_pb2, schedule_service_pb2

SERVICES = {
    service.full_name: service
    for module in (
        registry_service_pb2,
        run_service_pb2,
        approval_service_pb2,
        backfill_service_pb2,
        value_service_pb2,
        deadline_service_pb2,
        admin_service_pb2,
        alert_service_pb2,
        capacity_service_pb2,
        schedule_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
}
METHODS = {f"{service.full_name}/{method.name}": method for service in SERVICES.values() for method in service.methods}

Answer = Callable[[Any, grpc.ServicerContext], Any]


class ScriptedServer(grpc.GenericRpcHandler):
    """Answers with what `on` was given: a function of request and context, an iterable's for a stream.

    `calls` and `metadata` hold what arrived, in order. A method without a script answers an empty message.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.metadata: list[dict[str, str]] = []
        self._answers: dict[str, Answer] = {}
        self._lock = threading.Lock()
        self.port = 0
        self.start()

    def start(self) -> None:
        """Listen: on a free port first, on the same one after `stop`."""
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers([self])
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None).wait()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def on(self, method: str, answer: Answer) -> None:
        full_name = next(name for name in METHODS if name.endswith(f"/{method}"))
        self._answers[full_name] = answer

    def requests(self, method: str) -> list[Any]:
        return [request for name, request in self.calls if name.endswith(f"/{method}")]

    def service(self, handler_call_details: Any) -> Any:
        name = handler_call_details.method.removeprefix("/")
        method = METHODS.get(name)
        if method is None:
            return None
        request, response = (message_factory.GetMessageClass(each) for each in (method.input_type, method.output_type))

        def answer(received: Any, context: grpc.ServicerContext) -> Any:
            with self._lock:
                self.calls.append((name, received))
                self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
            script = self._answers.get(name)
            if script is not None:
                return script(received, context)
            return iter(()) if method.server_streaming else response()

        kind = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        return kind(answer, request.FromString, response.SerializeToString)


@pytest.fixture
def rpc_names() -> set[str]:
    """Every RPC that the client speaks, as "package.Service/Method"."""
    return set(METHODS)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.stop()


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No connection of the machine's own, and no pauses before streams resume."""
    for name in ("ADDRESS", "TOKEN", "TOKEN_FILE", "NAMESPACE", "HOME", "CA_FILE"):
        monkeypatch.delenv(f"GLIDEPATH_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(calls, "pause_seconds", lambda interruptions: 0.0)
