"""Child runs through real servers and workers: every way to call, and harm while a caller waits."""

from __future__ import annotations

from fault_world import House, wait_until

from glidepath.client import Client
from glidepath_proto.run.v1 import run_pb2


def end_of(client: Client, run_id: str) -> run_pb2.DagRun:
    wait_until(lambda: client.get_dag_run(run_id).HasField("end_time"), "the run has ended")
    return client.get_dag_run(run_id)


def test_a_dag_calls_loops_over_and_makes_dags(house: House) -> None:
    house.server()
    house.worker("w1")
    client = house.register("calling_dag.py", "calling")
    run_id = client.trigger("calling", params={"number": 5}).dag_run_id
    run = end_of(client, run_id)
    assert (run.state, run.reason) == (run_pb2.RUN_STATE_SUCCESS, "")
    assert client.output(run_id, "collect") == {
        "called": 11,
        "looped": {"round": 4, "size": 8},
        "looped_by_key": 25,
        "generated": 12,
        "twice": 23,
    }
    children = list(client.list_dag_runs(children_of=run_id))
    assert sorted(each.dag_id for each in children) == [*["doubling"] * 4, *["growing"] * 4, "made"]
    assert {each.caller.dag_run_id for each in children} == {run_id}
    assert {each.run_type for each in children} == {run_pb2.RUN_TYPE_CHILD}
