"""Attempts that call DAGs, over the wire: what a worker says and is told, DAGs made at run time, what readers see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from runs_room import Room, dag
from worker_room import Stream, open_stream, success, until_rows

from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.run.v1 import run_pb2
from glidepath_proto.worker.v1 import task_pb2
from glidepath_proto.worker.v1 import worker_service_pb2 as pb

OVER = "select count(*) from dag_run where state in ('success', 'failed', 'cancelled')"
CHILDREN = "select count(*) from dag_run where run_type = 'child'"


def called(token: bytes, dag_id: str = "child", **fields: Any) -> task_pb2.AttemptResult:
    return task_pb2.AttemptResult(task_token=token, called=task_pb2.Called(dag_id=dag_id, **fields))


class World:
    """A worker's stream, and a run of "parent" whose first task it has."""

    def __init__(self, room: Room, stream: Stream) -> None:
        self.room, self.stream = room, stream
        self.run_id = ""
        self.first = task_pb2.Assignment()

    async def begin(self) -> None:
        await self.room.register(dag("child", {"work": []}))
        await self.room.register(dag("parent", {"call": [], "after": ["call"]}))
        self.run_id = await self.room.start("parent")
        self.first = await self.take()

    async def take(self) -> Any:
        (assignment,) = await self.stream.take("assignments")
        return assignment

    async def say(self, result: task_pb2.AttemptResult) -> Any:
        await self.stream.send(results=[result])
        (ack,) = await self.stream.take("result_acks")
        return ack

    async def failure(self) -> Any:
        """Of the newest attempt of the caller."""
        answer = await self.room.call("ListAttempts", dag_run_id=self.run_id, task_id="call")
        return answer.attempts[-1].failure


@asynccontextmanager
async def world(database_url: str) -> AsyncIterator[World]:
    async with open_stream(database_url, credits=20) as (room, stream):
        found = World(room, stream)
        await found.begin()
        yield found


async def test_what_readers_see_of_a_caller_and_its_child_run_names_the_other(database_url: str) -> None:
    async with world(database_url) as home:
        await home.say(called(home.first.task_token))
        work = await home.take()
        child = (await home.room.call("GetDagRun", dag_run_id=work.attempt.dag_run_id)).dag_run
        assert child.run_type == run_pb2.RUN_TYPE_CHILD
        assert (child.caller.dag_run_id, child.caller.dag_id) == (home.run_id, "parent")
        assert (child.caller.task_id, child.caller.map_index, child.caller.attempt_number) == ("call", -1, 1)
        (explained, _) = (await home.room.call("ExplainDagRun", dag_run_id=home.run_id)).explanations
        assert explained.wait == run_pb2.Explanation.WAIT_CHILD_RUN
        name = f"run {child.dag_run_id} of DAG child"
        assert explained.message == f"waits for {name}, which attempt 1 has called"
        assert explained.hint == f"glidepath run explain {child.dag_run_id}"
        (instance, _) = (await home.room.call("ListTaskInstances", dag_run_id=home.run_id)).task_instances
        assert (instance.state, instance.reason) == (run_pb2.TASK_STATE_RUNNING, f"waits for {name}")
        (listed,) = (await home.room.call("ListDagRuns", children_of_dag_run_id=home.run_id)).dag_runs
        assert listed.dag_run_id == child.dag_run_id
        await home.say(success(work.task_token, b"5"))
        await home.say(success((await home.take()).task_token))
        await until_rows(home.room, OVER, 2)
        (attempt,) = (await home.room.call("ListAttempts", dag_run_id=home.run_id, task_id="call")).attempts
        assert (attempt.state, attempt.child_dag_run_id) == (run_pb2.ATTEMPT_STATE_SUCCESS, child.dag_run_id)


async def test_a_watcher_hears_that_a_task_waits_for_a_child_run(database_url: str) -> None:
    async with world(database_url) as home:
        watch = home.room.stream("WatchDagRun", dag_run_id=home.run_id)
        await watch.read()
        await home.say(called(home.first.task_token))
        while True:
            message = await watch.read()
            if any("waits for run" in each.reason for each in message.task_instances):
                break
        watch.cancel()


