"""Leases: who is cut off or frozen loses its attempts in time, not too early, and what it brings later is fenced."""

from __future__ import annotations

import pytest
from fault_world import House, any_alive, attempts, finished, freeze, pass_seconds, thaw, wait_until

from glidepath_proto.run.v1 import run_pb2

TTL_SECONDS = 3.0
ALONE_TTL_SECONDS = 6.0  # leaves room for the grace of an exclusive task
JUDGED_SECONDS = 6.0
ENDED_SECONDS = 5.0
ACCEPT_SECONDS = 1.0


def assert_judged_in_time(house: House, expected: int) -> None:
    """So many attempts are lost, each not before its session's lease had ended and not long after."""
    lost = house.rows(
        """select extract(epoch from a.end_time - s.lease_expire_time)::float8 as late
           from task_attempt a join worker_session s using (session_id) where a.state = 'lost'"""
    )
    assert len(lost) == expected
    assert all(0 < row["late"] <= JUDGED_SECONDS for row in lost), lost


def test_what_a_frozen_worker_brings_is_fenced_and_what_it_runs_is_ended(house: House) -> None:
    house.server(lease_ttl_seconds=TTL_SECONDS)
    worker = house.worker("w1")
    client, waiting = house.start_waiting()
    _, stubborn = house.start_stubborn("stubborn")
    stopped = freeze(worker.pid)
    house.worker("w2")
    wait_until(lambda: all(house.ledger(name) == [1, 2] for name in ("a", "b", "stubborn")), "all have begun again")
    assert_judged_in_time(house, 3)
    house.let_go("a.1")  # it will end by itself at once, with a result
    thaw(stopped)
    wait_until(lambda: house.log(worker).count("welcome: ") == 2, "the worker has heard what became of its attempts")
    old = [pid for name in ("a", "b", "stubborn") for pid in house.pids(name, 1)]
    wait_until(lambda: not any_alive(old), "their trees have ended", ENDED_SECONDS)
    wait_until(lambda: not house.journal("w1"), "the result of a has its answer")
    for task_id in ("held", "held_2"):
        assert attempts(client, waiting, task_id) == [(1, "LOST"), (2, "RUNNING")]
    house.let_go("a", "b", "stubborn")
    for run_id in (waiting, stubborn):
        assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert client.output(waiting, "after") == 4
    assert client.output(stubborn, "stubborn") == 2


@pytest.mark.prove
@pytest.mark.parametrize("way", ["up", "down"])
def test_a_link_that_is_cut_one_way_ends_the_lease_in_time(house: House, way: str) -> None:
    house.server(lease_ttl_seconds=ALONE_TTL_SECONDS)
    link = house.link()
    house.worker("w1", address=link.address)
    client, waiting = house.start_waiting()
    _, alone = house.start_stubborn("alone")
    link.hold(way)
    house.worker("w2")
    wait_until(lambda: all(house.ledger(name) == [1, 2] for name in ("a", "b", "stubborn")), "all have begun again")
    assert_judged_in_time(house, 3)
    assert house.overlap() == ""  # the exclusive one was gone
    held = [pid for name in "ab" for pid in house.pids(name, 1)]
    assert any_alive(held)  # the others were not told to end
    link.mend()
    wait_until(lambda: not any_alive(held), "they have ended")
    house.let_go("a", "b", "stubborn")
    for run_id in (waiting, alone):
        assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS


