"""What registering, pausing and changed caps do to runs and pools, with a worker that takes what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from runs_room import CHAIN, Hand, Room, dag, open_room, run_state
from serving import bearer, until

from glidepath_proto.admin.v1 import admin_service_pb2, admin_service_pb2_grpc
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.registry.v1 import registry_service_pb2 as pb

pytestmark = pytest.mark.asyncio
Code = grpc.StatusCode
ABREAST = {"left": [], "right": []}


@pytest_asyncio.fixture
async def room(database_url: str) -> AsyncIterator[Room]:
    async with open_room(database_url) as found:
        yield found


async def call(room: Room, method: str, **fields: Any) -> Any:
    """Call a method of the registry by name."""
    return await getattr(room.registry, method)(getattr(pb, f"{method}Request")(**fields), metadata=room.metadata)


async def worker(room: Room, slots: int) -> Hand:
    hand = Hand(room.server, slots)
    await hand.connect()
    return hand


async def some_parked(room: Room) -> bool:
    return bool(await room.rows("select from task_queue where parked_on <> 0"))


async def test_a_paused_dag_starts_nothing_until_it_is_unpaused(room: Room) -> None:
    await room.register(dag("churn", {"only": []}))
    hand = await worker(room, 1)
    assert (await call(room, "PauseDag", dag_id="churn")).dag.paused
    run_id = await room.start("churn")
    await until(lambda: some_parked(room))
    assert hand.taken == {} and await room.states(run_id) == {"only": "queued"}
    assert not (await call(room, "UnpauseDag", dag_id="churn")).dag.paused
    await hand.end("only")
    assert run_state(await room.watch(run_id)) == "success"


async def test_an_attempt_that_runs_when_its_dag_is_paused_goes_on(room: Room) -> None:
    await room.register(dag("churn", {"first": [], "second": ["first"]}))
    hand = await worker(room, 2)
    run_id = await room.start("churn")
    await hand.take("first")
    await call(room, "PauseDag", dag_id="churn")
    await hand.end("first")
    await until(lambda: some_parked(room))
    assert await room.states(run_id) == {"first": "success", "second": "queued"}


async def test_a_new_version_does_not_unpause(room: Room) -> None:
    await room.register(dag("churn", {"only": []}))
    await call(room, "PauseDag", dag_id="churn")
    assert await room.register(dag("churn", {"only": []}, description="new")) == 2
    hand = await worker(room, 1)
    await room.start("churn")
    await until(lambda: some_parked(room))
    assert hand.taken == {} and (await call(room, "GetDag", dag_id="churn")).dag.paused


async def test_a_version_without_the_cap_lets_waiting_tasks_go(room: Room) -> None:
    await room.register(dag("churn", ABREAST, tasks_active_max=1))
    hand = await worker(room, 2)
    await room.start("churn")
    await until(lambda: some_parked(room))
    assert len(hand.taken) == 1
    await room.register(dag("churn", ABREAST))
    for task_id in ABREAST:
        await hand.take(task_id)


async def test_a_new_cap_counts_what_runs_already(room: Room) -> None:
    await room.register(dag("churn", ABREAST))
    hand = await worker(room, 3)
    await room.start("churn")
    for task_id in ABREAST:
        await hand.take(task_id)
    await room.register(dag("churn", {"third": []}, tasks_active_max=2))
    await room.start("churn")
    await until(lambda: some_parked(room))
    assert "third" not in hand.taken
    await hand.end("left")
    await hand.take("third")


async def test_a_run_keeps_the_version_it_was_started_with(room: Room) -> None:
    await room.register(dag("churn", {"old": []}))
    run_id = await room.start("churn")
    await room.register(dag("churn", {"new": []}))
    assert list(await room.states(run_id)) == ["old"]
    assert list(await room.states(await room.start("churn"))) == ["new"]


async def test_a_pool_that_a_version_names_can_not_be_deleted(room: Room) -> None:
    admin: Any = admin_service_pb2_grpc.AdminServiceStub(await room.api.channel())
    await admin.SetPool(admin_service_pb2.SetPoolRequest(pool_name="gpu", slots=2), metadata=room.metadata)
    await room.register(dag("churn", CHAIN, defaults=dag_pb2.TaskPolicy(pool_name="gpu", pool_slots=2)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await admin.DeletePool(admin_service_pb2.DeletePoolRequest(pool_name="gpu"), metadata=room.metadata)
    assert caught.value.code() is Code.FAILED_PRECONDITION
    assert caught.value.details().startswith("pool 'gpu' is named by churn version 1")


async def test_the_same_new_content_sent_at_once_makes_one_version(room: Room) -> None:
    together = [
        room.registry.RegisterDagVersion(pb.RegisterDagVersionRequest(spec=dag("churn", CHAIN)), metadata=room.metadata)
        for _ in range(6)
    ]
    answers = [await each for each in together]
    assert sorted(each.created for each in answers) == [False] * 5 + [True]
    assert {each.dag_version.dag_version_number for each in answers} == {1}
    assert len(await room.rows("select from dag_version")) == 1


async def test_another_way_to_write_the_same_dag_is_no_new_version(room: Room) -> None:
    spec = dag("churn", {"b": ["a"], "a": []}, tags=["x", "y"])
    for task in spec.tasks:
        task.policy.execution_timeout.CopyFrom(Duration(seconds=60))
    other = dag(
        "churn",
        {"a": [], "b": ["a", "a"]},
        tags=["y", "x"],
        defaults=dag_pb2.TaskPolicy(execution_timeout=Duration(seconds=59, nanos=1_000_000_000)),
    )
    await room.register(spec)
    answer = await call(room, "RegisterDagVersion", spec=other)
    assert (answer.created, answer.dag_version.dag_version_number) == (False, 1)


async def test_a_dag_of_the_largest_size_is_registered_and_read(room: Room) -> None:
    names = [f"task{number:05}" for number in range(20_000)]
    spec = dag("large", {name: names[number - 1 : number] for number, name in enumerate(names)})
    assert await room.register(spec) == 1
    read = (await call(room, "GetDagVersion", dag_id="large")).dag_version
    assert read.task_count == 20_000 and [task.task_id for task in read.spec.tasks] == names
    assert await room.register(read.spec) == 1


async def test_authors_register_and_operators_only_pause(room: Room) -> None:
    room.metadata = bearer(await room.api.token("author"))
    await room.register(dag("churn", CHAIN))
    room.metadata = bearer(await room.api.token("operator"))
    assert (await call(room, "PauseDag", dag_id="churn")).dag.paused
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await room.register(dag("churn", CHAIN, description="new"))
    assert caught.value.code() is Code.PERMISSION_DENIED


async def test_a_name_that_the_database_cannot_hold_names_nothing(room: Room) -> None:
    for method in ("GetDag", "GetDagVersion", "ListDagVersions", "PauseDag"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(room, method, dag_id="a\0")
        assert caught.value.code() is Code.NOT_FOUND, method


async def test_caps_are_changed_in_the_order_in_which_steps_lock_them(room: Room) -> None:
    """A step whose attempt calls the DAG holds its limit on runs, and may then give out a task of the DAG."""
    await room.register(dag("churn", {"only": []}))
    limit = "select limit_id from concurrency_limit where name = 'churn' and kind = $1 for key share nowait"
    async with room.database.worker.acquire() as step, step.transaction():
        await step.fetchval(limit, "dag_runs")
        version = asyncio.create_task(room.register(dag("churn", {"only": []}, runs_active_max=2, tasks_active_max=3)))
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"

        async def waiting() -> bool:
            return bool((await room.rows(waits))[0]["count"])

        await until(waiting)
        await step.fetchval(limit, "dag_tasks")
    assert await version == 2
