"""Workers that call instead of holding a stream: what a lost answer, two claims at once, and silence lead to."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from runs_room import SOON_SECONDS, Room, dag, open_room
from serving import until
from worker_room import LIVE, QUEUED, Workers, hello, open_workers, success, until_rows

from glidepath_proto.worker.v1 import worker_service_pb2 as pb
from glidepath_server.api.assignments import Assignments
from glidepath_server.api.worker_unary import UnarySession, UnarySessions
from glidepath_server.clock import utc_now, uuid7
from glidepath_server.core.matching import Offer

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


KIB = 1024
LONG = 40.0
"""Longer than a call of these tests may take."""


async def start_large(room: Room, tasks: int) -> str:
    """Tasks of which an answer carries some, not all."""
    spec = dag("churn", {f"task{number}": () for number in range(tasks)})
    for task in spec.tasks:
        task.inputs["value"].literal.data = b'"' + b"x" * (15 * KIB) + b'"'
    await room.register(spec)
    return await room.start("churn")


async def claim_a_part(room: Room, workers: Workers) -> tuple[Caller, list[Any]]:
    """A caller, and what it has of 12 tasks while others of them wait for its next claim."""
    await start_large(room, 12)
    worker = await caller(workers)
    taken = [*worker.first, *await worker.claim(11)]
    assert len(taken) < 12 and (await room.rows(LIVE))[0][0] == 11 + len(worker.first)
    return worker, taken


def attached(room: Room) -> Any:
    """The one session that claims now; None when there is none."""
    return next(iter(room.server.engine.replica.pullers.by_session.values()), None)


async def until_attached(room: Room) -> Any:
    async def claims() -> bool:
        return attached(room) is not None

    await until(claims, SOON_SECONDS)
    return attached(room)


SMALL = CALM | {"message_bytes_max": 256 * KIB, "output_inline_bytes_max": 64 * KIB, "checkpoint_bytes_max": KIB}


async def test_what_waits_from_an_earlier_claim_is_given_at_once(database_url: str) -> None:
    async with open_room(database_url, **SMALL) as room, open_workers(room) as workers:
        worker, taken = await claim_a_part(room, workers)
        assert await worker.claim(12 - len(taken), wait=LONG)


async def test_what_was_taken_back_before_it_was_claimed_is_not_given_any_more(database_url: str) -> None:
    async with open_room(database_url, **SMALL) as room, open_workers(room) as workers:
        worker, taken = await claim_a_part(room, workers)
        lost = (await room.rows(LIVE))[0][0] - len(taken)
        await pass_time(room, 10)
        await worker.beat(*(each.task_token for each in taken))
        await until_rows(room, RETURNED, lost)
        again = await worker.claim(12)
        assert again and {each.attempt.attempt_number for each in again} == {2}


async def test_two_claims_at_once_take_what_each_asked_for(database_url: str) -> None:
    async with open_room(database_url, **CALM) as room, open_workers(room) as workers:
        worker = await caller(workers)
        claims = [asyncio.create_task(worker.claim(1)) for _ in range(2)]
        await until_attached(room)
        await start(room, tasks=2)
        first, second = await asyncio.gather(*claims)
        assert [len(first), len(second)] == [1, 1]
        assert first[0].task_token != second[0].task_token


async def test_a_claim_ends_when_its_worker_says_hello_again(database_url: str) -> None:
    async with open_room(database_url, **CALM) as room, open_workers(room) as workers:
        worker = await caller(workers)
        claim = asyncio.create_task(worker.claim(1, wait=LONG))
        await until_attached(room)
        assert (await caller(workers)).welcome.generation == 2
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await claim
        assert caught.value.code() is grpc.StatusCode.ABORTED


async def test_a_cancel_waits_for_the_heartbeat_and_gathers_nowhere(database_url: str) -> None:
    async with open_room(database_url, **CALM) as room, open_workers(room) as workers:
        run_id = await start(room)
        worker = await caller(workers)
        (held,) = worker.first or await worker.claim()
        claim = asyncio.create_task(worker.claim(1, wait=5))
        session = await until_attached(room)
        await room.call("CancelDagRun", dag_run_id=run_id)
        (cancel,) = (await worker.beat(held.task_token)).cancels
        assert cancel.task_token == held.task_token
        await until_rows(room, "select count(*) from live_attempt where cancel_requested_time is not null", 1)
        assert session.outgoing.answers_bytes == 0
        claim.cancel()


def test_sessions_that_nobody_calls_for_a_while_are_let_go() -> None:
    time = 0.0
    sessions = UnarySessions(15.0, now=lambda: time)
    offer = Offer("default", frozenset({"default"}), {}, {}, ())
    first, second = (UnarySession(uuid7(utc_now()), 1, offer, Assignments(b"key")) for _ in range(2))
    sessions.put(first)
    time = 10.0
    sessions.put(second)
    assert sessions.get(first.session_id) is first
    time = 24.0
    assert sessions.get(first.session_id) is first
    time = 30.0
    assert sessions.get(first.session_id) is first
    assert (len(sessions), second.closed, first.closed) == (1, True, False)


async def test_a_report_that_cannot_be_committed_in_time_is_said_to_be_unavailable(database_url: str) -> None:
    async with open_room(database_url, **CALM) as room, open_workers(room) as workers:
        await start(room)
        worker = await caller(workers)
        (held,) = worker.first or await worker.claim()
        request = pb.ReportRequest(session=worker.ref, results=[success(held.task_token)])
        holder = await asyncpg.connect(database_url)
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("select from dag_run for update")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await workers.stub.Report(request, metadata=workers.metadata, timeout=1)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "send them again" in (caught.value.details() or "")
        await transaction.rollback()
        await holder.close()
        answer = await workers.call("Report", session=worker.ref, results=[success(held.task_token)])
        assert answer.result_acks[0].verdict in (pb.VERDICT_ACCEPTED, pb.VERDICT_DUPLICATE)


async def test_what_ended_elsewhere_is_forgotten_with_the_next_heartbeat(database_url: str) -> None:
    async with open_room(database_url, **CALM) as room, open_workers(room) as workers:
        worker = await caller(workers)
        claim = asyncio.create_task(worker.claim(2))
        session = await until_attached(room)
        await start(room)
        (held,) = await claim
        await worker.beat(held.task_token)
        assert set(session.held) == {held.task_token}
        async with open_room(database_url, **CALM) as other, open_workers(other) as elsewhere:
            await elsewhere.call("Report", session=worker.ref, results=[success(held.task_token)])
        await worker.beat()
        assert not session.held
