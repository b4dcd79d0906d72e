"""glidepath.schedule.v1.ScheduleService: setting, pausing and reading schedules, and what became of their ticks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from glidepath_proto.schedule.v1 import schedule_service_pb2 as pb
from glidepath_proto.schedule.v1 import schedule_service_pb2_grpc

from ..core.errors import NotFound
from ..operations.plans import Plans
from ..operations.set_schedules import ChangeSchedules
from ..operations.tick_schedules import Ticked
from ..store import schedules as store
from ..store.database import Database, transaction
from ..store.schedules import ScheduleKey, ScheduleRow
from .auth import current_identity, namespace_for
from .convert_common import EPOCH, storable
from .convert_schedule import declaration_in, schedule_out, tick_out
from .handlers import Context
from .paging import Page


class ScheduleServicer(schedule_service_pb2_grpc.ScheduleServiceServicer):
    """Thin: checks the wire, runs an operation in one transaction, converts the answer. `on_changed` is told after the
    commit what came of ticks that were due."""

    def __init__(self, database: Database, plans: Plans, on_changed: Callable[[Ticked], None]) -> None:
        self._database, self._plans, self._on_changed = database, plans, on_changed

    async def SetSchedule(self, request: pb.SetScheduleRequest, context: Context) -> pb.SetScheduleResponse:
        declared = declaration_in(request.declaration, "declaration")
        async with self._changing(request, "set_schedule") as changes:
            row = await changes.set(declared)
        return pb.SetScheduleResponse(schedule=schedule_out(row))

    async def PauseSchedule(self, request: pb.PauseScheduleRequest, context: Context) -> pb.PauseScheduleResponse:
        return pb.PauseScheduleResponse(schedule=schedule_out(await self._set_paused(request, True)))

    async def ResumeSchedule(self, request: pb.ResumeScheduleRequest, context: Context) -> pb.ResumeScheduleResponse:
        return pb.ResumeScheduleResponse(schedule=schedule_out(await self._set_paused(request, False)))

    async def DeleteSchedule(self, request: pb.DeleteScheduleRequest, context: Context) -> pb.DeleteScheduleResponse:
        async with self._changing(request, "delete_schedule") as changes:
            await changes.delete(storable(request.schedule_name))
        return pb.DeleteScheduleResponse()

    async def _set_paused(self, request: Any, paused: bool) -> ScheduleRow:
        async with self._changing(request, "pause_schedule") as changes:
            return await changes.set_paused(storable(request.schedule_name), paused)

    @asynccontextmanager
    async def _changing(self, request: Any, name: str) -> AsyncIterator[ChangeSchedules]:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        async with transaction(self._database.api, name) as connection:
            changes = ChangeSchedules(connection, self._plans, namespace, storable(request.dag_id), caller.name)
            yield changes
        self._on_changed(changes.ticked)

    # ---- reading
    async def GetSchedule(self, request: pb.GetScheduleRequest, context: Context) -> pb.GetScheduleResponse:
        caller = current_identity()
        namespace, dag_id = namespace_for(request, caller), storable(request.dag_id)
        async with self._database.api.acquire() as connection:
            changes = ChangeSchedules(connection, self._plans, namespace, dag_id, caller.name)
            return pb.GetScheduleResponse(schedule=schedule_out(await changes.get(storable(request.schedule_name))))

    async def ListSchedules(self, request: pb.ListSchedulesRequest, context: Context) -> pb.ListSchedulesResponse:
        namespace, dag_id = namespace_for(request, current_identity()), storable(request.dag_id)
        page = Page(request, ("ListSchedules", namespace, dag_id), str, str)
        after = (storable(page.keys[0]), storable(page.keys[1])) if page.keys else ("", "")
        async with self._database.api.acquire() as connection:
            found = await store.list_schedules(connection, namespace, dag_id, after=after, limit=page.limit)
        rows, token = page.cut(found, lambda row: [row.dag_id, row.schedule_name])
        return pb.ListSchedulesResponse(schedules=map(schedule_out, rows), next_page_token=token)

    async def ListTicks(self, request: pb.ListTicksRequest, context: Context) -> pb.ListTicksResponse:
        namespace = namespace_for(request, current_identity())
        key = ScheduleKey(namespace, storable(request.dag_id), storable(request.schedule_name))
        page = Page(request, ("ListTicks", *key), int)
        before = EPOCH + timedelta(microseconds=page.keys[0]) if page.keys else None
        async with self._database.api.acquire() as connection:
            found = await store.list_ticks(connection, key, before, page.limit)
            if not found and not await store.exists(connection, key):
                raise NotFound(
                    f"DAG {key.dag_id!r} has no schedule {key.schedule_name!r} in namespace {namespace!r}",
                    hint="list the schedules of the DAG",
                )
        rows, token = page.cut(found, lambda row: [(row.tick_time - EPOCH) // timedelta(microseconds=1)])
        return pb.ListTicksResponse(ticks=map(tick_out, rows), next_page_token=token)
