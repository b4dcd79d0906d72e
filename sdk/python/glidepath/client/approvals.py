"""Methods for what tasks ask people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from glidepath import templates
from glidepath.client.calls import Call, Pages, iterated, rpc
from glidepath.client.requests import Api, Service, new_request_id
from glidepath.errors import TemplateError
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.run.v1 import approval_service_pb2 as pb

_APPROVALS = Service(pb, "ApprovalService")


class ApprovalMethods(Api):
    """What tasks ask people: listing and answering."""

    @iterated
    def list_approvals(
        self, dag_id: str = "", *, run_id: str = "", include_closed: bool = False, page_size: int = 0
    ) -> Pages[pb.Approval]:
        """What waits for an answer, newest first, of a DAG, of a run or of all; `include_closed` adds what was
        answered, expired or withdrawn. `message_of` gives the text of one."""
        return _APPROVALS.pages(
            self,
            "ListApprovals",
            "approvals",
            dag_id=dag_id,
            dag_run_id=run_id,
            include_closed=include_closed,
            page_size=page_size,
        )

    @rpc
    def answer_approval(
        self,
        run_id: str,
        task_id: str,
        approve: bool,
        *,
        values: Mapping[str, Any] | None = None,
        note: str = "",
        map_index: int = -1,
        request_id: str = "",
    ) -> Call[pb.Approval]:
        """Answer what a task asks. The same answer again changes nothing.

        StateConflict when somebody has answered otherwise, InvalidRequest for values that do not fit its form,
        PermissionDenied for who is not among its approvers.
        """
        return _APPROVALS.call(
            self,
            "AnswerApproval",
            "approval",
            dag_run_id=run_id,
            task_id=task_id,
            map_index=map_index,
            answer=dag_pb2.APPROVAL_ANSWER_APPROVE if approve else dag_pb2.APPROVAL_ANSWER_REJECT,
            values=json.dumps(values) if values else "",
            note=note,
            request_id=request_id or new_request_id(),
        )


def message_of(approval: pb.Approval) -> str:
    """What an approval asks, with the values of its run put in; as its author wrote it where one is missing."""
    context = {
        "params": json.loads(approval.params or "{}"),
        "run_id": approval.dag_run_id,
        "run_key": approval.run_key,
        "dag_id": approval.dag_id,
        "task_id": approval.task_id,
        "logical_date": approval.logical_date.ToDatetime(tzinfo=UTC),
        "data_interval_start": approval.data_interval_start.ToDatetime(tzinfo=UTC),
        "data_interval_end": approval.data_interval_end.ToDatetime(tzinfo=UTC),
    }
    try:
        return templates.render(approval.message, context)
    except TemplateError:
        return approval.message
