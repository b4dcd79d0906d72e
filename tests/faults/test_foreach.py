"""Nested foreach through a real server and workers: a group mapped over a list, with a map in it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from fault_world import House, wait_until

from glidepath_proto.run.v1 import run_pb2

Record = Callable[[str, object], None]


@pytest.mark.parametrize(
    "size",
    [20, pytest.param(100, marks=[pytest.mark.prove, pytest.mark.timeout(600)])],
    ids=lambda size: f"{size}x{size}",
)
def test_a_group_is_mapped_over_a_list_with_a_map_in_it(house: House, size: int, record_property: Record) -> None:
    house.server()
    house.worker("w1", slots=64)
    client = house.register("foreach_dag.py", "table")
    began = time.monotonic()
    run_id = client.trigger("table", params={"size": size}).dag_run_id
    wait_until(lambda: client.get_dag_run(run_id).HasField("end_time"), "the run has ended", 300)
    record_property(f"foreach {size} x {size}", f"{time.monotonic() - began:.1f} s")
    run = client.get_dag_run(run_id)
    assert (run.state, run.reason) == (run_pb2.RUN_STATE_SUCCESS, "")
    assert client.output(run_id, "total") == sum(range(size)) ** 2
    children = list(client.list_dag_runs(children_of=run_id))
    assert sorted(each.caller.map_index for each in children) == list(range(size))
    assert house.rows("select count(*) as n from task_attempt where map_index >= 0")[0]["n"] == size * size + size


def test_a_mapped_group_is_cancelled_with_its_run_whole(house: House) -> None:
    house.server()
    house.worker("w1")
    client = house.register("foreach_dag.py", "stuck")
    run_id = client.trigger("stuck", params={"size": 30}).dag_run_id
    wait_until(lambda: len(list(client.list_dag_runs(children_of=run_id))) == 30, "every item has its run")
    instances = list(client.list_task_instances(run_id, task_id="line"))
    assert len(instances) == 30 and all("waits for run" in each.reason for each in instances)
    client.cancel_dag_run(run_id)
    wait_until(lambda: client.get_dag_run(run_id).HasField("end_time"), "the run has ended")
    states = {each.state for each in client.list_dag_runs(children_of=run_id)}
    assert (client.get_dag_run(run_id).state, states) == (run_pb2.RUN_STATE_CANCELLED, {run_pb2.RUN_STATE_CANCELLED})


def test_an_item_that_waits_for_its_run_is_marked_and_another_cancelled_and_their_runs_end(house: House) -> None:
    house.server()
    house.worker("w1")
    client = house.register("foreach_dag.py", "stuck")
    run_id = client.trigger("stuck", params={"size": 3}).dag_run_id
    wait_until(lambda: len(list(client.list_dag_runs(children_of=run_id))) == 3, "every item has its run")
    client.mark_task_instances(run_id, ["line"], "skipped", map_indexes=[0])
    client.cancel_task_instances(run_id, ["line"], map_indexes=[1])

    def ended() -> list[int]:
        children = client.list_dag_runs(children_of=run_id, states=["cancelled"])
        return sorted(each.caller.map_index for each in children)

    wait_until(lambda: ended() == [0, 1], "two runs have ended, and the third goes on")

    def states() -> list[str]:
        instances = client.list_task_instances(run_id, task_id="line")
        return [run_pb2.TaskState.Name(each.state).removeprefix("TASK_STATE_").lower() for each in instances]

    wait_until(lambda: states() == ["skipped", "cancelled", "running"], "the items have what was said of them")
    client.cancel_dag_run(run_id)
    wait_until(lambda: client.get_dag_run(run_id).HasField("end_time"), "the run has ended")


def test_one_item_of_a_mapped_group_runs_again_alone(house: House) -> None:
    house.server()
    house.worker("w1")
    client = house.register("foreach_dag.py", "table")
    run_id = client.trigger("table", params={"size": 4}).dag_run_id
    wait_until(lambda: client.get_dag_run(run_id).HasField("end_time"), "the run has ended")
    client.clear_task_instances(run_id, ["line"], map_indexes=[2])
    wait_until(lambda: len(list(client.list_dag_runs(children_of=run_id))) == 5, "its run is made again")
    wait_until(lambda: client.get_dag_run(run_id).state == run_pb2.RUN_STATE_SUCCESS, "the run has ended again")
    newest = next(iter(client.list_dag_runs(children_of=run_id)))
    assert (newest.caller.map_index, newest.caller.attempt_number) == (2, 2)
