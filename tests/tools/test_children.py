"""Child processes of the demo: what they say when they fail, and that they are gone when they are stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools import children
from tools.children import Child, ChildFailed

Start = Callable[[str], Child]
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a module with this text as a child."""
    started: list[Child] = []

    def run(text: str) -> Child:
        (tmp_path / "body.py").write_text(text)
        environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
        started.append(Child("body", "body", [], environ=environ, logs=tmp_path / "logs"))
        return started[-1]

    yield run
    for child in started:
        child.stop()


def test_a_child_that_ends_early_says_why(start: Start) -> None:
    child = start("import sys; print('no room'); sys.exit(3)")
    with pytest.raises(ChildFailed, match=r"(?s)body ended with exit code 3.*body\.log.*\| no room"):
        child.wait_until("said anything", lambda: None)


def test_a_child_that_never_gets_there_says_what_was_awaited(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "START_SECONDS_MAX", 0.3)
    child = start("import time; time.sleep(600)")
    with pytest.raises(ChildFailed, match=r"has not said hello within 0\.3 s"):
        child.wait_until("said hello", lambda: None)


def test_a_child_that_does_not_hear_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "STOP_SECONDS_MAX", 0.3)
    child = start(DEAF)
    child.wait_until("become deaf", lambda: "deaf" in child.lines() or None)
    child.stop()
    with pytest.raises(ChildFailed, match="exit code -9"):
        child.check()


def test_a_killed_child_has_a_successor_in_the_same_log(start: Start) -> None:
    child = start("import sys, time; print(f'began {sys.argv[1:]}', flush=True); time.sleep(600)")
    child.wait_until("begun", lambda: "began []" in child.lines() or None)
    child.kill_and_start_again("again")
    child.wait_until("begun again", lambda: child.lines() == ["began []", "began ['again']"] or None)
