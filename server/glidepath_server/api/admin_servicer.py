"""glidepath.admin.v1.AdminService: namespaces, pools, tokens, workers, audit, incidents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from glidepath_proto.admin.v1 import admin_service_pb2 as pb
from glidepath_proto.admin.v1 import admin_service_pb2_grpc

from .. import __version__, clock
from ..core.errors import PermissionDenied
from ..operations import namespaces, pools, tokens
from ..operations.release_dag_run import release_dag_run
from ..store import administration, identity, migrate
from ..store.database import Database, database_now, transaction
from ..store.identity import ALL
from .auth import Authenticator, current_identity, namespace_for, namespace_or_all
from .convert_admin import audit_event_out, incident_out, pool_out, role_in, token_out, worker_out
from .convert_common import EPOCH, from_timestamp, storable, to_timestamp, to_uuid
from .handlers import Context
from .paging import Page

PROTOCOL_VERSION_MIN = PROTOCOL_VERSION_MAX = 1
_NEWEST = 2**63 - 1
_MICROSECOND = timedelta(microseconds=1)


class Wakes(Protocol):
    """What the engine is told after a commit: rows of queues may go on (here, elsewhere), a run has an inbox."""

    on_queues: Callable[[set[int]], None]

    def look_for_work(self, queues: set[int], /) -> None: ...
    def add_inbox(self, run_id: UUID, /) -> None: ...


class AdminServicer(admin_service_pb2_grpc.AdminServiceServicer):
    """Thin: checks the wire, runs an operation in one transaction, converts the answer."""

    def __init__(self, database: Database, authenticator: Authenticator, engine: Wakes) -> None:
        self._database, self._authenticator, self._engine = database, authenticator, engine

    async def GetServerInfo(self, request: pb.GetServerInfoRequest, context: Context) -> pb.GetServerInfoResponse:
        async with self._database.api.acquire() as connection:
            now = await database_now(connection)
            revision = await migrate.current_on(connection)
        return pb.GetServerInfoResponse(
            server_version=__version__,
            schema_revision=revision or "",
            server_time=to_timestamp(clock.utc_now()),
            database_time=to_timestamp(now),
            authentication_required=self._authenticator.required,
            protocol_version_min=PROTOCOL_VERSION_MIN,
            protocol_version_max=PROTOCOL_VERSION_MAX,
        )

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """What is known of tokens and namespaces is asked for anew, whatever comes of it: of a commit whose answer was
        lost nobody knows whether it took place."""
        try:
            yield
        finally:
            self._authenticator.forget()

    # ---- namespaces
    async def CreateNamespace(self, request: pb.CreateNamespaceRequest, context: Context) -> pb.CreateNamespaceResponse:
        caller = current_identity()
        if caller.namespace != ALL:
            raise PermissionDenied(
                f"{caller.name!r} holds namespace {caller.namespace!r} only",
                hint='namespaces are created with a token that holds all ("*")',
            )
        with self._changing():
            async with transaction(self._database.api, "create_namespace") as connection:
                await namespaces.create_namespace(connection, name=request.new_namespace, actor=caller.name)
        return pb.CreateNamespaceResponse()

    async def ListNamespaces(self, request: pb.ListNamespacesRequest, context: Context) -> pb.ListNamespacesResponse:
        caller = current_identity()
        page = Page(request, ("ListNamespaces", caller.namespace), str)
        if caller.namespace != ALL:
            return pb.ListNamespacesResponse(namespaces=[caller.namespace])
        async with self._database.api.acquire() as connection:
            found = await identity.list_namespaces(connection, page.first(""), page.limit)
        rows, token = page.cut(found, lambda row: [row])
        return pb.ListNamespacesResponse(namespaces=rows, next_page_token=token)

    # ---- pools
    async def SetPool(self, request: pb.SetPoolRequest, context: Context) -> pb.SetPoolResponse:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        async with transaction(self._database.api, "set_pool") as connection:
            pool, queue_ids = await pools.set_pool(
                connection, namespace=namespace, name=request.pool_name, slots=request.slots, actor=caller.name
            )
        if queue_ids:
            self._engine.look_for_work(queue_ids)
            self._engine.on_queues(queue_ids)
        return pb.SetPoolResponse(pool=pool_out(pool))

    async def ListPools(self, request: pb.ListPoolsRequest, context: Context) -> pb.ListPoolsResponse:
        namespace = namespace_for(request, current_identity())
        page = Page(request, ("ListPools", namespace), str)
        async with self._database.api.acquire() as connection:
            found = await administration.list_pools(connection, namespace, after=page.first(""), limit=page.limit)
        rows, token = page.cut(found, lambda row: [row.name])
        return pb.ListPoolsResponse(pools=map(pool_out, rows), next_page_token=token)

    async def DeletePool(self, request: pb.DeletePoolRequest, context: Context) -> pb.DeletePoolResponse:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        async with transaction(self._database.api, "delete_pool") as connection:
            await pools.delete_pool(
                connection, namespace=namespace, name=storable(request.pool_name), actor=caller.name
            )
        return pb.DeletePoolResponse()

    # ---- tokens
    async def CreateToken(self, request: pb.CreateTokenRequest, context: Context) -> pb.CreateTokenResponse:
        caller = current_identity()
        namespace = namespace_or_all(request, caller)
        async with transaction(self._database.api, "create_token") as connection:
            made = await tokens.create_token(
                connection,
                name=request.name,
                namespace=namespace,
                role=role_in("role", request.role),
                expire_time=from_timestamp(request, "expire_time"),
                actor=caller.name,
            )
        return pb.CreateTokenResponse(token=token_out(made.token), secret=made.text)

    async def ListTokens(self, request: pb.ListTokensRequest, context: Context) -> pb.ListTokensResponse:
        namespace = current_identity().namespace
        page = Page(request, ("ListTokens", namespace), int, str)
        before = (EPOCH + page.keys[0] * _MICROSECOND, page.keys[1]) if page.keys else None
        async with self._database.api.acquire() as connection:
            found = await identity.list_tokens(connection, namespace, before, page.limit)
        rows, token = page.cut(found, lambda row: [(row.create_time - EPOCH) // _MICROSECOND, row.token_id])
        return pb.ListTokensResponse(tokens=map(token_out, rows), next_page_token=token)

    async def RevokeToken(self, request: pb.RevokeTokenRequest, context: Context) -> pb.RevokeTokenResponse:
        caller = current_identity()
        with self._changing():
            async with transaction(self._database.api, "revoke_token") as connection:
                token = await tokens.revoke_token(
                    connection, token_id=storable(request.token_id), namespace=caller.namespace, actor=caller.name
                )
        return pb.RevokeTokenResponse(token=token_out(token))

    # ---- what goes on
    async def ListWorkers(self, request: pb.ListWorkersRequest, context: Context) -> pb.ListWorkersResponse:
        namespace = namespace_for(request, current_identity())
        page = Page(request, ("ListWorkers", namespace, request.include_gone), str)
        before = to_uuid("page_token", page.keys[0]) if page.keys else None
        async with self._database.api.acquire() as connection:
            found = await administration.list_workers(
                connection, namespace, before=before, include_gone=request.include_gone, limit=page.limit
            )
        rows, token = page.cut(found, lambda row: [str(row.session_id)])
        return pb.ListWorkersResponse(workers=map(worker_out, rows), next_page_token=token)

    async def ListAuditEvents(self, request: pb.ListAuditEventsRequest, context: Context) -> pb.ListAuditEventsResponse:
        namespace = namespace_or_all(request, current_identity())
        page = Page(request, ("ListAuditEvents", namespace), int)
        async with self._database.api.acquire() as connection:
            found = await identity.list_audit_events(connection, namespace, page.first(_NEWEST), page.limit)
        rows, token = page.cut(found, lambda row: [row.audit_event_id])
        return pb.ListAuditEventsResponse(audit_events=map(audit_event_out, rows), next_page_token=token)

    async def ListIncidents(self, request: pb.ListIncidentsRequest, context: Context) -> pb.ListIncidentsResponse:
        namespace = namespace_for(request, current_identity())
        page = Page(request, ("ListIncidents", namespace), int)
        async with self._database.api.acquire() as connection:
            found = await identity.list_incidents(connection, namespace, page.first(_NEWEST), page.limit)
        rows, token = page.cut(found, lambda row: [row.incident_id])
        return pb.ListIncidentsResponse(incidents=map(incident_out, rows), next_page_token=token)

    async def ReleaseDagRun(self, request: pb.ReleaseDagRunRequest, context: Context) -> pb.ReleaseDagRunResponse:
        caller = current_identity()
        namespace, dag_run_id = namespace_for(request, caller), to_uuid("dag_run_id", request.dag_run_id)
        async with transaction(self._database.api, "release") as connection:
            released = await release_dag_run(connection, namespace=namespace, dag_run_id=dag_run_id, actor=caller.name)
        if released:
            self._engine.add_inbox(dag_run_id)
        return pb.ReleaseDagRunResponse()
