from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_world import House
from fleet_world import Fleet, own_postgres
from replica_world import Crew

from glidepath_server.store.embedded import EmbeddedPostgres

Record = Callable[[str, object], None]


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[House]:
    """A control plane and workers to kill; whatever is left of them is killed at the end."""
    house = House(database_url, tmp_path)
    yield house
    house.close()


@pytest.fixture
def fleet(database_url: str, tmp_path: Path, record_property: Record) -> Iterator[Fleet]:
    """The same with journals, for the checker."""
    fleet = Fleet(database_url, tmp_path, record_property)
    yield fleet
    fleet.close()


@pytest.fixture
def postgres() -> Iterator[EmbeddedPostgres]:
    """A cluster of the test's own, to kill or to freeze."""
    with own_postgres() as postgres:
        yield postgres


@pytest.fixture
def own_house(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[House]:
    house = House(postgres.url, tmp_path)
    yield house
    house.close()


@pytest.fixture
def own_fleet(postgres: EmbeddedPostgres, tmp_path: Path, record_property: Record) -> Iterator[Fleet]:
    fleet = Fleet(postgres.url, tmp_path, record_property)
    yield fleet
    fleet.close()


@pytest.fixture
def crew() -> Iterator[Crew]:
    """The event loop of what the test plays by hand."""
    crew = Crew()
    yield crew
    crew.close()
