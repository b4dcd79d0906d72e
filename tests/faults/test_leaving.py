"""Workers and servers that are asked to leave."""

from __future__ import annotations

import signal

from fault_world import House, attempts, finished, free_address, wait_until

from glidepath_proto.run.v1 import run_pb2

NAMES = "abcd"


def test_a_worker_that_is_asked_to_leave_hands_back_what_it_cannot_finish(house: House) -> None:
    house.server()
    leaving = house.worker("w1", drain_grace_seconds=1)
    client = house.register("queued_dag.py")
    run_id = client.trigger("queued", params={"folder": str(house.folder)}).dag_run_id
    wait_until(lambda: any(map(house.ledger, NAMES)), "one of them has begun")
    (begun,) = (name for name in NAMES if house.ledger(name))
    wait_until(lambda: len(list(client.list_attempts(run_id))) == len(NAMES), "the worker has all of them")
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(20) == 0
    assert {each.state for each in client.list_attempts(run_id)} == {run_pb2.ATTEMPT_STATE_RETURNED}
    house.worker("w2")
    house.let_go("queued")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    # Only the one that ran was begun twice.
    assert [house.ledger(name) for name in NAMES] == [[1, 2] if name == begun else [2] for name in NAMES]


def test_workers_of_a_server_that_is_asked_to_leave_go_to_the_next(house: House) -> None:
    leaving = house.server()
    elsewhere = free_address()
    house.worker("w1", address=f"{house.address},{elsewhere}")
    _, run_id = house.start_waiting()
    house.server(address=elsewhere)
    client = house.client(elsewhere)
    house.wait_for_answers(client)
    house.let_go("a")
    wait_until(lambda: attempts(client, run_id, "held") == [(1, "SUCCESS")], "the first server has taken a result")
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(8) == 0  # sooner than its grace ends: the worker left when it was asked to
    house.let_go("b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert house.ledger("a") == [1] and house.ledger("b") == [1]
    assert attempts(client, run_id, "held_2") == attempts(client, run_id, "after") == [(1, "SUCCESS")]
