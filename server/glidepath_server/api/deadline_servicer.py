"""glidepath.schedule.v1.DeadlineService: what DAGs' runs have to be done by, and what became of that."""

from __future__ import annotations

from glidepath_proto.schedule.v1 import deadline_service_pb2 as pb
from glidepath_proto.schedule.v1 import deadline_service_pb2_grpc

from ..operations import set_deadlines as operations
from ..operations.find_dag import get_dag
from ..operations.plans import Plans
from ..operations.read_runs import RunReader
from ..store import deadlines as store
from ..store.database import Database, transaction
from .auth import current_identity, namespace_for
from .convert_common import storable, to_uuid
from .convert_deadline import deadline_in, deadline_out, run_deadline_out, states_in
from .handlers import Context
from .paging import Page


class DeadlineServicer(deadline_service_pb2_grpc.DeadlineServiceServicer):
    """Thin: checks the wire, runs an operation in one transaction, converts the answer."""

    def __init__(self, database: Database, plans: Plans) -> None:
        self._database, self._reader = database, RunReader(database, plans)

    async def SetDeadline(self, request: pb.SetDeadlineRequest, context: Context) -> pb.SetDeadlineResponse:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        deadline = deadline_in(request.declaration, "declaration")
        async with transaction(self._database.api, "set_deadline") as connection:
            found = await operations.set_deadline(
                connection,
                namespace=namespace,
                dag_id=storable(request.dag_id),
                deadline=deadline,
                actor=caller.name,
            )
        return pb.SetDeadlineResponse(deadline=deadline_out(found))

    async def DeleteDeadline(self, request: pb.DeleteDeadlineRequest, context: Context) -> pb.DeleteDeadlineResponse:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        async with transaction(self._database.api, "delete_deadline") as connection:
            await operations.delete_deadline(
                connection,
                namespace=namespace,
                dag_id=storable(request.dag_id),
                name=storable(request.deadline_name),
                actor=caller.name,
            )
        return pb.DeleteDeadlineResponse()

    async def ListDeadlines(self, request: pb.ListDeadlinesRequest, context: Context) -> pb.ListDeadlinesResponse:
        namespace, dag_id = namespace_for(request, current_identity()), storable(request.dag_id)
        async with self._database.api.acquire() as connection:
            await get_dag(connection, namespace, dag_id)
            found = await store.dag_deadlines(connection, namespace, [dag_id])
        return pb.ListDeadlinesResponse(deadlines=map(deadline_out, found))

    async def ListRunDeadlines(
        self, request: pb.ListRunDeadlinesRequest, context: Context
    ) -> pb.ListRunDeadlinesResponse:
        namespace, dag_id = namespace_for(request, current_identity()), storable(request.dag_id)
        run_id = to_uuid("dag_run_id", request.dag_run_id) if request.dag_run_id else None
        states = states_in(request.states)
        scope = ("ListRunDeadlines", namespace, dag_id, request.dag_run_id, *states)
        page = Page(request, scope, int)
        async with self._database.api.acquire() as connection:
            if run_id is not None:
                await self._reader.load(connection, namespace, run_id)
            elif dag_id:
                await get_dag(connection, namespace, dag_id)
            found = await store.list_deadlines(
                connection,
                namespace,
                dag_id=dag_id,
                dag_run_id=run_id,
                states=states,
                before=page.first(store.ID_MAX),
                limit=page.limit,
            )
        rows, token = page.cut(found, lambda row: [row.deadline_id])
        return pb.ListRunDeadlinesResponse(deadlines=map(run_deadline_out, rows), next_page_token=token)