async def test_a_task_that_is_called_again_is_told_how_its_child_run_ended(database_url: str) -> None:
    async with world(database_url) as home:
        await home.say(called(home.first.task_token, output_task_id="work", resume=True, checkpoint=b"here"))
        work = await home.take()
        await home.say(success(work.task_token, b"[1]"))
        again = await home.take()
        assert (again.attempt.attempt_number, again.checkpoint) == (2, b"here")
        assert again.child.dag_run_id == work.attempt.dag_run_id
        assert (again.child.dag_id, again.child.state, again.child.output.data) == ("child", "success", b"[1]")


async def test_a_call_may_have_a_logical_date_of_its_own(database_url: str) -> None:
    async with world(database_url) as home:
        date = Timestamp(seconds=1_700_000_000)
        await home.say(called(home.first.task_token, logical_date=date))
        work = await home.take()
        assert (work.logical_date, work.data_interval_start, work.data_interval_end) == (date, date, date)


async def test_a_checkpoint_that_is_too_large_is_refused_and_nothing_is_called(database_url: str) -> None:
    async with world(database_url) as home:
        ack = await home.say(called(home.first.task_token, resume=True, checkpoint=b"x" * 100_000))
        assert (ack.verdict, "the checkpoint has 100000 bytes" in ack.reason) == (pb.VERDICT_REJECTED, True)
        assert (await home.room.rows(CHILDREN))[0][0] == 0


# ---- DAGs made at run time
async def test_a_dag_that_a_task_has_made_is_a_version_of_the_callers_author_and_is_run(database_url: str) -> None:
    async with world(database_url) as home:
        await home.say(called(home.first.task_token, "", dag=dag("made", {"one": []})))
        work = await home.take()
        assert (work.dag_version.dag_id, work.attempt.task_id) == ("made", "one")
        query = "select created_by from dag_version where dag_id in ('made', 'parent')"
        authors = [row[0] for row in await home.room.rows(query)]
        assert authors[0] == authors[1]


async def test_the_same_dag_made_again_is_the_same_version(database_url: str) -> None:
    async with world(database_url) as home:
        made = dag("made", {"one": []})
        await home.say(called(home.first.task_token, "", dag=made, resume=True))
        await home.say(success((await home.take()).task_token))
        await home.say(called((await home.take()).task_token, "", dag=made))
        work = await home.take()
        assert (work.dag_version.dag_id, work.dag_version.dag_version_number) == ("made", 1)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (dag("made", {"a": ["b"], "b": ["a"]}), "a -> b -> a"),
        (
            dag_pb2.DagSpec(
                dag_id="made",
                tasks=[dag_pb2.TaskSpec(task_id="t", handler=dag_pb2.Handler(name="python:m:f", version="0" * 64))],
            ),
            "tasks.t.handler.version",
        ),
        (dag("", {"a": []}), "dag_id"),
    ],
)
async def test_a_dag_that_is_not_valid_fails_the_attempt_and_says_why(
    database_url: str, made: dag_pb2.DagSpec, said: str
) -> None:
    async with world(database_url) as home:
        await home.say(called(home.first.task_token, "", dag=made))
        await until_rows(home.room, OVER, 1)
        failure = await home.failure()
        assert (failure.type, said in failure.message) == ("InvalidDag", True), failure.message
        assert (await home.room.rows("select count(*) from dag where dag_id = 'made'"))[0][0] == 0


async def test_an_attempt_that_is_not_live_registers_nothing(database_url: str) -> None:
    async with world(database_url) as home:
        await home.say(success(home.first.task_token))
        ack = await home.say(called(home.first.task_token, "", dag=dag("made", {"one": []})))
        assert ack.verdict == pb.VERDICT_FENCED
        assert (await home.room.rows("select count(*) from dag where dag_id = 'made'"))[0][0] == 0
