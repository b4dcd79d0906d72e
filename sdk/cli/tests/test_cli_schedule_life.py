"""Schedules from their declaration to their end, with a server that ticks and a worker that works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from cli_world import Folder

PYTHON = """
from glidepath import Every, dag, task


@task
def beat() -> None: ...


@dag(schedules=[Every(1, zone="UTC", name="beat")])
def pulse() -> None:
    beat()
"""
YAML = """
dag_id: slow_pulse
schedules:
  - {cron: "0 2 * * *", zone: Asia/Kolkata, name: nightly, catchup: latest}
tasks: {only: {shell: "true"}}
"""
SOON_SECONDS = 60.0


@pytest.fixture(scope="module")
def home(running: Folder) -> Iterator[Folder]:
    (running.path / "pulse.py").write_text(PYTHON)
    (running.path / "slow_pulse.yaml").write_text(YAML)
    for name in ("pulse.py", "slow_pulse.yaml"):
        done = running.call("dag", "register", name)
        assert done.code == 0, done.err
    yield running
    # Nothing ticks beside the tests of others.
    running.call("schedule", "pause", "pulse", "beat")


def test_a_schedule_lives_from_its_declaration_to_its_end(home: Folder) -> None:
    listed = {(each["dagId"], each["declaration"]["scheduleName"]) for each in said(home, "list")}
    assert {("pulse", "beat"), ("slow_pulse", "nightly")} <= listed
    nightly = said(home, "show", "slow_pulse", "nightly")
    assert nightly["declaration"]["spec"]["catchup"] == "CATCHUP_LATEST" and "nextTickTime" in nightly

    # It ticks by itself, and what it makes is worked on.
    ticked = wait(lambda: ran(home), "a tick has a run")
    run = home.call("run", "watch", ticked[-1]["dagRunId"])
    assert run.code == 0, run.err  # which says that it succeeded

    # Paused: a tick comes, and has no outcome. Going on: it is a skip that says why.
    assert said(home, "pause", "pulse", "beat")["paused"]
    before = said(home, "ticks", "pulse", "beat")
    wait(lambda: time.time() > instant(before[0]) + 1.2, "a tick has passed")
    assert said(home, "ticks", "pulse", "beat") == before
    assert not said(home, "resume", "pulse", "beat").get("paused")
    skips = wait(lambda: of_outcome(home, "TICK_OUTCOME_SKIPPED"), "what was missed is told")
    assert "paused" in skips[0]["reason"]
    wait(lambda: len(ran(home)) > len(ticked), "it ticks again")

    # What a file declares ends with the file's declaration; its ticks can still be read.
    refused = home.call("schedule", "delete", "pulse", "beat")
    assert refused.code != 0 and "was declared with DAG pulse" in refused.err
    (home.path / "pulse.py").write_text(PYTHON.replace('schedules=[Every(1, zone="UTC", name="beat")]', ""))
    assert home.call("dag", "register", "pulse.py").code == 0
    assert "pulse" not in {each["dagId"] for each in said(home, "list")}
    times = [each["tickTime"] for each in said(home, "ticks", "pulse", "beat")]
    assert len(set(times)) == len(times) >= 3, "each tick has one outcome: a run, a skip, a run"


def said(home: Folder, verb: str, *arguments: str) -> Any:
    """What `schedule VERB` says, as JSON."""
    answer = home.call("schedule", verb, *arguments, "-o", "json")
    assert answer.code == 0, answer.err
    return answer.json


def of_outcome(home: Folder, outcome: str) -> list[dict[str, Any]]:
    """The newest first."""
    return [each for each in said(home, "ticks", "pulse", "beat") if each["outcome"] == outcome]


def ran(home: Folder) -> list[dict[str, Any]]:
    return of_outcome(home, "TICK_OUTCOME_RUN")


def instant(tick: dict[str, Any]) -> float:
    return datetime.fromisoformat(tick["tickTime"]).timestamp()


def wait(true: Callable[[], Any], what: str) -> Any:
    """Look until it is so."""
    deadline = time.monotonic() + SOON_SECONDS
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {SOON_SECONDS:g} s: {what}"
        time.sleep(0.05)
    return found
