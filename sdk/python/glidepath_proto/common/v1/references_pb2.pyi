from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class DagVersionRef(_message.Message):
    __slots__ = ("dag_id", "dag_version_number")
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    dag_id: str
    dag_version_number: int
    def __init__(self, dag_id: _Optional[str] = ..., dag_version_number: _Optional[int] = ...) -> None: ...

class TaskInstanceRef(_message.Message):
    __slots__ = ("dag_run_id", "task_id", "map_index")
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    dag_run_id: str
    task_id: str
    map_index: int
    def __init__(self, dag_run_id: _Optional[str] = ..., task_id: _Optional[str] = ..., map_index: _Optional[int] = ...) -> None: ...

class AttemptRef(_message.Message):
    __slots__ = ("dag_run_id", "task_id", "map_index", "attempt_number")
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    dag_run_id: str
    task_id: str
    map_index: int
    attempt_number: int
    def __init__(self, dag_run_id: _Optional[str] = ..., task_id: _Optional[str] = ..., map_index: _Optional[int] = ..., attempt_number: _Optional[int] = ...) -> None: ...
