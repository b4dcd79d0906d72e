"""Backfills keep their pace: so many runs active at once, so many begun within a span (I13)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from tests.checker.facts import Facts, Moment, Run
from tests.checker.machines import CLEARS, RUN_FINAL
from tests.checker.report import Break
from tests.checker.tick_facts import Backfill, Date


def judge_paces(facts: Facts) -> tuple[int, list[Break]]:
    """How often a backfill was as fast as it may be, and where one was faster."""
    full = 0
    breaks: list[Break] = []
    backfills = {each.backfill_id: each for each in facts.calendar.backfills}
    for moment in facts.moments:
        for backfill_id, runs in _active(moment).items():
            backfill = backfills.get(backfill_id)
            if backfill is None or any(_by_hand(facts, run) for run in runs):
                continue
            full += len(runs) == backfill.runs_active_max
            if len(runs) > backfill.runs_active_max:
                most = f"{len(runs)} runs are active, and {backfill.runs_active_max} may be"
                breaks.append(Break.of("a backfill has more active runs than it may", backfill, most))
    for backfill in backfills.values():
        begun = [date for date in facts.calendar.dates if date.backfill_id == backfill.backfill_id]
        breaks += _too_fast(backfill, begun)
        full += backfill.rate_runs is not None and len(_starts(begun)) >= backfill.rate_runs
    return full, breaks


def _active(moment: Moment) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = defaultdict(list)
    for run in moment.runs:
        if run.backfill_id and run.state not in RUN_FINAL:
            found[run.backfill_id].append(run)
    return found


def _by_hand(facts: Facts, run: Run) -> bool:
    """Whether somebody has had it run again; nobody's word has to wait for a backfill."""
    own = f"backfill {run.backfill_id}"
    audits = facts.audits_by_run.get(run.run_id, ())
    return any(audit.action in CLEARS and audit.detail.get("reason") != own for audit in audits)


def _starts(dates: list[Date]) -> list[datetime]:
    return sorted(each for date in dates for each in date.start_times)


def _too_fast(backfill: Backfill, dates: list[Date]) -> Iterator[Break]:
    """No span has more starts than the rate allows."""
    if backfill.rate_runs is None:
        return
    starts, span = _starts(dates), timedelta(seconds=backfill.rate_seconds)
    for first, beyond in zip(starts, starts[backfill.rate_runs :], strict=False):
        if beyond - first < span:
            said = f"{backfill.rate_runs + 1} runs from {first} to {beyond}, expected {span} at least"
            yield Break.of("a backfill has begun more runs than its rate allows", backfill, said)
