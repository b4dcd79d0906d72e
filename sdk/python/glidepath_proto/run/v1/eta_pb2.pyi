from glidepath_proto.run.v1 import run_pb2 as _run_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunEta(_message.Message):
    __slots__ = ("time", "p50_end_time", "p90_end_time", "due_time", "late_probability", "tasks", "causes", "unknown_task_ids")
    TIME_FIELD_NUMBER: _ClassVar[int]
    P50_END_TIME_FIELD_NUMBER: _ClassVar[int]
    P90_END_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    LATE_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    p50_end_time: _timestamp_pb2.Timestamp
    p90_end_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    late_probability: float
    tasks: _containers.RepeatedCompositeFieldContainer[TaskEta]
    causes: _containers.RepeatedCompositeFieldContainer[LateCause]
    unknown_task_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., p50_end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., p90_end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., late_probability: _Optional[float] = ..., tasks: _Optional[_Iterable[_Union[TaskEta, _Mapping]]] = ..., causes: _Optional[_Iterable[_Union[LateCause, _Mapping]]] = ..., unknown_task_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class TaskEta(_message.Message):
    __slots__ = ("task_id", "state", "end_time", "usual_duration", "remaining_duration", "slack", "critical")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    USUAL_DURATION_FIELD_NUMBER: _ClassVar[int]
    REMAINING_DURATION_FIELD_NUMBER: _ClassVar[int]
    SLACK_FIELD_NUMBER: _ClassVar[int]
    CRITICAL_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    state: _run_pb2.TaskState
    end_time: _timestamp_pb2.Timestamp
    usual_duration: _duration_pb2.Duration
    remaining_duration: _duration_pb2.Duration
    slack: _duration_pb2.Duration
    critical: float
    def __init__(self, task_id: _Optional[str] = ..., state: _Optional[_Union[_run_pb2.TaskState, str]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., usual_duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., remaining_duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., slack: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., critical: _Optional[float] = ...) -> None: ...

class LateCause(_message.Message):
    __slots__ = ("task_id", "duration", "usual_duration", "message")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    USUAL_DURATION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    duration: _duration_pb2.Duration
    usual_duration: _duration_pb2.Duration
    message: str
    def __init__(self, task_id: _Optional[str] = ..., duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., usual_duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...
