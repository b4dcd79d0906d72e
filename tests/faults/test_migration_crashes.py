"""A server dies, fails or stands still between the commits of a migration: the next one goes on where it was."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from _pytest.mark import ParameterSet
from crash_world import stands_still
from fault_world import House, finished, wait_until

from glidepath_proto.run.v1 import run_pb2
from glidepath_server.store import migrate
from tests.free_address import free_address

NAME = "without_schema"
REVISIONS = migrate.revisions()
# Before the commit of each revision, and after the last.
PLACES = [*(f"before_commit={{}}@{number}" for number in range(1, len(REVISIONS) + 1)), "after_commit={}"]
SHORT = PLACES[1]
WAITERS = "select count(*) from pg_locks where locktype = 'advisory' and not granted"


def _proved(value: str) -> ParameterSet:
    """A parameter for `make prove` only."""
    return pytest.param(value, marks=pytest.mark.prove)


@pytest.fixture
def bare_house(postgres_url: str, tmp_path: Path) -> Iterator[House]:
    """A house on a database without a schema."""
    asyncio.run(_execute(postgres_url, f"create database {NAME} template template0"))
    house = House(urlunsplit(urlsplit(postgres_url)._replace(path=f"/{NAME}")), tmp_path)
    yield house
    house.close()
    asyncio.run(_execute(postgres_url, f"drop database {NAME} with (force)"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _struck(house: House, server: subprocess.Popen[bytes]) -> bool:
    return "crash point migration." in house.log(server)


def _applied(house: House) -> str | None:
    return asyncio.run(migrate.current(house.database_url))


def _lives(house: House, address: str = "") -> None:
    """The whole schema is there, and a run comes to its end on it."""
    client = house.client(address)
    house.wait_for_answers(client)
    assert _applied(house) == migrate.head()
    house.worker("w1", address=address)
    house.let_go("a", "b")
    run_id = house.register("waiting_dag.py").trigger("waiting", params={"folder": str(house.folder)}).dag_run_id
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS


def _left_by(place: str) -> str | None:
    """The revision that a database has when its server has ended at that place."""
    number = int(place.rpartition("@")[2]) - 1 if "@" in place else len(REVISIONS)
    return REVISIONS[number - 1] if number else None


@pytest.mark.parametrize("place", [place if place == SHORT else _proved(place) for place in PLACES])
@pytest.mark.parametrize("mode", ["kill", _proved("fail")])
def test_the_next_start_goes_on_from_the_last_commit(bare_house: House, place: str, mode: str) -> None:
    house = bare_house
    broken = house.server(crash_point=f"migration.{place.format(mode)}")
    wait_until(lambda: broken.poll() not in (None, 0), "the first start has ended")
    assert _struck(house, broken), house.log(broken)
    assert _applied(house) == _left_by(place)
    house.server()
    _lives(house)


@pytest.mark.prove
@pytest.mark.parametrize("ending", ["kill", "wake"])
@pytest.mark.parametrize("place", PLACES)
def test_a_replica_waits_for_one_that_stands_in_a_migration(bare_house: House, place: str, ending: str) -> None:
    """And takes over when that one is killed."""
    house = bare_house
    first = house.server(crash_point=f"migration.{place.format('stop')}")
    wait_until(lambda: stands_still(first), "the first replica stands still")
    assert _struck(house, first)
    second = house.server(address=(elsewhere := free_address()))
    wait_until(lambda: house.rows(WAITERS)[0][0] == 1, "the second replica waits")
    if ending == "kill":
        first.kill()
        first.wait()
        house.address = elsewhere
    else:
        first.send_signal(signal.SIGCONT)
        house.wait_for_answers(house.client(elsewhere))
    _lives(house)
    assert second.poll() is None
