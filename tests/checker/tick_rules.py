"""Which ticks there must be, in the checker's own words: what was said of a schedule, and what follows from it.

What was said is in the audit, which is written in the transaction of a change. Cron rules are those of the second model
of tests/unit, which walks over every minute; rules with what it does not know (H, W) are not judged.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from tests.checker.facts import Audit
from tests.checker.tick_facts import Plan, ScheduleName, Tick
from tests.unit.tick_model import Expression, Window, model_ticks, sightings, window

SHORT_NAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# An interval with more ticks than these in a span is not judged.
TICKS_MAX = 500_000


@dataclass(frozen=True, slots=True)
class Span:
    """After `begin` and up to `end` a schedule said this; its ticks up to `settled` must have an outcome."""

    schedule: ScheduleName
    spec: Mapping[str, Any]
    begin: datetime
    end: datetime
    settled: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tick that there must be. `left_out`: by an excluded day or a gap, so it has no run. `covers_from`: where its
    data begins, None when that is not known."""

    time: datetime
    left_out: bool
    covers_from: datetime | None

    def __str__(self) -> str:
        return f"{self.time:%Y-%m-%d %H:%M:%S} is a tick{', which is left out' if self.left_out else ''}"


def spans(plan: Plan, ticks: Iterable[Tick], audits: Iterable[Audit], now: datetime) -> Iterator[Span]:
    """What was said of a schedule, one after the other; `ticks` are those that it has."""
    known = list(ticks)
    times = [tick.time for tick in known]
    schedule, dag = f"schedule/{plan.name.dag_id}/{plan.name.name}", f"dag/{plan.name.dag_id}"
    paused: set[str] = set()
    spec, begin = None, EPOCH
    for audit in audits:
        if audit.namespace != plan.name.namespace or audit.target not in (schedule, dag):
            continue
        what = audit.action.partition(".")[2]
        if what == "pause":
            paused.add(audit.target)
        elif what in ("resume", "unpause"):
            paused.discard(audit.target)
        elif audit.action in ("schedule.set", "schedule.delete"):
            decided = [tick.time for tick in known if tick.transaction <= audit.transaction]
            end = max(begin, audit.time)
            if spec is not None:
                # What has come gets its outcome before a change. Of a pause only what was decided by then: the others
                # follow what is said when it goes on, and are not judged.
                until = min(end, max([begin, *decided])) if paused else end
                yield _span(plan.name, spec, begin, until, until, times)
            # The cursor never moves back, also when the clock did.
            begin = max([end, *decided])
            spec = json.loads(str(audit.detail["spec"])) if what == "set" else None
            if what == "delete":
                paused.discard(schedule)
    if spec is not None:
        yield _span(plan.name, spec, begin, max(begin, now), plan.cursor, times)


def _span(
    name: ScheduleName, spec: Mapping[str, Any], begin: datetime, end: datetime, due: datetime, times: list[datetime]
) -> Span:
    """Ticks are settled in their order; one that has made all its runs settles none any more."""
    newest = max((time for time in times if begin < time <= end), default=begin)
    settled = newest if "runs_max" in spec else max(newest, min(due, end))
    return Span(name, spec, begin, end, settled)


def ticks_of(span: Span, since: datetime) -> list[Wanted] | None:
    """The ticks of a span after an instant; None when nobody here knows them."""
    spec, after = span.spec, max(span.begin, since)
    try:
        found = _rule_ticks(spec, after, span.end)
    except ValueError:
        return None
    if found is None:
        return None
    start, end = _time(spec.get("start")), _time(spec.get("end"))
    wanted: list[Wanted] = []
    covered: datetime | None = None
    for time, skipped in found:
        if not after < time <= span.end or (start and time < start) or (end and time > end):
            continue
        left_out = skipped or _is_excluded(spec, time)
        covers_from = time if left_out or spec["data_interval"] == "point" else covered
        wanted.append(Wanted(time, left_out, covers_from))
        covered = covered if left_out else time
    return wanted


def _rule_ticks(spec: Mapping[str, Any], after: datetime, end: datetime) -> list[tuple[datetime, bool]] | None:
    rule = spec["rule"]
    if "cron" in rule:
        expression = _expression(SHORT_NAMES.get(rule["cron"], rule["cron"]))
        stretch = _window(spec["zone"], _minute(after), _minute(end))
        seen = sightings(expression, stretch)
        return model_ticks(expression, stretch, seen, spec["gap"], spec["overlap_hours"])
    if "interval_seconds" in rule:
        anchor = _time(rule.get("anchor")) or EPOCH
        period = timedelta(seconds=rule["interval_seconds"])
        first, last = math.floor((after - anchor) / period), math.ceil((end - anchor) / period)
        many = last - first > TICKS_MAX
        return None if many else [(anchor + number * period, False) for number in range(first, last + 1)]
    if "dates" in rule:
        return [(datetime.fromisoformat(each), False) for each in sorted(rule["dates"])]
    return None


@lru_cache(maxsize=1_000)
def _expression(text: str) -> Expression:
    return Expression(text)


@lru_cache(maxsize=50)
def _window(zone: str, begin: datetime, end: datetime) -> Window:
    return window(zone, begin, end)


def _minute(time: datetime) -> datetime:
    return time.replace(second=0, microsecond=0)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _is_excluded(spec: Mapping[str, Any], time: datetime) -> bool:
    day = time.astimezone(ZoneInfo(spec["zone"])).date()
    dates = {date.fromisoformat(each) for each in spec.get("excluded_dates", ())}
    return day in dates or day.weekday() in spec.get("excluded_weekdays", ())
