"""The text of a schedule that the store keeps. What says nothing is left out; defaults of policies are written out."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from .json_text import from_json, to_json
from .schedule_spec import (
    Catchup,
    ContinuousRule,
    CronRule,
    DataInterval,
    DatesRule,
    DstGap,
    DstOverlap,
    IntervalRule,
    Overlap,
    Rule,
    Schedule,
    time_text,
)


def schedule_to_json(schedule: Schedule) -> str:
    """The one text of a schedule, ASCII: the same meaning gives the same text."""
    said = {
        "rule": _rule_out(schedule.rule),
        "zone": schedule.zone,
        "gap": schedule.gap,
        "overlap_hours": schedule.overlap_hours,
        "start": _time_out(schedule.start),
        "end": _time_out(schedule.end),
        "runs_max": schedule.runs_max,
        "jitter_seconds": float(schedule.jitter_seconds) or None,
        "excluded_dates": [each.isoformat() for each in sorted(set(schedule.excluded_dates))],
        "excluded_weekdays": sorted(set(schedule.excluded_weekdays)),
        "data_interval": schedule.data_interval,
        "catchup": schedule.catchup,
        "catchup_runs": schedule.catchup_runs,
        "catchup_seconds": None if schedule.catchup_seconds is None else float(schedule.catchup_seconds),
        "overlap": schedule.overlap,
        "overlap_runs": schedule.overlap_runs,
    }
    return to_json({name: value for name, value in said.items() if value is not None and value != []})


def schedule_from_json(text: str) -> Schedule:
    """The schedule of a text. Raises ValueError for what `schedule_to_json` did not write; checks no limits."""
    said = from_json(text)
    try:
        return Schedule(
            rule=_rule_in(said["rule"]),
            zone=said["zone"],
            gap=DstGap(said["gap"]),
            overlap_hours=DstOverlap(said["overlap_hours"]),
            start=_time_in(said.get("start")),
            end=_time_in(said.get("end")),
            runs_max=said.get("runs_max"),
            jitter_seconds=said.get("jitter_seconds", 0),
            excluded_dates=tuple(date.fromisoformat(each) for each in said.get("excluded_dates", ())),
            excluded_weekdays=tuple(said.get("excluded_weekdays", ())),
            data_interval=DataInterval(said["data_interval"]),
            catchup=Catchup(said["catchup"]),
            catchup_runs=said.get("catchup_runs"),
            catchup_seconds=said.get("catchup_seconds"),
            overlap=Overlap(said["overlap"]),
            overlap_runs=said.get("overlap_runs"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no text of a schedule: {type(error).__name__} {error}") from None


def _rule_out(rule: Rule) -> dict[str, Any]:
    match rule:
        case CronRule(expression):
            return {"cron": expression}
        case IntervalRule(seconds, anchor):
            return {"interval_seconds": float(seconds)} | ({"anchor": time_text(anchor)} if anchor else {})
        case DatesRule(dates):
            return {"dates": [time_text(each) for each in sorted(set(dates))]}
        case ContinuousRule(pause_seconds):
            return {"pause_seconds": float(pause_seconds)}


def _rule_in(said: dict[str, Any]) -> Rule:
    if "cron" in said:
        return CronRule(said["cron"])
    if "interval_seconds" in said:
        return IntervalRule(said["interval_seconds"], _time_in(said.get("anchor")))
    if "dates" in said:
        return DatesRule(tuple(datetime.fromisoformat(each) for each in said["dates"]))
    return ContinuousRule(said["pause_seconds"])


def _time_out(instant: datetime | None) -> str | None:
    return None if instant is None else time_text(instant)


def _time_in(said: str | None) -> datetime | None:
    return None if said is None else datetime.fromisoformat(said)
