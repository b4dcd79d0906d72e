from glidepath_proto.common.v1 import authorization_pb2 as _authorization_pb2
from glidepath_proto.registry.v1 import dag_pb2 as _dag_pb2
from glidepath_proto.schedule.v1 import deadline_pb2 as _deadline_pb2
from glidepath_proto.schedule.v1 import schedule_pb2 as _schedule_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Dag(_message.Message):
    __slots__ = ("namespace", "dag_id", "description", "owner", "tags", "latest_version_number", "paused", "aliases", "create_time")
    class AliasesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    LATEST_VERSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    description: str
    owner: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    latest_version_number: int
    paused: bool
    aliases: _containers.ScalarMap[str, int]
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ..., description: _Optional[str] = ..., owner: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., latest_version_number: _Optional[int] = ..., paused: bool = ..., aliases: _Optional[_Mapping[str, int]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DagVersion(_message.Message):
    __slots__ = ("dag_id", "dag_version_number", "content_hash", "create_time", "created_by", "task_count", "spec")
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    TASK_COUNT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    dag_id: str
    dag_version_number: int
    content_hash: str
    create_time: _timestamp_pb2.Timestamp
    created_by: str
    task_count: int
    spec: _dag_pb2.DagSpec
    def __init__(self, dag_id: _Optional[str] = ..., dag_version_number: _Optional[int] = ..., content_hash: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[str] = ..., task_count: _Optional[int] = ..., spec: _Optional[_Union[_dag_pb2.DagSpec, _Mapping]] = ...) -> None: ...

class SourceBundle(_message.Message):
    __slots__ = ("content_hash", "archive")
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    content_hash: str
    archive: bytes
    def __init__(self, content_hash: _Optional[str] = ..., archive: _Optional[bytes] = ...) -> None: ...

class RegisterDagVersionRequest(_message.Message):
    __slots__ = ("namespace", "request_id", "spec", "sources", "validate_only", "aliases", "deadlines", "schedules")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    DEADLINES_FIELD_NUMBER: _ClassVar[int]
    SCHEDULES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    request_id: str
    spec: _dag_pb2.DagSpec
    sources: _containers.RepeatedCompositeFieldContainer[SourceBundle]
    validate_only: bool
    aliases: _containers.RepeatedScalarFieldContainer[str]
    deadlines: _containers.RepeatedCompositeFieldContainer[_deadline_pb2.DeadlineDeclaration]
    schedules: _containers.RepeatedCompositeFieldContainer[_schedule_pb2.ScheduleDeclaration]
    def __init__(self, namespace: _Optional[str] = ..., request_id: _Optional[str] = ..., spec: _Optional[_Union[_dag_pb2.DagSpec, _Mapping]] = ..., sources: _Optional[_Iterable[_Union[SourceBundle, _Mapping]]] = ..., validate_only: bool = ..., aliases: _Optional[_Iterable[str]] = ..., deadlines: _Optional[_Iterable[_Union[_deadline_pb2.DeadlineDeclaration, _Mapping]]] = ..., schedules: _Optional[_Iterable[_Union[_schedule_pb2.ScheduleDeclaration, _Mapping]]] = ...) -> None: ...

class RegisterDagVersionResponse(_message.Message):
    __slots__ = ("dag_version", "created", "warnings")
    DAG_VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    dag_version: DagVersion
    created: bool
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dag_version: _Optional[_Union[DagVersion, _Mapping]] = ..., created: bool = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class GetDagRequest(_message.Message):
    __slots__ = ("namespace", "dag_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ...) -> None: ...

class GetDagResponse(_message.Message):
    __slots__ = ("dag",)
    DAG_FIELD_NUMBER: _ClassVar[int]
    dag: Dag
    def __init__(self, dag: _Optional[_Union[Dag, _Mapping]] = ...) -> None: ...

class ListDagsRequest(_message.Message):
    __slots__ = ("namespace", "page_size", "page_token", "tag")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    page_size: int
    page_token: str
    tag: str
    def __init__(self, namespace: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., tag: _Optional[str] = ...) -> None: ...

class ListDagsResponse(_message.Message):
    __slots__ = ("dags", "next_page_token")
    DAGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dags: _containers.RepeatedCompositeFieldContainer[Dag]
    next_page_token: str
    def __init__(self, dags: _Optional[_Iterable[_Union[Dag, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetDagVersionRequest(_message.Message):
    __slots__ = ("namespace", "dag_id", "dag_version_number", "alias")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    dag_version_number: int
    alias: str
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ..., dag_version_number: _Optional[int] = ..., alias: _Optional[str] = ...) -> None: ...

class GetDagVersionResponse(_message.Message):
    __slots__ = ("dag_version",)
    DAG_VERSION_FIELD_NUMBER: _ClassVar[int]
    dag_version: DagVersion
    def __init__(self, dag_version: _Optional[_Union[DagVersion, _Mapping]] = ...) -> None: ...

class ListDagVersionsRequest(_message.Message):
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

class ListDagVersionsResponse(_message.Message):
    __slots__ = ("dag_versions", "next_page_token")
    DAG_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dag_versions: _containers.RepeatedCompositeFieldContainer[DagVersion]
    next_page_token: str
    def __init__(self, dag_versions: _Optional[_Iterable[_Union[DagVersion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DiffDagVersionsRequest(_message.Message):
    __slots__ = ("namespace", "dag_id", "from_version_number", "to_version_number")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_VERSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    TO_VERSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    from_version_number: int
    to_version_number: int
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ..., from_version_number: _Optional[int] = ..., to_version_number: _Optional[int] = ...) -> None: ...

class DagDifference(_message.Message):
    __slots__ = ("change", "path", "before", "after")
    class Change(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CHANGE_UNSPECIFIED: _ClassVar[DagDifference.Change]
        CHANGE_ADDED: _ClassVar[DagDifference.Change]
        CHANGE_REMOVED: _ClassVar[DagDifference.Change]
        CHANGE_CHANGED: _ClassVar[DagDifference.Change]
    CHANGE_UNSPECIFIED: DagDifference.Change
    CHANGE_ADDED: DagDifference.Change
    CHANGE_REMOVED: DagDifference.Change
    CHANGE_CHANGED: DagDifference.Change
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    change: DagDifference.Change
    path: str
    before: str
    after: str
    def __init__(self, change: _Optional[_Union[DagDifference.Change, str]] = ..., path: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class DiffDagVersionsResponse(_message.Message):
    __slots__ = ("differences",)
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    differences: _containers.RepeatedCompositeFieldContainer[DagDifference]
    def __init__(self, differences: _Optional[_Iterable[_Union[DagDifference, _Mapping]]] = ...) -> None: ...

class SetDagAliasRequest(_message.Message):
    __slots__ = ("namespace", "dag_id", "alias", "dag_version_number")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    alias: str
    dag_version_number: int
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ..., alias: _Optional[str] = ..., dag_version_number: _Optional[int] = ...) -> None: ...

class SetDagAliasResponse(_message.Message):
    __slots__ = ("dag",)
    DAG_FIELD_NUMBER: _ClassVar[int]
    dag: Dag
    def __init__(self, dag: _Optional[_Union[Dag, _Mapping]] = ...) -> None: ...

class PauseDagRequest(_message.Message):
    __slots__ = ("namespace", "dag_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ...) -> None: ...

class PauseDagResponse(_message.Message):
    __slots__ = ("dag",)
    DAG_FIELD_NUMBER: _ClassVar[int]
    dag: Dag
    def __init__(self, dag: _Optional[_Union[Dag, _Mapping]] = ...) -> None: ...

class UnpauseDagRequest(_message.Message):
    __slots__ = ("namespace", "dag_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ...) -> None: ...

class UnpauseDagResponse(_message.Message):
    __slots__ = ("dag",)
    DAG_FIELD_NUMBER: _ClassVar[int]
    dag: Dag
    def __init__(self, dag: _Optional[_Union[Dag, _Mapping]] = ...) -> None: ...

class ClearDagCacheRequest(_message.Message):
    __slots__ = ("namespace", "dag_id", "task_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    task_id: str
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ..., task_id: _Optional[str] = ...) -> None: ...

class ClearDagCacheResponse(_message.Message):
    __slots__ = ("results_cleared",)
    RESULTS_CLEARED_FIELD_NUMBER: _ClassVar[int]
    results_cleared: int
    def __init__(self, results_cleared: _Optional[int] = ...) -> None: ...
