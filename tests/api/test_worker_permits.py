"""An exclusive attempt begins only by a permit, and only what is still this worker's gets one."""

from __future__ import annotations

from runs_room import Room, dag, open_room
from worker_room import LIVE, QUEUED, open_workers, slots, until_rows

from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.worker.v1 import worker_service_pb2 as pb

TIMES = {"lease_ttl_seconds": 60.0, "accept_timeout_seconds": 0.1, "poll_interval_seconds": 0.05}


async def start_exclusive(room: Room) -> str:
    spec = dag("churn", {"only": []})
    spec.tasks[0].policy.lease_mode = dag_pb2.LEASE_MODE_EXCLUSIVE
    await room.register(spec)
    return await room.start("churn")


async def test_an_accepted_exclusive_attempt_is_permitted_once_the_server_has_heard_of_it(database_url: str) -> None:
    async with (
        open_room(database_url, **TIMES | {"accept_timeout_seconds": 60.0}) as room,
        open_workers(room) as workers,
    ):
        await start_exclusive(room)
        async with workers.stream(credits=1) as stream:
            (assignment,) = await stream.take("assignments")
            await stream.send(accepted_task_tokens=[assignment.task_token])
            assert await stream.take("start_permits") == [assignment.task_token]


async def test_an_attempt_that_was_taken_back_is_fenced_and_not_permitted(database_url: str) -> None:
    async with open_room(database_url, **TIMES) as room, open_workers(room) as workers:
        await start_exclusive(room)
        async with workers.stream(credits=1) as stream, workers.stream(identity="other") as other:
            stream.echoes = False
            (assignment,) = await stream.take("assignments")
            await until_rows(room, LIVE, 0)  # it was not accepted in time
            await until_rows(room, QUEUED, 1)
            await other.send(credits=slots(1))
            (again,) = await other.take("assignments")
            await other.send(accepted_task_tokens=[again.task_token])
            assert await other.take("start_permits") == [again.task_token]  # its body runs there now
            await stream.send(accepted_task_tokens=[assignment.task_token])
            (ack,) = await stream.take("result_acks")
            assert (ack.task_token, ack.verdict) == (assignment.task_token, pb.VERDICT_FENCED)
            assert not stream.got["start_permits"]
