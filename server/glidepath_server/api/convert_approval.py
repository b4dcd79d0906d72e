"""Questions to people between the wire and the core."""

from __future__ import annotations

import json
from typing import Any

from glidepath_proto.run.v1 import approval_service_pb2 as pb

from ..core.approvals import ApprovalState, Decision, params_named
from ..core.params import canonical
from ..operations.approvals import Given, Question
from .convert_common import invalid, to_timestamp
from .convert_registry import DECISION_TO_WIRE, DECISIONS
from .convert_run import text_in

_STATES: dict[ApprovalState, Any] = {state: pb.Approval.State.Value(f"STATE_{state.name}") for state in ApprovalState}
_INDEX_MAX = 2**31 - 1


def given_in(request: pb.AnswerApprovalRequest) -> Given:
    """An answer, checked as far as the wire goes. Raises InvalidInput."""
    decision = DECISIONS.get(request.answer)
    if not isinstance(decision, Decision):
        raise invalid("answer", str(request.answer), "APPROVAL_ANSWER_APPROVE or APPROVAL_ANSWER_REJECT")
    map_index = request.map_index if request.HasField("map_index") else -1
    if map_index < -1:
        raise invalid("map_index", str(map_index), f"0 to {_INDEX_MAX}, or -1 for a task that is not mapped")
    return Given(request.task_id, map_index, decision, text_in("values", request.values), text_in("note", request.note))


def approval_out(question: Question) -> pb.Approval:
    found, spec = question.approval, question.spec
    named = params_named(spec.message)
    params = {name: value for name, value in json.loads(found.params).items() if name in named} if named else {}
    return pb.Approval(
        dag_run_id=str(found.dag_run_id),
        dag_id=found.dag_id,
        task_id=found.task_id,
        map_index=found.map_index,
        attempt_number=found.attempt_number,
        state=_STATES[found.state],
        message=spec.message,
        params=canonical(params),
        run_key=found.run_key,
        logical_date=to_timestamp(found.logical_date),
        data_interval_start=to_timestamp(found.data_interval_start),
        data_interval_end=to_timestamp(found.data_interval_end),
        form=spec.form,
        default=DECISION_TO_WIRE[spec.default],
        approvers=spec.approvers,
        open_time=to_timestamp(found.open_time),
        timeout_time=to_timestamp(found.timeout_time),
        close_time=to_timestamp(found.close_time),
        answered_by=found.answered_by or "",
        note=found.note,
        values=found.answer or "",
    )
