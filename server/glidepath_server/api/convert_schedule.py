"""Schedules as the wire has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from glidepath_proto.schedule.v1 import schedule_pb2 as pb

from ..core.schedules import (
    Catchup,
    ContinuousRule,
    CronRule,
    DataInterval,
    DatesRule,
    DstGap,
    DstOverlap,
    IntervalRule,
    Overlap,
    Schedule,
    schedule_from_json,
)
from ..core.tick_plans import plan_from_json
from ..operations.set_schedules import Declaration
from ..store.schedules import ScheduleRow, TickRow
from .convert_common import EPOCH, from_timestamp, invalid, to_timestamp
from .convert_run import text_in

Word = TypeVar("Word", bound=StrEnum)


def _numbers(words: type[Word], prefix: str, wire: Any) -> dict[Word, Any]:
    return {word: wire.Value(f"{prefix}_{word.name}") for word in words}


GAPS = _numbers(DstGap, "DST_GAP", pb.DstGap)
OVERLAP_HOURS = _numbers(DstOverlap, "DST_OVERLAP", pb.DstOverlap)
INTERVALS = _numbers(DataInterval, "DATA_INTERVAL", pb.DataInterval)
CATCHUPS = _numbers(Catchup, "CATCHUP", pb.Catchup)
OVERLAPS = _numbers(Overlap, "OVERLAP", pb.Overlap)
_ORIGINS: dict[str, Any] = {"dag": pb.SCHEDULE_ORIGIN_DAG, "api": pb.SCHEDULE_ORIGIN_API}
_OUTCOMES: dict[str, Any] = {
    "run": pb.TICK_OUTCOME_RUN,
    "met": pb.TICK_OUTCOME_MET,
    "skip": pb.TICK_OUTCOME_SKIPPED,
    "waiting": pb.TICK_OUTCOME_WAITING,
}


# ---- in
def declaration_in(message: pb.ScheduleDeclaration, at: str) -> Declaration:
    """What is said of a schedule. Raises InvalidInput for what the wire can say and we have no value for."""
    return Declaration(
        schedule_name=message.schedule_name,
        schedule=schedule_in(message.spec, f"{at}.spec"),
        params=message.params,
        version_number=message.dag_version_number if message.HasField("dag_version_number") else None,
        alias=text_in(f"{at}.alias", message.alias) if message.HasField("alias") else None,
    )


def schedule_in(spec: pb.ScheduleSpec, at: str) -> Schedule:
    return Schedule(
        rule=_rule_in(spec, at),
        zone=spec.zone,
        gap=_word(GAPS, spec.dst_gap, DstGap.RUN_AFTER, f"{at}.dst_gap"),
        overlap_hours=_word(OVERLAP_HOURS, spec.dst_overlap, DstOverlap.FIRST, f"{at}.dst_overlap"),
        start=from_timestamp(spec, "start_time"),
        end=from_timestamp(spec, "end_time"),
        runs_max=spec.runs_max if spec.HasField("runs_max") else None,
        jitter_seconds=_seconds(spec.jitter),
        excluded_dates=tuple(_date(text, f"{at}.excluded_dates[{i}]") for i, text in enumerate(spec.excluded_dates)),
        excluded_weekdays=tuple(spec.excluded_weekdays),
        data_interval=_word(INTERVALS, spec.data_interval, DataInterval.POINT, f"{at}.data_interval"),
        catchup=_word(CATCHUPS, spec.catchup, Catchup.NONE, f"{at}.catchup"),
        catchup_runs=spec.catchup_runs if spec.HasField("catchup_runs") else None,
        catchup_seconds=_seconds(spec.catchup_within) if spec.HasField("catchup_within") else None,
        overlap=_word(OVERLAPS, spec.overlap, Overlap.ALLOW, f"{at}.overlap"),
        overlap_runs=spec.overlap_runs if spec.HasField("overlap_runs") else None,
    )


def _rule_in(spec: pb.ScheduleSpec, at: str) -> CronRule | IntervalRule | DatesRule | ContinuousRule:
    match spec.WhichOneof("rule"):
        case "cron":
            return CronRule(spec.cron)
        case "interval":
            return IntervalRule(_seconds(spec.interval.every), from_timestamp(spec.interval, "anchor_time"))
        case "dates":
            return DatesRule(tuple(EPOCH + _span(each, f"{at}.dates.tick_time") for each in spec.dates.tick_time))
        case "continuous":
            return ContinuousRule(_seconds(spec.continuous.pause))
        case _:
            raise invalid(f"{at}.rule", "nothing", "one of cron, interval, dates, continuous")


def _span(time: Any, at: str) -> Any:
    try:
        return time.ToDatetime(tzinfo=EPOCH.tzinfo) - EPOCH
    except (OverflowError, ValueError):
        raise invalid(at, f"{time.seconds} s", "times in the years 1 to 9999") from None


def _word(known: Mapping[Word, int], number: int, default: Word, at: str) -> Word:
    if number == 0:
        return default
    for word, each in known.items():
        if each == number:
            return word
    raise invalid(at, str(number), "one of " + ", ".join(word.value for word in known))


def _date(text: str, at: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise invalid(at, repr(text[:40]), "a date such as 2026-12-25") from None


def _seconds(duration: Duration) -> float:
    return round(duration.seconds + duration.nanos / 1e9, 9)


# ---- out
def schedule_out(row: ScheduleRow) -> pb.Schedule:
    planned = plan_from_json(row.planned).ticks
    return pb.Schedule(
        namespace=row.namespace,
        dag_id=row.dag_id,
        declaration=pb.ScheduleDeclaration(
            schedule_name=row.schedule_name,
            spec=spec_out(schedule_from_json(row.spec)),
            params=row.params,
            dag_version_number=row.version_number,
            alias=row.alias,
        ),
        origin=_ORIGINS[row.origin],
        paused=row.paused,
        dag_paused=row.dag_paused,
        decided_until_time=to_timestamp(row.last_tick_time),
        next_tick_time=to_timestamp(planned[0].tick_time) if planned else None,
        ticks_waiting=row.waiting,
        runs_made=row.runs_made,
        create_time=to_timestamp(row.create_time),
        update_time=to_timestamp(row.update_time),
        updated_by=row.updated_by,
    )


def spec_out(schedule: Schedule) -> pb.ScheduleSpec:
    """What may be set again, with every default said."""
    message = pb.ScheduleSpec(
        zone=schedule.zone,
        dst_gap=GAPS[schedule.gap],
        dst_overlap=OVERLAP_HOURS[schedule.overlap_hours],
        start_time=to_timestamp(schedule.start),
        end_time=to_timestamp(schedule.end),
        runs_max=schedule.runs_max,
        jitter=_duration(schedule.jitter_seconds) if schedule.jitter_seconds else None,
        excluded_dates=[each.isoformat() for each in schedule.excluded_dates],
        excluded_weekdays=schedule.excluded_weekdays,
        data_interval=INTERVALS[schedule.data_interval],
        catchup=CATCHUPS[schedule.catchup],
        catchup_runs=schedule.catchup_runs,
        catchup_within=None if schedule.catchup_seconds is None else _duration(schedule.catchup_seconds),
        overlap=OVERLAPS[schedule.overlap],
        overlap_runs=schedule.overlap_runs,
    )
    match schedule.rule:
        case CronRule(expression):
            message.cron = expression
        case IntervalRule(seconds, anchor):
            message.interval.CopyFrom(pb.IntervalRule(every=_duration(seconds), anchor_time=to_timestamp(anchor)))
        case DatesRule(dates):
            message.dates.CopyFrom(pb.DatesRule(tick_time=map(_stamp, dates)))
        case ContinuousRule(pause_seconds):
            message.continuous.CopyFrom(pb.ContinuousRule(pause=_duration(pause_seconds)))
    return message


def _stamp(time: datetime) -> Timestamp:
    stamp = to_timestamp(time)
    assert stamp is not None
    return stamp


def tick_out(row: TickRow) -> pb.Tick:
    return pb.Tick(
        tick_time=to_timestamp(row.tick_time),
        logical_date=to_timestamp(row.logical_date),
        data_interval_start=to_timestamp(row.data_interval_start),
        data_interval_end=to_timestamp(row.data_interval_end),
        outcome=_OUTCOMES[row.state],
        dag_run_id=str(row.dag_run_id) if row.dag_run_id else "",
        reason=row.reason,
        decide_time=to_timestamp(row.decide_time),
    )


def _duration(seconds: float) -> Duration:
    whole, nanos = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(seconds=whole, nanos=nanos)
