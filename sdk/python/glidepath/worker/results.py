"""How an attempt is said to have ended: from what a body said and what the forkserver saw to an `AttemptResult`.

Pure. The body's own word stands if it was given before anybody asked the body to end; after that the reason for which
it was ended is the end. A body that gave no word is judged by its exit.
"""

from __future__ import annotations

import base64
import os
import signal
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from glidepath.worker import body, failures
from glidepath.worker.child import parse_message
from glidepath.worker.forkserver import CANCELLED, LEASE_ENDED, OUT_OF_MEMORY, TIMED_OUT
from glidepath_proto.common.v1.artifact_pb2 import Artifact, ArtifactUse
from glidepath_proto.common.v1.failure_pb2 import Failure
from glidepath_proto.common.v1.payload_pb2 import Payload
from glidepath_proto.worker.v1.task_pb2 import (
    AttemptResult,
    Called,
    Cancelled,
    Deferred,
    Progress,
    Returned,
    Skipped,
    Success,
    TimedOut,
)

SPOOL = "spool:"
"""Prefix of the uri of an output that lies in the worker's spool and must be stored with the server first."""


def decide(
    token: bytes, report: Mapping[str, Any], limits: Mapping[str, float], reason: str, ending: str
) -> AttemptResult:
    """The result of an attempt whose body ended as `report` says.

    `limits` has "timeout" in seconds and "memory_mb". `ending` is what the worker ended the body for, and `reason` why:
    "return" because it leaves, "preempt" because its machine is taken away, else because it was told to.
    """
    result = _from_body(report) or _from_exit(report, limits, reason, ending)
    result.task_token = token
    result.start_time.CopyFrom(timestamp(report["started"]))
    result.end_time.CopyFrom(timestamp(report["ended"]))
    return result


def ended_for(ending: str, reason: str) -> AttemptResult:
    """The result of an attempt that the worker has ended, or has not begun."""
    match ending:
        case "return":
            return AttemptResult(returned=Returned(reason=reason))
        case "preempt":
            return failed(b"", failures.PREEMPTED, "Preempted", reason)
        case _:
            return AttemptResult(cancelled=Cancelled(reason=reason))


def of_inline(token: bytes, ending: str, reason: str, status: int, timeout: float) -> AttemptResult:
    """The result of an inline task in which its runner ended: by its doing, or because the worker ended it."""
    now = time.time()
    cause = {"": "", "timeout": TIMED_OUT}.get(ending, CANCELLED)
    # Without a cause and a bad status it left in the middle of a task.
    code = -status if status < 0 else (status or (0 if cause else 1)) << 8
    report = {"status": code, "cause": cause, "end": b"", "end_after_cause": False, "started": now, "ended": now}
    return decide(token, report, {"timeout": timeout, "memory_mb": 0}, reason, ending)


def from_end(end: Mapping[str, Any], data: bytes) -> AttemptResult:
    """The result that a body's own word means (see `body`). KeyError, ValueError or TypeError when it means nothing."""
    match end["end"]:
        case "success":
            return AttemptResult(success=_success(end, data))
        case "failed":
            return AttemptResult(failed=to_failure(end["failure"]))
        case "skipped":
            return AttemptResult(skipped=Skipped(reason=str(end["reason"])))
        case "deferred":
            return AttemptResult(deferred=_deferred(end))
        case "called":
            return AttemptResult(called=_called(end["call"], data))
        case other:
            raise ValueError(f"unknown end {other!r}")


def _deferred(end: Mapping[str, Any]) -> Deferred:
    deferred = Deferred(checkpoint=base64.b64decode(end["checkpoint"]))
    if end["until"] is not None:
        deferred.until.CopyFrom(timestamp(end["until"]))
    else:
        deferred.after.FromTimedelta(timedelta(seconds=end["after"]))
    return deferred


def _called(call: Mapping[str, Any], spec: bytes) -> Called:
    called = Called(
        dag_id=call["dag_id"],
        dag_version_number=call["version"],
        alias=call["alias"],
        params=call["params"],
        output_task_id=call["output"],
        resume=call["resume"],
        checkpoint=base64.b64decode(call["checkpoint"]),
    )
    if call["logical_date"] is not None:
        called.logical_date.CopyFrom(timestamp(call["logical_date"]))
    if spec:
        called.dag.ParseFromString(spec)
    return called


