"""Ticks and dates, by histories made by hand: each has one outcome, and there is none of what is no tick."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.checker.facts import Audit, Facts, Moment, Run
from tests.checker.judges import ticks as judges
from tests.checker.judges.ticks import judge_ticks
from tests.checker.report import FAIL, NOT_TESTED, PASS
from tests.checker.tick_facts import Backfill, Calendar, Date, MadeRun, Plan, RunKey, ScheduleName, Tick

NAME = ScheduleName("default", "sales", "hourly")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURLY = {
    "rule": {"cron": "0 * * * *"},
    "zone": "UTC",
    "gap": "run_after",
    "overlap_hours": "first",
    "data_interval": "point",
    "catchup": "all",
    "overlap": "allow",
}
RANGE = Backfill("backfill-1", "default", "sales", "hourly", "ended", 2)


def audit(action: str, hours: float, **spec: Any) -> Audit:
    """Something done to the schedule so long after noon."""
    detail = {"spec": json.dumps({**HOURLY, **spec})} if action == "schedule.set" else {}
    target = "dag/sales" if action.startswith("dag.") else "schedule/sales/hourly"
    return Audit(0, NOON + hours * HOUR, int(10 * hours), "default", "ada", action, target, detail)


def tick(hours: float, state: str = "run", reason: str = "") -> Tick:
    time = NOON + hours * HOUR
    run_id = f"run-{hours:g}" if state in ("run", "met") else ""
    reason = reason or ("missed" if state == "skip" else "")
    return Tick(NAME, time, time, state, run_id, reason, time, int(10 * hours))


def made(each: Tick | Date, kind: str = "scheduled") -> MadeRun:
    date = each.logical_date
    return MadeRun(each.run_id, RunKey("default", "sales", f"hourly@{date:%Y-%m-%dT%H:%M:%SZ}"), kind, date)


def history(ticks: Iterable[Tick], *audits: Audit, cursor: float = 3, deleted: bool = False, **parts: Any) -> Facts:
    """A schedule with these ticks, and the runs that they have made, at four in the afternoon."""
    ticks = tuple(ticks)
    runs = parts.pop("runs", None) or tuple(made(each) for each in ticks if each.run_id)
    keys = parts.pop("keys", None) or {run.key: run.run_id for run in runs}
    plan = Plan(NAME, NOON + cursor * HOUR, deleted)
    now = Moment(NOON + 4 * HOUR, runs=tuple(map(run_row, runs)))
    calendar = Calendar(plans=(plan,), ticks=ticks, runs=runs, keys=keys, **parts)
    return Facts(audits=audits or (audit("schedule.set", 0),), moments=(now,), calendar=calendar)


def run_row(run: MadeRun) -> Run:
    return Run(run.run_id, 1, "default", "sales", 1, "success", (), NOON)


def says(facts: Facts) -> str:
    verdict = judge_ticks(facts)
    assert verdict.outcome == FAIL and verdict.smallest is not None, verdict
    return verdict.smallest.says


def kept(facts: Facts) -> bool:
    return judge_ticks(facts).outcome == PASS


def test_without_a_tick_nothing_was_tried() -> None:
    assert judge_ticks(history([], cursor=0)).outcome == NOT_TESTED


def test_a_run_or_a_skip_for_each_tick_is_well() -> None:
    verdict = judge_ticks(history([tick(1), tick(2, "skip"), tick(3)]))
    assert (verdict.outcome, verdict.occurred) == (PASS, 3)


def test_a_tick_without_an_outcome_is_lost() -> None:
    assert says(history([tick(1), tick(3)])) == "a tick has no outcome"
    assert says(history([tick(1), tick(2)])) == "a tick has no outcome"
    assert kept(history([tick(1), tick(2)], cursor=2)), "what is due and not decided yet is not lost"


def test_an_outcome_of_what_is_no_tick() -> None:
    assert says(history([tick(1), tick(1.5), tick(2), tick(3)])) == "an outcome of what is no tick"


def test_a_tick_that_waits_is_not_lost_while_its_schedule_is_there() -> None:
    assert kept(history([tick(1), tick(2, "waiting"), tick(3)]))
    ticks = [tick(1), tick(2, "waiting")]
    gone = history(ticks, audit("schedule.set", 0), audit("schedule.delete", 2.5), deleted=True, cursor=2.5)
    assert says(gone) == "a tick waits, and its schedule is deleted"


def test_each_change_is_judged_by_what_was_said_then() -> None:
    """Every half hour from two o'clock on; nothing from three to a quarter past, when it was deleted."""
    half = {"rule": {"interval_seconds": 1800.0}}
    audits = [audit("schedule.set", 0), audit("schedule.set", 2.25, **half), audit("schedule.delete", 3)]
    audits.append(audit("schedule.set", 3.25, **half))
    all_ticks = [tick(each) for each in (1, 2, 2.5, 3, 3.5)]
    assert kept(history(all_ticks, *audits, cursor=3.5))
    for lost in range(len(all_ticks)):
        rest = all_ticks[:lost] + all_ticks[lost + 1 :]
        assert says(history(rest, *audits, cursor=3.5)) == "a tick has no outcome", all_ticks[lost]


