"""What a person does to runs that went wrong: mark, clear a part, replay what was given up, run it like before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cli_world import Folder

DAG_FILE = """
from glidepath import dag, shell, task


@task
def load(rows: int) -> int:
    return 1 // rows


@task
def train(loaded: int | None) -> int:
    return loaded or 0


@task(trigger_rule="all_done")
def report(trained: int | None) -> int:
    return trained or 0


@dag
def broken(rows: int = 0) -> None:
    report(train(load(rows)))


@dag
def calm() -> None:
    shell("rest", "true")
"""


@pytest.fixture(scope="module")
def home(running: Folder) -> Folder:
    (running.path / "broken.py").write_text(DAG_FILE)
    assert running.call("dag", "register", "broken.py").code == 0
    return running


@pytest.fixture
def failed(home: Folder) -> Iterator[str]:
    answer = home.call("dag", "trigger", "broken", "--logical-date", "2026-03-05", "--wait", "-o", "json")
    assert answer.code == 1, answer.err
    yield answer.json["dagRunId"]
    home.call("run", "mark", answer.json["dagRunId"], "load", "--as", "skipped")  # takes it off the list


def states(folder: Folder, run_id: str) -> dict[str, str]:
    shown = folder.call("run", "show", run_id, "-o", "json").json
    return {each["taskId"]: each["state"].removeprefix("TASK_STATE_").lower() for each in shown["taskInstances"]}


def test_a_mark_says_who_spoke_and_what_to_do_next(home: Folder, failed: str) -> None:
    marked = home.call("run", "mark", failed, "load", "--as", "success", "--reason", "loaded by hand")
    assert marked.code == 0 and f"next:  glidepath run rerun {failed}" in marked.err
    assert "marked: loaded by hand (by" in home.call("run", "show", failed).out
    rerun = home.call("run", "rerun", failed, "--wait")
    assert rerun.code == 0, rerun.out + rerun.err
    assert states(home, failed) == {"load": "success", "train": "success", "report": "success"}


def test_a_mark_needs_a_state_that_can_be_said(home: Folder, failed: str) -> None:
    assert "Missing option '--as'" in home.call("run", "mark", failed, "load").err
    wrong = home.call("run", "mark", failed, "load", "--as", "running")
    assert wrong.code == 2 and "'success', 'failed', 'skipped'" in wrong.err


def test_a_clear_takes_a_part_of_the_run(home: Folder, failed: str) -> None:
    answer = home.call("run", "clear", failed, "train", "--upstream", "--downstream", "--only-failed", "-o", "json")
    assert sorted(answer.json["clearedTaskIds"]) == ["load", "train"], "report has succeeded"
    assert home.call("run", "watch", failed).code == 1
    nothing = home.call("run", "clear", failed, "report", "--only-failed")
    assert nothing.code == 6 and "none of these tasks has failed (clear without --only-failed)" in nothing.err


def test_what_was_given_up_is_replayed_run_by_run(home: Folder, failed: str) -> None:
    listed = home.call("dead-letters", "--dag", "broken")
    assert failed in listed.out and "--replay" in listed.err
    replayed = home.call("dead-letters", "--dag", "broken", "--replay", "-o", "json")
    assert replayed.code == 0
    assert {"dagRunId": failed, "givenUp": ["load"], "cleared": ["load", "train", "report"], "error": ""} in (
        replayed.json
    )
    assert home.call("run", "watch", failed).code == 1
    attempts = home.call("run", "attempts", failed, "-o", "json").json
    assert [each["attemptNumber"] for each in attempts if each["taskId"] == "load"] == [1, 2]


def test_nothing_to_replay_is_said(home: Folder) -> None:
    answer = home.call("dead-letters", "--dag", "calm", "--replay")
    assert (answer.code, answer.out) == (0, "") and "nothing to replay" in answer.err


def test_a_run_like_another_has_its_params_and_dates_and_what_is_given_besides(home: Folder, failed: str) -> None:
    answer = home.call("dag", "trigger", "broken", "--like", failed, "-p", "rows=1", "--wait", "-o", "json")
    assert answer.code == 0, answer.err
    assert answer.json["logicalDate"] == "2026-03-05T00:00:00Z" and answer.json["params"] == '{"rows":1}'
    same = home.call("dag", "trigger", "broken", "--like", failed, "-o", "json").json["dagRunId"]
    assert home.call("run", "show", same, "-o", "json").json["dagRun"]["params"] == '{"rows":0}'


def test_a_run_like_one_of_another_dag_is_refused(home: Folder, failed: str) -> None:
    answer = home.call("dag", "trigger", "other", "--like", failed)
    assert answer.code == 2 and "is one of DAG broken, not of other" in answer.err


def test_a_part_of_a_dag_runs_alone(home: Folder) -> None:
    answer = home.call(
        "dag", "trigger", "broken", "--only", "report", "--with-upstream", "--wait", "-p", "rows=1", "-o", "json"
    )
    assert answer.code == 0, answer.err
    assert set(states(home, answer.json["dagRunId"]).values()) == {"success"}
    alone = home.call("dag", "trigger", "broken", "--only", "load", "--wait", "-p", "rows=1", "-o", "json")
    assert states(home, alone.json["dagRunId"]) == {"load": "success", "report": "removed", "train": "removed"}
    assert "train  removed  left out of the run" in home.call("run", "show", alone.json["dagRunId"]).out
    refused = home.call("dag", "trigger", "broken", "--only", "train")
    assert refused.code == 2
    assert (
        "--only: got train without load, whose output it takes, expected load as well: name it, or add --with-upstream"
    ) in refused.err
    assert "--only TASK" in home.call("dag", "trigger", "broken", "--with-upstream").err
