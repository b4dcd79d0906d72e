"""An operator moves a run to another version of its DAG: what has ended stays, and its history keeps its names."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence

import grpc
import pytest
import pytest_asyncio
from runs_room import HANDLER, Hand, Room, open_room, run_state

from glidepath_proto.registry.v1 import dag_pb2
from glidepath_server.core.states import AttemptState

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(module_database_url: str) -> AsyncIterator[Room]:
    async with open_room(module_database_url, poll_interval_seconds=0.1) as room:
        yield room


def version(dag_id: str, tasks: Mapping[str, Sequence[str]], mark: str = "") -> dag_pb2.DagSpec:
    """Tasks by name with the upstream tasks whose outputs they take; a mark makes another version of equal tasks."""
    spec = dag_pb2.DagSpec(dag_id=dag_id, description=mark, defaults=dag_pb2.TaskPolicy(queue_name=dag_id))
    for name, upstream in tasks.items():
        task = spec.tasks.add(task_id=name, handler=dag_pb2.Handler(name=HANDLER))
        for each in upstream:
            task.inputs[each].output.task_id = each
    return spec


async def hand_for(room: Room, dag_id: str) -> Hand:
    hand = Hand(room.server, 8, queue_names={dag_id}, identity=f"hand-{dag_id}")
    await hand.connect()
    return hand


OLD = {"load": [], "old": ["load"], "train": ["load"]}
# Before all others by name; `old` is gone; `train` takes one more output.
NEW = {"added": [], "load": [], "train": ["added", "load"], "report": ["train"]}


async def failed_run(room: Room, dag_id: str) -> tuple[str, Hand]:
    """A run of the old version: load and old have succeeded, train has failed. The new version is registered."""
    await room.register(version(dag_id, OLD))
    hand = await hand_for(room, dag_id)
    run_id = await room.start(dag_id)
    await hand.end("load", output='"rows"')
    await hand.end("old", output='"kept"')
    await hand.end("train", AttemptState.FAILED, message="wrong column")
    assert run_state(await room.watch(run_id)) == "failed"
    assert await room.register(version(dag_id, NEW)) == 2
    return run_id, hand


async def test_a_rerun_on_the_latest_version_keeps_what_has_ended(room: Room) -> None:
    run_id, hand = await failed_run(room, "moved")
    answer = await room.call("RerunDagRun", dag_run_id=run_id, dag_version="latest", reason="mended")
    assert list(answer.cleared_task_ids) == ["train"] and answer.dag_run.dag_version_number == 2
    assert await room.states(run_id) == {
        "load": "success",
        "old": "removed",
        "train": "scheduled",
        "added": "queued" if "added" not in hand.taken else "running",
        "report": "scheduled",
    }
    await hand.end("added", output='"more"')
    assigned = await hand.take("train")
    assert assigned.plan is not None and assigned.plan.dag_version_number == 2
    names = assigned.plan.graph.task_ids
    assert {names[task]: output.body for task, output in assigned.upstream.items()} == {
        "load": b'"rows"',
        "added": b'"more"',
    }
    assert assigned.key.attempt_number == 2
    await hand.end("train", output='"model"')
    await hand.end("report")
    assert run_state(await room.watch(run_id)) == "success"
    kept = await room.call("GetTaskOutput", dag_run_id=run_id, task_id="old", map_index=-1)
    assert kept.task_output.output.data == b'"kept"'
    attempts = (await room.call("ListAttempts", dag_run_id=run_id)).attempts
    assert sorted((each.task_id, each.attempt_number) for each in attempts) == [
        ("added", 1),
        ("load", 1),
        ("old", 1),
        ("report", 1),
        ("train", 1),
        ("train", 2),
    ]
    assert not (await room.call("ListDeadLetters", dag_id="moved")).dead_letters
    (row,) = await room.rows(
        "select detail from audit_event where action = 'dag_run.rerun' and target = $1", f"dag_run/{run_id}"
    )
    detail = json.loads(row["detail"])
    assert (detail["from_version"], detail["to_version"], detail["task_ids"]) == (1, 2, ["train", "report"])


async def test_a_run_goes_back_to_the_version_of_its_creation(room: Room) -> None:
    run_id, hand = await failed_run(room, "back")
    await room.call("RerunDagRun", dag_run_id=run_id, dag_version="2")
    await hand.end("added")
    await hand.end("train", AttemptState.FAILED)
    await room.watch(run_id)
    back = await room.call("RerunDagRun", dag_run_id=run_id, dag_version="original")
    assert back.dag_run.dag_version_number == 1
    states = await room.states(run_id)
    assert (states["added"], states["report"], states["load"]) == ("removed", "removed", "success")
    await hand.end("old", output='"again"')  # it had been removed, and is done again
    assigned = await hand.take("train")
    assert assigned.plan is not None and assigned.plan.dag_version_number == 1 and assigned.key.attempt_number == 3
    await hand.end("train")
    assert run_state(await room.watch(run_id)) == "success"


async def test_nothing_of_a_run_may_be_out_when_it_moves(room: Room) -> None:
    await room.register(version("busy", OLD))
    run_id = await room.start("busy")
    await room.register(version("busy", NEW))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await room.call("ClearTaskInstances", dag_run_id=run_id, task_ids=["train"], dag_version="latest")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.value.details() == (
        "1 tasks are queued, run or wait for an answer, load is one of them (wait until they have ended, or cancel "
        "them; a pause of the run lets it come to rest)"
    )
    await room.call("PauseDagRun", dag_run_id=run_id)
    moved = await room.call("ClearTaskInstances", dag_run_id=run_id, task_ids=["train"], dag_version="latest")
    assert moved.dag_run.dag_version_number == 2
    await room.call("ResumeDagRun", dag_run_id=run_id)
    hand = await hand_for(room, "busy")
    for name in ("added", "load", "train", "report"):
        await hand.end(name)
    assert run_state(await room.watch(run_id)) == "success"


@pytest.mark.parametrize(
    ("wanted", "code", "message"),
    [
        (
            "newest",
            "INVALID_ARGUMENT",
            "dag_version: got 'newest', expected latest, original, or the number of a version",
        ),
        ("7", "NOT_FOUND", "DAG wrong has no version 7 (list the versions of the DAG)"),
    ],
)
async def test_a_version_that_is_none_is_named(room: Room, wanted: str, code: str, message: str) -> None:
    await room.register(version("wrong", OLD))
    run_id = await room.start("wrong")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await room.call("RerunDagRun", dag_run_id=run_id, dag_version=wanted)
    assert (refused.value.code().name, refused.value.details()) == (code, message)


async def test_a_removed_task_is_no_task_of_the_run_any_more(room: Room) -> None:
    run_id, _ = await failed_run(room, "gone")
    await room.call("RerunDagRun", dag_run_id=run_id, dag_version="latest")
    with pytest.raises(grpc.aio.AioRpcError, match="DAG gone version 2 has task 'old' no more"):
        await room.call("MarkTaskInstances", dag_run_id=run_id, task_ids=["old"], state="TASK_STATE_FAILED")


async def test_registering_a_version_alone_moves_no_run_and_layouts_are_no_versions(room: Room) -> None:
    run_id, hand = await failed_run(room, "still")
    assert (await room.run(run_id)).dag_version_number == 1
    await room.call("RerunDagRun", dag_run_id=run_id)
    assert (await room.run(run_id)).dag_version_number == 1
    await hand.end("train", AttemptState.FAILED)
    await room.watch(run_id)
    await room.call("RerunDagRun", dag_run_id=run_id, dag_version="latest")
    fresh = await room.start("still")
    assert (await room.states(fresh)).keys() == NEW.keys()
    assert await room.register(version("still", NEW)) == 2, "it is the version that there was"
