"""Postgres is killed, or stands still, in the middle of a run: nothing is lost, nothing counts twice."""

from __future__ import annotations

import os
import signal

from fault_world import House, attempts, children, finished, freeze, pass_seconds, thaw, wait_until

from glidepath.client import Client
from glidepath.errors import GlidepathError
from glidepath_proto.run.v1 import run_pb2
from glidepath_server.store.embedded import EmbeddedPostgres

LEASE_SECONDS = 3.0
FROZEN_SECONDS = 8.0


def test_a_killed_postgres_costs_no_attempt(own_house: House, postgres: EmbeddedPostgres) -> None:
    house = own_house
    house.server(lease_ttl_seconds=LEASE_SECONDS)
    house.worker("w1")
    client, run_id = house.start_waiting()
    assert postgres.pid is not None
    for pid in (postgres.pid, *children(postgres.pid)):
        os.kill(pid, signal.SIGKILL)
    house.let_go("a")  # its result arrives at a server without a database
    wait_until(postgres.ensure_running, "Postgres runs again")
    wait_until(lambda: answers(client), "the server has found the database again")
    wait_until(lambda: attempts(client, run_id, "held") == [(1, "SUCCESS")], "the result of a is accepted")
    house.let_go("b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert house.ledger("a") == [1] and house.ledger("b") == [1]
    assert attempts(client, run_id, "held_2") == [(1, "SUCCESS")]
    assert client.output(run_id, "after") == 2


def test_a_frozen_postgres_costs_no_attempt(own_house: House, postgres: EmbeddedPostgres) -> None:
    """Nor does it one of a worker that hung as well and wakes a little later: the judge must have been awake."""
    house = own_house
    house.server(lease_ttl_seconds=LEASE_SECONDS)
    house.worker("w1", slots=1)
    hung = house.worker("w2", slots=1)
    client, run_id = house.start_waiting()
    pass_seconds(LEASE_SECONDS)  # the judge is awake by now
    hung.send_signal(signal.SIGSTOP)
    assert postgres.pid is not None
    frozen = freeze(postgres.pid)
    pass_seconds(FROZEN_SECONDS)
    thaw(frozen)
    wait_until(lambda: answers(client), "the server has found the database again")
    pass_seconds(LEASE_SECONDS / 2)
    hung.send_signal(signal.SIGCONT)
    house.let_go("a", "b")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert house.ledger("a") == [1] and house.ledger("b") == [1]
    assert attempts(client, run_id, "held") == attempts(client, run_id, "held_2") == [(1, "SUCCESS")]


def answers(client: Client) -> bool:
    try:
        client.list_dags()
    except GlidepathError:
        return False
    return True
