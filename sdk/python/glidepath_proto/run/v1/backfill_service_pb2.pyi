from glidepath_proto.common.v1 import authorization_pb2 as _authorization_pb2
from glidepath_proto.run.v1 import backfill_pb2 as _backfill_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PreviewBackfillRequest(_message.Message):
    __slots__ = ("namespace", "spec", "dates_max")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DATES_MAX_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    spec: _backfill_pb2.BackfillSpec
    dates_max: int
    def __init__(self, namespace: _Optional[str] = ..., spec: _Optional[_Union[_backfill_pb2.BackfillSpec, _Mapping]] = ..., dates_max: _Optional[int] = ...) -> None: ...

class PreviewBackfillResponse(_message.Message):
    __slots__ = ("dates", "date_count", "created_count", "rerun_count", "skipped_count", "estimated", "run_duration")
    DATES_FIELD_NUMBER: _ClassVar[int]
    DATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CREATED_COUNT_FIELD_NUMBER: _ClassVar[int]
    RERUN_COUNT_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    RUN_DURATION_FIELD_NUMBER: _ClassVar[int]
    dates: _containers.RepeatedCompositeFieldContainer[_backfill_pb2.BackfillDate]
    date_count: int
    created_count: int
    rerun_count: int
    skipped_count: int
    estimated: _duration_pb2.Duration
    run_duration: _duration_pb2.Duration
    def __init__(self, dates: _Optional[_Iterable[_Union[_backfill_pb2.BackfillDate, _Mapping]]] = ..., date_count: _Optional[int] = ..., created_count: _Optional[int] = ..., rerun_count: _Optional[int] = ..., skipped_count: _Optional[int] = ..., estimated: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., run_duration: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CreateBackfillRequest(_message.Message):
    __slots__ = ("namespace", "request_id", "spec")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    request_id: str
    spec: _backfill_pb2.BackfillSpec
    def __init__(self, namespace: _Optional[str] = ..., request_id: _Optional[str] = ..., spec: _Optional[_Union[_backfill_pb2.BackfillSpec, _Mapping]] = ...) -> None: ...

class CreateBackfillResponse(_message.Message):
    __slots__ = ("backfill",)
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    backfill: _backfill_pb2.Backfill
    def __init__(self, backfill: _Optional[_Union[_backfill_pb2.Backfill, _Mapping]] = ...) -> None: ...

class GetBackfillRequest(_message.Message):
    __slots__ = ("namespace", "backfill_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    backfill_id: str
    def __init__(self, namespace: _Optional[str] = ..., backfill_id: _Optional[str] = ...) -> None: ...

class GetBackfillResponse(_message.Message):
    __slots__ = ("backfill",)
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    backfill: _backfill_pb2.Backfill
    def __init__(self, backfill: _Optional[_Union[_backfill_pb2.Backfill, _Mapping]] = ...) -> None: ...

class ListBackfillsRequest(_message.Message):
    __slots__ = ("namespace", "dag_id", "include_ended", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ENDED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    include_ended: bool
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ..., include_ended: bool = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBackfillsResponse(_message.Message):
    __slots__ = ("backfills", "next_page_token")
    BACKFILLS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    backfills: _containers.RepeatedCompositeFieldContainer[_backfill_pb2.Backfill]
    next_page_token: str
    def __init__(self, backfills: _Optional[_Iterable[_Union[_backfill_pb2.Backfill, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListBackfillDatesRequest(_message.Message):
    __slots__ = ("namespace", "backfill_id", "outcomes", "only_failed", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    ONLY_FAILED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    backfill_id: str
    outcomes: _containers.RepeatedScalarFieldContainer[_backfill_pb2.BackfillDate.Outcome]
    only_failed: bool
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., backfill_id: _Optional[str] = ..., outcomes: _Optional[_Iterable[_Union[_backfill_pb2.BackfillDate.Outcome, str]]] = ..., only_failed: bool = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBackfillDatesResponse(_message.Message):
    __slots__ = ("dates", "next_page_token")
    DATES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dates: _containers.RepeatedCompositeFieldContainer[_backfill_pb2.BackfillDate]
    next_page_token: str
    def __init__(self, dates: _Optional[_Iterable[_Union[_backfill_pb2.BackfillDate, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PauseBackfillRequest(_message.Message):
    __slots__ = ("namespace", "backfill_id", "request_id", "reason")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    backfill_id: str
    request_id: str
    reason: str
    def __init__(self, namespace: _Optional[str] = ..., backfill_id: _Optional[str] = ..., request_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PauseBackfillResponse(_message.Message):
    __slots__ = ("backfill",)
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    backfill: _backfill_pb2.Backfill
    def __init__(self, backfill: _Optional[_Union[_backfill_pb2.Backfill, _Mapping]] = ...) -> None: ...

class ResumeBackfillRequest(_message.Message):
    __slots__ = ("namespace", "backfill_id", "request_id", "reason")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    backfill_id: str
    request_id: str
    reason: str
    def __init__(self, namespace: _Optional[str] = ..., backfill_id: _Optional[str] = ..., request_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ResumeBackfillResponse(_message.Message):
    __slots__ = ("backfill",)
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    backfill: _backfill_pb2.Backfill
    def __init__(self, backfill: _Optional[_Union[_backfill_pb2.Backfill, _Mapping]] = ...) -> None: ...

class CancelBackfillRequest(_message.Message):
    __slots__ = ("namespace", "backfill_id", "request_id", "reason", "cancel_runs")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CANCEL_RUNS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    backfill_id: str
    request_id: str
    reason: str
    cancel_runs: bool
    def __init__(self, namespace: _Optional[str] = ..., backfill_id: _Optional[str] = ..., request_id: _Optional[str] = ..., reason: _Optional[str] = ..., cancel_runs: bool = ...) -> None: ...

class CancelBackfillResponse(_message.Message):
    __slots__ = ("backfill",)
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    backfill: _backfill_pb2.Backfill
    def __init__(self, backfill: _Optional[_Union[_backfill_pb2.Backfill, _Mapping]] = ...) -> None: ...

class RetryBackfillRequest(_message.Message):
    __slots__ = ("namespace", "backfill_id", "request_id", "reason")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    backfill_id: str
    request_id: str
    reason: str
    def __init__(self, namespace: _Optional[str] = ..., backfill_id: _Optional[str] = ..., request_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RetryBackfillResponse(_message.Message):
    __slots__ = ("backfill", "date_count")
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    DATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    backfill: _backfill_pb2.Backfill
    date_count: int
    def __init__(self, backfill: _Optional[_Union[_backfill_pb2.Backfill, _Mapping]] = ..., date_count: _Optional[int] = ...) -> None: ...
