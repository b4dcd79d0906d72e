"""A folder for each test, and one with everything running for all that only use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_world import Folder, Up, forget_database


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def start_up(folder: Folder) -> Iterator[Callable[..., Up]]:
    """Starts `glidepath up` in the test's folder; what a failed test leaves running is stopped."""
    started: list[Up] = []

    def start(*arguments: str) -> Up:
        started.append(Up(folder, *arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.end()
    if started:
        forget_database(folder)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """A folder with a server and a worker, for all tests that only use them."""
    folder = Folder(tmp_path_factory.mktemp("up"))
    up = Up(folder, "--slots", "4")
    yield folder
    assert up.end().code == 0
    forget_database(folder)
