from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_world import House


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[House]:
    """A control plane and workers to kill; whatever is left of them is killed at the end."""
    house = House(database_url, tmp_path)
    yield house
    house.close()
