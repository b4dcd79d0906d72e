"""Runs as a newcomer meets them: what they say when they wait, fail, are cleared, and how they are named."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from cli_world import COMMAND, Folder, environment

NOWHERE = "00000000"
DAG_FILE = """
from glidepath import call_dag, dag, shell, task


@task(retries=1)
def load(rows: int) -> int:
    print("loading", rows)
    try:
        return 1 // rows
    except ZeroDivisionError as error:
        raise ValueError("no rows") from error


@task
def other() -> int:
    print("other")
    return 1


@dag
def causes(rows: int = 1, note: str = "") -> None:
    first = load(rows)
    other() >> first


@dag
def alone() -> None:
    shell("stay", "true", queue="nobody")


@dag
def inner(rows: int = 1) -> None:
    load(rows)


@dag
def outer(rows: int = 1) -> None:
    call_dag(inner, {"rows": rows}, task_id="call", retries=0)


@dag
def napping() -> None:
    shell("nap", "sleep 300")
"""


@pytest.fixture(scope="module")
def home(running: Folder) -> Folder:
    dags = running.path / "run_dags"
    dags.mkdir()
    (dags / "runs.py").write_text(DAG_FILE)
    assert running.call("dag", "register", "run_dags").code == 0
    return running


@pytest.fixture(scope="module")
def failed(home: Folder) -> str:
    answer = home.call("dag", "trigger", "causes", "-p", "rows=0", "--wait", "-o", "json")
    assert answer.code == 1, answer.err
    run_id: str = answer.json["dagRunId"]
    return run_id


@pytest.fixture
def waiting(home: Folder) -> Iterator[str]:
    run_id = trigger(home, "alone")
    yield run_id
    assert home.call("run", "cancel", run_id).code == 0


def trigger(folder: Folder, dag_id: str, *arguments: str) -> str:
    answer = folder.call("dag", "trigger", dag_id, *arguments, "-o", "json")
    assert answer.code == 0, answer.err
    run_id: str = answer.json["dagRunId"]
    return run_id


def pasted(folder: Folder, command: str) -> Any:
    """Run a command as it was printed."""
    program, *arguments = shlex.split(command)
    assert program == "glidepath"
    return folder.call(*arguments)


def test_logs_have_each_trace_with_its_causes_behind_the_lines_of_its_attempt(home: Folder, failed: str) -> None:
    said = home.call("run", "logs", failed).out.splitlines()
    assert said[0] == "other#1 | other"
    assert [each for each in said if "loading" in each or "! failed" in each] == [
        "load#1 | loading 0",
        "load#1 ! failed: ValueError: no rows",
        "load#2 | loading 0",
        "load#2 ! failed: ValueError: no rows",
    ]
    first = "\n".join(each for each in said if each.startswith("load#1"))
    assert first.count("ZeroDivisionError") == 1 and "in load" in first
    assert home.call("run", "logs", failed, "--follow").out.splitlines() == said


def test_logs_of_one_attempt_need_no_name(home: Folder, failed: str) -> None:
    one = home.call("run", "logs", failed, "--task", "load", "--attempt", "2").out.splitlines()
    assert one[:2] == ["| loading 0", "! failed: ValueError: no rows"]
    both = home.call("run", "logs", failed, "--task", "load").out
    assert "#1 | loading 0\n" in both and "#2 | loading 0\n" in both


def test_a_run_shows_its_attempts_with_their_reasons(home: Folder, failed: str) -> None:
    shown = home.call("run", "show", failed, "--attempts")
    assert [each.split()[:3] for each in shown.out.splitlines() if each.startswith(("load", "other"))] == [
        ["other", "1", "success"],
        ["load", "1", "failed"],
        ["load", "2", "failed"],
    ]
    assert shown.out.count("ValueError: no rows") == 4  # the run's reason, the task's, two attempts'
    assert len(home.call("run", "show", failed, "--attempts", "-o", "json").json["attempts"]) == 3


def test_a_failed_run_says_its_reason_once_and_what_to_do_by_commands_that_work(home: Folder, failed: str) -> None:
    said = home.call("run", "watch", failed).err
    assert f"run {failed} failed: load: attempts used: 2 of 2: ValueError: no rows\n" in said
    steps = [each[len("next:  ") :] for each in said.splitlines() if each.startswith("next:  ")]
    assert steps[:2] == [f"glidepath run logs {failed}", f"glidepath run rerun {failed}"]
    assert steps[2].endswith("&& glidepath dag trigger causes --param rows=0")
    assert "the run stays on version 1" in said
    assert pasted(home, steps[1]).code == 0
    assert home.call("run", "watch", failed).code == 1


def test_a_rerun_says_that_a_newer_version_is_not_what_it_runs(home: Folder) -> None:
    file = home.path / "aging.py"
    text = "from glidepath import dag, shell\n\n\n@dag\ndef aging(day: str = 'x', n: int = 1):\n    shell('a', '{}')\n"
    file.write_text(text.format("false"))
    assert home.call("dag", "register", "aging.py").code == 0
    run_id = home.call("dag", "trigger", "aging", "-p", "day=20 26", "--wait", "-o", "json").json["dagRunId"]
    file.write_text(text.format("true"))
    assert home.call("dag", "register", "aging.py").code == 0
    again = home.call("run", "rerun", run_id, "--wait")
    assert again.code == 1 and "cleared  a\n" in again.out
    told = "the run stays on version 1; version 2 is registered, a new run has it: "
    (new,) = [each.removeprefix(told) for each in again.err.splitlines() if each.startswith(told)]
    assert new == "glidepath dag trigger aging --param 'day=20 26'"
    assert "(a new run, of version 2)" in again.err
    assert pasted(home, f"{new} --wait").code == 0


def test_clear_and_rerun_say_how_to_follow_and_wait_when_asked(home: Folder) -> None:
    run_id = home.call("dag", "trigger", "causes", "--wait", "-o", "json").json["dagRunId"]
    cleared = home.call("run", "clear", run_id, "load")
    assert cleared.err == f"next:  glidepath run watch {run_id}\n"
    assert home.call("run", "watch", run_id).code == 0
    waited = home.call("run", "clear", run_id, "other", "--downstream", "--wait", "-o", "json")
    assert (waited.code, waited.json["state"]) == (0, "RUN_STATE_SUCCESS")
    assert home.call("run", "rerun", run_id).code == 6


def test_a_trigger_of_a_paused_dag_and_what_shows_its_run_say_why_nothing_moves(home: Folder) -> None:
    assert home.call("dag", "pause", "causes").code == 0
    made = home.call("dag", "trigger", "causes")
    assert "warning: causes is paused" in made.err
    assert "glidepath run explain" in home.call("run", "show", "last").err
    explained = home.call("run", "explain", "last").out
    hint = explained.partition("WHAT TO DO\n")[2].splitlines()[0]
    assert pasted(home, hint).code == 0
    assert home.call("run", "watch", "last").code == 0
    assert home.call("run", "show", "last").err == ""


def test_a_hint_for_a_queue_that_nobody_serves_starts_a_worker_that_does(home: Folder, waiting: str) -> None:
    explained = home.call("run", "explain", waiting).out
    assert "WHAT TO DO\nglidepath worker --queue nobody\n" in explained
    late = home.call("dag", "trigger", "alone", "--run-key", "late", "--wait", "--timeout", "0.2")
    last = home.call("run", "show", "last", "-o", "json").json["dagRun"]["dagRunId"]
    assert late.code == 7 and f"glidepath run explain {last}\n" in late.err and "RUN_ID" not in late.err
    assert home.call("run", "cancel", "last").code == 0


def test_a_run_is_named_by_its_beginning_or_as_the_last_one(home: Folder, waiting: str, failed: str) -> None:
    def of(name: str) -> str:
        shown = home.call("run", "show", name, "-o", "json")
        assert shown.code == 0, shown.err
        run_id: str = shown.json["dagRun"]["dagRunId"]
        return run_id

    assert of("last") == waiting
    assert of(failed[:18]) == failed and of(failed[:18].replace("-", "").upper()) == failed
    several = home.call("run", "show", waiting[:6])
    assert several.code == 2 and waiting in several.err and "alone" in several.err
    assert home.call("run", "show", NOWHERE).code == 3
    assert "or `last`: the" in home.call("run", "show", "--help").out
    for odd in ("", waiting[:5], "newest", waiting + "0"):
        wrong = home.call("run", "show", odd)
        assert wrong.code == 2 and "or last" in wrong.err


def test_a_caller_and_its_child_run_name_each_other(home: Folder) -> None:
    done = home.call("dag", "trigger", "outer", "--wait", "-o", "json")
    assert done.code == 0, done.err
    parent = done.json["dagRunId"]
    (child,) = home.call("run", "list", "--children-of", parent, "-o", "json").json
    shown = home.call("run", "show", parent).out
    assert "CHILD RUN" in shown and child["dagRunId"] in shown
    of_child = home.call("run", "show", child["dagRunId"])
    assert f"called by call of run {parent} of outer" in of_child.out
    assert f"glidepath run show {parent}" in of_child.err
    both = home.call("run", "show", parent, "-o", "json").json
    assert both["childRuns"][0]["caller"]["taskId"] == "call"
    none = home.call("run", "list", "--children-of", child["dagRunId"])
    assert f"no child runs of {child['dagRunId']}" in none.out + none.err


def test_the_list_has_a_column_of_keys_only_where_there_are_some(home: Folder, failed: str) -> None:
    assert "KEY" not in home.call("run", "list", "--dag", "causes").out
    run_id = trigger(home, "causes", "--run-key", "monday")
    keyed = home.call("run", "list", "--dag", "causes").out
    assert "KEY" in keyed and "monday" in keyed and keyed.count(run_id) == keyed.count(failed) == 1


def test_an_empty_list_says_by_what_it_was_filtered_and_how_to_see_more(home: Folder) -> None:
    trigger(home, "causes", "--run-key", "wide")
    none = home.call("run", "list", "--dag", "causes", "--state", "cancelled", "--state", "queued")
    assert (none.code, none.out) == (0, "")
    assert none.err == "no runs of causes are cancelled or queued; in any state: glidepath run list --dag causes\n"
    assert pasted(home, none.err.partition("state: ")[2]).out != ""
    assert home.call("run", "list", "--dag", "napping").err.endswith("start one: glidepath dag trigger napping\n")


def test_what_a_watch_has_shown_stays_when_it_is_interrupted(home: Folder) -> None:
    run_id = trigger(home, "napping")
    ours, theirs = pty.openpty()
    watching = subprocess.Popen(
        [*COMMAND, "run", "watch", run_id],
        cwd=home.path,
        env=environment(TERM="xterm"),
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    seen, told = b"", False
    while part := read(ours):
        seen += part
        if not told and b"nap" in seen and b"running" in seen.rpartition(b"nap")[2]:
            watching.send_signal(signal.SIGINT)
            told = True
    os.close(ours)
    _, said = watching.communicate()
    live = home.call("run", "clear", run_id, "nap")
    assert live.code == 6 and "ask for --cancel-running" in live.err
    cancelled = home.call("run", "cancel", run_id)
    assert cancelled.code == 0 and cancelled.err == f"next:  glidepath run watch {run_id}\n"
    assert watching.returncode == 130
    assert f"glidepath run watch {run_id}" in said and f"glidepath run cancel {run_id}" in said
    erased = seen.decode().rpartition("\x1b[2K")[2]
    assert "napping" in erased and "nap" in erased.partition(run_id)[2]


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that nobody holds the other end any more
        return b""
