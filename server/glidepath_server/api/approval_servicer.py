"""glidepath.run.v1.ApprovalService: what tasks ask people, and the answers."""

from __future__ import annotations

from glidepath_proto.run.v1 import approval_service_pb2 as pb
from glidepath_proto.run.v1 import approval_service_pb2_grpc

from ..operations.approvals import Approvals
from ..operations.command_runs import CommandCall, RunCommander
from ..operations.plans import Plans
from ..operations.read_runs import RunReader
from ..operations.run_engine import RunEngine
from ..store.database import Database
from .auth import current_identity, namespace_for
from .convert_approval import approval_out, given_in
from .convert_common import body_of, to_uuid
from .convert_run import text_in
from .handlers import Context
from .paging import Page, fitting, page_token

_NEWEST = 2**63 - 1


class ApprovalServicer(approval_service_pb2_grpc.ApprovalServiceServicer):
    """Thin: checks the wire, asks an operation, converts the answer."""

    def __init__(self, database: Database, plans: Plans, engine: RunEngine) -> None:
        reader = RunReader(database, plans)
        self._approvals = Approvals(reader, RunCommander(reader, engine))

    async def ListApprovals(self, request: pb.ListApprovalsRequest, context: Context) -> pb.ListApprovalsResponse:
        namespace = namespace_for(request, current_identity())
        dag_id = text_in("dag_id", request.dag_id)
        run_id = to_uuid("dag_run_id", request.dag_run_id) if request.dag_run_id else None
        scope = ("ListApprovals", namespace, dag_id, str(run_id), request.include_closed)
        page = Page(request, scope, int)
        found = await self._approvals.list(
            namespace, dag_id, run_id, closed=request.include_closed, below=page.first(_NEWEST), limit=page.limit
        )
        shown, token = page.cut(found, lambda each: [each.approval.approval_id])
        approvals = fitting(approval_out(each) for each in shown)
        if len(approvals) < len(shown):
            token = page_token([shown[len(approvals) - 1].approval.approval_id], scope)
        return pb.ListApprovalsResponse(approvals=approvals, next_page_token=token)

    async def AnswerApproval(self, request: pb.AnswerApprovalRequest, context: Context) -> pb.AnswerApprovalResponse:
        caller = current_identity()
        call = CommandCall(
            "AnswerApproval",
            namespace_for(request, caller),
            caller.name,
            to_uuid("dag_run_id", request.dag_run_id),
            request.request_id,
            body_of(request),
        )
        return pb.AnswerApprovalResponse(approval=approval_out(await self._approvals.answer(call, given_in(request))))
