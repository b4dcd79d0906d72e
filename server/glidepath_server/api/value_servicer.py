"""glidepath.run.v1.ValueService: what runs left beside their outputs, and who read and wrote which artifact."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from glidepath_proto.run.v1 import value_service_pb2 as pb
from glidepath_proto.run.v1 import value_service_pb2_grpc

from ..core.values import URI_CHARACTERS_MAX
from ..operations.plans import Plans
from ..operations.read_runs import RunReader
from ..operations.read_values import StoredXCom, ValueReader
from ..store.database import Database
from ..store.values import StoredUse
from .auth import current_identity, namespace_for
from .convert_common import invalid, to_uuid
from .convert_run import text_in
from .convert_values import attempt_out, metrics_out, use_out
from .handlers import Context
from .paging import Page

DEPTH_MAX = 10
RUNS_DEFAULT = 10
RUNS_MAX = 100
_INTEGER = 2**31 - 1


class ValueServicer(value_service_pb2_grpc.ValueServiceServicer):
    """Thin: checks the wire, asks the reader, converts the answer."""

    def __init__(self, database: Database, plans: Plans) -> None:
        self._reader = ValueReader(RunReader(database, plans))

    async def ListXComs(self, request: pb.ListXComsRequest, context: Context) -> pb.ListXComsResponse:
        namespace = namespace_for(request, current_identity())
        run_id = to_uuid("dag_run_id", request.dag_run_id)
        page = Page(request, ("ListXComs", namespace, str(run_id)), int, int, str)
        task, index, key = page.keys or (-1, -1, "")
        after = (*_bounded([task, index]), text_in("page_token", key))
        plan, rows = await self._reader.xcoms(namespace, run_id, after, page.limit)
        shown, token = page.cut(rows, lambda row: [row.attempt.task, row.attempt.map_index, row.key])
        return pb.ListXComsResponse(xcoms=[_xcom_out(plan, each) for each in shown], next_page_token=token)

    async def ListArtifactUses(
        self, request: pb.ListArtifactUsesRequest, context: Context
    ) -> pb.ListArtifactUsesResponse:
        namespace = namespace_for(request, current_identity())
        run_id = to_uuid("dag_run_id", request.dag_run_id)
        page = Page(request, ("ListArtifactUses", namespace, str(run_id)), int, int, int, int)
        after = _bounded(page.keys or (-1, -1, 0, 0))
        plan, rows = await self._reader.uses(namespace, run_id, after, page.limit)
        shown, token = page.cut(
            rows, lambda row: [row.key.task, row.key.map_index, row.key.attempt_number, row.use_number]
        )
        return pb.ListArtifactUsesResponse(uses=[use_out(plan, each) for each in shown], next_page_token=token)

    async def GetArtifactLineage(
        self, request: pb.GetArtifactLineageRequest, context: Context
    ) -> pb.GetArtifactLineageResponse:
        namespace = namespace_for(request, current_identity())
        artifact = text_in("artifact", request.artifact)
        if not 1 <= len(artifact) <= URI_CHARACTERS_MAX:
            raise invalid("artifact", f"{len(artifact)} characters", f"a URI or SHA-256, 1 to {URI_CHARACTERS_MAX}")
        depth = request.depth or 1
        if not 1 <= depth <= DEPTH_MAX:
            raise invalid("depth", str(depth), f"1 to {DEPTH_MAX}")
        found = await self._reader.lineage(namespace, artifact, depth)
        return pb.GetArtifactLineageResponse(
            uses=map(self._use, found.uses),
            upstream=self._steps(found.upstream),
            downstream=self._steps(found.downstream),
            truncated=found.truncated,
        )

    async def ListMetrics(self, request: pb.ListMetricsRequest, context: Context) -> pb.ListMetricsResponse:
        namespace = namespace_for(request, current_identity())
        runs_max = request.runs_max or RUNS_DEFAULT
        if not 1 <= runs_max <= RUNS_MAX:
            raise invalid("runs_max", str(runs_max), f"1 to {RUNS_MAX}")
        found = await self._reader.metrics(namespace, text_in("dag_id", request.dag_id), runs_max)
        return pb.ListMetricsResponse(
            metrics=[metrics_out(self._reader.plan(use), use, number) for use, number in found]
        )

    def _use(self, use: StoredUse) -> pb.StoredUse:
        return use_out(self._reader.plan(use), use)

    def _steps(self, steps: Iterable[tuple[int, StoredUse]]) -> list[pb.LineageStep]:
        return [pb.LineageStep(distance=distance, use=self._use(use)) for distance, use in steps]


def _xcom_out(plan: Any, xcom: StoredXCom) -> pb.StoredXCom:
    return pb.StoredXCom(attempt=attempt_out(plan, xcom.attempt), key=xcom.key, value=xcom.value)


def _bounded(keys: Iterable[int]) -> Any:
    """Integers of a page token as Postgres can hold them."""
    return tuple(min(max(key, -1), _INTEGER) for key in keys)
