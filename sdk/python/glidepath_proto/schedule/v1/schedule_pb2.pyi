from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DstGap(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DST_GAP_UNSPECIFIED: _ClassVar[DstGap]
    DST_GAP_RUN_AFTER: _ClassVar[DstGap]
    DST_GAP_SKIP: _ClassVar[DstGap]

class DstOverlap(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DST_OVERLAP_UNSPECIFIED: _ClassVar[DstOverlap]
    DST_OVERLAP_FIRST: _ClassVar[DstOverlap]
    DST_OVERLAP_LAST: _ClassVar[DstOverlap]
    DST_OVERLAP_BOTH: _ClassVar[DstOverlap]

class DataInterval(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATA_INTERVAL_UNSPECIFIED: _ClassVar[DataInterval]
    DATA_INTERVAL_POINT: _ClassVar[DataInterval]
    DATA_INTERVAL_BEFORE: _ClassVar[DataInterval]

class Catchup(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CATCHUP_UNSPECIFIED: _ClassVar[Catchup]
    CATCHUP_NONE: _ClassVar[Catchup]
    CATCHUP_LATEST: _ClassVar[Catchup]
    CATCHUP_ALL: _ClassVar[Catchup]
    CATCHUP_LAST_N: _ClassVar[Catchup]
    CATCHUP_WITHIN: _ClassVar[Catchup]

class Overlap(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OVERLAP_UNSPECIFIED: _ClassVar[Overlap]
    OVERLAP_ALLOW: _ClassVar[Overlap]
    OVERLAP_SKIP: _ClassVar[Overlap]
    OVERLAP_QUEUE_ONE: _ClassVar[Overlap]
    OVERLAP_QUEUE_ALL: _ClassVar[Overlap]
    OVERLAP_CANCEL_OLDER: _ClassVar[Overlap]
    OVERLAP_LATEST_ONLY: _ClassVar[Overlap]
    OVERLAP_SEQUENCE: _ClassVar[Overlap]

class ScheduleOrigin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCHEDULE_ORIGIN_UNSPECIFIED: _ClassVar[ScheduleOrigin]
    SCHEDULE_ORIGIN_DAG: _ClassVar[ScheduleOrigin]
    SCHEDULE_ORIGIN_API: _ClassVar[ScheduleOrigin]

class TickOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TICK_OUTCOME_UNSPECIFIED: _ClassVar[TickOutcome]
    TICK_OUTCOME_RUN: _ClassVar[TickOutcome]
    TICK_OUTCOME_MET: _ClassVar[TickOutcome]
    TICK_OUTCOME_SKIPPED: _ClassVar[TickOutcome]
    TICK_OUTCOME_WAITING: _ClassVar[TickOutcome]
DST_GAP_UNSPECIFIED: DstGap
DST_GAP_RUN_AFTER: DstGap
DST_GAP_SKIP: DstGap
DST_OVERLAP_UNSPECIFIED: DstOverlap
DST_OVERLAP_FIRST: DstOverlap
DST_OVERLAP_LAST: DstOverlap
DST_OVERLAP_BOTH: DstOverlap
DATA_INTERVAL_UNSPECIFIED: DataInterval
DATA_INTERVAL_POINT: DataInterval
DATA_INTERVAL_BEFORE: DataInterval
CATCHUP_UNSPECIFIED: Catchup
CATCHUP_NONE: Catchup
CATCHUP_LATEST: Catchup
CATCHUP_ALL: Catchup
CATCHUP_LAST_N: Catchup
CATCHUP_WITHIN: Catchup
OVERLAP_UNSPECIFIED: Overlap
OVERLAP_ALLOW: Overlap
OVERLAP_SKIP: Overlap
OVERLAP_QUEUE_ONE: Overlap
OVERLAP_QUEUE_ALL: Overlap
OVERLAP_CANCEL_OLDER: Overlap
OVERLAP_LATEST_ONLY: Overlap
OVERLAP_SEQUENCE: Overlap
SCHEDULE_ORIGIN_UNSPECIFIED: ScheduleOrigin
SCHEDULE_ORIGIN_DAG: ScheduleOrigin
SCHEDULE_ORIGIN_API: ScheduleOrigin
TICK_OUTCOME_UNSPECIFIED: TickOutcome
TICK_OUTCOME_RUN: TickOutcome
TICK_OUTCOME_MET: TickOutcome
TICK_OUTCOME_SKIPPED: TickOutcome
TICK_OUTCOME_WAITING: TickOutcome

class IntervalRule(_message.Message):
    __slots__ = ("every", "anchor_time")
    EVERY_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_TIME_FIELD_NUMBER: _ClassVar[int]
    every: _duration_pb2.Duration
    anchor_time: _timestamp_pb2.Timestamp
    def __init__(self, every: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., anchor_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DatesRule(_message.Message):
    __slots__ = ("tick_time",)
    TICK_TIME_FIELD_NUMBER: _ClassVar[int]
    tick_time: _containers.RepeatedCompositeFieldContainer[_timestamp_pb2.Timestamp]
    def __init__(self, tick_time: _Optional[_Iterable[_Union[_timestamp_pb2.Timestamp, _Mapping]]] = ...) -> None: ...

class ContinuousRule(_message.Message):
    __slots__ = ("pause",)
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    pause: _duration_pb2.Duration
    def __init__(self, pause: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ScheduleSpec(_message.Message):
    __slots__ = ("cron", "interval", "dates", "continuous", "zone", "dst_gap", "dst_overlap", "start_time", "end_time", "runs_max", "jitter", "excluded_dates", "excluded_weekdays", "data_interval", "catchup", "catchup_runs", "catchup_within", "overlap", "overlap_runs")
    CRON_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    DATES_FIELD_NUMBER: _ClassVar[int]
    CONTINUOUS_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    DST_GAP_FIELD_NUMBER: _ClassVar[int]
    DST_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    RUNS_MAX_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_DATES_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_WEEKDAYS_FIELD_NUMBER: _ClassVar[int]
    DATA_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    CATCHUP_FIELD_NUMBER: _ClassVar[int]
    CATCHUP_RUNS_FIELD_NUMBER: _ClassVar[int]
    CATCHUP_WITHIN_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_RUNS_FIELD_NUMBER: _ClassVar[int]
    cron: str
    interval: IntervalRule
    dates: DatesRule
    continuous: ContinuousRule
    zone: str
    dst_gap: DstGap
    dst_overlap: DstOverlap
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    runs_max: int
    jitter: _duration_pb2.Duration
    excluded_dates: _containers.RepeatedScalarFieldContainer[str]
    excluded_weekdays: _containers.RepeatedScalarFieldContainer[int]
    data_interval: DataInterval
    catchup: Catchup
    catchup_runs: int
    catchup_within: _duration_pb2.Duration
    overlap: Overlap
    overlap_runs: int
    def __init__(self, cron: _Optional[str] = ..., interval: _Optional[_Union[IntervalRule, _Mapping]] = ..., dates: _Optional[_Union[DatesRule, _Mapping]] = ..., continuous: _Optional[_Union[ContinuousRule, _Mapping]] = ..., zone: _Optional[str] = ..., dst_gap: _Optional[_Union[DstGap, str]] = ..., dst_overlap: _Optional[_Union[DstOverlap, str]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., runs_max: _Optional[int] = ..., jitter: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., excluded_dates: _Optional[_Iterable[str]] = ..., excluded_weekdays: _Optional[_Iterable[int]] = ..., data_interval: _Optional[_Union[DataInterval, str]] = ..., catchup: _Optional[_Union[Catchup, str]] = ..., catchup_runs: _Optional[int] = ..., catchup_within: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., overlap: _Optional[_Union[Overlap, str]] = ..., overlap_runs: _Optional[int] = ...) -> None: ...

class ScheduleDeclaration(_message.Message):
    __slots__ = ("schedule_name", "spec", "params", "dag_version_number", "alias")
    SCHEDULE_NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    schedule_name: str
    spec: ScheduleSpec
    params: str
    dag_version_number: int
    alias: str
    def __init__(self, schedule_name: _Optional[str] = ..., spec: _Optional[_Union[ScheduleSpec, _Mapping]] = ..., params: _Optional[str] = ..., dag_version_number: _Optional[int] = ..., alias: _Optional[str] = ...) -> None: ...

class Schedule(_message.Message):
    __slots__ = ("namespace", "dag_id", "declaration", "origin", "paused", "dag_paused", "decided_until_time", "next_tick_time", "ticks_waiting", "runs_made", "create_time", "update_time", "updated_by")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DECLARATION_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    DAG_PAUSED_FIELD_NUMBER: _ClassVar[int]
    DECIDED_UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_TICK_TIME_FIELD_NUMBER: _ClassVar[int]
    TICKS_WAITING_FIELD_NUMBER: _ClassVar[int]
    RUNS_MADE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATED_BY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    declaration: ScheduleDeclaration
    origin: ScheduleOrigin
    paused: bool
    dag_paused: bool
    decided_until_time: _timestamp_pb2.Timestamp
    next_tick_time: _timestamp_pb2.Timestamp
    ticks_waiting: int
    runs_made: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    updated_by: str
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ..., declaration: _Optional[_Union[ScheduleDeclaration, _Mapping]] = ..., origin: _Optional[_Union[ScheduleOrigin, str]] = ..., paused: bool = ..., dag_paused: bool = ..., decided_until_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., next_tick_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., ticks_waiting: _Optional[int] = ..., runs_made: _Optional[int] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., updated_by: _Optional[str] = ...) -> None: ...

class Tick(_message.Message):
    __slots__ = ("tick_time", "logical_date", "data_interval_start", "data_interval_end", "outcome", "dag_run_id", "reason", "decide_time")
    TICK_TIME_FIELD_NUMBER: _ClassVar[int]
    LOGICAL_DATE_FIELD_NUMBER: _ClassVar[int]
    DATA_INTERVAL_START_FIELD_NUMBER: _ClassVar[int]
    DATA_INTERVAL_END_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DECIDE_TIME_FIELD_NUMBER: _ClassVar[int]
    tick_time: _timestamp_pb2.Timestamp
    logical_date: _timestamp_pb2.Timestamp
    data_interval_start: _timestamp_pb2.Timestamp
    data_interval_end: _timestamp_pb2.Timestamp
    outcome: TickOutcome
    dag_run_id: str
    reason: str
    decide_time: _timestamp_pb2.Timestamp
    def __init__(self, tick_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., logical_date: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., data_interval_start: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., data_interval_end: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., outcome: _Optional[_Union[TickOutcome, str]] = ..., dag_run_id: _Optional[str] = ..., reason: _Optional[str] = ..., decide_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
