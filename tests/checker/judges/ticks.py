"""Each tick of a schedule, and each date of a backfill, has one outcome: one run, or a skip that says why (I1)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tests.checker.facts import Facts
from tests.checker.report import Break, Verdict, judged
from tests.checker.tick_facts import Backfill, Calendar, Date, RunKey, ScheduleName, Tick, series_key
from tests.checker.tick_rules import Span, Wanted, spans, ticks_of

# Outcomes and runs are kept for at least so long, see docs/settings.md; keys of runs are kept for ever.
KEPT = timedelta(days=90)
HAS_RUN = frozenset({"run", "met"})


def judge_ticks(facts: Facts) -> Verdict:
    calendar = facts.calendar
    ticked = sum(tick.state != "waiting" for tick in calendar.ticks)
    filled = sum(date.outcome != "waiting" for date in calendar.dates)
    breaks = [*_runs(facts), *_ticks(facts), *_plans(facts), *_dates(facts), *_backfills(calendar)]
    return judged("I1", "a tick or a date got its outcome", ticked + filled, breaks)


def _old(facts: Facts) -> datetime:
    """What is from before this may have been deleted by retention."""
    return facts.last.now - KEPT if facts.last else datetime.min.replace(tzinfo=UTC)


# ---- runs
def _runs(facts: Facts) -> Iterator[Break]:
    """One run for one key; a run that something by itself has made is the outcome of something."""
    calendar = facts.calendar
    ticked = {tick.run_id for tick in calendar.ticks if tick.state == "run"}
    dated = {date.run_id for date in calendar.dates}
    by_key: dict[RunKey, list[object]] = defaultdict(list)
    for run in calendar.runs:
        by_key[run.key].append(run)
        if calendar.keys.get(run.key) != run.run_id:
            yield Break.of("a run whose key is not its own", run)
        is_new = facts.runs[run.run_id].create_time > _old(facts) if run.run_id in facts.runs else True
        if run.kind == "scheduled" and run.run_id not in ticked and is_new:
            yield Break.of("a run of a schedule, of no tick", run)
        if run.kind == "backfill" and run.run_id not in dated:
            yield Break.of("a run of a backfill, of no date", run)
    for runs in by_key.values():
        if len(runs) > 1:
            yield Break.of("two runs have one key", *runs)


# ---- ticks
def _ticks(facts: Facts) -> Iterator[Break]:
    calendar = facts.calendar
    kinds = {run.run_id: run.kind for run in calendar.runs}
    makers: dict[str, list[Tick]] = defaultdict(list)
    outcomes: dict[tuple[ScheduleName, datetime], list[Tick]] = defaultdict(list)
    deleted = {plan.name for plan in calendar.plans if plan.deleted}
    for tick in calendar.ticks:
        outcomes[tick.schedule, tick.time].append(tick)
        if tick.state in HAS_RUN:
            yield from _has_its_run(facts, tick, kinds)
        elif tick.state == "skip" and not tick.reason:
            yield Break.of("a tick was skipped, and nothing says why", tick)
        elif tick.state == "waiting" and tick.schedule in deleted:
            yield Break.of("a tick waits, and its schedule is deleted", tick)
        if tick.state == "run":
            makers[tick.run_id].append(tick)
    for ticks in (*outcomes.values(), *makers.values()):
        if len(ticks) > 1:
            same = len({tick.time for tick in ticks}) == 1
            yield Break.of("a tick has two outcomes" if same else "two ticks have made one run", *ticks)


def _has_its_run(facts: Facts, tick: Tick, kinds: dict[str, str]) -> Iterator[Break]:
    holder = facts.calendar.keys.get(tick.key)
    if holder != tick.run_id:
        yield Break.of("the run of a tick does not have its key", tick, f"{tick.key} is that of run {holder}")
    elif tick.run_id not in kinds:
        if tick.decide_time is None or tick.decide_time > _old(facts):
            yield Break.of("the run of a tick is not there", tick)
    elif tick.state == "run" and kinds[tick.run_id] != "scheduled":
        yield Break.of("a tick has made a run that is not of a schedule", tick, kinds[tick.run_id])


def _plans(facts: Facts) -> Iterator[Break]:
    """What each schedule said, against the ticks that it has."""
    assert facts.last is not None or not facts.calendar.plans
    found: dict[ScheduleName, dict[datetime, Tick]] = defaultdict(dict)
    for tick in facts.calendar.ticks:
        found[tick.schedule][tick.time] = tick
    for plan in facts.calendar.plans:
        ticks = found[plan.name]
        now = facts.last.now if facts.last else plan.cursor
        for span in spans(plan, ticks.values(), facts.audits, now):
            yield from _span(span, ticks, _old(facts))


def _span(span: Span, ticks: dict[datetime, Tick], old: datetime) -> Iterator[Break]:
    wanted = ticks_of(span, old)
    if wanted is None:
        return
    names = {each.time for each in wanted}
    for each in wanted:
        if each.time in ticks:
            yield from _as_wanted(ticks[each.time], each)
        elif each.time <= span.settled:
            yield Break.of("a tick has no outcome", f"{span.schedule}: {each}", f"settled up to {span.settled}")
    for time, tick in ticks.items():
        if max(span.begin, old) < time <= span.end and time not in names:
            yield Break.of("an outcome of what is no tick", tick)


def _as_wanted(tick: Tick, wanted: Wanted) -> Iterator[Break]:
    if wanted.left_out and tick.state != "skip":
        yield Break.of("a tick that is left out was not skipped", tick)
    elif wanted.covers_from not in (None, tick.logical_date):
        yield Break.of("a tick with the logical date of another", tick, f"expected {wanted.covers_from}")


# ---- dates of backfills
def _dates(facts: Facts) -> Iterator[Break]:
    calendar = facts.calendar
    backfills = {each.backfill_id: each for each in calendar.backfills}
    kept = {run.run_id for run in calendar.runs}
    makers: dict[str, list[object]] = defaultdict(list)
    for tick in calendar.ticks:
        if tick.state == "run":
            makers[tick.run_id].append(tick)
    for date in calendar.dates:
        backfill = backfills.get(date.backfill_id)
        if backfill is None:
            yield Break.of("a date of no backfill", date)
        elif date.outcome in ("created", "rerun"):
            key = RunKey(backfill.namespace, backfill.dag_id, series_key(backfill.series, date.logical_date))
            if calendar.keys.get(key) != date.run_id:
                yield Break.of("the run of a date does not have its key", date, f"{key}: {calendar.keys.get(key)}")
            elif date.run_id not in kept and date.logical_date > _old(facts):
                yield Break.of("the run of a date is not there", date)
        elif date.outcome == "skipped" and not date.reason:
            yield Break.of("a date was skipped, and nothing says why", date)
        if date.outcome == "created":
            makers[date.run_id].append(date)
    for made_by in makers.values():
        if len(made_by) > 1 and any(isinstance(each, Date) for each in made_by):
            yield Break.of("one run was made twice", *made_by)


def _backfills(calendar: Calendar) -> Iterator[Break]:
    """Each of its dates is there, once; none waits when it is over."""
    dates: dict[str, list[Date]] = defaultdict(list)
    for date in calendar.dates:
        dates[date.backfill_id].append(date)
    for backfill in calendar.backfills:
        yield from _whole(backfill, dates[backfill.backfill_id])


def _whole(backfill: Backfill, dates: list[Date]) -> Iterator[Break]:
    if sorted(date.position for date in dates) != list(range(backfill.date_count)):
        yield Break.of("the dates of a backfill are not those that it was made of", backfill, f"{len(dates)} dates")
    for _, times in Counter(date.logical_date for date in dates).items():
        if times > 1:
            yield Break.of("a backfill has a date twice", backfill)
    for date in dates:
        if date.outcome == "waiting" and backfill.state in ("ended", "cancelled"):
            yield Break.of("a date waits, and its backfill is over", backfill, date)
