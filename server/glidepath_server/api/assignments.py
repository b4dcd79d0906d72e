"""From what the engine gives out to the Assignment that a worker receives.

What is the same for all attempts of a task in a version is prepared once and copied; the rest is filled in per attempt.
"""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from glidepath_proto.common.v1 import payload_pb2
from glidepath_proto.worker.v1 import task_pb2

from ..core.events import AttemptKey
from ..core.task_token import seal
from ..operations.plans import Plan
from ..operations.step_types import Assigned, Output
from .convert_tasks import ISOLATION_TO_WIRE, LEASE_MODE_TO_WIRE, handler_to_wire, inputs_to_wire


class Assignments:
    """Builds assignments; `secret` is the key of task tokens."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def token(self, key: AttemptKey) -> bytes:
        """The task token of an attempt."""
        return seal(key, self.secret)

    def build(self, each: Assigned) -> task_pb2.Assignment:
        """The assignment of one attempt, sealed."""
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
        message.traceparent = facts.traceparent
        message.idempotency_key = f"{attempt.dag_run_id}/{attempt.task_id}/{key.map_index}"
        message.logical_date.FromDatetime(facts.logical_date)
        message.data_interval_start.FromDatetime(facts.data_interval_start)
        message.data_interval_end.FromDatetime(facts.data_interval_end)
        if each.checkpoint:
            message.checkpoint = each.checkpoint
        for task, output in each.upstream.items():
            message.upstream_outputs[plan.graph.task_ids[task]].CopyFrom(payload_of(output))
        return message


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
