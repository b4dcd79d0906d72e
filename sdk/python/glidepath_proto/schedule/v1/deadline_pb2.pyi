from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeadlineState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEADLINE_STATE_UNSPECIFIED: _ClassVar[DeadlineState]
    DEADLINE_STATE_ON_TRACK: _ClassVar[DeadlineState]
    DEADLINE_STATE_AT_RISK: _ClassVar[DeadlineState]
    DEADLINE_STATE_MISSED: _ClassVar[DeadlineState]
    DEADLINE_STATE_MET: _ClassVar[DeadlineState]
    DEADLINE_STATE_MET_LATE: _ClassVar[DeadlineState]
DEADLINE_STATE_UNSPECIFIED: DeadlineState
DEADLINE_STATE_ON_TRACK: DeadlineState
DEADLINE_STATE_AT_RISK: DeadlineState
DEADLINE_STATE_MISSED: DeadlineState
DEADLINE_STATE_MET: DeadlineState
DEADLINE_STATE_MET_LATE: DeadlineState

class DeadlineDeclaration(_message.Message):
    __slots__ = ("name", "after_queue", "after_start", "after_logical_date", "after_interval_end", "wall", "task_id", "group_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_QUEUE_FIELD_NUMBER: _ClassVar[int]
    AFTER_START_FIELD_NUMBER: _ClassVar[int]
    AFTER_LOGICAL_DATE_FIELD_NUMBER: _ClassVar[int]
    AFTER_INTERVAL_END_FIELD_NUMBER: _ClassVar[int]
    WALL_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    after_queue: _duration_pb2.Duration
    after_start: _duration_pb2.Duration
    after_logical_date: _duration_pb2.Duration
    after_interval_end: _duration_pb2.Duration
    wall: WallTime
    task_id: str
    group_id: str
    def __init__(self, name: _Optional[str] = ..., after_queue: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., after_start: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., after_logical_date: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., after_interval_end: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., wall: _Optional[_Union[WallTime, _Mapping]] = ..., task_id: _Optional[str] = ..., group_id: _Optional[str] = ...) -> None: ...

class WallTime(_message.Message):
    __slots__ = ("clock", "zone", "weekdays")
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    WEEKDAYS_FIELD_NUMBER: _ClassVar[int]
    clock: str
    zone: str
    weekdays: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, clock: _Optional[str] = ..., zone: _Optional[str] = ..., weekdays: _Optional[_Iterable[int]] = ...) -> None: ...

class Deadline(_message.Message):
    __slots__ = ("dag_id", "declaration", "description", "declared", "update_time", "updated_by")
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DECLARATION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DECLARED_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATED_BY_FIELD_NUMBER: _ClassVar[int]
    dag_id: str
    declaration: DeadlineDeclaration
    description: str
    declared: bool
    update_time: _timestamp_pb2.Timestamp
    updated_by: str
    def __init__(self, dag_id: _Optional[str] = ..., declaration: _Optional[_Union[DeadlineDeclaration, _Mapping]] = ..., description: _Optional[str] = ..., declared: bool = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., updated_by: _Optional[str] = ...) -> None: ...

class RunDeadline(_message.Message):
    __slots__ = ("deadline_id", "dag_id", "run_key", "dag_run_id", "declaration", "description", "state", "due_time", "create_time", "state_time")
    DEADLINE_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_KEY_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    DECLARATION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_TIME_FIELD_NUMBER: _ClassVar[int]
    deadline_id: int
    dag_id: str
    run_key: str
    dag_run_id: str
    declaration: DeadlineDeclaration
    description: str
    state: DeadlineState
    due_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    state_time: _timestamp_pb2.Timestamp
    def __init__(self, deadline_id: _Optional[int] = ..., dag_id: _Optional[str] = ..., run_key: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., declaration: _Optional[_Union[DeadlineDeclaration, _Mapping]] = ..., description: _Optional[str] = ..., state: _Optional[_Union[DeadlineState, str]] = ..., due_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., state_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
