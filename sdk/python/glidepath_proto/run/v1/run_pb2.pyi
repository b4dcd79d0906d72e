from glidepath_proto.common.v1 import failure_pb2 as _failure_pb2
from glidepath_proto.common.v1 import payload_pb2 as _payload_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_STATE_UNSPECIFIED: _ClassVar[RunState]
    RUN_STATE_QUEUED: _ClassVar[RunState]
    RUN_STATE_RUNNING: _ClassVar[RunState]
    RUN_STATE_SUCCESS: _ClassVar[RunState]
    RUN_STATE_FAILED: _ClassVar[RunState]
    RUN_STATE_CANCELLED: _ClassVar[RunState]

class RunType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_TYPE_UNSPECIFIED: _ClassVar[RunType]
    RUN_TYPE_MANUAL: _ClassVar[RunType]
    RUN_TYPE_SCHEDULED: _ClassVar[RunType]
    RUN_TYPE_BACKFILL: _ClassVar[RunType]
    RUN_TYPE_ASSET: _ClassVar[RunType]
    RUN_TYPE_CHILD: _ClassVar[RunType]

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATE_UNSPECIFIED: _ClassVar[TaskState]
    TASK_STATE_SCHEDULED: _ClassVar[TaskState]
    TASK_STATE_QUEUED: _ClassVar[TaskState]
    TASK_STATE_RUNNING: _ClassVar[TaskState]
    TASK_STATE_SUCCESS: _ClassVar[TaskState]
    TASK_STATE_FAILED: _ClassVar[TaskState]
    TASK_STATE_UPSTREAM_FAILED: _ClassVar[TaskState]
    TASK_STATE_SKIPPED: _ClassVar[TaskState]
    TASK_STATE_UP_FOR_RETRY: _ClassVar[TaskState]
    TASK_STATE_DEFERRED: _ClassVar[TaskState]
    TASK_STATE_CANCELLED: _ClassVar[TaskState]
    TASK_STATE_REMOVED: _ClassVar[TaskState]
    TASK_STATE_WAITING: _ClassVar[TaskState]

class AttemptState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_STATE_UNSPECIFIED: _ClassVar[AttemptState]
    ATTEMPT_STATE_RUNNING: _ClassVar[AttemptState]
    ATTEMPT_STATE_SUCCESS: _ClassVar[AttemptState]
    ATTEMPT_STATE_FAILED: _ClassVar[AttemptState]
    ATTEMPT_STATE_TIMED_OUT: _ClassVar[AttemptState]
    ATTEMPT_STATE_LOST: _ClassVar[AttemptState]
    ATTEMPT_STATE_DEFERRED: _ClassVar[AttemptState]
    ATTEMPT_STATE_SKIPPED: _ClassVar[AttemptState]
    ATTEMPT_STATE_CANCELLED: _ClassVar[AttemptState]
    ATTEMPT_STATE_RETURNED: _ClassVar[AttemptState]
    ATTEMPT_STATE_CALLED: _ClassVar[AttemptState]
