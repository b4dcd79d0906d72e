"""Methods for operating the server: pools, tokens, workers, audit."""

from __future__ import annotations

from glidepath.client.calls import Call, Pages, iterated, rpc
from glidepath.client.requests import Api, Service, to_enum, to_timestamp
from glidepath.client.runs import Date
from glidepath_proto.admin.v1 import admin_service_pb2 as pb
from glidepath_proto.common.v1 import authorization_pb2

_ADMIN = Service(pb, "AdminService")


class AdminMethods(Api):
    """Operating the server."""

    @rpc
    def get_server_info(self) -> Call[pb.GetServerInfoResponse]:
        """Versions and clocks. Needs no token."""
        return _ADMIN.call(self, "GetServerInfo")

    @rpc
    def create_namespace(self, name: str) -> Call[pb.CreateNamespaceResponse]:
        """A new namespace, named by 1 to 63 of a-z, 0-9, "_", "-". Needs a token that holds all namespaces."""
        return _ADMIN.call(self, "CreateNamespace", new_namespace=name)

    @iterated
    def list_namespaces(self, *, page_size: int = 0) -> Pages[str]:
        """Names of the namespaces that the token holds."""
        return _ADMIN.pages(self, "ListNamespaces", "namespaces", page_size=page_size)

    @rpc
    def set_pool(self, pool_name: str, slots: int) -> Call[pb.Pool]:
        """Create a pool or change its slots. Lowering ends nothing that runs."""
        return _ADMIN.call(self, "SetPool", "pool", pool_name=pool_name, slots=slots)

    @iterated
    def list_pools(self, *, page_size: int = 0) -> Pages[pb.Pool]:
        """Pools with the slots in use and what waits for one."""
        return _ADMIN.pages(self, "ListPools", "pools", page_size=page_size)

    @rpc
    def delete_pool(self, pool_name: str) -> Call[pb.DeletePoolResponse]:
        """StateConflict while a DAG version names it or an attempt holds a slot. One that is gone is no error."""
        return _ADMIN.call(self, "DeletePool", pool_name=pool_name)

    @rpc
    def create_token(
        self, name: str, role: str, *, namespace: str = "", expire_time: Date | None = None
    ) -> Call[pb.CreateTokenResponse]:
        """A new token; its `secret` is in this answer and nowhere else, so this call alone is never repeated.

        `role` is "viewer", "operator", "author", "admin" or "worker"; namespace "*" means all, "" the client's own.
        """
        return _ADMIN.call(
            self,
            "CreateToken",
            name=name,
            namespace=namespace or self.connection.namespace,
            role=to_enum(authorization_pb2.Role, "ROLE", role, "role"),
            expire_time=to_timestamp(expire_time, "expire_time"),
        )

    @iterated
    def list_tokens(self, *, page_size: int = 0) -> Pages[pb.Token]:
        """Tokens without their secrets."""
        return _ADMIN.pages(self, "ListTokens", "tokens", page_size=page_size)

    @rpc
    def revoke_token(self, token_id: str) -> Call[pb.Token]:
        """End a token; works within 10 s everywhere."""
        return _ADMIN.call(self, "RevokeToken", "token", token_id=token_id)

    @iterated
    def list_workers(self, *, include_gone: bool = False, page_size: int = 0) -> Pages[pb.Worker]:
        """Connected workers; `include_gone` adds those of the last day."""
        return _ADMIN.pages(self, "ListWorkers", "workers", include_gone=include_gone, page_size=page_size)

    @iterated
    def list_audit_events(self, *, namespace: str = "", page_size: int = 0) -> Pages[pb.AuditEvent]:
        """Who did what, newest first, in the client's namespace; "*" means in all."""
        wanted = namespace or self.connection.namespace
        return _ADMIN.pages(self, "ListAuditEvents", "audit_events", namespace=wanted, page_size=page_size)

    @iterated
    def list_incidents(self, *, page_size: int = 0) -> Pages[pb.Incident]:
        """What the server could not do by itself, newest first."""
        return _ADMIN.pages(self, "ListIncidents", "incidents", page_size=page_size)

    @rpc
    def release_dag_run(self, run_id: str) -> Call[pb.ReleaseDagRunResponse]:
        """Let a quarantined run go on."""
        return _ADMIN.call(self, "ReleaseDagRun", dag_run_id=run_id)
