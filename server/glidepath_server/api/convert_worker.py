"""From what a worker says to what the engine takes: hello, results, failures. Raises InvalidInput with the field."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from glidepath_proto.common.v1 import failure_pb2, payload_pb2
from glidepath_proto.worker.v1 import task_pb2, worker_service_pb2

from ..clock import monotonic
from ..core.calls import Call
from ..core.definition import WAIT_SECONDS_MAX
from ..core.errors import StateConflict
from ..core.events import AttemptKey, Deferral
from ..core.failure import BASE_TYPES_MAX, CAUSES_MAX, Failure, FailureKind
from ..core.matching import Offer
from ..core.retry import RETRY_AFTER_SECONDS_MAX
from ..core.skew import HostReading
from ..core.states import AttemptState
from ..core.values import InvalidValues
from ..operations.step_types import Output, Report, Verdict
from ..store.sessions import WorkerFacts
from .convert_common import invalid
from .convert_values import values_in

PROTOCOL_VERSION_MIN = 1
PROTOCOL_VERSION_MAX = 1
NAME_CHARACTERS_MAX = 200
# As long as a task may name what it needs.
OFFER_CHARACTERS_MAX = 500
ITEMS_MAX = 1000
RESOURCE_AMOUNT_MAX = 1e15
URI_CHARACTERS_MAX = 2000
# More than params may have: what is cut off is refused as no JSON.
PARAMS_CHARACTERS_MAX = 4 * 1024 * 1024
# The end of the year 9999, in seconds since 1970.
TIME_SECONDS_MAX = 253_402_300_799.0

_VERDICTS = {
    Verdict.ACCEPTED: worker_service_pb2.VERDICT_ACCEPTED,
    Verdict.DUPLICATE: worker_service_pb2.VERDICT_DUPLICATE,
    Verdict.FENCED: worker_service_pb2.VERDICT_FENCED,
    Verdict.REJECTED: worker_service_pb2.VERDICT_REJECTED,
}
_KINDS = {
    failure_pb2.FAILURE_KIND_TIMEOUT: FailureKind.TIMEOUT,
    failure_pb2.FAILURE_KIND_OUT_OF_MEMORY: FailureKind.OUT_OF_MEMORY,
    failure_pb2.FAILURE_KIND_KILLED_BY_SIGNAL: FailureKind.KILLED_BY_SIGNAL,
    failure_pb2.FAILURE_KIND_BAD_INPUT: FailureKind.BAD_INPUT,
    failure_pb2.FAILURE_KIND_INFRASTRUCTURE: FailureKind.INFRASTRUCTURE,
    failure_pb2.FAILURE_KIND_PREEMPTED: FailureKind.PREEMPTED,
}


def worker_in(hello: worker_service_pb2.Hello, namespace: str, others: Iterable[str] = ()) -> WorkerFacts:
    """Who a worker says it is, checked; the namespaces are those that its caller holds."""
    if not PROTOCOL_VERSION_MIN <= hello.protocol_version <= PROTOCOL_VERSION_MAX:
        raise StateConflict(
            f"hello.protocol_version: got {hello.protocol_version}, this server speaks {PROTOCOL_VERSION_MIN} to "
            f"{PROTOCOL_VERSION_MAX}",
            hint="use an SDK of this server's age",
        )
    for field in ("worker_identity", "incarnation"):
        if not 1 <= len(getattr(hello, field)) <= NAME_CHARACTERS_MAX or "\0" in getattr(hello, field):
            raise invalid(f"hello.{field}", repr(getattr(hello, field)[:64]), f"1 to {NAME_CHARACTERS_MAX} characters")
    for field in ("queue_names", "labels", "resources", "handlers", "other_namespaces"):
        if len(getattr(hello, field)) > ITEMS_MAX:
            raise invalid(f"hello.{field}", f"{len(getattr(hello, field))} items", f"at most {ITEMS_MAX}")
    if not hello.handlers:
        raise invalid("hello.handlers", "none", "at least one handler, or a prefix like python:*")
    _check_offer(hello)
    offer = Offer(
        namespace,
        frozenset(hello.queue_names or ["default"]),
        dict(hello.labels),
        dict(hello.resources),
        tuple(sorted(((each.name, frozenset(each.versions or ["*"])) for each in hello.handlers), key=lambda h: h[0])),
        frozenset(others) - {namespace},
    )
    return WorkerFacts(
        hello.worker_identity,
        hello.incarnation,
        offer,
        clean(hello.sdk_name, 100),
        clean(hello.sdk_version, 100),
        clean(hello.host_name, 255),
        hello.process_id,
    )


def _check_offer(hello: worker_service_pb2.Hello) -> None:
    """Names that Postgres can hold, amounts that can be counted."""
    names = [("queue_names", name) for name in hello.queue_names]
    names += [("labels", text) for label in hello.labels.items() for text in label]
    names += [("resources", name) for name in hello.resources]
    names += [("handlers", text) for each in hello.handlers for text in (each.name, *each.versions)]
    for field, name in names:
        if "\0" in name or len(name) > OFFER_CHARACTERS_MAX:
            raise invalid(f"hello.{field}", repr(name[:64]), f"up to {OFFER_CHARACTERS_MAX} characters without NUL")
    for name, amount in hello.resources.items():
        if not 0 <= amount <= RESOURCE_AMOUNT_MAX:
            raise invalid(f"hello.resources[{name!r}]", f"{amount:g}", f"0 to {RESOURCE_AMOUNT_MAX:g}")


class ResultLimits(NamedTuple):
    """Bytes that a result may carry."""

    output_inline_bytes_max: int
    checkpoint_bytes_max: int


def report_in(
    message: task_pb2.AttemptResult, key: AttemptKey, limits: ResultLimits, origin: Any
) -> tuple[Report, str]:
    """The report, and why it is refused ("" when it is not): a refused result fails the attempt with that reason."""
    report = Report(key, AttemptState.SUCCESS, origin=origin, token=message.task_token)
    match message.WhichOneof("outcome"):
        case "success":
            if message.success.HasField("output"):
                if len(message.success.output.uri) > URI_CHARACTERS_MAX:
                    return _refused(report, f"the output's URI has more than {URI_CHARACTERS_MAX} characters")
                report.output = output_in(message.success.output)
                if report.output.body is not None and len(report.output.body) > limits.output_inline_bytes_max:
                    return _refused(
                        report,
                        f"the output has {len(report.output.body)} bytes inline, at most "
                        f"{limits.output_inline_bytes_max} are taken: store it as an artifact",
                    )
            if message.success.xcoms or message.success.artifacts:
                try:
                    report.values = values_in(message.success)
                except InvalidValues as error:
                    return _refused(report, str(error))
        case "failed":
            report.outcome, report.failure = AttemptState.FAILED, failure_in(message.failed)
        case "timed_out":
            report.outcome, report.failure = AttemptState.TIMED_OUT, failure_in(message.timed_out.failure)
        case "skipped":
            report.outcome, report.reason = AttemptState.SKIPPED, clean(message.skipped.reason)
        case "cancelled":
            report.outcome, report.reason = AttemptState.CANCELLED, clean(message.cancelled.reason)
        case "returned":
            report.outcome, report.reason = AttemptState.RETURNED, clean(message.returned.reason)
        case "deferred":
            report.outcome = AttemptState.DEFERRED
            if len(message.deferred.checkpoint) > limits.checkpoint_bytes_max:
                size, most = len(message.deferred.checkpoint), limits.checkpoint_bytes_max
                return _refused(report, f"the checkpoint has {size} bytes, at most {most} are taken")
            report.deferral, report.checkpoint = deferral_in(message.deferred), message.deferred.checkpoint
        case "called":
            report.outcome = AttemptState.CALLED
            if len(message.called.checkpoint) > limits.checkpoint_bytes_max:
                size, most = len(message.called.checkpoint), limits.checkpoint_bytes_max
                return _refused(report, f"the checkpoint has {size} bytes, at most {most} are taken")
            report.call, report.checkpoint = call_in(message.called), message.called.checkpoint
        case _:
            return _refused(report, "the result carries no outcome")
    return report, ""


def deferral_in(message: task_pb2.Deferred) -> Deferral:
    """A deferral; instants and spans beyond what a wait can be are cut to the longest."""
    after = min(max(0.0, message.after.seconds + message.after.nanos / 1e9), WAIT_SECONDS_MAX)
    until = datetime.fromtimestamp(_seconds(message.until), UTC) if message.HasField("until") else None
    return Deferral(until, after)


def call_in(message: task_pb2.Called) -> Call:
    """A child run that is asked for; names that nothing can have are cut."""
    return Call(
        clean(message.dag_id, NAME_CHARACTERS_MAX),
        message.dag_version_number or None,
        clean(message.alias, NAME_CHARACTERS_MAX) or None,
        clean(message.params, PARAMS_CHARACTERS_MAX),
        datetime.fromtimestamp(_seconds(message.logical_date), UTC) if message.HasField("logical_date") else None,
        clean(message.output_task_id, NAME_CHARACTERS_MAX),
        message.resume,
    )


def _refused(report: Report, reason: str) -> tuple[Report, str]:
    report.outcome, report.output = AttemptState.FAILED, None
    report.failure = Failure(FailureKind.BAD_INPUT, "RejectedResult", reason)
    return report, reason


def output_in(payload: payload_pb2.Payload) -> Output:
    """An output as it is stored."""
    content_type = payload.content_type or "application/json"
    if payload.WhichOneof("body") == "uri":
        return Output(clean(content_type), None, clean(payload.uri), max(0, payload.size_bytes), clean(payload.sha256))
    return Output(clean(content_type), payload.data, None, len(payload.data), "")


def failure_in(message: failure_pb2.Failure, depth: int = 0) -> Failure:
    """A failure with its causes, at most CAUSES_MAX deep and wide."""
    retry_after = message.retry_after.seconds + message.retry_after.nanos / 1e9
    causes = () if depth >= CAUSES_MAX else tuple(failure_in(each, depth + 1) for each in message.causes[:CAUSES_MAX])
    return Failure(
        kind=_KINDS.get(message.kind, FailureKind.APPLICATION),
        type=clean(message.type),
        message=clean(message.message, 16_384),
        stack_trace=clean(message.stack_trace, 131_072),
        retryable=message.retryable if message.HasField("retryable") else None,
        retry_after_seconds=min(max(0.0, retry_after), RETRY_AFTER_SECONDS_MAX),
        signal_number=message.signal_number,
        causes=causes,
        base_types=tuple(clean(each, 512) for each in message.base_types[:BASE_TYPES_MAX]),
    )


def clean(text: str, characters_max: int = 2000) -> str:
    """Text that Postgres can hold."""
    return text.replace("\0", "\\0")[:characters_max]


def log_entries_in(chunk: task_pb2.LogChunk) -> list[list[Any]]:
    """[seconds since 1970, stream, text] per line."""
    return [[_seconds(each.time), clean(each.stream, 64), clean(each.text, 65_536)] for each in chunk.entries]


def _seconds(time: Timestamp) -> float:
    """Seconds since 1970, in a range that every reader has a date for."""
    return min(max(0.0, time.seconds + time.nanos / 1e9), TIME_SECONDS_MAX)


def session_id_in(text: str) -> UUID:
    """The id of a session. Raises InvalidInput."""
    try:
        return UUID(text)
    except ValueError:
        raise invalid("session.session_id", repr(text[:64]), "the session_id of a welcome") from None


def verdict_out(verdict: Verdict) -> worker_service_pb2.Verdict:
    """The wire's code of a verdict."""
    return _VERDICTS[verdict]


def host_reading_in(echo: worker_service_pb2.HeartbeatEcho, asked_at: float) -> HostReading | None:
    """The clock that a worker tells with an echo of what was sent at `asked_at`; None when it tells none."""
    if not echo.HasField("host_time"):
        return None
    try:
        return HostReading(echo.host_time.ToDatetime(UTC), asked_at, monotonic())
    except (ValueError, OverflowError):
        return None
