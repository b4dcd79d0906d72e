"""A replica dies in the middle of judging deadlines: another one judges them, and each is told of once."""

from __future__ import annotations

import signal

import pytest
from fault_world import House, wait_until

from glidepath import Deadline
from tests.free_address import free_address

RUNS = 8


@pytest.mark.prove
@pytest.mark.parametrize("place", ["before_commit", "after_commit"])
def test_a_judge_that_is_killed_leaves_each_miss_told_once(house: House, place: str) -> None:
    doomed = house.server(crash_point=f"deadlines.{place}=kill")
    client = house.register("waiting_dag.py")
    dag_id = next(iter(client.list_dags())).dag_id
    client.set_deadline(dag_id, Deadline.after_queue(3, name="soon"))
    for _ in range(RUNS):
        client.trigger(dag_id, params={"folder": str(house.folder)})
    wait_until(lambda: doomed.poll() == -signal.SIGKILL, "the judge dies at its commit")
    # The other one comes to what is past by then; the first one comes back beside it.
    house.server(address=free_address())
    house.server()
    told = "select count(*) as facts, count(distinct dag_run_id) as runs from outbox where kind = 'missed'"
    wait_until(lambda: house.rows(told)[0]["runs"] == RUNS, "all have missed their deadline")
    assert house.rows(told)[0]["facts"] == RUNS
    states = house.rows("select state, count(*) as number from deadline group by state")
    assert [tuple(row) for row in states] == [("missed", RUNS)]
