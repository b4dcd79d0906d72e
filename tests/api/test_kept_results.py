"""Kept results for those who call: a real server (or two), a real database, workers played by hand."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from runs_room import HANDLER, Hand, Room, open_room, run_state

from glidepath_proto.registry.v1 import dag_pb2, registry_service_pb2
from glidepath_proto.run.v1 import run_pb2
from glidepath_server.core.states import AttemptState
from glidepath_server.operations.step_types import Assigned, Output, Report

pytestmark = pytest.mark.asyncio
SCHEMA = '{"type": "object", "properties": {"day": {"type": "string"}}}'
CROWD_SECONDS = 60.0


def cached(dag_id: str, *task_ids: str, **policy: Any) -> dag_pb2.DagSpec:
    """A DAG of independent tasks whose calls are equal in all runs of one day."""
    cache = dag_pb2.CachePolicy(**policy)
    tasks = [
        dag_pb2.TaskSpec(
            task_id=task_id,
            handler=dag_pb2.Handler(name=HANDLER),
            inputs={"day": dag_pb2.Input(param="day")},
            policy=dag_pb2.TaskPolicy(cache=cache),
        )
        for task_id in task_ids
    ]
    return dag_pb2.DagSpec(dag_id=dag_id, tasks=tasks, params_schema=SCHEMA)


async def hand_for(room: Room, **offer: Any) -> Hand:
    hand = Hand(room.server, 10, **offer)
    await hand.connect()
    return hand


async def instance(room: Room, run_id: str, task_id: str = "features") -> run_pb2.TaskInstance:
    answer = await room.call("ListTaskInstances", dag_run_id=run_id)
    return next(each for each in answer.task_instances if each.task_id == task_id)


async def clear_cache(room: Room, **fields: Any) -> int:
    request = registry_service_pb2.ClearDagCacheRequest(**fields)
    answer = await room.registry.ClearDagCache(request, metadata=room.metadata)
    count: int = answer.results_cleared
    return count


async def test_a_run_shows_whose_result_it_has_and_gives_its_output(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(cached("churn", "features", expire_after=Duration(seconds=3600)))
        hand = await hand_for(room)
        first = await room.start("churn", params='{"day": "Tuesday"}')
        await hand.end("features", output='{"rows": 7}')
        await room.watch(first)
        second = await room.start("churn", params='{"day": "Tuesday"}')
        assert run_state(await room.watch(second)) == "success"
        shown = await instance(room, second)
        assert shown.reason.startswith(f"cached: result of {first} of 2")
        output = await room.call("GetTaskOutput", dag_run_id=second, task_id="features")
        assert json.loads(output.task_output.output.data) == {"rows": 7}
        explained = await room.call("ExplainDagRun", dag_run_id=second, task_id="features")
        assert explained.explanations[0].message.startswith(f"ended: success; cached: result of {first}")


async def test_explain_names_the_run_that_is_waited_for(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(cached("churn", "features"))
        hand = await hand_for(room)
        first = await room.start("churn")
        await hand.take("features")
        second = await room.start("churn")
        await room.watch(second, features="queued")
        (explained,) = (await room.call("ExplainDagRun", dag_run_id=second)).explanations
        assert explained.wait == run_pb2.Explanation.WAIT_EQUAL_CALL
        assert explained.message == f"waits for the same call in run {first}"
        await hand.end("features", output="7")
        assert run_state(await room.watch(second)) == "success"


async def test_a_run_that_refreshes_runs_and_a_cache_that_was_cleared_is_empty(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(cached("churn", "features"))
        hand = await hand_for(room)
        await room.start("churn")
        await hand.end("features", output="1")
        refreshing = await room.start("churn", refresh_cache=True)
        await hand.end("features", output="2")
        await room.watch(refreshing)
        third = await room.start("churn")
        await room.watch(third)
        output = await room.call("GetTaskOutput", dag_run_id=third, task_id="features")
        assert output.task_output.output.data == b"2"
        assert await clear_cache(room, dag_id="churn", task_id="features") == 1
        assert await clear_cache(room, dag_id="churn") == 0
        await room.start("churn")
        await hand.end("features", output="3")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await clear_cache(room, dag_id="churn", task_id="feature")
        assert "has no task 'feature' in its latest version" in (caught.value.details() or "")
        rows = await room.rows("select detail from audit_event where action = 'dag.forget_results' order by 1")
        assert [json.loads(row["detail"])["count"] for row in rows] == [0, 1]


async def test_a_dag_that_caches_what_must_be_done_each_time_is_refused(database_url: str) -> None:
    async with open_room(database_url) as room:
        spec = cached("churn", "features")
        spec.tasks[0].role = dag_pb2.TASK_ROLE_BRANCH
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await room.register(spec)
        assert "tasks.features.policy.cache: got a cache of a branch" in (caught.value.details() or "")


class Doer(Hand):
    """Ends each attempt that it gets, at once and with its task's id, and counts them."""

    def __init__(self, room: Room, identity: str) -> None:
        super().__init__(room.server, 50, identity=identity)
        self.room, self.done = room, 0

    def assign(self, assigned: list[Assigned]) -> None:
        self.done += len(assigned)
        self.free += len(assigned)
        output = Output("application/json", b'"made"', None, 6, "")
        self.room.server.engine.submit(
            [Report(each.key, AttemptState.SUCCESS, None, output, origin=self) for each in assigned]
        )


async def test_a_thousand_equal_calls_over_two_replicas_run_once(database_url: str) -> None:
    names = [f"task{number}" for number in range(4)]
    async with open_room(database_url) as one, open_room(database_url) as other:
        await one.register(cached("crowd", *names))
        doers = [Doer(one, "one"), Doer(other, "other")]
        for doer in doers:
            await doer.connect()
        await asyncio.gather(
            *(
                room.trigger(*[{"dag_id": "crowd", "run_key": f"{key} {n}"} for n in range(125)])
                for key, room in (("one", one), ("other", other))
            )
        )
        async with asyncio.timeout(CROWD_SECONDS):
            while await one.rows("select from dag_run where state <> 'success'"):
                await asyncio.sleep(0.05)
        assert sum(doer.done for doer in doers) == 1
        assert await one.rows("select count(*) from task_attempt") == [(1,)]
        outputs = await one.rows("select count(*), count(distinct body) from task_output")
        assert outputs == [(1000, 1)]
        assert await one.rows("select from cached_call") == []
