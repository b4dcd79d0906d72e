"""Progress, checkpoints and logs: what is stored of which attempt, who inherits it, and what a lost database costs."""

from __future__ import annotations

from typing import Any

import asyncpg
from runs_room import SOON_SECONDS, Room, dag, open_room
from serving import until
from worker_room import Stream, failure, line, open_stream, open_workers, success, until_rows

from glidepath_proto.worker.v1 import task_pb2

CALM = {"lease_ttl_seconds": 60.0, "accept_timeout_seconds": 60.0}
PERCENT = "select coalesce(max(progress_percent), 0) from task_progress"


def progress(token: bytes, percent: float, checkpoint: bytes = b"") -> task_pb2.Progress:
    return task_pb2.Progress(task_token=token, percent=percent, checkpoint=checkpoint)


async def start(room: Room) -> str:
    spec = dag("churn", {"only": []})
    spec.tasks[0].policy.retry.retries_max = 5
    await room.register(spec)
    return await room.start("churn")


async def take(stream: Stream) -> Any:
    """The next assignment."""
    (assignment,) = await stream.take("assignments")
    return assignment


async def again(stream: Stream, token: bytes) -> Any:
    """Let the attempt fail; its retry."""
    await stream.send(results=[failure(token)])
    return await take(stream)


async def test_a_retry_gets_the_checkpoint_that_came_before_a_word_without_one(database_url: str) -> None:
    async with open_stream(database_url, credits=9, **CALM) as (room, stream):
        await start(room)
        first = (await take(stream)).task_token
        await stream.send(progress=[progress(first, 10, b"here"), progress(first, 20)])
        await until_rows(room, PERCENT, 20)
        assert (await again(stream, first)).checkpoint == b"here"


async def test_the_word_of_an_older_attempt_hides_nothing(database_url: str) -> None:
    async with open_stream(database_url, credits=9, **CALM) as (room, stream):
        await start(room)
        first = (await take(stream)).task_token
        second = (await again(stream, first)).task_token
        await stream.send(progress=[progress(second, 50), progress(first, 99, b"old")])
        await until_rows(room, PERCENT, 50)
        assert (await again(stream, second)).checkpoint == b""


async def test_a_checkpoint_over_the_limit_is_left_out_whole_and_the_log_says_so(database_url: str) -> None:
    async with (
        open_room(database_url, checkpoint_bytes_max=100, **CALM) as room,
        open_workers(room) as workers,
        workers.stream(credits=9) as stream,
    ):
        run_id = await start(room)
        first = (await take(stream)).task_token
        await stream.send(progress=[progress(first, 10, b"fits")])
        for percent in (20, 30):
            await stream.send(progress=[progress(first, percent, b"x" * 101)])
        await until_rows(room, PERCENT, 30)
        assert (await again(stream, first)).checkpoint == b"fits"
        call = room.stream("StreamLogs", dag_run_id=run_id)
        lines = (await call.read()).lines
        assert [(each.stream, each.attempt_number) for each in lines] == [("WARNING", 1)]
        assert lines[0].text.startswith("a checkpoint of 101 bytes was not stored, at most 100 are")


async def test_what_was_cleared_starts_without_a_checkpoint_and_so_do_its_retries(database_url: str) -> None:
    async with open_stream(database_url, credits=9, **CALM) as (room, stream):
        run_id = await start(room)
        first = (await take(stream)).task_token
        await stream.send(progress=[progress(first, 10, b"stale")])
        await until_rows(room, PERCENT, 10)
        second = await again(stream, first)
        assert second.checkpoint == b"stale"
        await stream.send(results=[success(second.task_token)])
        await room.watch(run_id)
        await room.call("ClearTaskInstances", dag_run_id=run_id, task_ids=["only"])
        third = await take(stream)
        assert (third.attempt.attempt_number, third.checkpoint) == (3, b"")
        await stream.send(progress=[progress(third.task_token, 30)])
        await until_rows(room, PERCENT, 30)
        fourth = await again(stream, third.task_token)
        assert fourth.checkpoint == b""
        await stream.send(progress=[progress(fourth.task_token, 40, b"fresh")])
        await until_rows(room, PERCENT, 40)
        assert (await again(stream, fourth.task_token)).checkpoint == b"fresh"


async def test_lines_whose_transaction_was_lost_are_written_by_the_next(database_url: str) -> None:
    async with open_stream(database_url, credits=1, **CALM) as (room, stream):
        await start(room)
        token = (await take(stream)).task_token
        holder = await asyncpg.connect(database_url)
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("lock table task_log_chunk in access exclusive mode")
        await stream.send(log_chunks=[line(token, 0)])

        async def ended() -> bool:
            return bool(
                await holder.fetchval(
                    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                    " where wait_event_type = 'Lock' and datname = current_database()"
                )
            )

        await until(ended, SOON_SECONDS)
        await transaction.rollback()
        await holder.close()
        (ack,) = await stream.take("log_acks")
        assert (ack.task_token, ack.sequence_number) == (token, 0)
        await until_rows(room, "select count(*) from task_log_chunk", 1)


async def test_a_retry_gets_what_was_left_in_the_frame_that_ended_the_attempt(database_url: str) -> None:
    async with open_stream(database_url, credits=9, **CALM) as (room, stream):
        await start(room)
        token = (await take(stream)).task_token
        for left in (b"first", b"second", b"third"):
            await stream.send(progress=[progress(token, 10, left)], results=[failure(token)])
            assignment = await take(stream)
            assert assignment.checkpoint == left
            token = assignment.task_token
