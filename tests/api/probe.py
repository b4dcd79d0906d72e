"""A service made only to be called by tests: it raises what it is told, answers who called, and streams.

Its descriptor is built here, with the rules that the server reads from real services.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import ServiceDescriptor

from glidepath_proto.common.v1 import authorization_pb2
from glidepath_server.api.auth import current_identity, namespace_for
from glidepath_server.api.grpc_server import Service

PACKAGE = "glidepath.test.v1"
ROLES = ("viewer", "operator", "author", "admin", "worker")


def _method(name: str, role: str | None, *, streams: bool = False, ruled: bool = True) -> Any:
    kind = f".{PACKAGE}.Question"
    method = descriptor_pb2.MethodDescriptorProto(
        name=name, input_type=kind, output_type=kind, server_streaming=streams
    )
    if ruled:
        rule = method.options.Extensions[authorization_pb2.authorization]
        rule.public = role is None
        if role is not None:
            rule.role = authorization_pb2.Role.Value(f"ROLE_{role.upper()}")
    return method


def _pool() -> descriptor_pool.DescriptorPool:
    text = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
    optional = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
    fields = [
        descriptor_pb2.FieldDescriptorProto(name=name, number=number, type=text, label=optional)
        for number, name in enumerate(("namespace", "text"), 1)
    ]
    file = descriptor_pb2.FileDescriptorProto(name="glidepath/test/v1/probe.proto", package=PACKAGE, syntax="proto3")
    file.message_type.add(name="Question", field=fields)
    file.service.add(
        name="ProbeService",
        method=[
            _method("Public", None),
            _method("Fail", "viewer"),
            _method("Stream", "viewer", streams=True),
            *(_method(f"As{role.capitalize()}", role) for role in ROLES),
        ],
    )
    file.service.add(name="ForgottenService", method=[_method("Ruled", "viewer"), _method("Open", None, ruled=False)])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


_POOL = _pool()
PROBE: ServiceDescriptor = _POOL.FindServiceByName(f"{PACKAGE}.ProbeService")
FORGOTTEN: ServiceDescriptor = _POOL.FindServiceByName(f"{PACKAGE}.ForgottenService")
Question: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.Question"))


class Probe:
    """`failure` makes the error that Fail and Stream raise; `streaming` is set while a stream is open, and `leave` lets
    streams end well."""

    def __init__(self) -> None:
        self.failure: Callable[[], BaseException] | None = None
        self.streaming, self.leave = asyncio.Event(), asyncio.Event()

    async def answer(self, request: Any, context: Any) -> Any:
        """Who called, and in which namespace."""
        identity = current_identity()
        namespace = namespace_for(request, identity) if identity.name != "anybody" else ""
        return Question(namespace=namespace, text=f"{identity.name}/{identity.role}")

    async def fail(self, request: Any, context: Any) -> Any:
        if self.failure is not None:
            raise self.failure()
        return Question()

    async def stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """One message, then the failure if there is one, else silence until the stream is told to leave."""
        yield Question(text="first")
        if self.failure is not None:
            raise self.failure()
        self.streaming.set()
        try:
            await self.leave.wait()
        finally:
            self.streaming.clear()
        yield Question(text="drained")

    def service(self, drain: Callable[[], None] | None = None) -> Service:
        return Service(PROBE, self._add, self, drain=drain)

    def _add(self, servicer: Any, server: grpc.aio.Server) -> None:
        handlers = {}
        for method in PROBE.methods:
            behavior = {"Fail": self.fail, "Stream": self.stream}.get(method.name, self.answer)
            kind = "unary_stream" if method.server_streaming else "unary_unary"
            make = getattr(grpc, f"{kind}_rpc_method_handler")
            handlers[method.name] = make(behavior, Question.FromString, Question.SerializeToString)
        server.add_registered_method_handlers(PROBE.full_name, handlers)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(PROBE.full_name, handlers),))


def path(name: str) -> str:
    return f"/{PROBE.full_name}/{name}"