def to_failure(fields: Mapping[str, Any]) -> Failure:
    """The message of a failure's fields (see `failures`)."""
    failure = Failure(
        kind=fields["kind"],
        type=fields["type"],
        message=fields["message"],
        stack_trace=fields.get("stack_trace", ""),
        signal_number=fields.get("signal_number", 0),
        base_types=fields.get("base_types", ()),
        causes=[to_failure(cause) for cause in fields.get("causes", ())],
    )
    if fields.get("retryable") is not None:
        failure.retryable = fields["retryable"]
    if fields.get("retry_after"):
        failure.retry_after.CopyFrom(duration(fields["retry_after"]))
    return failure


def to_progress(token: bytes, fields: Mapping[str, Any]) -> Progress:
    """The message of what a task said of its progress (see `context`)."""
    checkpoint = base64.b64decode(fields.get("checkpoint", ""))
    return Progress(task_token=token, percent=fields["percent"], note=str(fields["note"]), checkpoint=checkpoint)


def failed(token: bytes, kind: int, type_name: str, message: str, **fields: Any) -> AttemptResult:
    """The result of an attempt that the worker could not run, or not to its end."""
    return AttemptResult(task_token=token, failed=to_failure(failures.failure(kind, type_name, message, **fields)))


def timestamp(seconds: float) -> Timestamp:
    """An instant given in seconds since the epoch."""
    whole = int(seconds // 1)
    return Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))


def duration(seconds: float) -> Duration:
    """A length of time given in seconds."""
    return Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))


def _success(end: Mapping[str, Any], data: bytes) -> Success:
    found = Success()
    if "spool" in end:
        found.output.MergeFrom(
            Payload(
                content_type=end["content_type"],
                uri=SPOOL + end["spool"],
                size_bytes=end["size_bytes"],
                sha256=end["sha256"],
            )
        )
    elif "content_type" in end:
        found.output.MergeFrom(Payload(content_type=end["content_type"], data=data))
    for key, value in end.get("xcoms", {}).items():
        found.xcoms.add(key=key, value=value)
    for fields in end.get("artifacts", ()):
        use = dict(fields)
        direction = f"DIRECTION_{use.pop('direction').upper()}"
        found.artifacts.add(direction=ArtifactUse.Direction.Value(direction), artifact=Artifact(**use))
    return found


def _from_body(report: Mapping[str, Any]) -> AttemptResult | None:
    if not report["end"] or report["end_after_cause"]:
        return None
    try:
        return from_end(*parse_message(report["end"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"the body's last word cannot be read ({error})"
        return failed(b"", failures.INFRASTRUCTURE, "BrokenResult", problem)


def _from_exit(report: Mapping[str, Any], limits: Mapping[str, float], reason: str, ending: str) -> AttemptResult:
    match report["cause"]:
        case "":
            return _from_status(report)
        case cause if cause == CANCELLED:
            return ended_for(ending, reason)
        case cause if cause == TIMED_OUT:
            message = f"ran longer than its timeout of {limits['timeout']:g} s"
            timeout = failures.failure(failures.TIMEOUT, "Timeout", message)
            return AttemptResult(timed_out=TimedOut(failure=to_failure(timeout)))
        case cause if cause == OUT_OF_MEMORY:
            return failed(b"", failures.OUT_OF_MEMORY, "OutOfMemory", _memory_message(limits["memory_mb"]))
        case cause if cause == LEASE_ENDED:
            # No failure of the task's own, whoever speaks first: a server that judges the lease calls it lost.
            return AttemptResult(returned=Returned(reason="its lease could not be renewed in time"))
        case cause:
            raise ValueError(f"unknown cause {cause!r}")


def _from_status(report: Mapping[str, Any]) -> AttemptResult:
    status = report["status"]
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = _signal_name(number)
        message = f"killed by signal {number} ({name})"
        return failed(b"", failures.KILLED_BY_SIGNAL, name, message, signal_number=number)
    code = os.WEXITSTATUS(status)
    if code:
        message = {126: "the command cannot be run", 127: "the command was not found"}.get(code, "the command failed")
        return failed(b"", failures.APPLICATION, f"exit status {code}", message)
    return AttemptResult(success=Success()) if report["printed"] is None else _printed(*report["printed"])


def _printed(line: str, shown: str) -> AttemptResult:
    """The end of a command whose output is the last line that it printed."""
    try:
        data = body.printed(line, shown)
    except body.OutputRefused as error:
        return failed(b"", failures.APPLICATION, "OutputRefused", str(error))
    return AttemptResult(success=Success(output=Payload(content_type=body.JSON, data=data)))


def _memory_message(limit_mb: float) -> str:
    if limit_mb:
        return f"used more memory than its limit of {limit_mb:g} MiB"
    return "the kernel ended it because the machine had no memory left"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
