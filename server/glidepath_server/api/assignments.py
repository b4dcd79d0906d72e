"""From what the engine gives out to the Assignment that a worker receives.

What is the same for all attempts of a task in a version is prepared once and copied; the rest is filled in per attempt.
Upstream outputs that have no room in the message are named, and the worker fetches them one by one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from google.protobuf.duration_pb2 import Duration

from glidepath_proto.common.v1 import payload_pb2
from glidepath_proto.worker.v1 import task_pb2

from ..core.definition import JSON
from ..core.errors import LimitExceeded
from ..core.events import AttemptKey
from ..core.json_text import to_json
from ..core.task_token import seal
from ..core.traces import attempt_traceparent
from ..operations.plans import Plan
from ..operations.step_types import Assigned, ChildEnd, Output
from .convert_tasks import ISOLATION_TO_WIRE, LEASE_MODE_TO_WIRE, handler_to_wire, inputs_to_wire
from .convert_values import add_xcoms

MIB = 1024 * 1024
FRAME_BYTES_MAX = MIB
OUTPUTS_BYTES_MAX = MIB
# For what else the message that carries an assignment has in it.
MESSAGE_BYTES_SPARE = 8 * 1024


class Assignments:
    """Builds assignments that fit into a message; `secret` is the key of task tokens. `traced`: attempts have spans."""

    def __init__(self, secret: bytes, message_bytes_max: int = 4 * MIB, *, traced: bool = False) -> None:
        self.secret, self._traced = secret, traced
        # Half a message leaves room for an item that is alone over the size of a frame.
        self.frame_bytes = min(FRAME_BYTES_MAX, message_bytes_max // 2)
        self._outputs_bytes = min(OUTPUTS_BYTES_MAX, message_bytes_max // 4)
        self._message_bytes_max = message_bytes_max

    def token(self, key: AttemptKey) -> bytes:
        """The task token of an attempt."""
        return seal(key, self.secret)

    def build(self, each: Assigned, room: int = OUTPUTS_BYTES_MAX) -> task_pb2.Assignment:
        """The assignment of one attempt, sealed, with at most `room` bytes of upstream outputs in it.

        Raises LimitExceeded for one that no message can carry.
        """
        plan, facts, key = each.plan, each.facts, each.key
        assert plan is not None and facts is not None
        message = task_pb2.Assignment()
        message.CopyFrom(_prepared(plan, key.task))
        message.task_token = self.token(key)
        attempt = message.attempt
        attempt.dag_run_id = str(key.dag_run_id)
        attempt.map_index = key.map_index
        attempt.attempt_number = key.attempt_number
        message.params = facts.params
        message.run_key = facts.run_key
        # Without spans of ours, what the task does stands under whatever triggered the run.
        message.traceparent = attempt_traceparent(key, facts.traceparent) if self._traced else facts.traceparent
        message.idempotency_key = f"{attempt.dag_run_id}/{attempt.task_id}/{key.map_index}"
        message.logical_date.FromDatetime(facts.logical_date)
        message.data_interval_start.FromDatetime(facts.data_interval_start)
        message.data_interval_end.FromDatetime(facts.data_interval_end)
        if each.item:
            _add_item(message, each.item)
        if each.checkpoint:
            message.checkpoint = each.checkpoint
        if each.child is not None:
            _add_child(message.child, each.child)
        if each.upstream:
            upstream = {plan.graph.task_ids[task]: output for task, output in each.upstream.items()}
            _add_outputs(message, upstream, min(room, self._outputs_bytes))
        if each.xcoms:
            add_xcoms(message, plan, each, min(room, self._outputs_bytes))
        self._check_size(message)
        return message

    def _check_size(self, message: task_pb2.Assignment) -> None:
        size = message.ByteSize()
        if size > self._message_bytes_max - MESSAGE_BYTES_SPARE:
            raise LimitExceeded(
                f"the assignment has {size} bytes of inputs and params, and message_bytes_max is "
                f"{self._message_bytes_max}",
                hint="pass large values as outputs or artifacts of an upstream task",
            )


def _add_item(message: task_pb2.Assignment, item: str) -> None:
    """What an instance is given: as arguments like all others, and as a whole."""
    message.map_item = item
    for name, value in json.loads(item).items():
        literal = message.inputs[name].literal
        literal.content_type, literal.data = JSON, to_json(value).encode()


def _add_outputs(message: task_pb2.Assignment, upstream: Mapping[str, Output], room: int) -> None:
    """Inline as many as there is room for, the small ones first; the others by name."""
    for task_id, output in sorted(upstream.items(), key=lambda item: _inline_bytes(item[1])):
        room -= _inline_bytes(output)
        payload = message.upstream_outputs[task_id]
        if room >= 0 or output.body is None:
            payload.CopyFrom(payload_of(output))
        else:
            payload.content_type, payload.size_bytes = output.content_type, output.size_bytes
            payload.uri = f"output:{task_id}"


def _add_child(message: task_pb2.ChildEnd, child: ChildEnd) -> None:
    message.dag_run_id, message.dag_id = str(child.dag_run_id), child.dag_id
    message.state, message.reason = child.state, child.reason
    if child.output is not None:
        message.output.CopyFrom(payload_of(child.output))


def _inline_bytes(output: Output) -> int:
    return len(output.body) if output.body is not None else 0


def payload_of(output: Output) -> payload_pb2.Payload:
    """An output as the wire has it."""
    payload = payload_pb2.Payload(content_type=output.content_type, size_bytes=output.size_bytes, sha256=output.sha256)
    if output.body is not None:
        payload.data = output.body
    else:
        payload.uri = output.uri or ""
    return payload


def _prepared(plan: Plan, index: int) -> task_pb2.Assignment:
    if plan.wire is None:
        plan.wire = {}
    message: task_pb2.Assignment | None = plan.wire.get(index)
    if message is None:
        message = plan.wire[index] = _prepare(plan, index)
    return message


def _prepare(plan: Plan, index: int) -> task_pb2.Assignment:
    task = plan.task(index)
    policy = task.policy
    message = task_pb2.Assignment(
        namespace=plan.namespace,
        handler=handler_to_wire(task),
        inputs=inputs_to_wire(task),
        cancel_grace=seconds_to_wire(policy.cancel_grace_seconds),
        isolation=ISOLATION_TO_WIRE[policy.isolation],
        lease_mode=LEASE_MODE_TO_WIRE[policy.lease_mode],
        memory_limit_mb=policy.memory_limit_mb or 0,
        resources=policy.resources,
    )
    message.attempt.task_id = task.task_id
    message.dag_version.dag_id = plan.dag_id
    message.dag_version.dag_version_number = plan.dag_version_number
    if policy.execution_timeout_seconds is not None:
        message.execution_timeout.CopyFrom(seconds_to_wire(policy.execution_timeout_seconds))
    return message


def seconds_to_wire(seconds: float) -> Duration:
    """A span in seconds as protobuf has it."""
    whole = int(seconds)
    return Duration(seconds=whole, nanos=round((seconds - whole) * 1e9))
