"""Ends that a task's process tree resists: timeout, cancel, and the lease of an exclusive task."""

from __future__ import annotations

import os
import signal
import time

import pytest
from fault_world import House, any_alive, attempts, children, finished, wait_until

from glidepath_proto.common.v1.failure_pb2 import FailureKind
from glidepath_proto.run.v1 import run_pb2

GRACE_SECONDS, SLACK_SECONDS = 1.0, 5.0
LEAVING_SECONDS = 3.0  # beside its trees, what a worker needs to say goodbye
TTL_SECONDS = 6.0  # leaves room for the grace of an exclusive task
DELAY_SECONDS = 0.4


def test_a_timeout_ends_a_tree_that_resists(house: House) -> None:
    house.server(lease_ttl_seconds=TTL_SECONDS)
    house.worker("w1")
    client, run_id = house.start_stubborn("timed")
    within = 1 + GRACE_SECONDS + SLACK_SECONDS
    wait_until(lambda: not any_alive(house.pids("stubborn", 1)), "the whole tree has ended", within)
    assert finished(client, run_id).state == run_pb2.RUN_STATE_FAILED
    (attempt,) = client.list_attempts(run_id)
    assert attempt.state == run_pb2.ATTEMPT_STATE_TIMED_OUT
    assert "timeout of 1 s" in attempt.failure.message


def test_a_cancel_ends_a_tree_that_resists(house: House) -> None:
    house.server(lease_ttl_seconds=TTL_SECONDS)
    house.worker("w1")
    client, run_id = house.start_stubborn("stubborn")
    client.cancel_dag_run(run_id, reason="enough")
    pids = house.pids("stubborn", 1)
    wait_until(lambda: not any_alive(pids), "the whole tree has ended", GRACE_SECONDS + SLACK_SECONDS)
    assert finished(client, run_id).state == run_pb2.RUN_STATE_CANCELLED
    wait_until(lambda: attempts(client, run_id, "stubborn") == [(1, "CANCELLED")], "the worker has told of it")


def test_a_drain_ends_a_tree_that_resists_and_hands_it_back(house: House) -> None:
    house.server()
    worker = house.worker("w1", drain_grace_seconds=0)
    client, run_id = house.start_stubborn("stubborn")
    pids = house.pids("stubborn", 1)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(GRACE_SECONDS + SLACK_SECONDS + LEAVING_SECONDS) == 0
    assert not any_alive(pids)
    assert attempts(client, run_id, "stubborn")[0] == (1, "RETURNED")


def test_a_tree_over_its_memory_is_ended_as_out_of_memory(house: House) -> None:
    house.server()
    house.worker("w1")
    client = house.register("stubborn_dag.py", "greedy")
    run_id = client.trigger("greedy", params={"folder": str(house.folder)}).dag_run_id
    assert finished(client, run_id).state == run_pb2.RUN_STATE_FAILED
    (attempt,) = client.list_attempts(run_id)
    assert attempt.failure.kind == FailureKind.FAILURE_KIND_OUT_OF_MEMORY
    assert attempt.failure.message == "used more memory than its limit of 128 MiB"
    assert not any_alive(house.pids("greedy", 1))


def test_a_killed_forkserver_costs_no_retry_and_leaves_no_tree(house: House) -> None:
    """Nor does an exclusive task begin again before the one before it is gone."""
    house.server(lease_ttl_seconds=TTL_SECONDS)
    worker = house.worker("w1")
    client, run_id = house.start_stubborn("alone")
    leader, *_ = house.pids("stubborn", 1)
    (forkserver,) = [pid for pid in children(worker.pid) if leader in children(pid)]
    os.kill(forkserver, signal.SIGKILL)
    wait_until(lambda: house.ledger("stubborn") == [1, 2], "it has begun again")
    assert house.overlap() == ""
    house.let_go("stubborn")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert attempts(client, run_id, "stubborn") == [(1, "RETURNED"), (2, "SUCCESS")]


def test_an_exclusive_task_starts_with_its_permit_and_not_with_its_assignment(house: House) -> None:
    house.server(lease_ttl_seconds=TTL_SECONDS)
    link = house.link()
    link.delay(DELAY_SECONDS)
    house.worker("w1", address=link.address)
    client, run_id = house.start_stubborn("alone")
    (attempt,) = client.list_attempts(run_id)
    began = float((house.folder / "stubborn.1.began").read_text())
    # The assignment, that it was accepted, and the permit were each under way for so long.
    assert began - attempt.start_time.ToMicroseconds() / 1e6 > 3 * DELAY_SECONDS
    house.let_go("stubborn")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS


def test_an_exclusive_tree_is_gone_before_its_lease_is_granted_again(house: House) -> None:
    house.server(lease_ttl_seconds=TTL_SECONDS)
    link = house.link()
    house.worker("w1", address=link.address)
    client, run_id = house.start_stubborn("alone")
    house.worker("w2")
    link.cut()
    wait_until(lambda: not any_alive(house.pids("stubborn", 1)), "the whole tree has ended")
    gone_at = time.time()
    wait_until(lambda: house.ledger("stubborn") == [1, 2], "the other worker has begun it")
    lost, _ = client.list_attempts(run_id)
    assert lost.state == run_pb2.ATTEMPT_STATE_LOST
    assert gone_at < lost.end_time.ToMicroseconds() / 1e6
    assert house.overlap() == ""
    link.mend()
    house.let_go("stubborn")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert attempts(client, run_id, "stubborn") == [(1, "LOST"), (2, "SUCCESS")]


@pytest.mark.prove
def test_an_exclusive_tree_is_gone_before_its_killed_worker_is_back(house: House) -> None:
    house.server(lease_ttl_seconds=TTL_SECONDS)
    worker = house.worker("w1")
    client, run_id = house.start_stubborn("alone")
    worker.kill()
    worker.wait()
    house.worker("w1")
    wait_until(lambda: house.ledger("stubborn") == [1, 2], "the next one has begun it")
    assert house.overlap() == ""
    house.let_go("stubborn")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
