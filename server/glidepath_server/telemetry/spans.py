"""Spans of runs and attempts, made of what is stored of them. Pure: rows in, spans out."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from ..core.events import AttemptKey
from ..core.traces import TraceContext, attempt_span_id, run_context, run_span_id
from .span_names import SPAN_ATTRIBUTES

_RUN_RESULTS = {"success": "success", "failed": "failure", "cancelled": "cancellation"}
_ATTEMPT_RESULTS = {
    "success": "success",
    "called": "success",
    "deferred": "success",
    "failed": "failure",
    "lost": "error",
    "timed_out": "timeout",
    "cancelled": "cancellation",
    "returned": "cancellation",
    "skipped": "skip",
}
_REASON_LENGTH_MAX = 500
Attributes = dict[str, str | int | float]


class Span(NamedTuple):
    """As OTLP has it; ids are bytes, `links` ids of spans of the same trace. `error` is None unless it failed."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    flags: int
    name: str
    is_run: bool
    start_time: datetime
    end_time: datetime
    attributes: Attributes
    links: tuple[bytes, ...] = ()
    error: str | None = None

    @property
    def sampled(self) -> bool:
        """Whether whoever began the trace wants to have it."""
        return TraceContext(self.trace_id, self.parent_id, self.flags).sampled


class RunRow(NamedTuple):
    """A run as stored; `end_time` is None while it goes on."""

    dag_run_id: UUID
    dag_version_id: int
    dag_version_number: int
    namespace: str
    dag_id: str
    run_type: str
    state: str
    reason: str
    traceparent: str
    logical_date: datetime
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None


class AttemptRow(NamedTuple):
    """An ended attempt as stored, with its task's id and its worker as far as that is still known."""

    key: AttemptKey
    task_id: str
    state: str
    queue_time: datetime
    start_time: datetime
    end_time: datetime
    failure: str | None
    reason: str
    worker_identity: str | None
    host_name: str | None


def run_span(run: RunRow) -> Span:
    """The span of a run that has ended."""
    assert run.end_time is not None
    context = run_context(run.dag_run_id, run.traceparent)
    failed = run.state != "success"
    started = run.start_time or run.end_time
    own: dict[str, Any] = {
        "cicd.pipeline.action.name": "RUN",
        "cicd.pipeline.result": _RUN_RESULTS[run.state],
        "error.type": run.state if failed else None,
        "glidepath.reason": run.reason[:_REASON_LENGTH_MAX] or None,
        "glidepath.run.logical_date": run.logical_date.isoformat(),
        "glidepath.run.queue_seconds": max(0.0, (started - run.create_time).total_seconds()),
        "glidepath.run.type": run.run_type,
    }
    return Span(
        context.trace_id,
        run_span_id(run.dag_run_id),
        context.parent_id,
        context.flags,
        f"RUN {run.dag_id}",
        True,
        run.create_time,
        max(run.create_time, run.end_time),
        _registered(_common(run) | own),
        error=(run.reason[:_REASON_LENGTH_MAX] or run.state) if failed else None,
    )


def attempt_span(run: RunRow, attempt: AttemptRow) -> Span:
    """The span of an attempt."""
    key, context = attempt.key, run_context(run.dag_run_id, run.traceparent)
    failure = json.loads(attempt.failure) if attempt.failure else {}
    result = _ATTEMPT_RESULTS[attempt.state]
    failed = result in ("failure", "error", "timeout")
    own: dict[str, Any] = {
        "cicd.pipeline.task.name": attempt.task_id,
        "cicd.pipeline.task.run.id": f"{key.dag_run_id}/{attempt.task_id}/{key.map_index}/{key.attempt_number}",
        "cicd.pipeline.task.run.result": result,
        "cicd.worker.name": attempt.worker_identity,
        "error.type": (failure.get("type") or failure.get("kind") or attempt.state) if failed else None,
        "glidepath.attempt.number": key.attempt_number,
        "glidepath.attempt.queue_seconds": max(0.0, (attempt.start_time - attempt.queue_time).total_seconds()),
        "glidepath.attempt.state": attempt.state,
        "glidepath.map.index": key.map_index if key.map_index >= 0 else None,
        "glidepath.reason": attempt.reason[:_REASON_LENGTH_MAX] or None,
        "host.name": attempt.host_name,
    }
    before = key._replace(attempt_number=key.attempt_number - 1)
    message = str(failure.get("message") or attempt.reason or attempt.state)
    return Span(
        context.trace_id,
        attempt_span_id(key),
        run_span_id(run.dag_run_id),
        context.flags,
        attempt.task_id,
        False,
        attempt.start_time,
        max(attempt.start_time, attempt.end_time),
        _registered(_common(run) | own),
        links=(attempt_span_id(before),) if before.attempt_number else (),
        error=message[:_REASON_LENGTH_MAX] if failed else None,
    )


def _common(run: RunRow) -> dict[str, Any]:
    return {
        "cicd.pipeline.name": run.dag_id,
        "cicd.pipeline.run.id": str(run.dag_run_id),
        "glidepath.dag.version": run.dag_version_number,
        "glidepath.namespace": run.namespace,
    }


def _registered(attributes: dict[str, Any]) -> Attributes:
    """Those that have a value; a name that is not in the registry is a fault of ours."""
    if unknown := attributes.keys() - SPAN_ATTRIBUTES.keys():
        raise KeyError(f"not in telemetry/span_names.py: {', '.join(sorted(unknown))}")
    return {name: value for name, value in attributes.items() if value is not None}