RUN_STATE_UNSPECIFIED: RunState
RUN_STATE_QUEUED: RunState
RUN_STATE_RUNNING: RunState
RUN_STATE_SUCCESS: RunState
RUN_STATE_FAILED: RunState
RUN_STATE_CANCELLED: RunState
RUN_TYPE_UNSPECIFIED: RunType
RUN_TYPE_MANUAL: RunType
RUN_TYPE_SCHEDULED: RunType
RUN_TYPE_BACKFILL: RunType
RUN_TYPE_ASSET: RunType
RUN_TYPE_CHILD: RunType
TASK_STATE_UNSPECIFIED: TaskState
TASK_STATE_SCHEDULED: TaskState
TASK_STATE_QUEUED: TaskState
TASK_STATE_RUNNING: TaskState
TASK_STATE_SUCCESS: TaskState
TASK_STATE_FAILED: TaskState
TASK_STATE_UPSTREAM_FAILED: TaskState
TASK_STATE_SKIPPED: TaskState
TASK_STATE_UP_FOR_RETRY: TaskState
TASK_STATE_DEFERRED: TaskState
TASK_STATE_CANCELLED: TaskState
TASK_STATE_REMOVED: TaskState
TASK_STATE_WAITING: TaskState
ATTEMPT_STATE_UNSPECIFIED: AttemptState
ATTEMPT_STATE_RUNNING: AttemptState
ATTEMPT_STATE_SUCCESS: AttemptState
ATTEMPT_STATE_FAILED: AttemptState
ATTEMPT_STATE_TIMED_OUT: AttemptState
ATTEMPT_STATE_LOST: AttemptState
ATTEMPT_STATE_DEFERRED: AttemptState
ATTEMPT_STATE_SKIPPED: AttemptState
ATTEMPT_STATE_CANCELLED: AttemptState
ATTEMPT_STATE_RETURNED: AttemptState
ATTEMPT_STATE_CALLED: AttemptState

class DagRun(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "dag_id", "dag_version_number", "run_type", "run_key", "state", "reason", "logical_date", "data_interval_start", "data_interval_end", "params", "revision", "create_time", "start_time", "end_time", "task_counts", "created_by", "traceparent", "cancel_requested", "quarantined", "paused_by", "caller")
    class TaskCountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    RUN_TYPE_FIELD_NUMBER: _ClassVar[int]
    RUN_KEY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LOGICAL_DATE_FIELD_NUMBER: _ClassVar[int]
    DATA_INTERVAL_START_FIELD_NUMBER: _ClassVar[int]
    DATA_INTERVAL_END_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    TASK_COUNTS_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    PAUSED_BY_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    dag_id: str
    dag_version_number: int
    run_type: RunType
    run_key: str
    state: RunState
    reason: str
    logical_date: _timestamp_pb2.Timestamp
    data_interval_start: _timestamp_pb2.Timestamp
    data_interval_end: _timestamp_pb2.Timestamp
    params: str
    revision: int
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    task_counts: _containers.ScalarMap[str, int]
    created_by: str
    traceparent: str
    cancel_requested: bool
    quarantined: bool
    paused_by: str
    caller: Caller
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., dag_id: _Optional[str] = ..., dag_version_number: _Optional[int] = ..., run_type: _Optional[_Union[RunType, str]] = ..., run_key: _Optional[str] = ..., state: _Optional[_Union[RunState, str]] = ..., reason: _Optional[str] = ..., logical_date: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., data_interval_start: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., data_interval_end: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., params: _Optional[str] = ..., revision: _Optional[int] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., task_counts: _Optional[_Mapping[str, int]] = ..., created_by: _Optional[str] = ..., traceparent: _Optional[str] = ..., cancel_requested: bool = ..., quarantined: bool = ..., paused_by: _Optional[str] = ..., caller: _Optional[_Union[Caller, _Mapping]] = ...) -> None: ...

class Caller(_message.Message):
    __slots__ = ("dag_run_id", "dag_id", "task_id", "map_index", "attempt_number")
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    dag_run_id: str
    dag_id: str
    task_id: str
    map_index: int
    attempt_number: int
    def __init__(self, dag_run_id: _Optional[str] = ..., dag_id: _Optional[str] = ..., task_id: _Optional[str] = ..., map_index: _Optional[int] = ..., attempt_number: _Optional[int] = ...) -> None: ...

