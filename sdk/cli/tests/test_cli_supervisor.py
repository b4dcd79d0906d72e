"""Children that are kept running: waits that double, ends that are certain. Real processes, a given time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from cli_world import wait_until_gone

from glidepath_cli.supervisor import BACKOFF_MAX_SECONDS, STEADY_SECONDS, Child, describe

STUBBORN = (
    "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']); "
    "open(sys.argv[1], 'w').write(str(child.pid)); signal.pause()"
)


def child(tmp_path: Path, script: str, *arguments: str, grace: float = 60.0) -> Child:
    return Child("it", [sys.executable, "-c", script, *arguments], dict(os.environ), tmp_path / "it.log", grace)


def end_once(dying: Child, now: float, said: list[str]) -> float:
    """Let it end and be noticed; the seconds until it starts again."""
    assert dying.process is not None
    dying.process.wait()
    dying.look(now, said.append)
    assert dying.process is None
    return dying.restart_at - now


def test_the_wait_doubles_up_to_a_limit_and_is_short_again_after_a_long_life(tmp_path: Path) -> None:
    dying, now, waits, said = child(tmp_path, "print('last words'); raise SystemExit(3)"), 100.0, [], list[str]()
    dying.start(now)
    for _ in range(8):
        waits.append(end_once(dying, now, said))
        dying.look(now + waits[-1] - 0.01, said.append)
        assert dying.process is None, "it started before the wait was over"
        now += waits[-1]
        dying.look(now, said.append)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30] and BACKOFF_MAX_SECONDS == 30
    assert "exit status 3" in said[0] and str(dying.log) in said[0]
    assert end_once(dying, now + STEADY_SECONDS, said) == 0.5
    assert dying.tail().splitlines()[-1] == "last words" and dying.log.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("hurry", [True, False])
def test_a_child_that_does_not_listen_is_killed_with_what_it_started(tmp_path: Path, hurry: bool) -> None:
    stubborn = child(tmp_path, STUBBORN, str(tmp_path / "pid"), grace=60.0 if hurry else 0.3)
    stubborn.start(0.0)
    assert stubborn.process is not None
    pid, inner = stubborn.process.pid, 0
    while not inner:  # pytest's timeout is the deadline
        inner = int((tmp_path / "pid").read_text() or 0) if (tmp_path / "pid").exists() else 0
    stubborn.stop(lambda: hurry)
    assert stubborn.process is None
    wait_until_gone([pid, inner])


def test_a_large_log_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "it.log").write_bytes(b"x" * 10_000_001)
    short = child(tmp_path, "print('new')")
    short.start(0.0)
    assert short.process is not None and short.process.wait() == 0
    assert short.tail() == "new" and (tmp_path / "it.log.1").stat().st_size == 10_000_001


def test_ends_are_described() -> None:
    assert [describe(each) for each in (0, 3, -9, -99)] == [
        "exit status 0",
        "exit status 3",
        "killed by SIGKILL",
        "killed by signal 99",
    ]
