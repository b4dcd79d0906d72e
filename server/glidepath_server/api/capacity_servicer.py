"""glidepath.admin.v1.CapacityService: named limits, weights of namespaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from glidepath_proto.admin.v1 import capacity_service_pb2 as pb
from glidepath_proto.admin.v1 import capacity_service_pb2_grpc

from ..core.errors import PermissionDenied
from ..operations import named_limits as operations
from ..operations import namespaces
from ..store import identity
from ..store import named_limits as store
from ..store.database import Database, transaction
from ..store.identity import ALL
from .auth import current_identity, namespace_for
from .convert_capacity import limit_out, terms_in
from .convert_common import storable
from .handlers import Context
from .paging import Page


class Wakes(Protocol):
    """What the engine is told after a commit: rows of queues may go on."""

    on_queues: Callable[[set[int]], None]

    def look_for_work(self, queues: set[int], /) -> None: ...
    async def limits_changed(self) -> None: ...


class CapacityServicer(capacity_service_pb2_grpc.CapacityServiceServicer):
    """Thin: checks the wire, runs an operation in one transaction, converts the answer."""

    def __init__(self, database: Database, engine: Wakes) -> None:
        self._database, self._engine = database, engine

    async def SetLimit(self, request: pb.SetLimitRequest, context: Context) -> pb.SetLimitResponse:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        async with transaction(self._database.api, "set_limit") as connection:
            limit, queue_ids = await operations.set_limit(
                connection,
                namespace=namespace,
                name=request.limit_name,
                terms=terms_in(request),
                actor=caller.name,
            )
        if queue_ids:
            self._engine.look_for_work(queue_ids)
            self._engine.on_queues(queue_ids)
        return pb.SetLimitResponse(limit=limit_out(limit))

    async def ListLimits(self, request: pb.ListLimitsRequest, context: Context) -> pb.ListLimitsResponse:
        namespace = namespace_for(request, current_identity())
        page = Page(request, ("ListLimits", namespace), str)
        async with self._database.api.acquire() as connection:
            found = await store.list_limits(connection, namespace, after=page.first(""), limit=page.limit)
        rows, token = page.cut(found, lambda row: [row.name])
        return pb.ListLimitsResponse(limits=map(limit_out, rows), next_page_token=token)

    async def DeleteLimit(self, request: pb.DeleteLimitRequest, context: Context) -> pb.DeleteLimitResponse:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        async with transaction(self._database.api, "delete_limit") as connection:
            await operations.delete_limit(
                connection, namespace=namespace, name=storable(request.limit_name), actor=caller.name
            )
        return pb.DeleteLimitResponse()

    async def SetNamespaceWeight(
        self, request: pb.SetNamespaceWeightRequest, context: Context
    ) -> pb.SetNamespaceWeightResponse:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        if caller.namespace != ALL:
            raise PermissionDenied(
                f"{caller.name!r} holds namespace {caller.namespace!r} only",
                hint='namespaces are weighed with a token that holds all ("*")',
            )
        async with transaction(self._database.api, "set_weight") as connection:
            await namespaces.set_weight(connection, namespace=namespace, weight=request.weight, actor=caller.name)
        await self._engine.limits_changed()
        return pb.SetNamespaceWeightResponse(
            namespace_weight=pb.NamespaceWeight(namespace=namespace, weight=request.weight)
        )

    async def ListNamespaceWeights(
        self, request: pb.ListNamespaceWeightsRequest, context: Context
    ) -> pb.ListNamespaceWeightsResponse:
        caller = current_identity()
        page = Page(request, ("ListNamespaceWeights", caller.namespace), str)
        async with self._database.api.acquire() as connection:
            found = await identity.namespace_weights(connection, caller.namespace, page.first(""), page.limit)
        rows, token = page.cut(found, lambda row: [row[0]])
        weights = [pb.NamespaceWeight(namespace=name, weight=weight) for name, weight in rows]
        return pb.ListNamespaceWeightsResponse(namespace_weights=weights, next_page_token=token)
