"""The Postgres backend that serves a transaction ends just before or just after its commit: the server goes on.

The server stands still at the place meanwhile, so that it is this backend and this moment. A backend that is told to
end takes its transaction with it; one that is killed takes all of Postgres down, which recovers as after a crash.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from crash_world import Nurse, live_through
from fault_world import House, any_alive, wait_until
from fleet_world import own_postgres

from glidepath_server.crash_points import TRANSACTIONS
from glidepath_server.store.database import CONNECTION_ERRORS
from glidepath_server.store.embedded import EmbeddedPostgres

GROUPS = 4
PLACES = sorted(f"{name}.{place}" for name in TRANSACTIONS for place in ("before_commit", "after_commit"))
# After a migration nobody is connected.
STRUCK = [place for place in PLACES if place != "migration.after_commit"]
SHORT = ("report.before_commit", "claim.after_commit", "trigger.after_commit", "command.before_commit")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedPostgres]:
    """A cluster that commits as in production; only a loss of power would cost it something."""
    with own_postgres() as postgres:
        yield postgres


@pytest.fixture
def new_house(cluster: EmbeddedPostgres, tmp_path: Path) -> Iterator[House]:
    """A house on a database of its own there, without a schema."""
    name = f"struck_{next(_numbers)}"
    _ask(cluster.url, f"create database {name} template template0")
    house = House(urlunsplit(urlsplit(cluster.url)._replace(path=f"/{name}")), tmp_path)
    yield house
    house.close()
    _ask(cluster.url, f"drop database {name} with (force)")


def _ask(url: str, statement: str, *arguments: object) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()

    return asyncio.run(ask())


def _answers(url: str) -> bool:
    try:
        return _ask(url, "select true") is True
    except CONNECTION_ERRORS:
        return False


def _kill(pid: int) -> bool:
    """Whether it was there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


class Ending:
    """Ends the backends that the server names: told to, killed, or the one and the other in turn."""

    def __init__(self, url: str, *ways: str) -> None:
        self._url, self._ways = url, itertools.cycle(ways)
        self.ended: list[int] = []
        # With one that is killed all of the cluster end: a place may be reached by who has not noticed that yet.
        self.were_gone = 0

    def __call__(self, line: str) -> None:
        found = re.search(r"backend (\d+)$", line)
        assert found is not None, f"no backend is named: {line}"
        pid = int(found[1])
        if next(self._ways) == "told":
            assert _ask(self._url, "select pg_terminate_backend($1)", pid) is True
        else:
            self.were_gone += not _kill(pid)
        wait_until(lambda: not any_alive([pid]), f"backend {pid} has ended")
        wait_until(lambda: _answers(self._url), "Postgres answers")
        self.ended.append(pid)


def _live(house: House, cluster: EmbeddedPostgres, places: list[str], *ways: str) -> None:
    ending, crashes = Ending(cluster.url, *ways), _crashes(cluster)
    with Nurse(house, [f"{place}=stop" for place in places], at_rest=ending):
        live_through(house)
    assert len(ending.ended) == len(places)
    assert _crashes(cluster) - crashes == len(places) * ways.count("killed") // len(ways) - ending.were_gone
    assert ending.were_gone < len(places) / 4, "the premise: it was alive"


def _crashes(cluster: EmbeddedPostgres) -> int:
    return cluster.log.read_text(errors="replace").count("reinitializing")


@pytest.mark.prove
def test_ended_backends_cost_nothing(new_house: House, cluster: EmbeddedPostgres) -> None:
    _live(new_house, cluster, list(SHORT), "told", "killed")


@pytest.mark.prove
@pytest.mark.parametrize("way", ["told", "killed"])
@pytest.mark.parametrize("group", range(GROUPS))
def test_a_backend_that_ends_at_any_commit_costs_nothing(
    new_house: House, cluster: EmbeddedPostgres, group: int, way: str
) -> None:
    _live(new_house, cluster, STRUCK[group::GROUPS], way)
