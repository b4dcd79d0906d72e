"""The pace of backfills, by moments and dates made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.checker.facts import Audit, Facts, Moment, Run
from tests.checker.judges.limits import judge_limits
from tests.checker.report import FAIL, NOT_TESTED, PASS
from tests.checker.tick_facts import Backfill, Calendar, Date

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TWO = Backfill("backfill-1", "default", "sales", "manual", "running", 9, runs_active_max=2)
RATED = replace(TWO, runs_active_max=9, rate_runs=2, rate_seconds=60.0)


def run(number: int, state: str = "running") -> Run:
    return Run(f"run-{number}", 1, "default", "sales", 1, state, (), NOON, backfill_id="backfill-1")


def seen(*runs: Run, audits: tuple[Audit, ...] = ()) -> Facts:
    moments = (Moment(NOON, runs=runs), Moment(NOON + timedelta(hours=1)))
    return Facts(moments=moments, audits=audits, calendar=Calendar(backfills=(TWO,)))


def rerun(reason: str) -> Audit:
    return Audit(1, NOON, 5, "default", "ada", "dag_run.rerun", "dag_run/run-3", {"reason": reason})


def test_as_many_runs_as_it_may_have_are_a_full_limit() -> None:
    verdict = judge_limits(seen(run(1), run(2), run(3, "success")))
    assert (verdict.outcome, verdict.occurred) == (PASS, 1)
    assert judge_limits(seen(run(1))).outcome == NOT_TESTED


@pytest.mark.parametrize("state", ["running", "queued"])
def test_a_run_more_is_one_too_many(state: str) -> None:
    verdict = judge_limits(seen(run(1), run(2), run(3, state)))
    assert verdict.outcome == FAIL and verdict.smallest is not None
    assert verdict.smallest.says == "a backfill has more active runs than it may"


def test_what_somebody_has_run_again_by_hand_goes_by_no_pace() -> None:
    runs = run(1), run(2), run(3)
    assert judge_limits(seen(*runs, audits=(rerun("month end"),))).outcome == NOT_TESTED
    assert judge_limits(seen(*runs, audits=(rerun("backfill backfill-1"),))).outcome == FAIL


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [([0.0, 0.0, 60.0, 60.0], PASS), ([0.0, 30.0, 59.9], FAIL), ([30.0, 0.0, 59.9], FAIL), ([0.0], NOT_TESTED)],
)
def test_no_span_has_more_starts_than_the_rate_allows(seconds: list[float], outcome: str) -> None:
    dates = tuple(
        Date("backfill-1", number, NOON, "created", start_times=(NOON + timedelta(seconds=each),))
        for number, each in enumerate(seconds)
    )
    waiting = Date("backfill-1", len(dates), NOON, "waiting")
    calendar = Calendar(backfills=(RATED,), dates=(*dates, waiting))
    assert judge_limits(Facts(moments=(Moment(NOON),), calendar=calendar)).outcome == outcome
