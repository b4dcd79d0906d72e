"""A run of a part of a DAG."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from runs_room import HANDLER, Hand, Room, open_room, run_state

from glidepath_proto.registry.v1 import dag_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(module_database_url: str) -> AsyncIterator[Room]:
    async with open_room(module_database_url, poll_interval_seconds=0.1) as room:
        yield room


async def registered(room: Room, dag_id: str, **fields: int) -> Hand:
    """load, then clean, then train, which takes the output of clean; report comes last, and check after load."""
    spec = dag_pb2.DagSpec(dag_id=dag_id, defaults=dag_pb2.TaskPolicy(queue_name=dag_id), **fields)  # type: ignore[arg-type]
    for name, upstream in {"load": [], "clean": ["load"], "train": [], "report": ["train"], "check": ["load"]}.items():
        spec.tasks.add(task_id=name, upstream_task_ids=upstream, handler=dag_pb2.Handler(name=HANDLER))
    next(each for each in spec.tasks if each.task_id == "train").inputs["rows"].output.task_id = "clean"
    await room.register(spec)
    hand = Hand(room.server, 8, queue_names={dag_id}, identity=f"hand-{dag_id}")
    await hand.connect()
    return hand


async def test_a_run_has_the_named_tasks_alone(room: Room) -> None:
    hand = await registered(room, "alone")
    run_id = await room.start("alone", only_task_ids=["clean", "report"])
    await hand.end("clean")
    await hand.end("report")
    assert run_state(await room.watch(run_id)) == "success"
    assert await room.states(run_id) == {
        "check": "removed",
        "clean": "success",
        "load": "removed",
        "report": "success",
        "train": "removed",
    }
    # A whole run beside it is not touched by that, nor is one more of the same part another version.
    whole = await room.start("alone")
    assert (await room.states(whole))["load"] != "removed"
    await room.start("alone", only_task_ids=["clean", "report"])
    (row,) = await room.rows("select count(*) as layouts from dag_version where dag_id = 'alone' and layout <> ''")
    assert row["layouts"] == 1


async def test_what_comes_before_comes_along(room: Room) -> None:
    hand = await registered(room, "before")
    run_id = await room.start("before", only_task_ids=["train"], only_with_upstream=True)
    for name in ("load", "clean", "train"):
        await hand.end(name, output='"rows"')
    assert run_state(await room.watch(run_id)) == "success"
    assert {name for name, state in (await room.states(run_id)).items() if state == "removed"} == {"report", "check"}


async def test_a_part_is_cleared_and_retried_as_itself_and_whole_on_another_version(room: Room) -> None:
    hand = await registered(room, "again")
    run_id = await room.start("again", only_task_ids=["load"], only_with_downstream=False)
    await hand.end("load")
    await room.watch(run_id)
    await room.call("ClearTaskInstances", dag_run_id=run_id, task_ids=["load"], downstream=True)
    await hand.end("load")
    assert run_state(await room.watch(run_id)) == "success"
    await room.call("RerunDagRun", dag_run_id=run_id, dag_version="latest")
    for name in ("clean", "train", "report", "check"):
        await hand.end(name, output='"rows"')
    assert run_state(await room.watch(run_id)) == "success"
    assert set((await room.states(run_id)).values()) == {"success"}


async def test_a_part_of_a_capped_dag_is_admitted_by_its_cap(room: Room) -> None:
    hand = await registered(room, "capped", runs_active_max=1)
    first, second = [await room.start("capped", only_task_ids=["load"]) for _ in range(2)]
    await hand.end("load")
    await room.watch(first)
    await hand.end("load")
    assert run_state(await room.watch(second)) == "success"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"only_task_ids": ["trian"]},
            "runs[0].only_task_ids: got 'trian', expected a task of DAG wrong; did you mean train?",
        ),
        (
            {"only_task_ids": ["train"]},
            "runs[0].only_task_ids: got train without clean, whose output it takes, expected clean as well: name it, "
            "or set only_with_upstream, which takes in all that comes before",
        ),
        (
            {"only_task_ids": ["load"] * 1001},
            "runs[0].only_task_ids: got 1001 task ids, expected at most 1000 task ids",
        ),
    ],
)
async def test_a_part_that_cannot_run_is_refused(room: Room, fields: dict[str, list[str]], expected: str) -> None:
    if not await room.rows("select from dag where dag_id = 'wrong'"):
        await registered(room, "wrong")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await room.start("wrong", **fields)
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, expected)
    assert not await room.rows("select from dag_run where dag_id = 'wrong'")


async def test_a_run_key_means_one_part(room: Room) -> None:
    await registered(room, "keyed")
    await room.start("keyed", run_key="k", only_task_ids=["load"])
    await room.start("keyed", run_key="k", only_task_ids=["load"])
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await room.start("keyed", run_key="k", only_task_ids=["clean"])
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert "which differs: it has other tasks" in str(refused.value.details())
