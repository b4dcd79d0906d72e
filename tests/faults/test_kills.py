"""kill -9 of the control plane and of a worker in the middle of a run: it ends right, and nothing counts twice."""

from __future__ import annotations

from fault_world import House, attempts, finished, wait_until

from glidepath_proto.run.v1 import run_pb2


def test_a_killed_server_costs_no_attempt(house: House) -> None:
    server = house.server()
    house.worker("w1")
    client, run_id = house.start_waiting()
    server.kill()
    server.wait()
    house.let_go("a", "b")
    house.server()
    house.wait_for_answers(client)
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert house.ledger("a") == [1] and house.ledger("b") == [1]
    assert client.output(run_id, "after") == 2


def test_a_killed_worker_costs_a_loss_and_no_retry(house: House) -> None:
    house.server()
    worker = house.worker("w1")
    client, run_id = house.start_waiting()
    worker.kill()
    worker.wait()
    house.worker("w1")
    wait_until(lambda: len(house.ledger("a")) == 2 and len(house.ledger("b")) == 2, "both tasks have begun again")
    house.let_go("a", "b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert house.ledger("a") == [1, 2] and house.ledger("b") == [1, 2]
    assert attempts(client, run_id, "held") == [(1, "LOST"), (2, "SUCCESS")]


def test_a_worker_that_is_gone_for_good_is_replaced_after_its_lease(house: House) -> None:
    house.server()
    worker = house.worker("w1")
    client, run_id = house.start_waiting()
    worker.kill()
    worker.wait()
    house.worker("w2")
    wait_until(lambda: len(house.ledger("a")) == 2 and len(house.ledger("b")) == 2, "another worker has begun them")
    house.let_go("a", "b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
