"""Runs between the wire and the core."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from glidepath_proto.common.v1 import failure_pb2, payload_pb2
from glidepath_proto.run.v1 import run_pb2, run_service_pb2

from ..core.critical_path import Step
from ..core.errors import InvalidInput
from ..core.explain import Explanation, Wait
from ..core.failure import Failure, FailureKind
from ..core.run_view import EndedRow, TaskInstanceView, ViewState
from ..core.states import MARKS, AttemptState, RunIntent, RunState, TaskEvent
from ..operations.follow_runs import Line
from ..operations.new_runs import RunRequest, Triggered
from ..operations.plans import Plan
from ..store.runs_read import Caller, DeadLetter, LogPlace, Output, Run
from ..store.trigger import Selector
from .convert_common import from_timestamp, invalid, to_timestamp

# The wire's names of our words; a message takes them as they are.
_RUN_STATES = {state: f"RUN_STATE_{state.name}" for state in RunState}
_TASK_STATES = {state: f"TASK_STATE_{state.name}" for state in ViewState}
_ATTEMPT_STATES = {state: f"ATTEMPT_STATE_{state.name}" for state in AttemptState}
_WAITS = {wait: f"WAIT_{wait.name}" for wait in Wait}
_FAILURE_KINDS = {kind: f"FAILURE_KIND_{kind.name}" for kind in FailureKind}
_ID_DIGITS = 32
_HEXADECIMAL = frozenset("0123456789abcdef")
_TASK_STATE_NAMES = {run_pb2.TaskState.Value(name): state for state, name in _TASK_STATES.items()}
_STATE_NAMES = {run_pb2.RunState.Value(name): state for state, name in _RUN_STATES.items()}


# ---- in
def text_in(field: str, value: str) -> str:
    """Text that a query may carry. Raises InvalidInput for a NUL, which Postgres cannot hold."""
    if "\0" in value:
        raise invalid(field, repr(value[:64]), "text without NUL characters")
    return value


def run_request_in(message: run_service_pb2.DagRunRequest, at: str) -> RunRequest:
    """One item of TriggerDagRuns; `at` names it in errors."""
    chosen = message.WhichOneof("selector")
    return RunRequest(
        selector=Selector(
            text_in(f"{at}.dag_id", message.dag_id),
            message.dag_version_number if chosen == "dag_version_number" else None,
            text_in(f"{at}.alias", message.alias) if chosen == "alias" else None,
        ),
        run_key=message.run_key,
        params=message.params,
        logical_date=_time_in(message, at, "logical_date"),
        data_interval_start=_time_in(message, at, "data_interval_start"),
        data_interval_end=_time_in(message, at, "data_interval_end"),
        traceparent=message.traceparent,
        refresh_cache=message.refresh_cache,
        pause_at=tuple(message.pause_at_task_ids),
        only=tuple(message.only_task_ids),
        only_with_upstream=message.only_with_upstream,
        only_with_downstream=message.only_with_downstream,
    )


def _time_in(message: run_service_pb2.DagRunRequest, at: str, field: str) -> datetime | None:
    try:
        return from_timestamp(message, field)
    except InvalidInput as error:
        raise invalid(f"{at}.{field}", error.violations[0].value, error.violations[0].expected) from None


def states_in(numbers: Sequence[int]) -> list[str]:
    """Run states of a filter. Raises InvalidInput."""
    for number in numbers:
        if number not in _STATE_NAMES:
            raise invalid("states", str(number), f"one of {', '.join(state.value for state in RunState)}")
    return [_STATE_NAMES[number].value for number in numbers]


def task_states_in(numbers: Sequence[int]) -> frozenset[int]:
    """Task states of a filter, as they travel. Raises InvalidInput."""
    for number in numbers:
        if number not in _TASK_STATE_NAMES:
            raise invalid("states", str(number), f"one of {', '.join(state.value for state in ViewState)}")
    return frozenset(numbers)


def map_index_in(request: Any) -> int | None:
    """The one instance of its task that a request is about; None for all. Raises InvalidInput."""
    if not request.HasField("map_index"):
        return None
    if not request.task_id:
        raise invalid("map_index", str(request.map_index), "none without a task_id")
    return int(request.map_index)


def ids_in(field: str, prefix: str) -> tuple[UUID, UUID]:
    """The smallest id that begins so, and one that is above them all. Raises InvalidInput."""
    digits = prefix.replace("-", "").lower()
    if len(digits) > _ID_DIGITS or not _HEXADECIMAL.issuperset(digits):
        raise invalid(field, repr(prefix[:64]), "the beginning of a UUID like 01890a5d-ac96-774b-bcce-b302099a8057")
    first = int(digits.ljust(_ID_DIGITS, "0"), 16)
    above = first + 16 ** (_ID_DIGITS - len(digits))
    return UUID(int=first), UUID(int=min(above, 2**128 - 1))


def place_in(cursor: str) -> LogPlace:
    """The place that a cursor of StreamLogs names; the beginning for an empty one. Raises InvalidInput."""
    if not cursor:
        return LogPlace()
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        written, log_id, lines = (int(part) for part in parts)
        if not (0 <= written < 2**63 and 0 <= log_id < 2**63 and 0 <= lines < 2**31):
            raise ValueError
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise invalid("after", repr(cursor[:64]), "cursor of the last message seen, unchanged") from None
    return LogPlace(written, log_id, lines)


# ---- out
def dead_letter_out(letter: DeadLetter) -> run_pb2.DeadLetter:
    return run_pb2.DeadLetter(
        dag_run_id=str(letter.dag_run_id),
        dag_id=letter.dag_id,
        task_id=letter.task_id,
        map_index=letter.map_index,
        attempt_number=letter.attempt_number,
        budget=f"BUDGET_{letter.budget.upper()}",
        reason=letter.reason,
        time=to_timestamp(letter.dead_time),
    )


def triggered_out(runs: Sequence[Triggered]) -> bytes:
    """The serialised answer of TriggerDagRuns."""
    return run_service_pb2.TriggerDagRunsResponse(
        runs=[
            run_service_pb2.TriggeredDagRun(
                dag_run_id=str(run.dag_run_id),
                run_key=run.run_key,
                dag_version_number=run.dag_version_number,
                created=run.created,
            )
            for run in runs
        ]
    ).SerializeToString()


def run_out(run: Run, counts: Mapping[str, int] | None = None) -> run_pb2.DagRun:
    return run_pb2.DagRun(
        namespace=run.namespace,
        dag_run_id=str(run.dag_run_id),
        dag_id=run.dag_id,
        dag_version_number=run.dag_version_number,
        run_type=f"RUN_TYPE_{run.run_type.upper()}",
        run_key=run.run_key,
        state=_RUN_STATES[run.state],
        reason=run.reason,
        logical_date=to_timestamp(run.logical_date),
        data_interval_start=to_timestamp(run.data_interval_start),
        data_interval_end=to_timestamp(run.data_interval_end),
        params=run.params,
        revision=run.revision,
        create_time=to_timestamp(run.create_time),
        start_time=to_timestamp(run.start_time),
        end_time=to_timestamp(run.end_time),
        task_counts=counts or {},
        created_by=run.created_by,
        traceparent=run.traceparent,
        cancel_requested=run.intent is RunIntent.CANCEL,
        quarantined=run.quarantined,
        paused_by=run.paused_by,
        caller=_caller(run.caller),
    )


def _caller(caller: Caller | None) -> run_pb2.Caller | None:
    return run_pb2.Caller(**{**caller._asdict(), "dag_run_id": str(caller.dag_run_id)}) if caller is not None else None


_MARKS = {run_pb2.TaskState.Value(f"TASK_STATE_{state.name}"): mark for mark, state in MARKS.items()}


def mark_in(state: run_pb2.TaskState) -> TaskEvent:
    """What an operator says of a task. Raises InvalidInput for a state that cannot be said."""
    mark = _MARKS.get(state)
    if mark is None:
        name = run_pb2.TaskState.Name(state) if state in run_pb2.TaskState.values() else str(state)
        raise invalid("state", name, ", ".join(sorted(run_pb2.TaskState.Name(each) for each in _MARKS)))
    return mark


def task_instance_out(plan: Plan, view: TaskInstanceView) -> run_pb2.TaskInstance:
    graph, spec = plan.graph, plan.task(view.task)
    return run_pb2.TaskInstance(
        task_id=graph.task_ids[view.task],
        map_index=view.map_index,
        group_id=spec.group_id,
        state=_TASK_STATES[view.state],
        attempt_number=view.attempt_number,
        reason=view.reason,
        queue_time=to_timestamp(view.queue_time),
        start_time=to_timestamp(view.start_time),
        end_time=to_timestamp(view.end_time),
        available_time=to_timestamp(view.available_time),
        worker_identity=view.worker_identity,
        failure=failure_out(view.failure),
        upstream_task_ids=[graph.task_ids[index] for index in graph.upstream[view.task]],
        progress_percent=view.progress_percent,
        progress_note=view.progress_note,
        map_counts=run_pb2.MapCounts(**view.map_counts) if view.map_counts is not None else None,
        map_name=spec.map.name if spec.map is not None and view.map_index >= 0 else "",
        map_item=view.map_item,
    )


def attempt_out(plan: Plan, row: EndedRow) -> run_pb2.Attempt:
    return run_pb2.Attempt(
        task_id=plan.graph.task_ids[row.task],
        map_index=row.map_index,
        attempt_number=row.attempt_number,
        state=_ATTEMPT_STATES[row.state],
        worker_identity=row.worker_identity,
        queue_time=to_timestamp(row.queue_time),
        start_time=to_timestamp(row.start_time),
        end_time=to_timestamp(row.end_time),
        failure=failure_out(row.failure),
        has_output=row.has_output,
        reason=row.reason,
        child_dag_run_id=str(row.child_run_id or ""),
    )


def failure_out(fields: Mapping[str, Any] | None) -> failure_pb2.Failure | None:
    return _failure(Failure.from_json(fields)) if fields else None


def _failure(failure: Failure) -> failure_pb2.Failure:
    message = failure_pb2.Failure(
        kind=_FAILURE_KINDS[failure.kind],
        type=failure.type,
        message=failure.message,
        stack_trace=failure.stack_trace,
        signal_number=failure.signal_number,
        causes=[_failure(cause) for cause in failure.causes],
    )
    if failure.retryable is not None:
        message.retryable = failure.retryable
    if failure.retry_after_seconds:
        message.retry_after.CopyFrom(_duration(timedelta(seconds=failure.retry_after_seconds)))
    return message


def output_out(task_id: str, map_index: int, output: Output) -> run_pb2.TaskOutput:
    """The payload is left unset when the task returned nothing."""
    message = run_pb2.TaskOutput(task_id=task_id, map_index=map_index, attempt_number=output.attempt_number)
    if output.content_type is not None:
        payload = payload_pb2.Payload(
            content_type=output.content_type, size_bytes=output.size_bytes, sha256=output.sha256
        )
        if output.uri is not None:
            payload.uri = output.uri
        else:
            payload.data = output.body or b""
        message.output.CopyFrom(payload)
    return message


def explanation_out(plan: Plan, explanation: Explanation) -> run_pb2.Explanation:
    return run_pb2.Explanation(
        task_id=plan.graph.task_ids[explanation.task],
        map_index=explanation.map_index,
        state=_TASK_STATES[explanation.state],
        wait=_WAITS[explanation.wait],
        message=explanation.message,
        hint=explanation.hint,
    )


def step_out(plan: Plan, step: Step) -> run_pb2.CriticalPathStep:
    return run_pb2.CriticalPathStep(
        task_id=plan.graph.task_ids[step.task],
        map_index=-1,
        waited=_duration(step.waited),
        worked=_duration(step.worked),
    )


def line_out(plan: Plan, line: Line) -> run_pb2.LogLine:
    time, stream, text = line.entry
    return run_pb2.LogLine(
        task_id=plan.graph.task_ids[line.task],
        map_index=line.map_index,
        attempt_number=line.attempt_number,
        time=_log_time(time),
        stream=stream,
        text=text,
    )


def cursor_out(place: LogPlace) -> str:
    text = json.dumps([place.written, place.log_id, place.lines], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _log_time(value: float | str) -> Timestamp | None:
    if isinstance(value, str):
        return to_timestamp(datetime.fromisoformat(value))
    return to_timestamp(datetime.fromtimestamp(value, UTC))


def _duration(span: timedelta) -> Duration:
    return Duration(seconds=span.days * 86_400 + span.seconds, nanos=span.microseconds * 1000)