class TaskInstance(_message.Message):
    __slots__ = ("task_id", "map_index", "group_id", "state", "attempt_number", "reason", "queue_time", "start_time", "end_time", "available_time", "worker_identity", "failure", "upstream_task_ids", "progress_percent", "progress_note", "map_counts", "map_name", "map_item")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    QUEUE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_TIME_FIELD_NUMBER: _ClassVar[int]
    WORKER_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_PERCENT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_NOTE_FIELD_NUMBER: _ClassVar[int]
    MAP_COUNTS_FIELD_NUMBER: _ClassVar[int]
    MAP_NAME_FIELD_NUMBER: _ClassVar[int]
    MAP_ITEM_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    map_index: int
    group_id: str
    state: TaskState
    attempt_number: int
    reason: str
    queue_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    available_time: _timestamp_pb2.Timestamp
    worker_identity: str
    failure: _failure_pb2.Failure
    upstream_task_ids: _containers.RepeatedScalarFieldContainer[str]
    progress_percent: float
    progress_note: str
    map_counts: MapCounts
    map_name: str
    map_item: str
    def __init__(self, task_id: _Optional[str] = ..., map_index: _Optional[int] = ..., group_id: _Optional[str] = ..., state: _Optional[_Union[TaskState, str]] = ..., attempt_number: _Optional[int] = ..., reason: _Optional[str] = ..., queue_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., available_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., worker_identity: _Optional[str] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., upstream_task_ids: _Optional[_Iterable[str]] = ..., progress_percent: _Optional[float] = ..., progress_note: _Optional[str] = ..., map_counts: _Optional[_Union[MapCounts, _Mapping]] = ..., map_name: _Optional[str] = ..., map_item: _Optional[str] = ...) -> None: ...

