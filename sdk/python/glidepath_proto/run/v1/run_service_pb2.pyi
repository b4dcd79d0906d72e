from glidepath_proto.common.v1 import authorization_pb2 as _authorization_pb2
from glidepath_proto.run.v1 import eta_pb2 as _eta_pb2
from glidepath_proto.run.v1 import run_pb2 as _run_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DagRunRequest(_message.Message):
    __slots__ = ("dag_id", "dag_version_number", "alias", "run_key", "params", "logical_date", "data_interval_start", "data_interval_end", "traceparent", "refresh_cache", "pause_at_task_ids", "only_task_ids", "only_with_upstream", "only_with_downstream")
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    RUN_KEY_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    LOGICAL_DATE_FIELD_NUMBER: _ClassVar[int]
    DATA_INTERVAL_START_FIELD_NUMBER: _ClassVar[int]
    DATA_INTERVAL_END_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    REFRESH_CACHE_FIELD_NUMBER: _ClassVar[int]
    PAUSE_AT_TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    ONLY_TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    ONLY_WITH_UPSTREAM_FIELD_NUMBER: _ClassVar[int]
    ONLY_WITH_DOWNSTREAM_FIELD_NUMBER: _ClassVar[int]
    dag_id: str
    dag_version_number: int
    alias: str
    run_key: str
    params: str
    logical_date: _timestamp_pb2.Timestamp
    data_interval_start: _timestamp_pb2.Timestamp
    data_interval_end: _timestamp_pb2.Timestamp
    traceparent: str
    refresh_cache: bool
    pause_at_task_ids: _containers.RepeatedScalarFieldContainer[str]
    only_task_ids: _containers.RepeatedScalarFieldContainer[str]
    only_with_upstream: bool
    only_with_downstream: bool
    def __init__(self, dag_id: _Optional[str] = ..., dag_version_number: _Optional[int] = ..., alias: _Optional[str] = ..., run_key: _Optional[str] = ..., params: _Optional[str] = ..., logical_date: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., data_interval_start: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., data_interval_end: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., traceparent: _Optional[str] = ..., refresh_cache: bool = ..., pause_at_task_ids: _Optional[_Iterable[str]] = ..., only_task_ids: _Optional[_Iterable[str]] = ..., only_with_upstream: bool = ..., only_with_downstream: bool = ...) -> None: ...

class TriggerDagRunsRequest(_message.Message):
    __slots__ = ("namespace", "request_id", "runs")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    request_id: str
    runs: _containers.RepeatedCompositeFieldContainer[DagRunRequest]
    def __init__(self, namespace: _Optional[str] = ..., request_id: _Optional[str] = ..., runs: _Optional[_Iterable[_Union[DagRunRequest, _Mapping]]] = ...) -> None: ...

class TriggeredDagRun(_message.Message):
    __slots__ = ("dag_run_id", "run_key", "dag_version_number", "created")
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_KEY_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    dag_run_id: str
    run_key: str
    dag_version_number: int
    created: bool
    def __init__(self, dag_run_id: _Optional[str] = ..., run_key: _Optional[str] = ..., dag_version_number: _Optional[int] = ..., created: bool = ...) -> None: ...

class TriggerDagRunsResponse(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[TriggeredDagRun]
    def __init__(self, runs: _Optional[_Iterable[_Union[TriggeredDagRun, _Mapping]]] = ...) -> None: ...

class GetDagRunRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ...) -> None: ...

class GetDagRunResponse(_message.Message):
    __slots__ = ("dag_run",)
    DAG_RUN_FIELD_NUMBER: _ClassVar[int]
    dag_run: _run_pb2.DagRun
    def __init__(self, dag_run: _Optional[_Union[_run_pb2.DagRun, _Mapping]] = ...) -> None: ...

