"""What the tests of backfills share: calls of the service, and a worker that does at once what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from runs_room import Hand, Room

from glidepath_proto.run.v1 import backfill_pb2, backfill_service_pb2_grpc, run_pb2
from glidepath_proto.run.v1 import backfill_service_pb2 as pb
from glidepath_server.core.events import AttemptKey
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.states import AttemptState
from glidepath_server.operations.step_types import Assigned, CancelOrder, Report

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
LONG_SECONDS = 30.0


def at(date: datetime) -> Timestamp:
    value = Timestamp()
    value.FromDatetime(date)
    return value


def days(count: int, dag_id: str = "filled", **fields: Any) -> dict[str, Any]:
    """A spec of so many days from the first of March on, at midnight in UTC."""
    last = FIRST + DAY * (count - 1)
    rule = {} if "schedule_name" in fields or "period" in fields else {"cron": "0 0 * * *", "zone": "UTC"}
    return {"dag_id": dag_id, "range_start": at(FIRST), "range_end": at(last), **rule, **fields}


def key(date: datetime, series: str = "manual") -> str:
    return f"{series}@{date:%Y-%m-%dT%H:%M:%SZ}"


class Doer(Hand):
    """Ends each attempt as soon as it has it: failed for the dates of a DAG that `fails` has. Those of DAGs in `holds`
    it keeps until it is told to go on."""

    def __init__(self, server: Any, slots: int, **offer: Any) -> None:
        super().__init__(server, slots, **offer)
        self.fails: dict[str, set[datetime]] = {}
        self.holds: set[str] = set()
        self.kept: list[Assigned] = []

    def assign(self, assigned: list[Assigned]) -> None:
        for each in assigned:
            assert each.facts is not None
            if each.facts.dag_id in self.holds:
                self.kept.append(each)
            else:
                self._finish(each)

    def go_on(self, dag_id: str) -> None:
        """End what is kept of a DAG, and keep no more of it."""
        self.holds.discard(dag_id)
        mine = [each for each in self.kept if each.facts is not None and each.facts.dag_id == dag_id]
        self.kept = [each for each in self.kept if each not in mine]
        for each in mine:
            self._finish(each)

    def cancel(self, orders: list[CancelOrder]) -> None:
        told = {order.key for order in orders}
        for each in [each for each in self.kept if each.key in told]:
            self.kept.remove(each)
            self._report(each, AttemptState.CANCELLED)

    def _finish(self, each: Assigned) -> None:
        assert each.facts is not None
        failed = each.facts.logical_date in self.fails.get(each.facts.dag_id, ())
        self._report(each, AttemptState.FAILED if failed else AttemptState.SUCCESS)

    def _report(self, each: Assigned, outcome: AttemptState) -> None:
        failure = Failure(FailureKind.APPLICATION, "ValueError", "broken") if outcome is AttemptState.FAILED else None
        self.free += 1
        self._server.engine.submit([Report(AttemptKey(*each.key), outcome, failure, origin=self)])


class Backfills:
    """The service, called by name."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.stub: Any = backfill_service_pb2_grpc.BackfillServiceStub(room.api_channel)

    async def call(self, method: str, **fields: Any) -> Any:
        request = getattr(pb, f"{method}Request")(**fields)
        return await getattr(self.stub, method)(request, metadata=self.room.metadata)

    async def create(self, spec: Mapping[str, Any], **fields: Any) -> backfill_pb2.Backfill:
        answer = await self.call("CreateBackfill", spec=backfill_pb2.BackfillSpec(**spec), **fields)
        return answer.backfill

    async def get(self, backfill_id: str) -> backfill_pb2.Backfill:
        return (await self.call("GetBackfill", backfill_id=backfill_id)).backfill

    async def until(self, backfill_id: str, condition: Callable[[Any], bool]) -> backfill_pb2.Backfill:
        """Poll until the backfill is so."""
        async with asyncio.timeout(LONG_SECONDS):
            while not condition(found := await self.get(backfill_id)):
                await asyncio.sleep(0.02)
        return found

    async def ended(self, backfill_id: str) -> backfill_pb2.Backfill:
        return await self.until(backfill_id, lambda each: state(each) == "ended")

    async def refused(self, method: str, **fields: Any) -> tuple[grpc.StatusCode, str]:
        """The code and the words of a call that fails."""
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self.call(method, **fields)
        return error.value.code(), error.value.details() or ""

    async def dates(self, backfill_id: str, **fields: Any) -> list[Any]:
        answer = await self.call("ListBackfillDates", backfill_id=backfill_id, page_size=500, **fields)
        return list(answer.dates)

    async def outcomes(self, backfill_id: str) -> list[tuple[str, str, str]]:
        """Per date its outcome, the reason of a skip, and the state of its run."""
        return [(outcome(each), each.reason, run_state(each)) for each in await self.dates(backfill_id)]


def state(backfill: backfill_pb2.Backfill) -> str:
    return backfill_pb2.Backfill.State.Name(backfill.state).removeprefix("STATE_").lower()


def outcome(date: backfill_pb2.BackfillDate) -> str:
    return backfill_pb2.BackfillDate.Outcome.Name(date.outcome).removeprefix("OUTCOME_").lower()


def run_state(date: backfill_pb2.BackfillDate) -> str:
    if not date.run_state:
        return ""
    return run_pb2.RunState.Name(date.run_state).removeprefix("RUN_STATE_").lower()


def counted(backfill: backfill_pb2.Backfill) -> dict[str, int]:
    """The counts that are not zero."""
    return {field.name: value for field, value in backfill.counts.ListFields()}
