"""Trees of child runs keep every promise while a replica is killed and some are cancelled."""

from __future__ import annotations

from pathlib import Path

from fault_world import wait_until
from fleet_world import Fleet
from tree_dag import BRANCHES

from glidepath import load_dags
from glidepath_proto.run.v1 import run_pb2
from tests.checker import Watch
from tests.checker.journals import note_fault
from tests.free_address import free_address

RUNS = 6
CANCELLED = 2


def test_trees_of_calls_end_whole_while_a_replica_is_killed_and_some_are_cancelled(fleet: Fleet) -> None:
    second = free_address()
    killed = fleet.server()
    fleet.server(address=second)
    fleet.worker("w1", slots=16)
    fleet.worker("w2", slots=16, address=second)
    client = fleet.journal_client(second)
    for each in load_dags(Path(__file__).with_name("tree_dag.py")).dags:
        client.register(each)
    with Watch(fleet.database_url) as watch:
        runs = [client.trigger("tree").dag_run_id for _ in range(RUNS)]
        wait_until(lambda: fleet.rows("select count(*) as n from child_run")[0]["n"] > BRANCHES * RUNS, "they call")
        note_fault(fleet.journals, "kill server")
        killed.kill()
        for run_id in runs[:CANCELLED]:
            client.cancel_dag_run(run_id)
        fleet.server()
        for run_id in runs:
            wait_until(lambda run_id=run_id: client.get_dag_run(run_id).HasField("end_time"), "the run has ended")
    assert [client.get_dag_run(run_id).state for run_id in runs] == [
        *[run_pb2.RUN_STATE_CANCELLED] * CANCELLED,
        *[run_pb2.RUN_STATE_SUCCESS] * (RUNS - CANCELLED),
    ]
    for run_id in runs[CANCELLED:]:
        assert client.output(run_id, "total") == BRANCHES * BRANCHES * sum(range(BRANCHES))
    assert not fleet.rows("select 1 as n from child_run where waiting")
    assert not fleet.rows("select 1 as n from dag_run where state in ('queued', 'running')")
    fleet.judge(watch, expect={"I5": 100, "I11": 10, "I12": 1, "I19": 1})
