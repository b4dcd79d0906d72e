"""Creating and listing runs, through a real server and database."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import grpc
import pytest
from runs_room import CHAIN, RATE_SCHEMA, Room, dag, open_room, run_state, timestamp

from glidepath_proto.run.v1 import run_pb2
from glidepath_server import clock

pytestmark = pytest.mark.asyncio


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def count(room: Room, table: str) -> int:
    number: int = (await room.rows(f"select count(*) as number from {table}"))[0]["number"]
    return number


async def test_a_run_has_its_version_its_defaults_and_a_first_board(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN, params_schema=RATE_SCHEMA))
        run_id = await room.start("churn", params='{"model": "net"}', run_key="monday")
        run = await room.watch(run_id, load="queued")
        assert UUID(run_id).version == 7
        assert (run.dag_id, run.dag_version_number, run.run_key, run_state(run)) == ("churn", 1, "monday", "running")
        assert json.loads(run.params) == {"learning_rate": 0.1, "model": "net"}
        assert run.run_type == run_pb2.RUN_TYPE_MANUAL
        assert run.created_by == "a-admin"
        assert run.logical_date == run.data_interval_start == run.data_interval_end == run.create_time
        assert dict(run.task_counts) == {"queued": 1, "scheduled": 2}
        assert await room.states(run_id) == {"load": "queued", "train": "scheduled", "report": "scheduled"}


async def test_a_thousand_runs_are_created_by_one_call_in_order(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        answer = await room.trigger(*[{"dag_id": "churn", "run_key": f"k{number}"} for number in range(1000)])
        assert [run.run_key for run in answer.runs] == [f"k{number}" for number in range(1000)]
        ids = [run.dag_run_id for run in answer.runs]
        assert ids == sorted(set(ids))
        assert all(run.created for run in answer.runs)
        [audit] = await room.rows("select * from audit_event where action = 'dag_run.trigger'")
        assert (audit["actor"], audit["target"]) == ("a-admin", "dag/churn")
        detail = json.loads(audit["detail"])
        assert (detail["count"], detail["dag_run_ids"]) == (1000, ids)


async def test_a_run_key_that_exists_answers_the_run_that_has_it(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN, params_schema=RATE_SCHEMA))
        wanted = {
            "dag_id": "churn",
            "run_key": "monday",
            "params": '{"learning_rate": 0.5}',
            "logical_date": timestamp("2026-01-01T00:00:00Z"),
        }
        first = await room.trigger(wanted)
        again = await room.trigger({**wanted, "params": '{"model": "tree", "learning_rate": 0.5}'}, {"dag_id": "churn"})
        assert [run.created for run in again.runs] == [False, True]
        assert again.runs[0].dag_run_id == first.runs[0].dag_run_id
        # A date that the caller leaves open, and a latest version that has moved on, are no difference.
        await room.register(dag("churn", {**CHAIN, "more": []}, params_schema=RATE_SCHEMA))
        open_date = {key: value for key, value in wanted.items() if key != "logical_date"}
        third = await room.trigger(open_date)
        assert (third.runs[0].dag_run_id, third.runs[0].dag_version_number) == (first.runs[0].dag_run_id, 1)
        code, message = await refused(room.trigger({**wanted, "dag_version_number": 2}))
        assert code is grpc.StatusCode.ALREADY_EXISTS
        assert "dag_version_number is 1, asked for 2" in message


async def test_one_run_key_twice_in_a_call_is_one_run(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN, params_schema=RATE_SCHEMA))
        same = {"dag_id": "churn", "run_key": "monday"}
        answer = await room.trigger(same, same)
        assert [run.created for run in answer.runs] == [True, False]
        assert answer.runs[0].dag_run_id == answer.runs[1].dag_run_id
        code, _ = await refused(
            room.trigger(
                {"dag_id": "churn", "run_key": "tuesday"},
                {"dag_id": "churn", "run_key": "tuesday", "params": '{"model": "net"}'},
            )
        )
        assert code is grpc.StatusCode.ALREADY_EXISTS
        assert await count(room, "dag_run") == await count(room, "dag_run_key") == 1


async def test_a_request_id_has_one_effect_and_one_answer(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        first = await room.trigger({"dag_id": "churn"}, {"dag_id": "churn"}, request_id="r1")
        assert await room.trigger({"dag_id": "churn"}, {"dag_id": "churn"}, request_id="r1") == first
        assert await count(room, "dag_run") == 2
        code, message = await refused(room.trigger({"dag_id": "churn"}, request_id="r1"))
        assert code is grpc.StatusCode.ALREADY_EXISTS
        assert message.startswith("request id 'r1' was used at ")


async def test_callers_that_want_the_same_keys_at_once_share_the_runs(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        wanted = [{"dag_id": "churn", "run_key": f"k{number}"} for number in range(50)]
        answers = await asyncio.gather(
            *[room.trigger(*(wanted if caller % 2 else reversed(wanted))) for caller in range(8)]
        )
        runs = [run for answer in answers for run in answer.runs]
        assert len({(run.run_key, run.dag_run_id) for run in runs}) == 50
        assert sum(run.created for run in runs) == await count(room, "dag_run") == 50


async def test_one_request_sent_many_times_at_once_has_one_effect(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        answers = await asyncio.gather(*[room.trigger({"dag_id": "churn"}, request_id="r1") for _ in range(8)])
        assert len({answer.runs[0].dag_run_id for answer in answers}) == await count(room, "dag_run") == 1


async def test_a_run_is_of_the_version_that_its_selector_meant(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN), aliases=["production"])
        await room.register(dag("churn", {**CHAIN, "more": []}))
        answer = await room.trigger(
            {"dag_id": "churn"},
            {"dag_id": "churn", "alias": "production"},
            {"dag_id": "churn", "dag_version_number": 1},
        )
        assert [run.dag_version_number for run in answer.runs] == [2, 1, 1]
        await room.register(dag("churn", {"other": []}))
        assert (await room.run(answer.runs[0].dag_run_id)).dag_version_number == 2
        assert set(await room.states(answer.runs[0].dag_run_id)) == {"load", "train", "report", "more"}


async def test_a_capped_dag_admits_runs_up_to_its_cap(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN, runs_active_max=2))
        answer = await room.trigger(*[{"dag_id": "churn"}] * 4)
        ids = [run.dag_run_id for run in answer.runs]
        for run_id in ids[:2]:
            await room.watch(run_id, load="queued")
        admitted = await room.rows("select dag_run_id from dag_run where admitted order by dag_run_id")
        assert [str(row["dag_run_id"]) for row in admitted] == ids[:2]
        [first, *_] = (await room.call("ExplainDagRun", dag_run_id=ids[3])).explanations
        assert first.wait == run_pb2.Explanation.WAIT_LIMIT
        assert first.message == "the run is not admitted yet: 2 of 2 runs of churn are active"
        for run_id in (ids[3], ids[0]):
            await room.call("CancelDagRun", dag_run_id=run_id)
            assert run_state(await room.watch(run_id)) == "cancelled"
        await room.watch(ids[2], load="queued")


async def test_runs_are_listed_newest_first_by_pages_and_filters(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        await room.register(dag("plain", {"only": []}))
        made = await room.trigger(*[{"dag_id": "churn"}] * 5, {"dag_id": "plain"})
        churn = [run.dag_run_id for run in made.runs[:5]]
        for run_id in churn:
            await room.watch(run_id, load="queued")
        pages, token = [], ""
        while not pages or token:
            page = await room.call("ListDagRuns", dag_id="churn", page_size=2, page_token=token)
            pages.append([run.dag_run_id for run in page.dag_runs])
            token = page.next_page_token
        assert pages == [[churn[4], churn[3]], [churn[2], churn[1]], [churn[0]]]
        everything = await room.call("ListDagRuns")
        assert [run.dag_run_id for run in everything.dag_runs] == [made.runs[5].dag_run_id, *reversed(churn)]
        await room.call("CancelDagRun", dag_run_id=churn[1])
        await room.watch(churn[1])
        cancelled = await room.call("ListDagRuns", states=[run_pb2.RUN_STATE_CANCELLED])
        assert [run.dag_run_id for run in cancelled.dag_runs] == [churn[1]]
        assert not cancelled.dag_runs[0].task_counts


async def test_task_instances_come_in_topological_order_by_pages(database_url: str) -> None:
    async with open_room(database_url) as room:
        names = [f"t{number:03}" for number in range(250)]
        chain = {name: names[max(0, index - 1) : index] for index, name in enumerate(names)}
        await room.register(dag("long", dict(reversed(chain.items()))))
        run_id = await room.start("long")
        first = await room.call("ListTaskInstances", dag_run_id=run_id, page_size=200)
        second = await room.call(
            "ListTaskInstances", dag_run_id=run_id, page_size=200, page_token=first.next_page_token
        )
        assert [each.task_id for each in [*first.task_instances, *second.task_instances]] == names
        assert second.next_page_token == ""
        assert list(second.task_instances[-1].upstream_task_ids) == ["t248"]
        assert second.task_instances[-1].reason == "waits for t248"


async def test_ids_carry_the_time_of_the_database(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        async with room.database.api.acquire() as connection:
            await connection.execute("update clock set shift = interval '400 days'")
            now = await connection.fetchval("select glidepath_now()")
        run_id = await room.start("churn")
        made = clock.uuid7_time(UUID(run_id))
        assert made is not None
        assert abs((made - now).total_seconds()) < 60
