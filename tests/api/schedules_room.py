"""What the tests of schedules over the wire share."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from runs_room import Room
from serving import until

from glidepath_proto.schedule.v1 import schedule_pb2, schedule_service_pb2, schedule_service_pb2_grpc


class SchedulesRoom(Room):
    """A room whose schedules can be set, and whose clock can be moved."""

    def __init__(self, room: Room) -> None:
        self.__dict__.update(room.__dict__)
        self.schedules: Any = schedule_service_pb2_grpc.ScheduleServiceStub(room.api_channel)

    async def ask(self, method: str, **fields: Any) -> Any:
        request = ParseDict({"dag_id": "churn", **fields}, getattr(schedule_service_pb2, f"{method}Request")())
        return await getattr(self.schedules, method)(request, metadata=self.metadata)

    async def refused(self, method: str, **fields: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.ask(method, **fields)
        return caught.value.code(), caught.value.details() or ""

    async def be(self, now: datetime) -> None:
        await self.rows("update clock set shift = $1::timestamptz - clock_timestamp() returning 1", now)

    async def ticks(self, name: str = "nightly") -> list[schedule_pb2.Tick]:
        return list((await self.ask("ListTicks", schedule_name=name)).ticks)

    async def until_ticked(self, count: int, name: str = "nightly") -> list[schedule_pb2.Tick]:
        async def there() -> bool:
            return len(await self.ticks(name)) >= count

        await until(there, 10.0)
        return await self.ticks(name)
