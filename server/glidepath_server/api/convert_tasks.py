"""A task of a version as the wire has it: handler, inputs, modes. Used by the registry and by assignments."""

from __future__ import annotations

from glidepath_proto.common.v1 import payload_pb2
from glidepath_proto.registry.v1 import dag_pb2

from ..core.definition import Input, InputList, IsolationMode, LeaseMode, Literal, OutputRef, Param, TaskSpec, Template

ISOLATION_TO_WIRE = {
    IsolationMode.PROCESS: dag_pb2.ISOLATION_MODE_PROCESS,
    IsolationMode.INLINE: dag_pb2.ISOLATION_MODE_INLINE,
}
LEASE_MODE_TO_WIRE = {
    LeaseMode.HOLD: dag_pb2.LEASE_MODE_HOLD,
    LeaseMode.EXCLUSIVE: dag_pb2.LEASE_MODE_EXCLUSIVE,
}


def handler_to_wire(task: TaskSpec) -> dag_pb2.Handler:
    return dag_pb2.Handler(name=task.handler.name, version=task.handler.version)


def inputs_to_wire(task: TaskSpec) -> dict[str, dag_pb2.Input]:
    return {name: input_to_wire(value) for name, value in task.inputs.items()}


def input_to_wire(value: Input) -> dag_pb2.Input:
    """One input; lists as deep as they were registered."""
    match value:
        case Literal():
            return dag_pb2.Input(literal=_literal(value))
        case Template(text):
            return dag_pb2.Input(template=text)
        case OutputRef(task_id, key, xcom_key):
            return dag_pb2.Input(output=dag_pb2.OutputRef(task_id=task_id, key=key, xcom_key=xcom_key))
        case Param(name):
            return dag_pb2.Input(param=name)
        case InputList(items):
            return dag_pb2.Input(list=dag_pb2.InputList(items=[input_to_wire(item) for item in items]))


def _literal(value: Literal) -> payload_pb2.Payload:
    payload = payload_pb2.Payload(content_type=value.content_type, size_bytes=value.size_bytes, sha256=value.sha256)
    if value.uri:
        payload.uri = value.uri
    else:
        payload.data = value.data
    return payload
