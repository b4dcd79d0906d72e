"""`glidepath up` as a whole: what it leaves, what it survives, how it ends."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_world import Folder, Up, forget_database, wait_until_gone

from glidepath_cli.home import Home
from glidepath_cli.server_verbs import PORTS

Start = Callable[..., Up]


def dag_of(folder: Folder) -> None:
    (folder.path / "d.py").write_text(
        "from glidepath import dag, shell\n\n\n@dag\ndef one():\n    shell('a', 'echo hello')\n"
    )
    assert folder.call("dag", "register", "d.py").code == 0


def test_it_says_where_everything_is_and_leaves_nothing_running(folder: Folder, start_up: Start) -> None:
    up = start_up()
    home = folder.path / ".glidepath"
    connection = json.loads((home / "connection.json").read_text())
    assert connection["namespace"] == "default" and connection["token_file"] == "admin.token"
    assert {stat.S_IMODE((home / name).stat().st_mode) for name in ("admin.token", "worker.token")} == {0o600}
    assert int(connection["address"].rpartition(":")[2]) in PORTS  # of those that no connection takes meanwhile
    second = folder.call("up", "--port", "0")
    assert second.code == 6 and "runs already" in second.err
    children = up.children()
    assert set(children) == {"postgres", "glidepath_server", "glidepath.worker"}
    database = Home(home).database
    assert (database / "data" / "PG_VERSION").exists()
    answer = up.end(signal.SIGINT)
    assert answer.code == 0
    assert all(words in answer.out for words in (connection["address"], str(home), str(database)))
    assert "nothing runs any more" in answer.err
    wait_until_gone(children.values())
    assert not (home / "connection.json").exists()


def test_the_data_is_there_at_the_next_start_and_without_a_worker_nothing_runs(folder: Folder, start_up: Start) -> None:
    up = start_up("--no-worker")
    dag_of(folder)
    assert set(up.children()) == {"postgres", "glidepath_server"}
    assert folder.call("doctor").code == 1
    assert up.end().code == 0
    up = start_up()
    assert folder.call("dag", "trigger", "one", "--wait").code == 0
    assert up.end().code == 0


def test_children_that_die_come_back_and_work_goes_on(folder: Folder, start_up: Start) -> None:
    up = start_up()
    dag_of(folder)
    for name, words in (
        ("glidepath.worker", "the worker ended (killed by SIGKILL)"),
        ("glidepath_server", "the server ended (killed by SIGKILL)"),
        ("postgres", "Postgres had ended and runs again"),
    ):
        os.kill(up.children()[name], signal.SIGKILL)
        up.wait_for(words)
    answer = folder.call("dag", "trigger", "one", "--wait")
    for _ in range(20):  # the server may be on its way back: its address is the same
        if answer.code != 5:
            break
        answer = folder.call("dag", "trigger", "one", "--wait")
    assert answer.code == 0, answer.err
    assert up.end().code == 0


@pytest.mark.skipif(not Path("/proc").exists(), reason="only Linux tells children that their parent was killed")
def test_children_of_an_up_that_is_killed_end_and_the_next_one_starts(folder: Folder, start_up: Start) -> None:
    up = start_up()
    children = up.children()
    up.end(signal.SIGKILL)
    wait_until_gone([children["glidepath_server"], children["glidepath.worker"]])
    up = start_up()
    assert folder.call("doctor").code == 0
    assert up.end().code == 0


def test_a_port_in_use_is_said_before_anything_starts(running: Folder, folder: Folder) -> None:
    address = json.loads((running.path / ".glidepath" / "connection.json").read_text())["address"]
    answer = folder.call("up", "--port", address.rpartition(":")[2])
    assert answer.code == 6 and "--port 0" in answer.err
    assert not (folder.path / ".glidepath" / "postgres").exists()


def test_home_may_be_elsewhere(folder: Folder) -> None:
    answer = folder.call("db", "status", GLIDEPATH_HOME=str(folder.path / "nowhere"))
    assert answer.code == 2 and "glidepath up" in answer.err


def test_a_home_that_cannot_be_made_is_a_usage_error(folder: Folder) -> None:
    (folder.path / "file").touch()
    answer = folder.call("up", "--port", "0", GLIDEPATH_HOME=str(folder.path / "file"))
    assert answer.code == 2 and f"{folder.path}/file cannot be made" in answer.err and "GLIDEPATH_HOME" in answer.err


def test_a_setting_that_the_server_refuses_ends_up_with_its_words(folder: Folder) -> None:
    answer = folder.call("up", "--port", "0", GLIDEPATH_LOG_LEVEL="loud")
    forget_database(folder)
    assert answer.code == 2 and "log_level: got 'loud'" in answer.err and "next:  read " in answer.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--database-url", "odd"], 2), (["--database-url", "postgresql://me@127.0.0.1:1/none"], 5), (["--odd"], 2)],
)
def test_a_server_that_cannot_start_says_why_by_its_exit_code(folder: Folder, arguments: list[str], code: int) -> None:
    answer = folder.call("server", *arguments)
    assert answer.code == code and "Traceback" not in answer.err


def test_help_of_up_and_of_server_tells_their_exit_codes(folder: Folder) -> None:
    assert "Exit codes: 0 after Ctrl-C" in folder.call("up", "--help").out
    assert "6  something is in the way: the address is in use" in folder.call("server", "--help").out
