"""When a run will end: told by runs before it and by where its tasks are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest
import pytest_asyncio
from eta_scene import Scene, after, open_scene
from google.protobuf.timestamp_pb2 import Timestamp
from runs_room import CHAIN, HANDLER, dag
from serving import until

from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.run.v1 import run_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def scene(module_database_url: str) -> AsyncIterator[Scene]:
    async with open_scene(module_database_url) as scene:
        yield scene


async def test_what_runs_takes_the_rest_and_what_waits_takes_all_of_its_usual_time(scene: Scene) -> None:
    run_id = await scene.room.start("chain")
    await scene.hand.take("load")
    await scene.wait(20)
    eta = await scene.eta(run_id)
    assert after(eta, "p50_end_time") == pytest.approx(250, rel=0.2)
    assert after(eta, "p50_end_time") < after(eta, "p90_end_time") < 3000
    assert [each.task_id for each in eta.tasks] == ["load", "train", "report"]
    assert [run_pb2.TaskState.Name(each.state) for each in eta.tasks] == [
        "TASK_STATE_RUNNING",
        "TASK_STATE_SCHEDULED",
        "TASK_STATE_SCHEDULED",
    ]
    usual = [each.usual_duration.ToTimedelta().total_seconds() for each in eta.tasks]
    assert usual == pytest.approx([60, 200, 10], rel=0.05)
    assert [each.critical for each in eta.tasks] == [1, 1, 1]
    assert not eta.HasField("due_time") and not eta.unknown_task_ids
    await scene.finish(*CHAIN)


async def test_a_due_time_gives_slack_a_probability_and_causes(scene: Scene) -> None:
    run_id = await scene.room.start("chain")
    await scene.hand.take("load")
    await scene.wait(300)
    await scene.hand.end("load")
    await scene.hand.take("train")
    now = (await scene.eta(run_id)).time.ToDatetime(tzinfo=UTC)
    late, early = now + timedelta(hours=10), now + timedelta(seconds=60)
    relaxed, hopeless = await scene.eta(run_id, due_time=late), await scene.eta(run_id, due_time=early)
    assert (relaxed.late_probability, hopeless.late_probability) == (pytest.approx(0, abs=0.02), pytest.approx(1))
    assert all(each.slack.ToTimedelta() > timedelta(hours=9) for each in relaxed.tasks)
    assert all(each.slack.ToTimedelta() < timedelta(0) for each in hopeless.tasks)
    assert [each.task_id for each in hopeless.causes] == ["load"]
    assert hopeless.causes[0].message.startswith("load took 5 min instead of 1 min")
    await scene.finish("train", "report")


async def test_a_run_that_has_ended_has_no_eta(scene: Scene) -> None:
    run_id = await scene.room.start("chain")
    await scene.finish(*CHAIN)
    await scene.room.watch(run_id)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await scene.eta(run_id)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.value.details() == f"run {run_id} has ended: success (glidepath run show {run_id})"


async def test_a_dag_that_never_ran_is_a_guess_and_says_so(scene: Scene) -> None:
    await scene.room.register(dag("fresh", {"only": []}))
    run_id = await scene.room.start("fresh")
    await scene.hand.take("only")
    eta = await scene.eta(run_id)
    assert list(eta.unknown_task_ids) == ["only"]
    assert not eta.causes or eta.causes[0].task_id == "only"
    await scene.hand.end("only")


async def test_a_new_version_of_a_dag_knows_what_the_old_one_took(scene: Scene) -> None:
    await scene.room.register(dag("chain", {**CHAIN, "publish": ["report"]}))
    run_id = await scene.room.start("chain")
    await scene.hand.take("load")
    eta = await scene.eta(run_id)
    usual = {each.task_id: each.usual_duration.ToTimedelta().total_seconds() for each in eta.tasks}
    assert usual["train"] == pytest.approx(200, rel=0.3)
    assert list(eta.unknown_task_ids) == ["publish"]
    await scene.finish(*CHAIN, "publish")


async def test_instances_of_a_map_are_expected_as_many_as_there_were(scene: Scene) -> None:
    mapped = dag_pb2.TaskSpec(
        task_id="each",
        handler=dag_pb2.Handler(name=HANDLER),
        map=dag_pb2.MapSpec(
            inputs=[dag_pb2.MapInput(name="n", source=dag_pb2.Input(literal={"data": b"[1,2,3]"}))], active_max=1
        ),
    )
    await scene.room.register(dag_pb2.DagSpec(dag_id="mapped", tasks=[mapped]))
    run_id = await scene.room.start("mapped")
    for _ in range(3):
        await scene.hand.take("each")
        await scene.wait(100)
        await scene.hand.end("each")
    await scene.room.watch(run_id)

    async def known() -> bool:
        return bool(await scene.room.rows("select from task_duration where task_id = 'each' and instances = 3"))

    await until(known, 10)
    second = await scene.room.start("mapped")
    await scene.hand.take("each")
    eta = await scene.eta(second)
    assert after(eta, "p50_end_time") == pytest.approx(300, rel=0.5)
    for _ in range(3):
        await scene.hand.end("each")


async def test_times_beyond_all_measure_have_an_answer(scene: Scene) -> None:
    run_id = await scene.room.start("fresh")
    await scene.hand.take("only")
    due = Timestamp()
    due.FromDatetime(datetime(9999, 1, 1, tzinfo=UTC))
    eta = await scene.eta(run_id, due_time=due)
    assert eta.late_probability == 0
    assert eta.tasks[0].slack.seconds > 0
    await scene.hand.end("only")
