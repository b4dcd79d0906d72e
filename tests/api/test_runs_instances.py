"""Readers may ask for one task, one instance of it, or certain states: a real server and database."""

from __future__ import annotations

import json

import pytest
from runs_room import CHAIN, dag, open_room, rest

from glidepath_proto.run.v1 import run_pb2

pytestmark = pytest.mark.asyncio
INSTANCES = (-1, 0, 1)


async def test_task_instances_are_those_of_one_task_or_in_certain_states(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        run_id = await room.start("churn")
        await room.watch(run_id, load="queued")
        only = await room.call("ListTaskInstances", dag_run_id=run_id, task_id="train")
        assert [each.task_id for each in only.task_instances] == ["train"] and not only.next_page_token
        scheduled = [run_pb2.TASK_STATE_SCHEDULED]
        found = await room.call("ListTaskInstances", dag_run_id=run_id, states=scheduled)
        assert [each.task_id for each in found.task_instances] == ["train", "report"]
        none = await room.call("ListTaskInstances", dag_run_id=run_id, task_id="load", states=scheduled)
        assert not none.task_instances and not none.next_page_token


async def test_a_page_without_a_task_in_the_states_asked_for_is_followed_by_the_others(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        run_id = await room.start("churn")
        await room.watch(run_id, load="queued")
        asked = {"dag_run_id": run_id, "states": [run_pb2.TASK_STATE_SCHEDULED], "page_size": 1}
        pages, token = [], ""
        while token or not pages:
            page = await room.call("ListTaskInstances", page_token=token, **asked)
            pages.append([each.task_id for each in page.task_instances])
            token = page.next_page_token
        assert pages == [[], ["train"], ["report"]]


async def test_logs_and_attempts_are_those_of_one_instance(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", {"only": []}))
        run_id = await room.start("churn")
        async with room.database.api.acquire() as connection:
            for index in INSTANCES:
                await connection.execute(
                    "insert into task_log_chunk (dag_run_id, task_index, map_index, attempt_number, sequence_number,"
                    " entries) values ($1, 0, $2, 1, 0, $3)",
                    run_id,
                    index,
                    json.dumps([["2026-01-01T00:00:00+00:00", "stdout", f"of {index}"]]),
                )
                await connection.execute(
                    "insert into task_attempt (dag_run_id, task_index, map_index, attempt_number, state, session_id,"
                    " queue_time, start_time, end_time)"
                    " values ($1, 0, $2, 1, 'success', gen_random_uuid(), now(), now(), now())",
                    run_id,
                    index,
                )
        for index in INSTANCES:
            logs = await rest(room.stream("StreamLogs", dag_run_id=run_id, task_id="only", map_index=index))
            assert [line.text for message in logs for line in message.lines] == [f"of {index}"]
            answer = await room.call("ListAttempts", dag_run_id=run_id, task_id="only", map_index=index)
            assert [each.map_index for each in answer.attempts] == [index]
            output = await room.call("GetTaskOutput", dag_run_id=run_id, task_id="only", map_index=index)
            assert output.task_output.map_index == index
        logs = await rest(room.stream("StreamLogs", dag_run_id=run_id, task_id="only"))
        assert [line.map_index for message in logs for line in message.lines] == list(INSTANCES)
        answer = await room.call("ListAttempts", dag_run_id=run_id, task_id="only")
        assert sorted(each.map_index for each in answer.attempts) == list(INSTANCES)
