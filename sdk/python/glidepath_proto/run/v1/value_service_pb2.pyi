from glidepath_proto.common.v1 import artifact_pb2 as _artifact_pb2
from glidepath_proto.common.v1 import authorization_pb2 as _authorization_pb2
from glidepath_proto.common.v1 import references_pb2 as _references_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListXComsRequest(_message.Message):
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

class ListXComsResponse(_message.Message):
    __slots__ = ("xcoms", "next_page_token")
    XCOMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    xcoms: _containers.RepeatedCompositeFieldContainer[StoredXCom]
    next_page_token: str
    def __init__(self, xcoms: _Optional[_Iterable[_Union[StoredXCom, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class StoredXCom(_message.Message):
    __slots__ = ("attempt", "key", "value")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    attempt: _references_pb2.AttemptRef
    key: str
    value: str
    def __init__(self, attempt: _Optional[_Union[_references_pb2.AttemptRef, _Mapping]] = ..., key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class ListArtifactUsesRequest(_message.Message):
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

class ListArtifactUsesResponse(_message.Message):
    __slots__ = ("uses", "next_page_token")
    USES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    uses: _containers.RepeatedCompositeFieldContainer[StoredUse]
    next_page_token: str
    def __init__(self, uses: _Optional[_Iterable[_Union[StoredUse, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class StoredUse(_message.Message):
    __slots__ = ("attempt", "dag_id", "use", "time")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    attempt: _references_pb2.AttemptRef
    dag_id: str
    use: _artifact_pb2.ArtifactUse
    time: _timestamp_pb2.Timestamp
    def __init__(self, attempt: _Optional[_Union[_references_pb2.AttemptRef, _Mapping]] = ..., dag_id: _Optional[str] = ..., use: _Optional[_Union[_artifact_pb2.ArtifactUse, _Mapping]] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetArtifactLineageRequest(_message.Message):
    __slots__ = ("namespace", "artifact", "depth")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    artifact: str
    depth: int
    def __init__(self, namespace: _Optional[str] = ..., artifact: _Optional[str] = ..., depth: _Optional[int] = ...) -> None: ...

class GetArtifactLineageResponse(_message.Message):
    __slots__ = ("uses", "upstream", "downstream", "truncated")
    USES_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_FIELD_NUMBER: _ClassVar[int]
    DOWNSTREAM_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    uses: _containers.RepeatedCompositeFieldContainer[StoredUse]
    upstream: _containers.RepeatedCompositeFieldContainer[LineageStep]
    downstream: _containers.RepeatedCompositeFieldContainer[LineageStep]
    truncated: bool
    def __init__(self, uses: _Optional[_Iterable[_Union[StoredUse, _Mapping]]] = ..., upstream: _Optional[_Iterable[_Union[LineageStep, _Mapping]]] = ..., downstream: _Optional[_Iterable[_Union[LineageStep, _Mapping]]] = ..., truncated: bool = ...) -> None: ...

class LineageStep(_message.Message):
    __slots__ = ("distance", "use")
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    distance: int
    use: StoredUse
    def __init__(self, distance: _Optional[int] = ..., use: _Optional[_Union[StoredUse, _Mapping]] = ...) -> None: ...

class ListMetricsRequest(_message.Message):
    __slots__ = ("namespace", "dag_id", "runs_max")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    RUNS_MAX_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    runs_max: int
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ..., runs_max: _Optional[int] = ...) -> None: ...

class ListMetricsResponse(_message.Message):
    __slots__ = ("metrics",)
    METRICS_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedCompositeFieldContainer[StoredMetrics]
    def __init__(self, metrics: _Optional[_Iterable[_Union[StoredMetrics, _Mapping]]] = ...) -> None: ...

class StoredMetrics(_message.Message):
    __slots__ = ("attempt", "dag_version_number", "name", "numbers", "time")
    class NumbersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DAG_VERSION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    attempt: _references_pb2.AttemptRef
    dag_version_number: int
    name: str
    numbers: _containers.ScalarMap[str, float]
    time: _timestamp_pb2.Timestamp
    def __init__(self, attempt: _Optional[_Union[_references_pb2.AttemptRef, _Mapping]] = ..., dag_version_number: _Optional[int] = ..., name: _Optional[str] = ..., numbers: _Optional[_Mapping[str, float]] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
