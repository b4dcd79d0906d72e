"""Workers that call instead of holding a stream: what a lost answer, two claims at once, and silence lead to."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from runs_room import Room, dag, open_room
from worker_room import LIVE, QUEUED, Workers, hello, open_workers, success, until_rows

from glidepath_proto.worker.v1 import worker_service_pb2 as pb

CALM = {"lease_ttl_seconds": 3600.0}
RETURNED = "select count(*) from task_attempt where state = 'returned'"


class Caller:
    """A worker of calls, with the session of its hello."""

    def __init__(self, workers: Workers, answer: Any) -> None:
        self.workers, self.welcome, self.first = workers, answer.welcome, list(answer.assignments)

    @property
    def ref(self) -> pb.SessionRef:
        return pb.SessionRef(session_id=self.welcome.session_id, generation=self.welcome.generation)

    async def claim(self, count: int = 1, wait: float = 5.0) -> list[Any]:
        answer = await self.workers.call("Claim", session=self.ref, assignments_max=count, wait=seconds(wait))
        return list(answer.assignments)

    async def beat(self, *held: bytes, workers: Workers | None = None) -> Any:
        return await (workers or self.workers).call("Heartbeat", session=self.ref, held_task_tokens=held)


def seconds(amount: float) -> Duration:
    return Duration(seconds=int(amount), nanos=int(amount % 1 * 1e9))


async def caller(workers: Workers, **fields: Any) -> Caller:
    return Caller(workers, await workers.call("Claim", hello=hello(**fields)))


async def start(room: Room, tasks: int = 1) -> str:
    await room.register(dag("churn", {f"task{number}": [] for number in range(tasks)}))
    return await room.start("churn")


async def pass_time(room: Room, amount: float) -> None:
    await room.rows("update clock set shift = shift + make_interval(secs => $1)", amount)


async def test_a_claim_whose_answer_was_lost_is_taken_back_by_any_replica(database_url: str) -> None:
    async with open_room(database_url, **CALM) as room, open_workers(room) as workers:
        await start(room)
        worker = await caller(workers)
        (kept,) = worker.first or await worker.claim()
        async with open_room(database_url, **CALM) as other, open_workers(other) as elsewhere:
            await worker.beat(workers=elsewhere)  # it may be on its way
            assert (await room.rows(LIVE))[0][0] == 1
            await pass_time(room, 10)
            answer = await worker.beat(kept.task_token, workers=elsewhere)
            assert not answer.fenced_task_tokens
            assert (await room.rows(LIVE))[0][0] == 1
            await worker.beat(workers=elsewhere)  # it does not have it
            await until_rows(room, RETURNED, 1)
            answer = await worker.beat(kept.task_token, workers=elsewhere)
            assert list(answer.fenced_task_tokens) == [kept.task_token]


async def test_what_was_taken_back_is_claimed_again(database_url: str) -> None:
    async with open_room(database_url, **CALM) as room, open_workers(room) as workers:
        await start(room)
        worker = await caller(workers)
        (lost,) = worker.first or await worker.claim()
        await pass_time(room, 10)
        await worker.beat()
        await until_rows(room, QUEUED, 1)
        (again,) = await worker.claim()
        assert again.attempt.attempt_number == lost.attempt.attempt_number + 1
        answer = await workers.call("Report", session=worker.ref, results=[success(again.task_token)])
        assert [ack.verdict for ack in answer.result_acks] == [pb.VERDICT_ACCEPTED]
