"""What of an assignment goes to the process that runs it: plain values, since bodies hold no protobuf."""

from __future__ import annotations

import json
import marshal
from typing import Any

from glidepath.artifacts import MARK
from glidepath.inputs import resolve_inputs
from glidepath_proto.common.v1.payload_pb2 import Payload
from glidepath_proto.registry.v1.dag_pb2 import IsolationMode, LeaseMode
from glidepath_proto.worker.v1.task_pb2 import Assignment, ChildEnd

SHELL = "shell"
RESOLVE_HERE_BYTES_MAX = 64 * 1024
GRACE_SECONDS_DEFAULT = 10.0


def is_inline(assignment: Assignment) -> bool:
    """Whether the task runs in the inline runner. A shell task and an exclusive one always get their own process."""
    return (
        assignment.isolation == IsolationMode.ISOLATION_MODE_INLINE
        and assignment.lease_mode != LeaseMode.LEASE_MODE_EXCLUSIVE
        and assignment.handler.name != SHELL
    )


def is_exclusive(assignment: Assignment) -> bool:
    """Whether the attempt must have ended before its lease may be granted again."""
    return assignment.lease_mode == LeaseMode.LEASE_MODE_EXCLUSIVE


def timeout_seconds(assignment: Assignment) -> float:
    """How long the attempt may run, 0 for no limit."""
    return assignment.execution_timeout.ToTimedelta().total_seconds() if assignment.HasField("execution_timeout") else 0


def grace_seconds(assignment: Assignment) -> float:
    """Time between the polite and the hard end."""
    if not assignment.HasField("cancel_grace"):
        return GRACE_SECONDS_DEFAULT
    return assignment.cancel_grace.ToTimedelta().total_seconds()


def instance(assignment: Assignment) -> str:
    """A name that all attempts of the task instance have, and no other."""
    attempt = assignment.attempt
    return f"{attempt.dag_run_id}/{attempt.task_id}/{attempt.map_index}"


def fork_options(assignment: Assignment) -> dict[str, Any]:
    """What the forkserver watches over."""
    return {
        "timeout": timeout_seconds(assignment),
        "grace": grace_seconds(assignment),
        "memory_bytes_max": assignment.memory_limit_mb * 1024 * 1024,
        "exclusive": is_exclusive(assignment),
    }


def context_fields(assignment: Assignment) -> dict[str, Any]:
    """The fields of a `TaskContext`, dates as seconds since the epoch."""
    attempt = assignment.attempt
    return {
        "namespace": assignment.namespace,
        "dag_id": assignment.dag_version.dag_id,
        "dag_version_number": assignment.dag_version.dag_version_number,
        "run_id": attempt.dag_run_id,
        "run_key": assignment.run_key,
        "task_id": attempt.task_id,
        "map_index": attempt.map_index if attempt.map_index >= 0 and assignment.map_item else None,
        "map_item": json.loads(assignment.map_item) if assignment.map_item else None,
        "attempt_number": attempt.attempt_number,
        "idempotency_key": assignment.idempotency_key,
        "params": json.loads(assignment.params or "{}"),
        "logical_date": _seconds(assignment, "logical_date"),
        "data_interval_start": _seconds(assignment, "data_interval_start"),
        "data_interval_end": _seconds(assignment, "data_interval_end"),
        "data_interval_zone": assignment.data_interval_zone or "UTC",
        "deadline": _seconds(assignment, "deadline_time"),
        "checkpoint": assignment.checkpoint,
        "traceparent": assignment.traceparent,
        "tracestate": assignment.tracestate,
        "child": _child(assignment.child) if assignment.HasField("child") else None,
    }


def _child(child: ChildEnd) -> dict[str, Any]:
    return {
        "run_id": child.dag_run_id,
        "dag_id": child.dag_id,
        "state": child.state,
        "reason": child.reason,
        "content_type": child.output.content_type if child.HasField("output") else "",
        "data": child.output.data,
        "uri": child.output.uri,
    }


def environment(assignment: Assignment) -> dict[str, str]:
    """Variables that every process of the attempt sees; those without a value are left out."""
    attempt = assignment.attempt
    values = {
        "GLIDEPATH_NAMESPACE": assignment.namespace,
        "GLIDEPATH_DAG_ID": assignment.dag_version.dag_id,
        "GLIDEPATH_RUN_ID": attempt.dag_run_id,
        "GLIDEPATH_RUN_KEY": assignment.run_key,
        "GLIDEPATH_TASK_ID": attempt.task_id,
        "GLIDEPATH_MAP_INDEX": str(attempt.map_index) if assignment.map_item else "",
        "GLIDEPATH_ATTEMPT_NUMBER": str(attempt.attempt_number),
        "GLIDEPATH_LOGICAL_DATE": _iso(assignment, "logical_date"),
        "GLIDEPATH_DATA_INTERVAL_START": _iso(assignment, "data_interval_start"),
        "GLIDEPATH_DATA_INTERVAL_END": _iso(assignment, "data_interval_end"),
        "GLIDEPATH_IDEMPOTENCY_KEY": assignment.idempotency_key,
        "TRACEPARENT": assignment.traceparent,
        "TRACESTATE": assignment.tracestate,
    }
    return {name: value for name, value in values.items() if value}


def body_spec(assignment: Assignment, source: str) -> bytes:
    """What `child.run` needs. InputError when inputs that are resolved here cannot be."""
    here = _is_small(assignment)
    spec = {
        "handler": assignment.handler.name,
        "source": source,
        "context": marshal.dumps(context_fields(assignment)),
        "environment": list(environment(assignment).items()),
        "arguments": resolve_inputs(assignment) if here else None,
        "artifacts": holds_artifacts(assignment),
        "assignment": b"" if here else assignment.SerializeToString(),
    }
    return marshal.dumps(spec)


def holds_artifacts(assignment: Assignment) -> bool:
    """Whether there may be artifacts in the arguments: seen without decoding them, and taken for sure of references."""
    if MARK.decode() in assignment.params or MARK.decode() in assignment.map_item:
        return True
    return any(payload.uri or MARK in payload.data for payload in _payloads(assignment))


def _payloads(assignment: Assignment) -> list[Payload]:
    literals = [each.literal for each in assignment.inputs.values() if each.HasField("literal")]
    return [*assignment.upstream_outputs.values(), *literals, *(each.value for each in assignment.xcoms)]


def _is_small(assignment: Assignment) -> bool:
    """Whether inputs can be resolved without fetching and without keeping the stream waiting."""
    outputs = assignment.upstream_outputs.values()
    if any(payload.uri for payload in _payloads(assignment)):
        return False
    return not outputs or sum(len(payload.data) for payload in outputs) <= RESOLVE_HERE_BYTES_MAX


def _seconds(assignment: Assignment, name: str) -> float | None:
    if not assignment.HasField(name):
        return None
    instant = getattr(assignment, name)
    return float(instant.seconds + instant.nanos / 1e9)


def _iso(assignment: Assignment, name: str) -> str:
    if not assignment.HasField(name):
        return ""
    from glidepath.payloads import to_datetime

    return to_datetime(getattr(assignment, name)).isoformat()
