from glidepath_proto.common.v1 import artifact_pb2 as _artifact_pb2
from glidepath_proto.common.v1 import failure_pb2 as _failure_pb2
from glidepath_proto.common.v1 import payload_pb2 as _payload_pb2
from glidepath_proto.common.v1 import references_pb2 as _references_pb2
from glidepath_proto.registry.v1 import dag_pb2 as _dag_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Assignment(_message.Message):
    __slots__ = ("task_token", "attempt", "namespace", "dag_version", "handler", "inputs", "params", "upstream_outputs", "logical_date", "data_interval_start", "data_interval_end", "data_interval_zone", "run_key", "map_item", "execution_timeout", "deadline_time", "cancel_grace", "isolation", "lease_mode", "memory_limit_mb", "resources", "checkpoint", "traceparent", "tracestate", "idempotency_key", "xcoms", "child")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _dag_pb2.Input
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_dag_pb2.Input, _Mapping]] = ...) -> None: ...
    class UpstreamOutputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _payload_pb2.Payload
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...
    class ResourcesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    TASK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_FIELD_NUMBER: _ClassVar[int]
    HANDLER_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    LOGICAL_DATE_FIELD_NUMBER: _ClassVar[int]
    DATA_INTERVAL_START_FIELD_NUMBER: _ClassVar[int]
    DATA_INTERVAL_END_FIELD_NUMBER: _ClassVar[int]
    DATA_INTERVAL_ZONE_FIELD_NUMBER: _ClassVar[int]
    RUN_KEY_FIELD_NUMBER: _ClassVar[int]
    MAP_ITEM_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_TIME_FIELD_NUMBER: _ClassVar[int]
    CANCEL_GRACE_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    LEASE_MODE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_MB_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    TRACESTATE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    XCOMS_FIELD_NUMBER: _ClassVar[int]
    CHILD_FIELD_NUMBER: _ClassVar[int]
    task_token: bytes
    attempt: _references_pb2.AttemptRef
    namespace: str
    dag_version: _references_pb2.DagVersionRef
    handler: _dag_pb2.Handler
    inputs: _containers.MessageMap[str, _dag_pb2.Input]
    params: str
    upstream_outputs: _containers.MessageMap[str, _payload_pb2.Payload]
    logical_date: _timestamp_pb2.Timestamp
    data_interval_start: _timestamp_pb2.Timestamp
    data_interval_end: _timestamp_pb2.Timestamp
    data_interval_zone: str
    run_key: str
    map_item: str
    execution_timeout: _duration_pb2.Duration
    deadline_time: _timestamp_pb2.Timestamp
    cancel_grace: _duration_pb2.Duration
    isolation: _dag_pb2.IsolationMode
    lease_mode: _dag_pb2.LeaseMode
    memory_limit_mb: int
    resources: _containers.ScalarMap[str, float]
    checkpoint: bytes
    traceparent: str
    tracestate: str
    idempotency_key: str
    xcoms: _containers.RepeatedCompositeFieldContainer[UpstreamXCom]
    child: ChildEnd
    def __init__(self, task_token: _Optional[bytes] = ..., attempt: _Optional[_Union[_references_pb2.AttemptRef, _Mapping]] = ..., namespace: _Optional[str] = ..., dag_version: _Optional[_Union[_references_pb2.DagVersionRef, _Mapping]] = ..., handler: _Optional[_Union[_dag_pb2.Handler, _Mapping]] = ..., inputs: _Optional[_Mapping[str, _dag_pb2.Input]] = ..., params: _Optional[str] = ..., upstream_outputs: _Optional[_Mapping[str, _payload_pb2.Payload]] = ..., logical_date: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., data_interval_start: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., data_interval_end: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., data_interval_zone: _Optional[str] = ..., run_key: _Optional[str] = ..., map_item: _Optional[str] = ..., execution_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., deadline_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., cancel_grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., isolation: _Optional[_Union[_dag_pb2.IsolationMode, str]] = ..., lease_mode: _Optional[_Union[_dag_pb2.LeaseMode, str]] = ..., memory_limit_mb: _Optional[int] = ..., resources: _Optional[_Mapping[str, float]] = ..., checkpoint: _Optional[bytes] = ..., traceparent: _Optional[str] = ..., tracestate: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., xcoms: _Optional[_Iterable[_Union[UpstreamXCom, _Mapping]]] = ..., child: _Optional[_Union[ChildEnd, _Mapping]] = ...) -> None: ...

