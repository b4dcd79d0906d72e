"""What a person sees of deadlines, and how he sets them."""

from __future__ import annotations

import json
import re

import pytest
from cli_world import Folder

DAG_FILE = """
from glidepath import Deadline, dag, task


@task
def work() -> int:
    return 1


@dag(deadlines=[Deadline.after_queue(hours=2)])
def watched() -> None:
    work()
"""


@pytest.fixture(scope="module")
def home(running: Folder) -> Folder:
    (running.path / "watched.py").write_text(DAG_FILE)
    assert running.call("dag", "register", "watched.py").code == 0
    return running


def test_deadlines_are_set_shown_met_and_deleted(home: Folder) -> None:
    wall = ("--wall", "09:15", "--zone", "Asia/Kolkata", "--weekdays", "mon-fri", "--task", "work")
    made = home.call("deadline", "set", "watched", *wall)
    assert made.code == 0 and "task work" in made.out, made.err
    shown = home.call("deadline", "show", "watched")
    assert "2h after it was queued" in shown.out and "with the DAG" in shown.out
    run_id = home.call("dag", "trigger", "watched", "-o", "json").json["dagRunId"]
    watched = home.call("run", "watch", run_id)
    assert watched.code == 0
    assert re.search("deadline 2h after it was queued: met, (1h59m|2h00m) early, due ", watched.err)
    last = json.loads(home.call("run", "watch", run_id, "-o", "json").out.splitlines()[-1])
    assert {each["state"] for each in last["deadlines"]} == {"DEADLINE_STATE_MET"}
    listed = home.call("deadline", "list", "--run", run_id, "--state", "met", "-o", "json")
    assert {each["declaration"]["name"] for each in listed.json} == {
        "2h after it was queued",
        "work: 09:15 Asia/Kolkata mon-fri",
    }
    assert "2h after it was queued" in home.call("run", "show", run_id).out
    gone = home.call("deadline", "delete", "watched", "work: 09:15 Asia/Kolkata mon-fri")
    assert gone.code == 0 and "is deleted" in gone.err
    again = home.call("deadline", "delete", "watched", "work: 09:15 Asia/Kolkata mon-fri")
    assert again.code == 0 and "nothing changed" in again.err


def test_what_is_wrong_is_told_in_the_words_of_the_command(home: Folder) -> None:
    assert "one of --wall" in home.call("deadline", "set", "watched").err
    wrong = home.call("deadline", "set", "watched", "--wall", "09:15", "--zone", "Mars/Olympus")
    assert wrong.code == 2 and "--zone: got 'Mars/Olympus'" in wrong.err
    assert "--wall needs --zone" in home.call("deadline", "set", "watched", "--wall", "09:15").err
    unit = home.call("deadline", "set", "watched", "--after-queue", "10").err
    assert "--after-queue is '10'; expected a span such as 90s or 1h30m" in unit
    hour = home.call("deadline", "set", "watched", "--wall", "25:00", "--zone", "UTC").err
    assert "--wall is '25:00'; expected a local time such as" in hour
    declared = home.call("deadline", "delete", "watched", "2h after it was queued")
    assert declared.code == 6 and "register the DAG again" in declared.err
