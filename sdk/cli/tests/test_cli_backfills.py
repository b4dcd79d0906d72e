"""What a person sees of backfills: what would be done, how far it is, what became of each date."""

from __future__ import annotations

import pytest
from cli_world import Folder

DAG_FILE = """
from glidepath import dag, task


@task
def load(day: str, broken: str) -> None:
    if day == broken:
        raise ValueError("no data")


@dag
def sales(broken: str = "") -> None:
    load("{{ ds }}", broken)
"""
RANGE = ("--from", "2026-03-01", "--to", "2026-03-04", "--daily")


@pytest.fixture(scope="module")
def home(running: Folder) -> Folder:
    (running.path / "sales.py").write_text(DAG_FILE)
    assert running.call("dag", "register", "sales.py").code == 0
    return running


def test_a_dry_run_shows_the_dates_and_makes_nothing(home: Folder) -> None:
    shown = home.call("backfill", "create", "sales", *RANGE, "--series", "dry", "--dry-run")
    assert shown.code == 0 and shown.out.count("created") == 4, shown.err
    assert "4 dates: 4 new runs, 0 runs again, 0 skipped" in shown.err
    assert (
        home.call("backfill", "create", "sales", *RANGE, "--series", "dry", "--dry-run", "-o", "json").json[
            "createdCount"
        ]
        == 4
    )
    assert home.call("backfill", "list", "--dag", "sales", "--all").out.strip() == ""


def test_days_of_a_range_are_those_of_its_zone(home: Folder) -> None:
    home.call("schedule", "create", "sales", "nightly", "--cron", "0 2 * * *", "--zone", "Asia/Kolkata")
    for rule in (("--daily", "--zone", "Asia/Kolkata"), ("--schedule", "nightly")):
        options = ("--from", "2026-03-01", "--to", "2026-03-30", *rule, "--dry-run")
        shown = home.call("backfill", "create", "sales", *options)
        assert "30 dates: 30 new runs" in shown.err, shown.err
        assert "IN Asia/Kolkata" in shown.out
        assert "2026-03-01 0" in shown.out and "2026-03-30 0" in shown.out and "2026-03-31 0" not in shown.out


def test_a_backfill_is_followed_to_its_end_and_tells_of_failures(home: Folder) -> None:
    made = home.call("backfill", "create", "sales", *RANGE, "-p", "broken=2026-03-02", "--watch")
    assert made.code == 1, made.err
    assert "4 of 4 done: 3 success, 1 failed" in made.out
    listed = home.call("backfill", "list", "--all", "-o", "json").json
    backfill_id = listed[0]["backfillId"]
    assert f"glidepath backfill dates {backfill_id} --failed" in made.err
    failed = home.call("backfill", "dates", backfill_id, "--failed")
    assert "2026-03-02" in failed.out and "2026-03-01" not in failed.out
    shown = home.call("backfill", "show", backfill_id)
    assert "ended" in shown.out and "broken" in shown.out
    assert home.call("backfill", "retry", backfill_id).code == 0
    assert home.call("backfill", "watch", backfill_id).code == 1
    again = home.call("backfill", "create", "sales", *RANGE, "--watch")
    assert again.code == 0 and "4 of 4 done: 4 skipped" in again.out
    reasons = home.call("backfill", "dates", home.call("backfill", "list", "--all", "-o", "json").json[0]["backfillId"])
    assert reasons.out.count("its run has succeeded") == 3 and reasons.out.count("its run has failed") == 1
    refused = home.call("backfill", "pause", backfill_id)
    assert refused.code == 6 and "cannot pause a backfill that has ended" in refused.err


def test_a_slow_backfill_can_be_paused_resumed_and_cancelled(home: Folder) -> None:
    made = home.call("backfill", "create", "sales", *RANGE, "--series", "slow", "--rate", "1/1d", "-o", "json").json
    backfill_id = made["backfillId"]
    assert "month end" in home.call("backfill", "pause", backfill_id, "--reason", "month end").out
    assert "running" in home.call("backfill", "resume", backfill_id).out
    cancelled = home.call("backfill", "cancel", backfill_id, "--runs", "--reason", "enough")
    assert cancelled.code == 0 and "enough (by" in cancelled.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "2026-03-01"), "--to: got nothing, expected both ends of the range"),
        (
            ("--from", "2026-03-01", "--to", "2199-01-01", "--daily"),
            "--to: got 2199-01-01T23:59:59.999999Z, expected",
        ),
        ((*RANGE, "--zone", "Europe/Berln"), "did you mean Europe/Berlin?"),
        ((*RANGE, "-p", "brokn=1"), "--param brokn"),
        ((*RANGE, "--active", "20000"), "'--active': 20000 is not in the range 1<=x<=10000"),
        ((*RANGE, "--cron", "0 0 * * *"), "--daily and --cron are both given"),
        ((*RANGE, "--rate", "often"), "'often' is no rate"),
        (("--date", "yesterday"), "'yesterday' is no time; write 2026-01-31"),
        (("--date", "2026-02-30"), "'2026-02-30' is no time"),
        (
            ("--from", "0001-01-01", "--to", "2026-03-04", "--daily", "--zone", "Asia/Kolkata"),
            "expected a year from 1970",
        ),
        (RANGE[:4], "--schedule, --daily, --cron, --every: got 0 of them, expected one: it says which dates"),
    ],
)
def test_what_is_wrong_is_named_by_its_option(home: Folder, arguments: tuple[str, ...], words: str) -> None:
    answer = home.call("backfill", "create", "sales", *arguments)
    assert answer.code == 2 and words in answer.err


def test_what_is_not_there_says_where_to_look(home: Folder) -> None:
    answer = home.call("backfill", "show", "01890a5d-ac96-774b-bcce-b302099a8057")
    assert answer.code == 3 and "glidepath backfill list --all" in answer.err
