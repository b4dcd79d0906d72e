"""An RPC that says nothing about who may call it is never served, and one that reads task tokens says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, MethodDescriptor

from glidepath_proto.admin.v1 import admin_service_pb2
from glidepath_proto.common.v1 import authorization_pb2
from glidepath_proto.registry.v1 import registry_service_pb2
from glidepath_proto.run.v1 import run_service_pb2, value_service_pb2
from glidepath_proto.worker.v1 import worker_service_pb2
from glidepath_server.api.auth import Authenticator
from glidepath_server.api.grpc_server import Listeners, Service
from tests.api.probe import FORGOTTEN, PROBE
from tests.api.serving import settings_for
from tests.hostile.rpc_table import RPCS

FILES = (admin_service_pb2, registry_service_pb2, run_service_pb2, value_service_pb2, worker_service_pb2)
# The worker's own session says what these are about; a token in them is looked up, never a right to more.
BY_SESSION = {"Work", "Claim", "Heartbeat"}


def methods() -> list[MethodDescriptor]:
    return [
        method for file in FILES for service in file.DESCRIPTOR.services_by_name.values() for method in service.methods
    ]


def rule_of(method: MethodDescriptor) -> Any:
    extensions: Any = method.GetOptions().Extensions
    return extensions[authorization_pb2.authorization]


def fields_within(message: Descriptor, seen: set[str]) -> Iterator[str]:
    """Names of the fields of a message and of all messages in it."""
    if message.full_name in seen:
        return
    seen.add(message.full_name)
    for field in message.fields:
        yield field.name
        if field.message_type is not None:
            yield from fields_within(field.message_type, seen)


def test_the_rules_in_the_protos_are_those_of_the_table() -> None:
    for method in methods():
        row, rule = RPCS[f"{method.containing_service.full_name}/{method.name}"], rule_of(method)
        least = authorization_pb2.Role.Name(rule.role).removeprefix("ROLE_").lower()
        # The least role that may call is the one that is in the row while the one below it is not.
        below = {"operator": "viewer", "author": "operator", "admin": "author"}.get(least)
        assert rule.public == row.public, method.full_name
        assert rule.public or (least in row.may and below not in row.may), method.full_name


def test_a_method_that_reads_task_tokens_says_so() -> None:
    for method in methods():
        tokens = any("task_token" in name for name in fields_within(method.input_type, set()))
        expected = tokens and method.name not in BY_SESSION
        assert rule_of(method).task_token == expected, method.full_name


def test_a_server_with_a_method_without_a_rule_does_not_come_to_listen() -> None:
    settings = settings_for("postgresql://nobody@nowhere/none")
    authenticator: Any = Authenticator.__new__(Authenticator)  # nobody calls it: there is no listener to call through

    def serve(*descriptors: Any) -> Listeners:
        services = [Service(each, lambda *_: None, None) for each in descriptors]
        return Listeners(settings, authenticator, services)

    assert serve(PROBE).address == ""
    with pytest.raises(ValueError, match=r"no authorization rule on glidepath\.test\.v1\.ForgottenService\.Open"):
        serve(PROBE, FORGOTTEN)
