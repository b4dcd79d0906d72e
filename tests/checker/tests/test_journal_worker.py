"""The journalling worker keeps to the contract where a link fails it: it leaves what is silent, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from scenes import House, dag, finished, task, wait_until

from glidepath_proto.registry.v1 import dag_pb2
from tests.faults.fault_link import FaultLink


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[House]:
    house = House(database_url, tmp_path)
    try:
        yield house
    finally:
        house.close()


@pytest.fixture
def link(house: House) -> Iterator[FaultLink]:
    """Between the server of the house and the workers that are started from now on."""
    house.server()
    link = FaultLink(house.address)
    yield link
    link.close()


@pytest.mark.prove
def test_it_comes_back_over_a_new_connection_when_the_old_one_is_dead(house: House, link: FaultLink) -> None:
    client = house.client()
    house.address = link.address
    house.journal_worker("w1")
    wait_until(lambda: house.said("w1", "hello"), "it has a session")
    link.half_open("down")
    wait_until(lambda: house.said("w1", "hello", times=2), "it has left and come back")
    client.register(dag("one", [task("only")]))
    assert finished(client, client.trigger("one").dag_run_id) == "success"


@pytest.mark.prove
def test_it_tries_again_when_a_connection_never_comes_about(house: House, link: FaultLink) -> None:
    house.client()
    house.address = link.address
    house.journal_worker("w1")
    wait_until(lambda: house.said("w1", "hello"), "it has a session")
    link.hold()
    wait_until(lambda: house.said("w1", "cut", times=3), "it has left, and tried in vain twice")
    link.mend()
    wait_until(lambda: house.said("w1", "hello", times=2), "it has come back")


def test_it_asks_again_for_the_permit_that_a_stream_has_lost(house: House, link: FaultLink) -> None:
    client = house.client()
    house.address = link.address
    house.journal_worker("w1")
    client.register(dag("first", [task("only")]))
    assert finished(client, client.trigger("first").dag_run_id) == "success"  # its credits have arrived
    link.hold("up")  # it hears, and is not heard
    alone = task("only", lease_mode=dag_pb2.LEASE_MODE_EXCLUSIVE, cancel_grace=Duration())
    client.register(dag("alone", [alone]))
    run_id = client.trigger("alone").dag_run_id
    wait_until(lambda: house.said("w1", "assigned", times=2), "it has the attempt")
    link.cut()
    link.mend()
    assert finished(client, run_id) == "success"
