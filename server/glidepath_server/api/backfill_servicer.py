"""glidepath.run.v1.BackfillService: backfills made, watched and steered."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from glidepath_proto.run.v1 import backfill_service_pb2 as pb
from glidepath_proto.run.v1 import backfill_service_pb2_grpc

from ..operations.create_backfill import BackfillCall, CreateBackfill
from ..operations.steer_backfills import Backfills
from .auth import current_identity, namespace_for
from .convert_backfill import backfill_out, created_out, date_out, outcomes_in, preview_out, spec_in
from .convert_common import body_of, invalid, to_uuid
from .convert_run import text_in
from .handlers import Context
from .paging import Page

_NEWEST = str(UUID(int=2**128 - 1))
PREVIEWED_DEFAULT, PREVIEWED_MAX = 100, 1_000
BACKFILLS_DEFAULT, BACKFILLS_MAX = 50, 100


class BackfillServicer(backfill_service_pb2_grpc.BackfillServiceServicer):
    """Thin: checks the wire, asks an operation, converts the answer."""

    def __init__(self, create: CreateBackfill, backfills: Backfills) -> None:
        self._create, self._backfills = create, backfills

    async def PreviewBackfill(self, request: pb.PreviewBackfillRequest, context: Context) -> pb.PreviewBackfillResponse:
        namespace = namespace_for(request, current_identity())
        most = request.dates_max or PREVIEWED_DEFAULT
        if not 1 <= most <= PREVIEWED_MAX:
            raise invalid("dates_max", str(most), f"1 to {PREVIEWED_MAX}, or 0 for {PREVIEWED_DEFAULT}")
        return preview_out(await self._create.preview(namespace, spec_in(request.spec)), most)

    async def CreateBackfill(self, request: pb.CreateBackfillRequest, context: Context) -> pb.CreateBackfillResponse:
        answer = await self._create(_call("CreateBackfill", request), spec_in(request.spec), created_out)
        return pb.CreateBackfillResponse.FromString(answer)

    async def GetBackfill(self, request: pb.GetBackfillRequest, context: Context) -> pb.GetBackfillResponse:
        namespace = namespace_for(request, current_identity())
        return pb.GetBackfillResponse(backfill=backfill_out(await self._backfills.get(namespace, _id(request))))

    async def ListBackfills(self, request: pb.ListBackfillsRequest, context: Context) -> pb.ListBackfillsResponse:
        namespace = namespace_for(request, current_identity())
        dag_id = text_in("dag_id", request.dag_id)
        scope = ("ListBackfills", namespace, dag_id, request.include_ended)
        page = Page(request, scope, str, default=BACKFILLS_DEFAULT, most=BACKFILLS_MAX)
        below = to_uuid("page_token", page.first(_NEWEST))
        found = await self._backfills.list_backfills(
            namespace, dag_id, below=below, ended=request.include_ended, limit=page.limit
        )
        shown, token = page.cut(found, lambda each: [str(each.backfill.backfill_id)])
        return pb.ListBackfillsResponse(backfills=map(backfill_out, shown), next_page_token=token)

    async def ListBackfillDates(
        self, request: pb.ListBackfillDatesRequest, context: Context
    ) -> pb.ListBackfillDatesResponse:
        namespace = namespace_for(request, current_identity())
        backfill_id, outcomes = _id(request), outcomes_in(request.outcomes)
        scope = ("ListBackfillDates", namespace, str(backfill_id), sorted(outcomes), request.only_failed)
        page = Page(request, scope, int)
        found = await self._backfills.list_dates(
            namespace,
            backfill_id,
            after=page.first(-1),
            outcomes=outcomes,
            failed=request.only_failed,
            limit=page.limit,
        )
        shown, token = page.cut(found, lambda each: [each.position])
        return pb.ListBackfillDatesResponse(dates=map(date_out, shown), next_page_token=token)

    async def PauseBackfill(self, request: pb.PauseBackfillRequest, context: Context) -> pb.PauseBackfillResponse:
        view = await self._backfills.pause(_call("PauseBackfill", request), _id(request))
        return pb.PauseBackfillResponse(backfill=backfill_out(view))

    async def ResumeBackfill(self, request: pb.ResumeBackfillRequest, context: Context) -> pb.ResumeBackfillResponse:
        view = await self._backfills.resume(_call("ResumeBackfill", request), _id(request))
        return pb.ResumeBackfillResponse(backfill=backfill_out(view))

    async def CancelBackfill(self, request: pb.CancelBackfillRequest, context: Context) -> pb.CancelBackfillResponse:
        call = _call("CancelBackfill", request)
        view = await self._backfills.cancel(call, _id(request), cancel_runs=request.cancel_runs)
        return pb.CancelBackfillResponse(backfill=backfill_out(view))

    async def RetryBackfill(self, request: pb.RetryBackfillRequest, context: Context) -> pb.RetryBackfillResponse:
        view, again = await self._backfills.retry(_call("RetryBackfill", request), _id(request))
        return pb.RetryBackfillResponse(backfill=backfill_out(view), date_count=again)


def _id(request: Any) -> UUID:
    return to_uuid("backfill_id", request.backfill_id)


def _call(method: str, request: Any) -> BackfillCall:
    caller = current_identity()
    reason = text_in("reason", request.reason) if "reason" in request.DESCRIPTOR.fields_by_name else ""
    namespace = namespace_for(request, caller)
    return BackfillCall(method, namespace, caller.name, request.request_id, body_of(request), reason)
