"""Schedules as messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from glidepath.authoring.schedules import (
    Continuous,
    Cron,
    Dates,
    Every,
    Schedule,
    excluded,
    instant,
    params_text,
    seconds,
)
from glidepath_proto.schedule.v1 import schedule_pb2 as pb


def to_declaration(schedule: Schedule) -> pb.ScheduleDeclaration:
    """What a registration or SetSchedule sends of a schedule."""
    return pb.ScheduleDeclaration(
        schedule_name=schedule.name,
        spec=_spec(schedule),
        params=params_text(schedule, schedule.name),
        dag_version_number=schedule.version,
        alias=schedule.alias,
    )


def _spec(schedule: Schedule) -> pb.ScheduleSpec:
    dates, weekdays = excluded(schedule, schedule.name)
    spec = pb.ScheduleSpec(
        zone=schedule.zone,
        dst_gap=_word(pb.DstGap, "DST_GAP", schedule.gap),
        dst_overlap=_word(pb.DstOverlap, "DST_OVERLAP", schedule.overlap_hours),
        start_time=_time(schedule, "start"),
        end_time=_time(schedule, "end"),
        runs_max=schedule.runs_max,
        jitter=_duration(seconds(schedule.jitter)) if schedule.jitter else None,
        excluded_dates=dates,
        excluded_weekdays=weekdays,
        data_interval=_word(pb.DataInterval, "DATA_INTERVAL", schedule.data_interval),
        catchup=_word(pb.Catchup, "CATCHUP", schedule.catchup),
        catchup_runs=schedule.catchup_runs,
        catchup_within=_duration(seconds(schedule.catchup_within)),
        overlap=_word(pb.Overlap, "OVERLAP", schedule.overlap),
        overlap_runs=schedule.overlap_runs,
    )
    match schedule:
        case Cron():
            spec.cron = schedule.expression
        case Every():
            every = _duration(seconds(schedule.interval))
            spec.interval.CopyFrom(pb.IntervalRule(every=every, anchor_time=_time(schedule, "anchor")))
        case Dates():
            spec.dates.CopyFrom(
                pb.DatesRule(tick_time=[_stamp(instant(each, schedule.zone, "")) for each in schedule.dates])
            )
        case Continuous():
            spec.continuous.CopyFrom(pb.ContinuousRule(pause=_duration(seconds(schedule.pause))))
    return spec


def _word(enum: Any, prefix: str, word: str) -> Any:
    return enum.Value(f"{prefix}_{word.upper()}")


def _time(schedule: Schedule, field: str) -> Timestamp | None:
    value = getattr(schedule, field)
    return None if value is None else _stamp(instant(value, schedule.zone, field))


def _stamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time.astimezone(UTC))
    return stamp


def _duration(span: timedelta | None) -> Duration | None:
    if span is None:
        return None
    duration = Duration()
    duration.FromTimedelta(span)
    return duration
