"""Deadlines over the wire: declared with a DAG, set by themselves, and those of runs on a server that judges them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from runs_room import CHAIN, Room, dag, open_room
from serving import until

from glidepath_proto.schedule.v1 import deadline_pb2, deadline_service_pb2_grpc
from glidepath_proto.schedule.v1 import deadline_service_pb2 as pb

pytestmark = pytest.mark.asyncio
Code = grpc.StatusCode
WALL = {"wall": {"clock": "09:15", "zone": "Asia/Kolkata", "weekdays": [0, 1, 2, 3, 4]}}
HOUR = Duration(seconds=3600)
NOWHERE = "01890a5d-ac96-774b-bcce-b302099a8057"


class DeadlinesRoom(Room):
    """A room that asks the service of deadlines, too."""

    def __init__(self, room: Room, channel: grpc.aio.Channel) -> None:
        self.__dict__.update(room.__dict__)
        self.deadlines: Any = deadline_service_pb2_grpc.DeadlineServiceStub(channel)

    async def ask(self, method: str, **fields: Any) -> Any:
        request = getattr(pb, f"{method}Request")(**fields)
        return await getattr(self.deadlines, method)(request, metadata=self.metadata)

    async def set(self, dag_id: str = "dag", **declaration: Any) -> deadline_pb2.Deadline:
        answer: pb.SetDeadlineResponse = await self.ask("SetDeadline", dag_id=dag_id, declaration=declaration)
        return answer.deadline

    async def of_dag(self) -> dict[str, bool]:
        """By name, whether it was declared."""
        answer = await self.ask("ListDeadlines", dag_id="dag")
        return {each.declaration.name: each.declared for each in answer.deadlines}

    async def of_runs(self, **fields: Any) -> list[tuple[str, str]]:
        answer = await self.ask("ListRunDeadlines", **fields)
        return [
            (each.declaration.name, deadline_pb2.DeadlineState.Name(each.state).removeprefix("DEADLINE_STATE_"))
            for each in answer.deadlines
        ]

    async def refused(self, method: str, **fields: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.ask(method, **fields)
        return caught.value.code(), caught.value.details() or ""


@pytest_asyncio.fixture
async def room(database_url: str) -> AsyncIterator[DeadlinesRoom]:
    async with open_room(database_url, poll_interval_seconds=0.1) as opened:
        yield DeadlinesRoom(opened, opened.api_channel)


async def test_what_a_dag_declares_is_no_part_of_its_version(room: DeadlinesRoom) -> None:
    spec = dag("dag", CHAIN)
    assert await room.register(spec, deadlines=[WALL, {"after_start": HOUR, "task_id": "train"}]) == 1
    assert await room.of_dag() == {"09:15 Asia/Kolkata mon-fri": True, "train: 1h after its start": True}
    own = await room.set(after_queue=HOUR, name="own")
    assert (own.description, own.declared, own.declaration.after_queue) == ("1h after it was queued", False, HOUR)
    assert await room.register(spec, deadlines=[WALL]) == 1
    assert await room.of_dag() == {"09:15 Asia/Kolkata mon-fri": True, "own": False}
    assert await room.register(spec, deadlines=[], validate_only=True) == 1
    assert len(await room.of_dag()) == 2, "what is only checked changes nothing"
    assert await room.register(spec) == 1
    assert await room.of_dag() == {"own": False}


async def test_what_is_wrong_with_a_declared_deadline_is_told_with_all_else_and_nothing_is_stored(
    room: DeadlinesRoom,
) -> None:
    wrong = [{"after_start": Duration(), "task_id": "nobody"}, {"wall": {"clock": "09:15", "zone": "Mars"}}]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await room.register(dag("dag", CHAIN, runs_active_max=-1), deadlines=wrong)
    told = caught.value.details() or ""
    assert caught.value.code() is Code.INVALID_ARGUMENT and "and 3 more" in told
    assert await room.rows("select * from dag_deadline") == []


async def test_a_deadline_has_one_owner(room: DeadlinesRoom) -> None:
    await room.register(dag("dag", CHAIN), deadlines=[{**WALL, "name": "theirs"}])
    await room.set(after_start=HOUR, name="own")
    declaration = {"after_start": HOUR, "name": "theirs"}
    code, told = await room.refused("SetDeadline", dag_id="dag", declaration=declaration)
    assert code is Code.FAILED_PRECONDITION and "declared with DAG dag" in told
    assert (await room.refused("DeleteDeadline", dag_id="dag", deadline_name="theirs"))[0] is Code.FAILED_PRECONDITION
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await room.register(dag("dag", CHAIN), deadlines=[{**WALL, "name": "own"}])
    assert "deadlines[0].name: got 'own'" in (caught.value.details() or "")
    await room.ask("DeleteDeadline", dag_id="dag", deadline_name="own")
    await room.ask("DeleteDeadline", dag_id="dag", deadline_name="own")
    assert await room.of_dag() == {"theirs": True}
    actions = await room.rows("select action from audit_event where action like 'deadline.%' order by audit_event_id")
    assert [each["action"] for each in actions] == ["deadline.set", "deadline.set", "deadline.delete"]


async def test_a_deadline_that_is_set_again_is_replaced_and_the_same_again_changes_nothing(
    room: DeadlinesRoom,
) -> None:
    await room.register(dag("dag", CHAIN))
    first = await room.set(after_start=HOUR, name="own")
    again = await room.set(after_start=HOUR, name="own")
    assert first == again
    other = await room.set(after_start=Duration(seconds=60), name="own", task_id="train")
    assert (other.declaration.task_id, other.description) == ("train", "1m after its start")


@pytest.mark.parametrize(
    ("declaration", "told"),
    [
        ({}, "declaration.rule: got nothing"),
        ({"wall": {"clock": "25:00", "zone": "UTC"}}, "declaration.wall.clock: got '25:00'"),
        ({"wall": {"clock": "09:15"}}, "declaration.wall.zone: got ''"),
        ({"wall": {"clock": "09:15", "zone": "UTC", "weekdays": [8]}}, "declaration.wall.weekdays: got [8]"),
        ({"after_start": Duration(seconds=-1)}, "declaration.after: got -1 s"),
        ({"after_start": HOUR, "task_id": "nobody"}, "declaration.task_id: got 'nobody', expected a task of the DAG"),
        ({"after_start": HOUR, "group_id": "nobody"}, "declaration.group_id: got 'nobody'"),
        ({"after_start": HOUR, "name": "a\0b"}, "declaration.name: got 'a\\x00b'"),
    ],
)
async def test_what_is_wrong_is_told_by_field(room: DeadlinesRoom, declaration: dict[str, Any], told: str) -> None:
    await room.register(dag("dag", CHAIN))
    code, said = await room.refused("SetDeadline", dag_id="dag", declaration=declaration)
    assert code is Code.INVALID_ARGUMENT and told in said


async def test_what_is_not_there_is_told(room: DeadlinesRoom) -> None:
    rule = {"after_start": HOUR}
    assert (await room.refused("SetDeadline", dag_id="no", declaration=rule))[0] is Code.NOT_FOUND
    assert (await room.refused("DeleteDeadline", dag_id="no", deadline_name="x"))[0] is Code.NOT_FOUND
    assert (await room.refused("ListDeadlines", dag_id="no"))[0] is Code.NOT_FOUND
    assert (await room.refused("ListRunDeadlines", dag_id="no"))[0] is Code.NOT_FOUND
    assert (await room.refused("ListRunDeadlines", dag_run_id=NOWHERE))[0] is Code.NOT_FOUND
    assert (await room.refused("ListRunDeadlines", dag_run_id="x"))[0] is Code.INVALID_ARGUMENT
    assert (await room.refused("ListRunDeadlines", states=[9]))[0] is Code.INVALID_ARGUMENT


async def test_a_dag_has_no_more_deadlines_than_its_bound(room: DeadlinesRoom) -> None:
    declared = [{"after_start": HOUR, "name": str(number)} for number in range(100)]
    await room.register(dag("dag", CHAIN), deadlines=declared)
    code, told = await room.refused("SetDeadline", dag_id="dag", declaration={"after_start": HOUR, "name": "more"})
    assert code is Code.RESOURCE_EXHAUSTED and "100 deadlines" in told
    await room.register(dag("dag", CHAIN), deadlines=declared[1:])
    await room.set(after_start=HOUR, name="more")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await room.register(dag("dag", CHAIN), deadlines=declared)
    assert "deadlines: got 101 deadlines" in (caught.value.details() or "")


async def test_a_run_that_nobody_works_at_misses_its_deadline_and_it_is_told_once(room: DeadlinesRoom) -> None:
    await room.register(dag("dag", CHAIN), deadlines=[{"after_queue": Duration(nanos=300_000_000), "name": "soon"}])
    await room.set(after_start=HOUR, name="later")
    run_id = await room.start("dag")

    async def missed() -> bool:
        return ("soon", "MISSED") in await room.of_runs(dag_run_id=run_id)

    await until(missed)
    assert await room.of_runs(dag_id="dag") == await room.of_runs() == [("soon", "MISSED"), ("later", "ON_TRACK")]
    assert await room.of_runs(states=[deadline_pb2.DEADLINE_STATE_MISSED]) == [("soon", "MISSED")]
    assert await room.of_runs(states=[deadline_pb2.DEADLINE_STATE_MET]) == []
    (fact,) = await room.rows("select * from outbox where kind = 'missed'")
    assert (str(fact["dag_run_id"]), fact["dag_id"], fact["task_id"]) == (run_id, "dag", "")
    page = await room.ask("ListRunDeadlines", dag_id="dag", page_size=1)
    rest = await room.ask("ListRunDeadlines", dag_id="dag", page_size=1, page_token=page.next_page_token)
    names = [each.declaration.name for each in (*page.deadlines, *rest.deadlines)]
    assert (names, rest.next_page_token) == (["soon", "later"], "")
