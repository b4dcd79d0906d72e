"""glidepath.registry.v1.RegistryService: registering DAG versions, reading them, aliases, pauses."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Callable
from typing import Any

from glidepath_proto.registry.v1 import registry_service_pb2 as pb
from glidepath_proto.registry.v1 import registry_service_pb2_grpc

from ..core.diff import diff_specs
from ..core.errors import NotFound
from ..operations.find_dag import get_dag
from ..operations.forget_results import forget_results
from ..operations.pause_dag import set_dag_paused
from ..operations.register_dag_version import Bundle, RegisterCall, RegisterDagVersion
from ..operations.set_dag_alias import set_dag_alias
from ..store import registry
from ..store.database import Connection, Database, transaction
from ..store.registry import Dag, Version
from .auth import current_identity, namespace_for
from .convert_common import body_of, storable
from .convert_deadline import deadline_in
from .convert_registry import dag_out, difference_out, draft_in, registered_out, version_out
from .convert_schedule import declaration_in
from .handlers import Context
from .paging import Page

_NEWEST = 2**31 - 1


class RegistryServicer(registry_service_pb2_grpc.RegistryServiceServicer):
    """Thin: checks the wire, runs an operation, converts the answer.

    `on_changed` is awaited after a commit that made task classes or changed limits, with the queues to look at.
    """

    def __init__(
        self,
        database: Database,
        register: RegisterDagVersion,
        on_changed: Callable[[set[int]], Awaitable[None]],
    ) -> None:
        self._database, self._register, self._on_changed = database, register, on_changed

    async def RegisterDagVersion(
        self,
        request: pb.RegisterDagVersionRequest,
        context: Context,
    ) -> pb.RegisterDagVersionResponse:
        caller = current_identity()
        call = RegisterCall(
            namespace=namespace_for(request, caller),
            actor=caller.name,
            request_id=request.request_id,
            body=body_of(request),
            draft=await asyncio.to_thread(draft_in, request.spec),
            bundles=[Bundle(each.content_hash, each.archive) for each in request.sources],
            aliases=list(request.aliases),
            validate_only=request.validate_only,
            deadlines=[deadline_in(each, f"deadlines[{i}]") for i, each in enumerate(request.deadlines)],
            schedules=[declaration_in(each, f"schedules[{i}]") for i, each in enumerate(request.schedules)],
        )
        return pb.RegisterDagVersionResponse.FromString(await self._register(call, registered_out))

    # ---- reading
    async def GetDag(self, request: pb.GetDagRequest, context: Context) -> pb.GetDagResponse:
        namespace = namespace_for(request, current_identity())
        async with self._database.api.acquire() as connection:
            return pb.GetDagResponse(dag=dag_out(await get_dag(connection, namespace, storable(request.dag_id))))

    async def ListDags(self, request: pb.ListDagsRequest, context: Context) -> pb.ListDagsResponse:
        namespace, tag = namespace_for(request, current_identity()), storable(request.tag)
        page = Page(request, ("ListDags", namespace, tag), str)
        async with self._database.api.acquire() as connection:
            found = await registry.list_dags(
                connection, namespace, after=storable(page.first("")), tag=tag, limit=page.limit
            )
        rows, token = page.cut(found, lambda row: [row.dag_id])
        return pb.ListDagsResponse(dags=map(dag_out, rows), next_page_token=token)

    async def GetDagVersion(self, request: pb.GetDagVersionRequest, context: Context) -> pb.GetDagVersionResponse:
        namespace, dag_id = namespace_for(request, current_identity()), storable(request.dag_id)
        selector = request.WhichOneof("selector")
        async with self._database.api.acquire() as connection:
            if selector == "alias":
                version = await _by_alias(connection, namespace, dag_id, storable(request.alias))
            elif selector == "dag_version_number":
                version = await _by_number(connection, namespace, dag_id, request.dag_version_number)
            else:
                dag = await get_dag(connection, namespace, dag_id)
                version = await _by_number(connection, namespace, dag_id, dag.latest_version_number)
        return pb.GetDagVersionResponse(dag_version=await asyncio.to_thread(version_out, version))

    async def ListDagVersions(
        self,
        request: pb.ListDagVersionsRequest,
        context: Context,
    ) -> pb.ListDagVersionsResponse:
        namespace, dag_id = namespace_for(request, current_identity()), storable(request.dag_id)
        page = Page(request, ("ListDagVersions", namespace, dag_id), int)
        below = min(max(page.first(_NEWEST), 0), _NEWEST)
        async with self._database.api.acquire() as connection:
            found = await registry.list_versions(connection, namespace, dag_id, below=below, limit=page.limit)
            if not found:
                await get_dag(connection, namespace, dag_id)
        rows, token = page.cut(found, lambda row: [row.dag_version_number])
        return pb.ListDagVersionsResponse(dag_versions=map(version_out, rows), next_page_token=token)

    async def DiffDagVersions(
        self,
        request: pb.DiffDagVersionsRequest,
        context: Context,
    ) -> pb.DiffDagVersionsResponse:
        namespace, dag_id = namespace_for(request, current_identity()), storable(request.dag_id)
        async with self._database.api.acquire() as connection:
            before = await _by_number(connection, namespace, dag_id, request.from_version_number)
            after = await _by_number(connection, namespace, dag_id, request.to_version_number)
        found = await asyncio.to_thread(diff_specs, before.text, after.text)
        return pb.DiffDagVersionsResponse(differences=map(difference_out, found))

    # ---- operating
    async def SetDagAlias(self, request: pb.SetDagAliasRequest, context: Context) -> pb.SetDagAliasResponse:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        async with transaction(self._database.api, "set_alias") as connection:
            dag = await set_dag_alias(
                connection,
                namespace=namespace,
                dag_id=storable(request.dag_id),
                alias=request.alias,
                number=request.dag_version_number,
                actor=caller.name,
            )
        return pb.SetDagAliasResponse(dag=dag_out(dag))

    async def PauseDag(self, request: pb.PauseDagRequest, context: Context) -> pb.PauseDagResponse:
        return pb.PauseDagResponse(dag=dag_out(await self._set_paused(request, True)))

    async def UnpauseDag(self, request: pb.UnpauseDagRequest, context: Context) -> pb.UnpauseDagResponse:
        return pb.UnpauseDagResponse(dag=dag_out(await self._set_paused(request, False)))

    async def ClearDagCache(self, request: pb.ClearDagCacheRequest, context: Context) -> pb.ClearDagCacheResponse:
        caller = current_identity()
        async with transaction(self._database.api, "forget_results") as connection:
            count = await forget_results(
                connection,
                namespace=namespace_for(request, caller),
                dag_id=storable(request.dag_id),
                task_id=storable(request.task_id),
                actor=caller.name,
            )
        return pb.ClearDagCacheResponse(results_cleared=count)

    async def _set_paused(self, request: Any, paused: bool) -> Dag:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        async with transaction(self._database.api, "set_paused") as connection:
            dag, queues = await set_dag_paused(
                connection, namespace=namespace, dag_id=storable(request.dag_id), paused=paused, actor=caller.name
            )
        if queues is not None:
            await self._on_changed(queues)
        return dag


async def _by_number(connection: Connection, namespace: str, dag_id: str, number: int) -> Version:
    version = await registry.version_by_number(connection, namespace, dag_id, number)
    if version is None:
        dag = await get_dag(connection, namespace, dag_id)
        raise NotFound(
            f"DAG {dag_id} has no version {number}", hint=f"its versions go from 1 to {dag.latest_version_number}"
        )
    return version


async def _by_alias(connection: Connection, namespace: str, dag_id: str, alias: str) -> Version:
    version = await registry.version_by_alias(connection, namespace, dag_id, alias)
    if version is None:
        dag = await get_dag(connection, namespace, dag_id)
        close = difflib.get_close_matches(alias, dag.aliases, n=1)
        hint = f"did you mean {close[0]}?" if close else f"its aliases: {', '.join(dag.aliases) or 'none'}"
        raise NotFound(f"DAG {dag_id} has no alias {alias!r}", hint=hint)
    return version
