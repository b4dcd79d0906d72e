"""Methods for what runs leave beside their outputs: XComs, who read and wrote which artifact, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from glidepath.client.calls import Call, Pages, iterated, rpc
from glidepath.client.requests import Api, Service
from glidepath_proto.run.v1 import value_service_pb2 as pb

_VALUES = Service(pb, "ValueService")


class ValueMethods(Api):
    """XComs, artifacts, metrics."""

    @iterated
    def list_xcoms(self, run_id: str, *, page_size: int = 0) -> Pages[pb.StoredXCom]:
        """What the tasks of a run pushed; `value` is JSON."""
        return _VALUES.pages(self, "ListXComs", "xcoms", dag_run_id=run_id, page_size=page_size)

    @iterated
    def list_artifact_uses(self, run_id: str, *, page_size: int = 0) -> Pages[pb.StoredUse]:
        """Which artifacts the tasks of a run read and wrote."""
        return _VALUES.pages(self, "ListArtifactUses", "uses", dag_run_id=run_id, page_size=page_size)

    @rpc
    def get_artifact_lineage(self, artifact: str, *, depth: int = 1) -> Call[pb.GetArtifactLineageResponse]:
        """Who wrote and read an artifact (its URI or SHA-256), what it was made from and what from it, `depth` steps
        far. NotFound when nobody did."""
        return _VALUES.call(self, "GetArtifactLineage", artifact=artifact, depth=depth)

    @rpc
    def list_metrics(self, dag_id: str, *, runs: int = 0) -> Call[Sequence[Any]]:
        """The metrics of a DAG's newest runs (10 unless given), newest run first."""
        return _VALUES.call(self, "ListMetrics", "metrics", dag_id=dag_id, runs_max=runs)