class MapCounts(_message.Message):
    __slots__ = ("total", "scheduled", "queued", "running", "success", "failed", "skipped", "cancelled", "up_for_retry", "deferred")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    UP_FOR_RETRY_FIELD_NUMBER: _ClassVar[int]
    DEFERRED_FIELD_NUMBER: _ClassVar[int]
    total: int
    scheduled: int
    queued: int
    running: int
    success: int
    failed: int
    skipped: int
    cancelled: int
    up_for_retry: int
    deferred: int
    def __init__(self, total: _Optional[int] = ..., scheduled: _Optional[int] = ..., queued: _Optional[int] = ..., running: _Optional[int] = ..., success: _Optional[int] = ..., failed: _Optional[int] = ..., skipped: _Optional[int] = ..., cancelled: _Optional[int] = ..., up_for_retry: _Optional[int] = ..., deferred: _Optional[int] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("task_id", "map_index", "attempt_number", "state", "worker_identity", "queue_time", "start_time", "end_time", "failure", "has_output", "reason", "child_dag_run_id")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WORKER_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    QUEUE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    HAS_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CHILD_DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    map_index: int
    attempt_number: int
    state: AttemptState
    worker_identity: str
    queue_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    failure: _failure_pb2.Failure
    has_output: bool
    reason: str
    child_dag_run_id: str
    def __init__(self, task_id: _Optional[str] = ..., map_index: _Optional[int] = ..., attempt_number: _Optional[int] = ..., state: _Optional[_Union[AttemptState, str]] = ..., worker_identity: _Optional[str] = ..., queue_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., has_output: bool = ..., reason: _Optional[str] = ..., child_dag_run_id: _Optional[str] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("dag_run_id", "dag_id", "task_id", "map_index", "attempt_number", "budget", "reason", "time")
    class Budget(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        BUDGET_UNSPECIFIED: _ClassVar[DeadLetter.Budget]
        BUDGET_NONE: _ClassVar[DeadLetter.Budget]
        BUDGET_TRIES: _ClassVar[DeadLetter.Budget]
        BUDGET_LOSSES: _ClassVar[DeadLetter.Budget]
        BUDGET_REDELIVERIES: _ClassVar[DeadLetter.Budget]
        BUDGET_PREEMPTIONS: _ClassVar[DeadLetter.Budget]
    BUDGET_UNSPECIFIED: DeadLetter.Budget
    BUDGET_NONE: DeadLetter.Budget
    BUDGET_TRIES: DeadLetter.Budget
    BUDGET_LOSSES: DeadLetter.Budget
    BUDGET_REDELIVERIES: DeadLetter.Budget
    BUDGET_PREEMPTIONS: DeadLetter.Budget
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    dag_run_id: str
    dag_id: str
    task_id: str
    map_index: int
    attempt_number: int
    budget: DeadLetter.Budget
    reason: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, dag_run_id: _Optional[str] = ..., dag_id: _Optional[str] = ..., task_id: _Optional[str] = ..., map_index: _Optional[int] = ..., attempt_number: _Optional[int] = ..., budget: _Optional[_Union[DeadLetter.Budget, str]] = ..., reason: _Optional[str] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("task_id", "map_index", "state", "wait", "message", "hint")
    class Wait(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        WAIT_UNSPECIFIED: _ClassVar[Explanation.Wait]
        WAIT_NONE: _ClassVar[Explanation.Wait]
        WAIT_UPSTREAM: _ClassVar[Explanation.Wait]
        WAIT_DELAY: _ClassVar[Explanation.Wait]
        WAIT_LIMIT: _ClassVar[Explanation.Wait]
        WAIT_WORKER: _ClassVar[Explanation.Wait]
        WAIT_PAUSED: _ClassVar[Explanation.Wait]
        WAIT_RUNNING: _ClassVar[Explanation.Wait]
        WAIT_ORDER: _ClassVar[Explanation.Wait]
        WAIT_QUARANTINED: _ClassVar[Explanation.Wait]
        WAIT_CHILD_RUN: _ClassVar[Explanation.Wait]
        WAIT_EQUAL_CALL: _ClassVar[Explanation.Wait]
        WAIT_APPROVAL: _ClassVar[Explanation.Wait]
        WAIT_PAST: _ClassVar[Explanation.Wait]
    WAIT_UNSPECIFIED: Explanation.Wait
    WAIT_NONE: Explanation.Wait
    WAIT_UPSTREAM: Explanation.Wait
    WAIT_DELAY: Explanation.Wait
    WAIT_LIMIT: Explanation.Wait
    WAIT_WORKER: Explanation.Wait
    WAIT_PAUSED: Explanation.Wait
    WAIT_RUNNING: Explanation.Wait
    WAIT_ORDER: Explanation.Wait
    WAIT_QUARANTINED: Explanation.Wait
    WAIT_CHILD_RUN: Explanation.Wait
    WAIT_EQUAL_CALL: Explanation.Wait
    WAIT_APPROVAL: Explanation.Wait
    WAIT_PAST: Explanation.Wait
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    map_index: int
    state: TaskState
    wait: Explanation.Wait
    message: str
    hint: str
    def __init__(self, task_id: _Optional[str] = ..., map_index: _Optional[int] = ..., state: _Optional[_Union[TaskState, str]] = ..., wait: _Optional[_Union[Explanation.Wait, str]] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ...) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("task_id", "map_index", "attempt_number", "time", "stream", "text")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    map_index: int
    attempt_number: int
    time: _timestamp_pb2.Timestamp
    stream: str
    text: str
    def __init__(self, task_id: _Optional[str] = ..., map_index: _Optional[int] = ..., attempt_number: _Optional[int] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., stream: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class TaskOutput(_message.Message):
    __slots__ = ("task_id", "map_index", "attempt_number", "output")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    map_index: int
    attempt_number: int
    output: _payload_pb2.Payload
    def __init__(self, task_id: _Optional[str] = ..., map_index: _Optional[int] = ..., attempt_number: _Optional[int] = ..., output: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class CriticalPathStep(_message.Message):
    __slots__ = ("task_id", "map_index", "waited", "worked")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    WAITED_FIELD_NUMBER: _ClassVar[int]
    WORKED_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    map_index: int
    waited: _duration_pb2.Duration
    worked: _duration_pb2.Duration
    def __init__(self, task_id: _Optional[str] = ..., map_index: _Optional[int] = ..., waited: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., worked: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...