class UpstreamXCom(_message.Message):
    __slots__ = ("task_id", "key", "value")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    key: str
    value: _payload_pb2.Payload
    def __init__(self, task_id: _Optional[str] = ..., key: _Optional[str] = ..., value: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class AttemptResult(_message.Message):
    __slots__ = ("task_token", "success", "failed", "timed_out", "deferred", "skipped", "cancelled", "returned", "called", "start_time", "end_time")
    TASK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    TIMED_OUT_FIELD_NUMBER: _ClassVar[int]
    DEFERRED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    CALLED_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    task_token: bytes
    success: Success
    failed: _failure_pb2.Failure
    timed_out: TimedOut
    deferred: Deferred
    skipped: Skipped
    cancelled: Cancelled
    returned: Returned
    called: Called
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, task_token: _Optional[bytes] = ..., success: _Optional[_Union[Success, _Mapping]] = ..., failed: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., timed_out: _Optional[_Union[TimedOut, _Mapping]] = ..., deferred: _Optional[_Union[Deferred, _Mapping]] = ..., skipped: _Optional[_Union[Skipped, _Mapping]] = ..., cancelled: _Optional[_Union[Cancelled, _Mapping]] = ..., returned: _Optional[_Union[Returned, _Mapping]] = ..., called: _Optional[_Union[Called, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Success(_message.Message):
    __slots__ = ("output", "xcoms", "artifacts")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    XCOMS_FIELD_NUMBER: _ClassVar[int]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    output: _payload_pb2.Payload
    xcoms: _containers.RepeatedCompositeFieldContainer[XCom]
    artifacts: _containers.RepeatedCompositeFieldContainer[_artifact_pb2.ArtifactUse]
    def __init__(self, output: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., xcoms: _Optional[_Iterable[_Union[XCom, _Mapping]]] = ..., artifacts: _Optional[_Iterable[_Union[_artifact_pb2.ArtifactUse, _Mapping]]] = ...) -> None: ...

class XCom(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class TimedOut(_message.Message):
    __slots__ = ("failure",)
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    failure: _failure_pb2.Failure
    def __init__(self, failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class Deferred(_message.Message):
    __slots__ = ("until", "checkpoint", "after")
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    until: _timestamp_pb2.Timestamp
    checkpoint: bytes
    after: _duration_pb2.Duration
    def __init__(self, until: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., checkpoint: _Optional[bytes] = ..., after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Called(_message.Message):
    __slots__ = ("dag_id", "dag_version_number", "alias", "params", "logical_date", "output_task_id", "resume", "checkpoint", "dag")
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    LOGICAL_DATE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TASK_ID_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    DAG_FIELD_NUMBER: _ClassVar[int]
    dag_id: str
    dag_version_number: int
    alias: str
    params: str
    logical_date: _timestamp_pb2.Timestamp
    output_task_id: str
    resume: bool
    checkpoint: bytes
    dag: _dag_pb2.DagSpec
    def __init__(self, dag_id: _Optional[str] = ..., dag_version_number: _Optional[int] = ..., alias: _Optional[str] = ..., params: _Optional[str] = ..., logical_date: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., output_task_id: _Optional[str] = ..., resume: bool = ..., checkpoint: _Optional[bytes] = ..., dag: _Optional[_Union[_dag_pb2.DagSpec, _Mapping]] = ...) -> None: ...

class ChildEnd(_message.Message):
    __slots__ = ("dag_run_id", "dag_id", "state", "reason", "output")
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    dag_run_id: str
    dag_id: str
    state: str
    reason: str
    output: _payload_pb2.Payload
    def __init__(self, dag_run_id: _Optional[str] = ..., dag_id: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., output: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class Skipped(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Cancelled(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Returned(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("task_token", "percent", "note", "checkpoint")
    TASK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    task_token: bytes
    percent: float
    note: str
    checkpoint: bytes
    def __init__(self, task_token: _Optional[bytes] = ..., percent: _Optional[float] = ..., note: _Optional[str] = ..., checkpoint: _Optional[bytes] = ...) -> None: ...

class LogChunk(_message.Message):
    __slots__ = ("task_token", "sequence_number", "entries")
    TASK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    task_token: bytes
    sequence_number: int
    entries: _containers.RepeatedCompositeFieldContainer[LogEntry]
    def __init__(self, task_token: _Optional[bytes] = ..., sequence_number: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[LogEntry, _Mapping]]] = ...) -> None: ...

class LogEntry(_message.Message):
    __slots__ = ("time", "stream", "text")
    TIME_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    stream: str
    text: str
    def __init__(self, time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., stream: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...
