"""The link between worker and server is cut, half open, or slow: what is accepted is accepted once."""

from __future__ import annotations

import time

from fault_world import INTERVAL_SECONDS, House, any_alive, attempts, finished, pass_seconds, wait_until

from glidepath_proto.run.v1 import run_pb2


def test_a_cut_that_ends_before_the_lease_costs_no_attempt(house: House) -> None:
    house.server(lease_ttl_seconds=6)
    link = house.link()
    house.worker("w1", address=link.address)
    client, run_id = house.start_waiting()
    link.cut()
    house.let_go("a")  # its result cannot be told now, and is kept
    wait_until(lambda: link.refused > 0, "the worker has tried in vain")
    link.mend()
    wait_until(lambda: attempts(client, run_id, "held") == [(1, "SUCCESS")], "the result of a is told")
    house.let_go("b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert house.ledger("a") == [1] and house.ledger("b") == [1]
    assert attempts(client, run_id, "held_2") == [(1, "SUCCESS")]
    assert client.output(run_id, "after") == 2


def test_what_a_worker_brings_after_its_lease_is_fenced(house: House) -> None:
    house.server()
    link = house.link()
    house.worker("w1", address=link.address)
    client, run_id = house.start_waiting()
    link.cut()
    house.let_go("a.1")  # this one ends in the dark, attempt 1 of b goes on
    house.worker("w2")
    wait_until(lambda: house.ledger("a") == [1, 2] and house.ledger("b") == [1, 2], "the second worker has begun them")
    bodies = house.pids("b", 1)
    assert any_alive(bodies)
    assert house.journal("w1")
    link.mend()
    wait_until(lambda: not house.journal("w1"), "the first worker has its answer")
    wait_until(lambda: not any_alive(bodies), "the first worker has ended attempt 1 of b")
    for task_id in ("held", "held_2"):
        assert attempts(client, run_id, task_id) == [(1, "LOST"), (2, "RUNNING")]
    house.let_go("a", "b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert house.ledger("a") == [1, 2] and house.ledger("b") == [1, 2]
    assert client.output(run_id, "after") == 4
    for task_id in ("held", "held_2"):
        assert attempts(client, run_id, task_id) == [(1, "LOST"), (2, "SUCCESS")]


def test_a_worker_leaves_a_server_that_has_fallen_silent(house: House) -> None:
    house.server()
    link = house.link()
    house.worker("w1", address=link.address)
    client, run_id = house.start_waiting()
    before = link.connections
    link.half_open("down")
    silent_at = time.monotonic()
    wait_until(lambda: link.connections > before, "the worker has said hello again")
    assert time.monotonic() - silent_at < 6 * INTERVAL_SECONDS
    house.let_go("a", "b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert house.ledger("a") == [1] and house.ledger("b") == [1]


def test_a_link_slower_than_the_heartbeats_keeps_the_lease(house: House) -> None:
    house.server()
    link = house.link()
    link.delay(0.3)
    house.worker("w1", address=link.address)
    client, run_id = house.start_waiting()
    pass_seconds(3 + INTERVAL_SECONDS)  # more than the lease of the hello
    house.let_go("a", "b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert house.ledger("a") == [1] and house.ledger("b") == [1]


def test_bytes_that_are_swapped_doubled_and_cut_off_change_nothing(house: House) -> None:
    house.server(lease_ttl_seconds=6)
    link = house.link()
    house.worker("w1", address=link.address)
    client, run_id = house.start_waiting()
    for way in ("up", "down"):
        before = link.connections
        link.reorder(way)
        link.duplicate(way)
        link.truncate(way, 5)
        wait_until(lambda before=before: link.connections > before, f"the worker has connected anew after harm {way}")
    house.let_go("a", "b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert house.ledger("a") == [1] and house.ledger("b") == [1]
    assert client.output(run_id, "after") == 2
