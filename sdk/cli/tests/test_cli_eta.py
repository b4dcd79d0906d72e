"""`glidepath run eta` as it is typed."""

from __future__ import annotations

import pytest
from cli_world import Folder

DAG_FILE = """
from glidepath import dag, shell


@dag
def dozing() -> None:
    shell("doze", "sleep 300", retries=0)
"""


@pytest.fixture(scope="module")
def run_id(running: Folder) -> str:
    dags = running.path / "eta_dags"
    dags.mkdir()
    (dags / "dozing.py").write_text(DAG_FILE)
    assert running.call("dag", "register", "eta_dags").code == 0
    found: str = running.call("dag", "trigger", "dozing", "-o", "json").json["dagRunId"]
    return found


def test_the_eta_of_a_run_that_never_ran_before_is_called_a_guess(running: Folder, run_id: str) -> None:
    answer = running.call("run", "eta", run_id)
    assert answer.code == 0, answer.err
    assert "ETA " in answer.out and "a guess" in answer.out and "doze" in answer.out
    assert "no run has ended in which these succeeded: doze" in answer.err


def test_it_says_how_likely_a_run_is_to_be_late(running: Folder, run_id: str) -> None:
    late = running.call("run", "eta", run_id, "--by", "2026-01-01T00:00:00Z")
    assert "100% likely" in late.out
    found = running.call("run", "eta", run_id, "--by", "9999-01-01T00:00:00Z", "-o", "json").json
    assert found.get("lateProbability", 0) == 0
    assert [each["taskId"] for each in found["tasks"]] == ["doze"]


def test_a_time_that_is_none_is_a_usage_error(running: Folder, run_id: str) -> None:
    answer = running.call("run", "eta", run_id, "--by", "soon")
    assert answer.code == 2
    assert "--by: due_time is 'soon'; expected ISO 8601" in answer.err


def test_a_run_that_has_ended_says_where_to_look(running: Folder, run_id: str) -> None:
    assert running.call("run", "cancel", run_id).code == 0
    assert running.call("run", "watch", run_id).code == 1
    answer = running.call("run", "eta", run_id)
    assert answer.code != 0
    assert "has ended" in answer.err and "glidepath run show" in answer.err
