"""Workers and servers that are asked to leave."""

from __future__ import annotations

import signal

import pytest
from fault_world import House, attempts, finished, wait_until
from stream_dag import LANES, STEPS

from glidepath_proto.run.v1 import run_pb2
from tests.free_address import free_address

NAMES = "abcd"
GRACE_SECONDS, STOPPED_SECONDS = 8, 10


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


@pytest.mark.prove
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


def test_a_server_that_is_asked_to_leave_in_the_middle_of_work_loses_none_of_it(house: House) -> None:
    """Nor does the next one, at the same address, begin anything a second time."""
    leaving = house.server(shutdown_grace_seconds=GRACE_SECONDS)
    worker = house.worker("w1")
    client = house.register("stream_dag.py")
    run_id = client.trigger("under_way", params={"folder": str(house.folder)}).dag_run_id
    ledger = house.folder / "steps.ledger"
    wait_until(lambda: ledger.exists() and len(ledger.read_text().splitlines()) >= LANES * STEPS / 4, "work flows")
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(GRACE_SECONDS + STOPPED_SECONDS) == 0
    assert len(ledger.read_text().splitlines()) < LANES * STEPS  # it was in the middle
    assert "server_stopped" in house.log(leaving) and "Traceback" not in house.log(leaving)
    house.server()
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    begun = sorted(tuple(map(int, line.split())) for line in ledger.read_text().splitlines())
    again = [each for each in begun if each[2] > 1]
    assert {each[:2] for each in begun} == {(lane, number) for lane in range(LANES) for number in range(STEPS)}
    # What was on its way when the stream ended may be handed back; it had not begun, so nothing began twice.
    assert len(begun) == LANES * STEPS, again
    assert house.log(worker).count("welcome: ") == 2
    states = {each.state for each in client.list_attempts(run_id)}
    assert states <= {run_pb2.ATTEMPT_STATE_SUCCESS, run_pb2.ATTEMPT_STATE_RETURNED}