class ListDagRunsRequest(_message.Message):
    __slots__ = ("namespace", "dag_id", "states", "page_size", "page_token", "dag_run_id_prefix", "children_of_dag_run_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_PREFIX_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_OF_DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    states: _containers.RepeatedScalarFieldContainer[_run_pb2.RunState]
    page_size: int
    page_token: str
    dag_run_id_prefix: str
    children_of_dag_run_id: str
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_run_pb2.RunState, str]]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., dag_run_id_prefix: _Optional[str] = ..., children_of_dag_run_id: _Optional[str] = ...) -> None: ...

class ListDagRunsResponse(_message.Message):
    __slots__ = ("dag_runs", "next_page_token")
    DAG_RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dag_runs: _containers.RepeatedCompositeFieldContainer[_run_pb2.DagRun]
    next_page_token: str
    def __init__(self, dag_runs: _Optional[_Iterable[_Union[_run_pb2.DagRun, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListTaskInstancesRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "page_size", "page_token", "task_id", "states")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    page_size: int
    page_token: str
    task_id: str
    states: _containers.RepeatedScalarFieldContainer[_run_pb2.TaskState]
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., task_id: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_run_pb2.TaskState, str]]] = ...) -> None: ...

class ListTaskInstancesResponse(_message.Message):
    __slots__ = ("task_instances", "next_page_token")
    TASK_INSTANCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task_instances: _containers.RepeatedCompositeFieldContainer[_run_pb2.TaskInstance]
    next_page_token: str
    def __init__(self, task_instances: _Optional[_Iterable[_Union[_run_pb2.TaskInstance, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListAttemptsRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "task_id", "page_size", "page_token", "map_index")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    task_id: str
    page_size: int
    page_token: str
    map_index: int
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., task_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., map_index: _Optional[int] = ...) -> None: ...

class ListAttemptsResponse(_message.Message):
    __slots__ = ("attempts", "next_page_token")
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[_run_pb2.Attempt]
    next_page_token: str
    def __init__(self, attempts: _Optional[_Iterable[_Union[_run_pb2.Attempt, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchDagRunRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "after_revision", "run_only")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_REVISION_FIELD_NUMBER: _ClassVar[int]
    RUN_ONLY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    after_revision: int
    run_only: bool
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., after_revision: _Optional[int] = ..., run_only: bool = ...) -> None: ...

class WatchDagRunResponse(_message.Message):
    __slots__ = ("dag_run", "task_instances")
    DAG_RUN_FIELD_NUMBER: _ClassVar[int]
    TASK_INSTANCES_FIELD_NUMBER: _ClassVar[int]
    dag_run: _run_pb2.DagRun
    task_instances: _containers.RepeatedCompositeFieldContainer[_run_pb2.TaskInstance]
    def __init__(self, dag_run: _Optional[_Union[_run_pb2.DagRun, _Mapping]] = ..., task_instances: _Optional[_Iterable[_Union[_run_pb2.TaskInstance, _Mapping]]] = ...) -> None: ...

class CancelDagRunRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "request_id", "reason")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    request_id: str
    reason: str
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., request_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelDagRunResponse(_message.Message):
    __slots__ = ("dag_run",)
    DAG_RUN_FIELD_NUMBER: _ClassVar[int]
    dag_run: _run_pb2.DagRun
    def __init__(self, dag_run: _Optional[_Union[_run_pb2.DagRun, _Mapping]] = ...) -> None: ...

class CancelTaskInstancesRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "request_id", "task_ids", "reason", "map_indexes")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEXES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    request_id: str
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    map_indexes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., request_id: _Optional[str] = ..., task_ids: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ..., map_indexes: _Optional[_Iterable[int]] = ...) -> None: ...

class CancelTaskInstancesResponse(_message.Message):
    __slots__ = ("dag_run",)
    DAG_RUN_FIELD_NUMBER: _ClassVar[int]
    dag_run: _run_pb2.DagRun
    def __init__(self, dag_run: _Optional[_Union[_run_pb2.DagRun, _Mapping]] = ...) -> None: ...

class ClearTaskInstancesRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "request_id", "task_ids", "downstream", "cancel_running", "reason", "upstream", "only_failed", "dag_version", "map_indexes")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    DOWNSTREAM_FIELD_NUMBER: _ClassVar[int]
    CANCEL_RUNNING_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_FIELD_NUMBER: _ClassVar[int]
    ONLY_FAILED_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEXES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    request_id: str
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    downstream: bool
    cancel_running: bool
    reason: str
    upstream: bool
    only_failed: bool
    dag_version: str
    map_indexes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., request_id: _Optional[str] = ..., task_ids: _Optional[_Iterable[str]] = ..., downstream: bool = ..., cancel_running: bool = ..., reason: _Optional[str] = ..., upstream: bool = ..., only_failed: bool = ..., dag_version: _Optional[str] = ..., map_indexes: _Optional[_Iterable[int]] = ...) -> None: ...

