"""Methods for who gets how much: named limits, weights of namespaces."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from glidepath.client.calls import Call, Pages, iterated, rpc
from glidepath.client.requests import Api, Service
from glidepath_proto.admin.v1 import capacity_service_pb2 as pb

_CAPACITY = Service(pb, "CapacityService")


class CapacityMethods(Api):
    """Who gets how much."""

    @rpc
    def set_limit(
        self, limit_name: str, slots: int | None = None, *, rate: tuple[int, timedelta | float] | None = None
    ) -> Call[pb.Limit]:
        """Create a named limit, or replace its slots and its rate. Lowering ends nothing that runs.

        `rate` is (starts, span): so many starts in any span of this length, seconds or a timedelta. `slots` None: any
        number may be live.
        """
        return _CAPACITY.call(self, "SetLimit", "limit", limit_name=limit_name, slots=slots, rate=_rate(rate))

    @iterated
    def list_limits(self, *, page_size: int = 0) -> Pages[pb.Limit]:
        """Named limits with what is in use and what waits for them."""
        return _CAPACITY.pages(self, "ListLimits", "limits", page_size=page_size)

    @rpc
    def delete_limit(self, limit_name: str) -> Call[pb.DeleteLimitResponse]:
        """StateConflict while a DAG version names it or an attempt holds a slot. One that is gone is no error."""
        return _CAPACITY.call(self, "DeleteLimit", limit_name=limit_name)

    @rpc
    def set_namespace_weight(self, namespace: str, weight: float) -> Call[pb.NamespaceWeight]:
        """A namespace's share of workers that serve several. Needs a token that holds all namespaces."""
        return _CAPACITY.call(self, "SetNamespaceWeight", "namespace_weight", namespace=namespace, weight=weight)

    @iterated
    def list_namespace_weights(self, *, page_size: int = 0) -> Pages[pb.NamespaceWeight]:
        """Weights of the namespaces that the token holds."""
        return _CAPACITY.pages(self, "ListNamespaceWeights", "namespace_weights", page_size=page_size)


def _rate(rate: tuple[int, timedelta | float] | None) -> pb.StartRate | None:
    if rate is None:
        return None
    starts, span = rate
    per = Duration()
    per.FromTimedelta(span if isinstance(span, timedelta) else timedelta(seconds=span))
    return pb.StartRate(starts=starts, per=per)