def test_a_server_that_is_deaf_on_one_stream_ends_it_with_the_lease(house: House) -> None:
    """The worker hears heartbeats and cannot know; it hears of the end, and goes on."""
    house.server(lease_ttl_seconds=TTL_SECONDS)
    link = house.link()
    house.worker("w1", address=link.address)
    client, run_id = house.start_waiting()
    link.half_open("up")
    wait_until(lambda: house.ledger("a") == house.ledger("b") == [1, 2], "the same worker has begun them again")
    assert_judged_in_time(house, 2)
    wait_until(lambda: not any_alive([*house.pids("a", 1), *house.pids("b", 1)]), "the first attempts have ended")
    house.let_go("a", "b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert attempts(client, run_id, "held") == [(1, "LOST"), (2, "SUCCESS")]


@pytest.mark.prove
def test_a_server_away_for_longer_than_a_lease_costs_no_attempt(house: House) -> None:
    """Hold mode: the tasks go on, and their results count, since nobody could judge meanwhile."""
    server = house.server(lease_ttl_seconds=TTL_SECONDS)
    house.worker("w1")
    client, run_id = house.start_waiting()
    server.kill()
    server.wait()
    pass_seconds(TTL_SECONDS + 1)
    house.let_go("a")  # in the dark; b goes on
    house.server(lease_ttl_seconds=TTL_SECONDS)
    wait_until(lambda: attempts(client, run_id, "held") == [(1, "SUCCESS")], "the result of a is accepted")
    house.let_go("b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert house.ledger("a") == house.ledger("b") == [1]
    assert attempts(client, run_id, "held_2") == [(1, "SUCCESS")]


def test_an_assignment_that_is_lost_is_taken_back_and_costs_no_retry(house: House) -> None:
    house.server(accept_timeout_seconds=ACCEPT_SECONDS)
    relay = house.relay()
    lost = relay.drop("down", "assignments", 1)
    house.worker("w1", address=relay.address)
    client = house.register("waiting_dag.py")
    run_id = client.trigger("waiting", params={"folder": str(house.folder)}).dag_run_id
    house.let_go("a", "b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS  # neither task has a retry
    assert lost.struck == 1
    found = [each for task in ("held", "held_2") for each in client.list_attempts(run_id, task)]
    back = [each for each in found if each.state == run_pb2.ATTEMPT_STATE_RETURNED]
    assert back
    for each in back:
        took = (each.end_time.ToMicroseconds() - each.start_time.ToMicroseconds()) / 1e6
        assert ACCEPT_SECONDS <= took <= JUDGED_SECONDS
        assert each.attempt_number == 1
    assert sorted(house.ledger("a") + house.ledger("b")) == sorted(
        each.attempt_number for each in found if each.state == run_pb2.ATTEMPT_STATE_SUCCESS
    )


def test_a_result_whose_answer_is_lost_is_told_again_and_counts_once(house: House) -> None:
    house.server(lease_ttl_seconds=ALONE_TTL_SECONDS)
    relay = house.relay()
    link = house.link(relay.address)
    house.worker("w1", address=link.address)
    client, run_id = house.start_waiting()
    lost = relay.drop("down", "result_acks", 1)
    house.let_go("a")
    wait_until(lambda: lost.struck == 1, "the answer is lost")
    assert attempts(client, run_id, "held") == [(1, "SUCCESS")]
    assert house.journal("w1")
    told = relay.seen["up", "results"]
    link.cut()
    link.mend()
    wait_until(lambda: not house.journal("w1"), "the worker has its answer")
    assert relay.seen["up", "results"] == told + 1
    house.let_go("b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert house.ledger("a") == house.ledger("b") == [1]
    assert client.output(run_id, "after") == 2


def test_frames_that_come_twice_change_nothing(house: House) -> None:
    house.server(lease_ttl_seconds=TTL_SECONDS)
    relay = house.relay()
    twice = [
        *(relay.duplicate("down", kind) for kind in ("assignments", "result_acks", "heartbeat", "log_acks")),
        *(relay.duplicate("up", kind) for kind in ("accepted_task_tokens", "started_task_tokens", "results")),
        *(relay.duplicate("up", kind) for kind in ("log_chunks", "heartbeat")),
    ]
    house.worker("w1", address=relay.address)
    client, run_id = house.start_waiting()
    house.let_go("a", "b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    wait_until(lambda: not house.journal("w1"), "the worker has its answers")
    assert house.ledger("a") == house.ledger("b") == [1]
    assert [each.text for each in client.logs(run_id, "held")] == ["a has begun"]
    for task_id in ("held", "held_2", "after"):
        assert attempts(client, run_id, task_id) == [(1, "SUCCESS")]
    assert all(each.struck for each in twice), [each.kind for each in twice if not each.struck]