@pytest.mark.parametrize("what", ["schedule.pause", "dag.pause"])
def test_what_was_due_in_a_pause_that_ends_with_a_change_has_no_outcome(what: str) -> None:
    audits = [audit("schedule.set", 0), audit(what, 1.5), audit("schedule.set", 2.5), audit("dag.unpause", 2.5)]
    assert kept(history([tick(1), tick(3)], *audits))
    assert says(history([tick(1), tick(3)], audits[0], audits[2])) == "a tick has no outcome"


def test_what_was_due_in_a_pause_may_follow_what_was_said_in_it() -> None:
    audits = [audit("schedule.set", 0), audit("schedule.pause", 1.5), audit("schedule.resume", 2.7)]
    audits.insert(2, audit("schedule.set", 2.6, rule={"interval_seconds": 1800.0}))
    later = [replace(tick(each), transaction=28) for each in (1.5, 2, 2.5)]
    assert kept(history([tick(1), *later, tick(3)], *audits))


def test_a_cursor_that_was_ahead_stays_there_when_the_clock_goes_back() -> None:
    back = replace(audit("schedule.set", 1.5, rule={"interval_seconds": 1800.0}), transaction=35)
    assert kept(history([tick(1), tick(2), tick(3)], audit("schedule.set", 0), back))


def test_days_that_are_left_out_are_skipped() -> None:
    off = audit("schedule.set", 0, excluded_dates=["2026-03-01"])
    assert kept(history([tick(each, "skip", "excluded date") for each in (1, 2, 3)], off))
    assert says(history([tick(1, "skip"), tick(2), tick(3, "skip")], off)) == "a tick that is left out was not skipped"


def test_one_that_has_made_all_its_runs_settles_no_more() -> None:
    assert kept(history([tick(1)], audit("schedule.set", 0, runs_max=1)))


def test_jitter_bounds_ticks_dates_and_rules_that_nobody_here_knows() -> None:
    late = [audit("schedule.set", 0, jitter_seconds=900.0), audit("schedule.set", 2.1)]
    assert kept(history([tick(1), tick(2), tick(3)], *late))
    assert says(history([tick(1), tick(3)], *late)) == "a tick has no outcome", "a change waits for no jitter"
    bounds = audit("schedule.set", 0, start="2026-03-01T14:00:00Z", end="2026-03-01T14:30:00Z")
    assert kept(history([tick(2)], bounds))
    dates = audit("schedule.set", 0, rule={"dates": ["2026-03-01T12:30:00Z", "2026-03-01T11:00:00Z"]})
    assert kept(history([tick(0.5)], dates)) and says(history([tick(1)], dates)) == "an outcome of what is no tick"
    for rule in ({"cron": "H * * * *"}, {"pause_seconds": 0.0}, {"interval_seconds": 0.001}):
        assert kept(history([tick(0.7)], audit("schedule.set", 0, rule=rule)))


def test_the_data_of_a_tick_begin_where_those_of_the_one_before_ended() -> None:
    before = audit("schedule.set", 0, data_interval="before")
    ticks = [replace(tick(each), logical_date=NOON + (each - 1) * HOUR) for each in (1, 2, 3)]
    assert kept(history(ticks, before))
    assert says(history([*ticks[:2], tick(3)], before)) == "a tick with the logical date of another"


# ---- runs
def _without_run(facts: Facts) -> Facts:
    return replace(facts, calendar=replace(facts.calendar, runs=facts.calendar.runs[1:]))


def test_a_run_that_is_gone_was_kept_for_its_time() -> None:
    facts = history([tick(1), tick(2), tick(3)])
    assert says(_without_run(facts)) == "the run of a tick is not there"
    later = replace(facts, moments=(replace(facts.moments[0], now=NOON + timedelta(days=120)),))
    assert kept(_without_run(later))


