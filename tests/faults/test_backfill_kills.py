"""A server that makes the runs of a backfill dies at its commits, again and again: the right runs come of it."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from fault_world import House, wait_until

from glidepath import load_dags
from glidepath.client import BackfillOptions, Client, RunOptions
from tests.checker import read_facts
from tests.checker.judges.ticks import judge_ticks

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
DATES, THERE, BROKEN = 120, 10, 4
STRIDE = DATES // THERE
CALL_SECONDS, END_SECONDS = 60.0, 300.0
T = TypeVar("T")
CREATION = ["create_backfill.before_commit=kill", "create_backfill.after_commit=kill"]
STEERING = ["steer_backfill.before_commit=kill", "steer_backfill.after_commit=kill"]
RERUNS = ["command.before_commit=kill", "command.after_commit=kill"]
PACING = [
    "pace_backfill.before_commit=kill",
    "pace_backfill.after_commit=kill",
    "pace_backfill.before_commit=kill@2",
    "step.before_commit=kill@2",
    "pace_backfill.after_commit=kill@2",
    "step.after_commit=kill@3",
]
SHORT = [*CREATION[1:], *RERUNS, *PACING[:2]]
ALL = [*CREATION, *STEERING, *RERUNS, *RERUNS, *PACING, *PACING]


@contextmanager
def besieged(house: House, strikes: Sequence[str]) -> Iterator[list[str]]:
    """A server that is armed with one strike after the other: each time that it has died it starts again with the next.
    Gives those that have killed it so far."""
    struck: list[str] = []
    over = threading.Event()

    def start() -> subprocess.Popen[bytes]:
        armed = strikes[len(struck)] if len(struck) < len(strikes) else ""
        return house.server(crash_point=armed, poll_interval_seconds=0.2)

    def watch() -> None:
        server = start()
        while not over.wait(0.02):
            if server.poll() is not None:
                # One that could not start, because its address was taken a moment ago, has not been struck.
                struck.extend(strikes[len(struck) : len(struck) + ("crash point" in house.log(server))])
                server = start()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield struck
    finally:
        over.set()
        thread.join()


def insist(house: House, call: Callable[[Client], T]) -> T:
    """The answer of a call that may be repeated, whenever there is a server. A client that has met many dead servers
    is in no hurry to try the next one, so each try has its own."""
    answers: list[T] = []

    def answered() -> bool:
        with house.client() as client:
            answers.append(call(client))
        return True

    wait_until(answered, "a server answers", CALL_SECONDS)
    return answers[-1]


def live(house: House, strikes: Sequence[str]) -> None:
    """Some dates have runs before, four of these failed; the backfill fills the others and reruns the failed ones."""
    with besieged(house, strikes) as struck:
        insist(house, lambda client: client.get_server_info())
        house.worker("w1", slots=4)
        [filled] = load_dags(Path(__file__).with_name("filled_dag.py")).dags
        insist(house, lambda client: client.register(filled))
        keys = [f"manual@{FIRST + timedelta(days=number):%Y-%m-%dT00:00:00Z}" for number in range(DATES)]
        _run_before(house, keys)
        options: BackfillOptions = {
            "start": FIRST,
            "end": FIRST + timedelta(days=DATES - 1),
            "cron": "0 0 * * *",
            "zone": "UTC",
            "params": {"folder": str(house.folder)},
            "existing": "rerun_failed",
            "runs_active_max": 3,
        }
        made = insist(house, lambda client: client.create_backfill("filled", request_id="fill", **options))
        insist(house, lambda client: client.pause_backfill(made.backfill_id, request_id="pause"))
        insist(house, lambda client: client.resume_backfill(made.backfill_id, request_id="resume"))
        query = "select state from backfill where backfill_id = $1"
        wait_until(lambda: house.rows(query, made.backfill_id)[0]["state"] == "ended", "it has ended", END_SECONDS)
        assert struck == list(strikes), f"{len(struck)} of {len(strikes)} strikes"
        _check(house, made.backfill_id, keys)


def _run_before(house: House, keys: Sequence[str]) -> None:
    """Every twelfth date has a run already; the first four of these have failed."""
    broken = house.folder / "broken"
    broken.touch()
    for number, key in enumerate(keys[::STRIDE]):
        if number == BROKEN:
            broken.unlink()
        options: RunOptions = {
            "params": {"folder": str(house.folder)},
            "run_key": key,
            "logical_date": key.partition("@")[2],
        }
        insist(house, partial(_trigger, options))
        wait_until(partial(_has_ended, house, key), "it has ended")


def _trigger(options: RunOptions, client: Client) -> str:
    return client.trigger("filled", request_id=options["run_key"], **options).dag_run_id


def _has_ended(house: House, key: str) -> bool:
    return house.rows("select end_time from dag_run where run_key = $1", key)[0]["end_time"] is not None


def _check(house: House, backfill_id: str, keys: Sequence[str]) -> None:
    runs = house.rows("select run_key, state, backfill_id::text from dag_run order by run_key")
    assert [row["run_key"] for row in runs] == sorted(keys)
    assert {row["state"] for row in runs} == {"success"}
    dates = house.rows(
        "select outcome, reason, dag_run_id from backfill_run where backfill_id = $1 order by position", backfill_id
    )
    expected = ["created"] * DATES
    expected[::STRIDE] = ["rerun"] * BROKEN + ["skipped"] * (THERE - BROKEN)
    assert [row["outcome"] for row in dates] == expected
    assert {row["reason"] for row in dates} == {"", "its run has succeeded"}
    assert len({row["dag_run_id"] for row in dates}) == DATES
    mine = {row["run_key"] for row in runs if row["backfill_id"] == backfill_id}
    assert mine == {key for key, outcome in zip(keys, expected, strict=True) if outcome != "skipped"}
    cleared = house.rows("select target from audit_event where action = 'dag_run.rerun'")
    assert len(cleared) == len(set(cleared)) == BROKEN
    verdict = judge_ticks(asyncio.run(read_facts(house.database_url)))
    assert (verdict.outcome, verdict.occurred) == ("PASS", DATES), verdict


def test_a_killed_server_leaves_no_date_half_done(house: House) -> None:
    live(house, SHORT)


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_twenty_kills_leave_exactly_the_right_runs(house: House) -> None:
    assert len(ALL) == 20
    live(house, ALL)
