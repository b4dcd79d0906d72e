from glidepath_proto.run.v1 import run_pb2 as _run_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BackfillSpec(_message.Message):
    __slots__ = ("dag_id", "schedule_name", "series", "range_start", "range_end", "logical_dates", "cron", "zone", "period", "order", "dag_version", "params", "existing", "runs_active_max", "rate_runs", "rate_period", "weight", "pool_name", "queue_name")
    class Order(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ORDER_UNSPECIFIED: _ClassVar[BackfillSpec.Order]
        ORDER_ASCENDING: _ClassVar[BackfillSpec.Order]
        ORDER_DESCENDING: _ClassVar[BackfillSpec.Order]
    ORDER_UNSPECIFIED: BackfillSpec.Order
    ORDER_ASCENDING: BackfillSpec.Order
    ORDER_DESCENDING: BackfillSpec.Order
    class Existing(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EXISTING_UNSPECIFIED: _ClassVar[BackfillSpec.Existing]
        EXISTING_SKIP: _ClassVar[BackfillSpec.Existing]
        EXISTING_RERUN_FAILED: _ClassVar[BackfillSpec.Existing]
        EXISTING_RERUN_ALL: _ClassVar[BackfillSpec.Existing]
    EXISTING_UNSPECIFIED: BackfillSpec.Existing
    EXISTING_SKIP: BackfillSpec.Existing
    EXISTING_RERUN_FAILED: BackfillSpec.Existing
    EXISTING_RERUN_ALL: BackfillSpec.Existing
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_NAME_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    RANGE_START_FIELD_NUMBER: _ClassVar[int]
    RANGE_END_FIELD_NUMBER: _ClassVar[int]
    LOGICAL_DATES_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    EXISTING_FIELD_NUMBER: _ClassVar[int]
    RUNS_ACTIVE_MAX_FIELD_NUMBER: _ClassVar[int]
    RATE_RUNS_FIELD_NUMBER: _ClassVar[int]
    RATE_PERIOD_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    POOL_NAME_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NAME_FIELD_NUMBER: _ClassVar[int]
    dag_id: str
    schedule_name: str
    series: str
    range_start: _timestamp_pb2.Timestamp
    range_end: _timestamp_pb2.Timestamp
    logical_dates: _containers.RepeatedCompositeFieldContainer[_timestamp_pb2.Timestamp]
    cron: str
    zone: str
    period: _duration_pb2.Duration
    order: BackfillSpec.Order
    dag_version: str
    params: str
    existing: BackfillSpec.Existing
    runs_active_max: int
    rate_runs: int
    rate_period: _duration_pb2.Duration
    weight: float
    pool_name: str
    queue_name: str
    def __init__(self, dag_id: _Optional[str] = ..., schedule_name: _Optional[str] = ..., series: _Optional[str] = ..., range_start: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., range_end: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., logical_dates: _Optional[_Iterable[_Union[_timestamp_pb2.Timestamp, _Mapping]]] = ..., cron: _Optional[str] = ..., zone: _Optional[str] = ..., period: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., order: _Optional[_Union[BackfillSpec.Order, str]] = ..., dag_version: _Optional[str] = ..., params: _Optional[str] = ..., existing: _Optional[_Union[BackfillSpec.Existing, str]] = ..., runs_active_max: _Optional[int] = ..., rate_runs: _Optional[int] = ..., rate_period: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., weight: _Optional[float] = ..., pool_name: _Optional[str] = ..., queue_name: _Optional[str] = ...) -> None: ...

class BackfillCounts(_message.Message):
    __slots__ = ("waiting", "queued", "running", "success", "failed", "cancelled", "skipped", "gone")
    WAITING_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    waiting: int
    queued: int
    running: int
    success: int
    failed: int
    cancelled: int
    skipped: int
    gone: int
    def __init__(self, waiting: _Optional[int] = ..., queued: _Optional[int] = ..., running: _Optional[int] = ..., success: _Optional[int] = ..., failed: _Optional[int] = ..., cancelled: _Optional[int] = ..., skipped: _Optional[int] = ..., gone: _Optional[int] = ...) -> None: ...

class Backfill(_message.Message):
    __slots__ = ("backfill_id", "namespace", "spec", "state", "reason", "date_count", "counts", "create_time", "created_by", "end_time", "remaining")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Backfill.State]
        STATE_RUNNING: _ClassVar[Backfill.State]
        STATE_PAUSED: _ClassVar[Backfill.State]
        STATE_ENDED: _ClassVar[Backfill.State]
        STATE_CANCELLED: _ClassVar[Backfill.State]
    STATE_UNSPECIFIED: Backfill.State
    STATE_RUNNING: Backfill.State
    STATE_PAUSED: Backfill.State
    STATE_ENDED: Backfill.State
    STATE_CANCELLED: Backfill.State
    BACKFILL_ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    backfill_id: str
    namespace: str
    spec: BackfillSpec
    state: Backfill.State
    reason: str
    date_count: int
    counts: BackfillCounts
    create_time: _timestamp_pb2.Timestamp
    created_by: str
    end_time: _timestamp_pb2.Timestamp
    remaining: _duration_pb2.Duration
    def __init__(self, backfill_id: _Optional[str] = ..., namespace: _Optional[str] = ..., spec: _Optional[_Union[BackfillSpec, _Mapping]] = ..., state: _Optional[_Union[Backfill.State, str]] = ..., reason: _Optional[str] = ..., date_count: _Optional[int] = ..., counts: _Optional[_Union[BackfillCounts, _Mapping]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[str] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., remaining: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class BackfillDate(_message.Message):
    __slots__ = ("logical_date", "data_interval_start", "data_interval_end", "outcome", "reason", "dag_run_id", "run_state", "dag_version_number")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[BackfillDate.Outcome]
        OUTCOME_WAITING: _ClassVar[BackfillDate.Outcome]
        OUTCOME_CREATED: _ClassVar[BackfillDate.Outcome]
        OUTCOME_RERUN: _ClassVar[BackfillDate.Outcome]
        OUTCOME_SKIPPED: _ClassVar[BackfillDate.Outcome]
    OUTCOME_UNSPECIFIED: BackfillDate.Outcome
    OUTCOME_WAITING: BackfillDate.Outcome
    OUTCOME_CREATED: BackfillDate.Outcome
    OUTCOME_RERUN: BackfillDate.Outcome
    OUTCOME_SKIPPED: BackfillDate.Outcome
    LOGICAL_DATE_FIELD_NUMBER: _ClassVar[int]
    DATA_INTERVAL_START_FIELD_NUMBER: _ClassVar[int]
    DATA_INTERVAL_END_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_STATE_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    logical_date: _timestamp_pb2.Timestamp
    data_interval_start: _timestamp_pb2.Timestamp
    data_interval_end: _timestamp_pb2.Timestamp
    outcome: BackfillDate.Outcome
    reason: str
    dag_run_id: str
    run_state: _run_pb2.RunState
    dag_version_number: int
    def __init__(self, logical_date: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., data_interval_start: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., data_interval_end: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., outcome: _Optional[_Union[BackfillDate.Outcome, str]] = ..., reason: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., run_state: _Optional[_Union[_run_pb2.RunState, str]] = ..., dag_version_number: _Optional[int] = ...) -> None: ...