class ClearTaskInstancesResponse(_message.Message):
    __slots__ = ("dag_run", "cleared_task_ids")
    DAG_RUN_FIELD_NUMBER: _ClassVar[int]
    CLEARED_TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    dag_run: _run_pb2.DagRun
    cleared_task_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dag_run: _Optional[_Union[_run_pb2.DagRun, _Mapping]] = ..., cleared_task_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class MarkTaskInstancesRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "request_id", "task_ids", "state", "reason", "map_indexes")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEXES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    request_id: str
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    state: _run_pb2.TaskState
    reason: str
    map_indexes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., request_id: _Optional[str] = ..., task_ids: _Optional[_Iterable[str]] = ..., state: _Optional[_Union[_run_pb2.TaskState, str]] = ..., reason: _Optional[str] = ..., map_indexes: _Optional[_Iterable[int]] = ...) -> None: ...

class MarkTaskInstancesResponse(_message.Message):
    __slots__ = ("dag_run",)
    DAG_RUN_FIELD_NUMBER: _ClassVar[int]
    dag_run: _run_pb2.DagRun
    def __init__(self, dag_run: _Optional[_Union[_run_pb2.DagRun, _Mapping]] = ...) -> None: ...

class RerunDagRunRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "request_id", "reason", "dag_version")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    request_id: str
    reason: str
    dag_version: str
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., request_id: _Optional[str] = ..., reason: _Optional[str] = ..., dag_version: _Optional[str] = ...) -> None: ...

class RerunDagRunResponse(_message.Message):
    __slots__ = ("dag_run", "cleared_task_ids")
    DAG_RUN_FIELD_NUMBER: _ClassVar[int]
    CLEARED_TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    dag_run: _run_pb2.DagRun
    cleared_task_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dag_run: _Optional[_Union[_run_pb2.DagRun, _Mapping]] = ..., cleared_task_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class SetDagRunPriorityRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "request_id", "reason", "priority", "task_ids")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    request_id: str
    reason: str
    priority: int
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., request_id: _Optional[str] = ..., reason: _Optional[str] = ..., priority: _Optional[int] = ..., task_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class SetDagRunPriorityResponse(_message.Message):
    __slots__ = ("dag_run", "moved")
    DAG_RUN_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    dag_run: _run_pb2.DagRun
    moved: int
    def __init__(self, dag_run: _Optional[_Union[_run_pb2.DagRun, _Mapping]] = ..., moved: _Optional[int] = ...) -> None: ...

class Note(_message.Message):
    __slots__ = ("note_id", "task_id", "map_index", "author", "time", "text")
    NOTE_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    note_id: int
    task_id: str
    map_index: int
    author: str
    time: _timestamp_pb2.Timestamp
    text: str
    def __init__(self, note_id: _Optional[int] = ..., task_id: _Optional[str] = ..., map_index: _Optional[int] = ..., author: _Optional[str] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., text: _Optional[str] = ...) -> None: ...

class AddNoteRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "request_id", "task_id", "map_index", "text")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    request_id: str
    task_id: str
    map_index: int
    text: str
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., request_id: _Optional[str] = ..., task_id: _Optional[str] = ..., map_index: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class AddNoteResponse(_message.Message):
    __slots__ = ("note",)
    NOTE_FIELD_NUMBER: _ClassVar[int]
    note: Note
    def __init__(self, note: _Optional[_Union[Note, _Mapping]] = ...) -> None: ...

class ListNotesRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListNotesResponse(_message.Message):
    __slots__ = ("notes", "next_page_token")
    NOTES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    notes: _containers.RepeatedCompositeFieldContainer[Note]
    next_page_token: str
    def __init__(self, notes: _Optional[_Iterable[_Union[Note, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PauseDagRunRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "request_id", "task_ids", "reason")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    request_id: str
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., request_id: _Optional[str] = ..., task_ids: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...

class PauseDagRunResponse(_message.Message):
    __slots__ = ("dag_run",)
    DAG_RUN_FIELD_NUMBER: _ClassVar[int]
    dag_run: _run_pb2.DagRun
    def __init__(self, dag_run: _Optional[_Union[_run_pb2.DagRun, _Mapping]] = ...) -> None: ...

class ResumeDagRunRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "request_id", "task_ids", "reason")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    request_id: str
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., request_id: _Optional[str] = ..., task_ids: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...

class ResumeDagRunResponse(_message.Message):
    __slots__ = ("dag_run",)
    DAG_RUN_FIELD_NUMBER: _ClassVar[int]
    dag_run: _run_pb2.DagRun
    def __init__(self, dag_run: _Optional[_Union[_run_pb2.DagRun, _Mapping]] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("namespace", "dag_id", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ("dead_letters", "next_page_token")
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dead_letters: _containers.RepeatedCompositeFieldContainer[_run_pb2.DeadLetter]
    next_page_token: str
    def __init__(self, dead_letters: _Optional[_Iterable[_Union[_run_pb2.DeadLetter, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetTaskOutputRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "task_id", "map_index")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    task_id: str
    map_index: int
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., task_id: _Optional[str] = ..., map_index: _Optional[int] = ...) -> None: ...

class GetTaskOutputResponse(_message.Message):
    __slots__ = ("task_output",)
    TASK_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    task_output: _run_pb2.TaskOutput
    def __init__(self, task_output: _Optional[_Union[_run_pb2.TaskOutput, _Mapping]] = ...) -> None: ...

class StreamLogsRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "task_id", "attempt_number", "follow", "after", "map_index")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    task_id: str
    attempt_number: int
    follow: bool
    after: str
    map_index: int
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., task_id: _Optional[str] = ..., attempt_number: _Optional[int] = ..., follow: bool = ..., after: _Optional[str] = ..., map_index: _Optional[int] = ...) -> None: ...

class StreamLogsResponse(_message.Message):
    __slots__ = ("lines", "cursor")
    LINES_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[_run_pb2.LogLine]
    cursor: str
    def __init__(self, lines: _Optional[_Iterable[_Union[_run_pb2.LogLine, _Mapping]]] = ..., cursor: _Optional[str] = ...) -> None: ...

class GetRunEtaRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "due_time")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    due_time: _timestamp_pb2.Timestamp
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., due_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetRunEtaResponse(_message.Message):
    __slots__ = ("eta",)
    ETA_FIELD_NUMBER: _ClassVar[int]
    eta: _eta_pb2.RunEta
    def __init__(self, eta: _Optional[_Union[_eta_pb2.RunEta, _Mapping]] = ...) -> None: ...

class ExplainDagRunRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "task_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    task_id: str
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., task_id: _Optional[str] = ...) -> None: ...

class ExplainDagRunResponse(_message.Message):
    __slots__ = ("explanations", "critical_path")
    EXPLANATIONS_FIELD_NUMBER: _ClassVar[int]
    CRITICAL_PATH_FIELD_NUMBER: _ClassVar[int]
    explanations: _containers.RepeatedCompositeFieldContainer[_run_pb2.Explanation]
    critical_path: _containers.RepeatedCompositeFieldContainer[_run_pb2.CriticalPathStep]
    def __init__(self, explanations: _Optional[_Iterable[_Union[_run_pb2.Explanation, _Mapping]]] = ..., critical_path: _Optional[_Iterable[_Union[_run_pb2.CriticalPathStep, _Mapping]]] = ...) -> None: ...