WRONG: dict[str, Callable[[Calendar], Calendar]] = {
    "two runs have one key": lambda all_: replace(all_, runs=(*all_.runs, replace(all_.runs[0], kind="manual"))),
    "a run whose key is not its own": lambda all_: replace(
        all_, runs=(*all_.runs, replace(all_.runs[0], run_id="other", kind="manual"))
    ),
    "a run of a schedule, of no tick": lambda all_: replace(
        all_, ticks=(replace(all_.ticks[0], state="met"), *all_.ticks[1:])
    ),
    "the run of a tick does not have its key": lambda all_: replace(
        all_, ticks=(replace(all_.ticks[0], run_id="other"), *all_.ticks[1:])
    ),
    "a tick has two outcomes": lambda all_: replace(all_, ticks=(*all_.ticks, tick(2, "skip"))),
    "two ticks have made one run": lambda all_: replace(
        all_, ticks=(all_.ticks[0], replace(all_.ticks[0], time=all_.ticks[1].time), *all_.ticks[1:])
    ),
    "a tick has made a run that is not of a schedule": lambda all_: replace(
        all_, runs=(replace(all_.runs[0], kind="manual"), *all_.runs[1:])
    ),
    "a tick was skipped, and nothing says why": lambda all_: replace(
        all_, ticks=(*all_.ticks[:2], replace(tick(3, "skip"), reason=""))
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_a_run_of_a_tick(wrong: str) -> None:
    facts = history([tick(1), tick(2), tick(3)])
    facts = replace(facts, calendar=WRONG[wrong](facts.calendar))
    assert judge_ticks(facts).outcome == FAIL and wrong in _all_breaks(facts), _all_breaks(facts)


def _all_breaks(facts: Facts) -> set[str]:
    """A verdict shows the smallest only."""
    parts = (judges._runs(facts), judges._ticks(facts), judges._plans(facts), judges._dates(facts))
    return {each.says for part in (*parts, judges._backfills(facts.calendar)) for each in part}


# ---- backfills
def filled(*dates: Date, backfill: Backfill = RANGE, ticks: Iterable[Tick] = (), **parts: Any) -> Facts:
    runs = tuple(made(date, "backfill") for date in dates if date.outcome == "created")
    runs += tuple(made(each) for each in ticks)
    parts = {"runs": runs, **parts}
    return history(ticks, backfills=(backfill,), dates=dates, cursor=max([0.0, *(2.0 for _ in ticks)]), **parts)


def date(position: int, outcome: str = "created", **fields: Any) -> Date:
    run_id = f"filled-{position}" if outcome in ("created", "rerun") else ""
    reason = "its run has succeeded" if outcome == "skipped" else ""
    return replace(Date("backfill-1", position, NOON - (5 - position) * HOUR, outcome, run_id, reason), **fields)


def test_an_outcome_for_each_date_is_well() -> None:
    assert kept(filled(date(0), date(1, "skipped")))
    assert kept(filled(date(0), date(1, "waiting"), backfill=replace(RANGE, state="paused")))


@pytest.mark.parametrize(
    ("dates", "wrong"),
    [
        ([date(0)], "the dates of a backfill are not those that it was made of"),
        ([date(0), date(0), date(1)], "the dates of a backfill are not those that it was made of"),
        ([date(0), date(1, logical_date=date(0).logical_date)], "a backfill has a date twice"),
        ([date(0), date(1, "waiting")], "a date waits, and its backfill is over"),
        ([date(0), date(1, "skipped", reason="")], "a date was skipped, and nothing says why"),
        ([date(0), date(1, "rerun")], "the run of a date does not have its key"),
    ],
)
def test_what_is_wrong_with_dates(dates: list[Date], wrong: str) -> None:
    assert judge_ticks(filled(*dates)).outcome == FAIL
    assert wrong in _all_breaks(filled(*dates))


def test_a_run_of_a_backfill_belongs_to_a_date_and_stays() -> None:
    facts = filled(date(0), date(1))
    alone = replace(facts.calendar, dates=(date(0), date(1, "skipped")))
    assert says(replace(facts, calendar=alone)) == "a run of a backfill, of no date"
    assert says(_without_run(facts)) == "the run of a date is not there"
    assert says(replace(facts, calendar=replace(facts.calendar, backfills=()))) == "a date of no backfill"


def test_a_run_is_made_by_one_tick_or_one_date() -> None:
    ticked = tick(1)
    both = date(0, run_id=ticked.run_id, logical_date=ticked.logical_date)
    found = filled(both, date(1, "skipped"), ticks=[ticked, tick(2)], runs=(made(ticked), made(tick(2))))
    assert says(found) == "one run was made twice"
    met = replace(both, outcome="rerun")
    assert kept(filled(met, date(1, "skipped"), ticks=[ticked, tick(2)], runs=(made(ticked), made(tick(2)))))
