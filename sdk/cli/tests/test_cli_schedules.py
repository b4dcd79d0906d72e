"""What a person says of schedules, and what is said to him."""

from __future__ import annotations

import re
import time
from datetime import datetime

import pytest
from cli_world import Folder

DAG_FILE = """
from glidepath import dag, task


@task
def close(day: str) -> None: ...


@dag
def books() -> None:
    close("{{ ds }}")
"""
NIGHTLY = ("--cron", "0 2 * * *", "--zone", "Asia/Kolkata")


@pytest.fixture(scope="module")
def home(running: Folder) -> Folder:
    (running.path / "books.py").write_text(DAG_FILE)
    assert running.call("dag", "register", "books.py").code == 0
    return running


def test_a_schedule_without_a_name_is_main_wherever_it_is_named(home: Folder) -> None:
    made = home.call("schedule", "create", "books", *NIGHTLY, "--jitter", "5m")
    assert made.code == 0 and "main" in made.out, made.err
    assert home.call("schedule", "show", "books", "-o", "json").json["declaration"]["spec"]["jitter"] == "300s"
    shown = home.call("schedule", "show", "books").out
    assert re.search(r"next tick +\S+ 20:30:00Z\nin Asia/Kolkata +\S+ 02:00:00\+05:30 IST\n", shown)
    assert "paused" in home.call("schedule", "pause", "books").out
    assert "active" in home.call("schedule", "resume", "books").out
    assert "no tick yet" in home.call("schedule", "ticks", "books").err
    assert home.call("schedule", "delete", "books").code == 2  # what cannot be undone is named
    assert "is deleted" in home.call("schedule", "delete", "books", "main").err


def test_the_pause_of_a_continuous_schedule_is_a_span(home: Folder) -> None:
    made = home.call("schedule", "create", "books", "again", "--continuous", "--pause", "90m", "--zone", "UTC")
    assert made.code == 0, made.err
    assert home.call("schedule", "delete", "books", "again").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (NIGHTLY[:2], "--zone is missing; expected the name of an IANA zone: --zone Asia/Kolkata"),
        ((*NIGHTLY[:2], "--zone", "IST"), "error: --zone: got 'IST', expected the name of an IANA zone, such as"),
        (("--cron", "0 2 * *", *NIGHTLY[2:]), "error: --cron: got '0 2 * *'"),
        ((*NIGHTLY, "--start", "2027-02-20", "--end", "2026-01-01"), "error: --end: got"),
        ((*NIGHTLY, "--jitter", "often"), "jitter is 'often'"),
        ((*NIGHTLY, "--pause", "5m"), "--pause goes with --continuous"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_named_by_its_option(
    home: Folder, arguments: tuple[str, ...], words: str
) -> None:
    answer = home.call("schedule", "create", "books", *arguments)
    assert answer.code == 2 and words in answer.err


def test_ticks_are_shown_in_the_zone_too(home: Folder) -> None:
    assert home.call("schedule", "create", "books", "often", "--every", "1s", "--zone", "Asia/Kolkata").code == 0
    deadline = time.monotonic() + 60
    while " run " not in ticks(home):
        assert time.monotonic() < deadline, "it has no tick that was run"
    head, first, *_ = ticks(home).splitlines()
    assert head.split("  ")[0] == "TICK" and "IN Asia/Kolkata" in head
    found = re.match(r"(\S+ \S+)Z +(\S+ \S+) IST ", first)
    assert found and datetime.fromisoformat(found[1] + "Z") == datetime.fromisoformat(found[2])
    assert home.call("schedule", "delete", "books", "often").code == 0
    assert "IN " not in ticks(home), "a deleted schedule has ticks and no zone"


def test_a_zone_that_is_utc_is_not_said_twice(home: Folder) -> None:
    assert home.call("schedule", "create", "books", "utc", "--cron", "@daily", "--zone", "UTC").code == 0
    assert "in UTC" not in home.call("schedule", "show", "books", "utc").out
    assert home.call("schedule", "delete", "books", "utc").code == 0


def ticks(home: Folder) -> str:
    return home.call("schedule", "ticks", "books", "often").out
