from glidepath_proto.common.v1 import authorization_pb2 as _authorization_pb2
from glidepath_proto.registry.v1 import dag_pb2 as _dag_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Approval(_message.Message):
    __slots__ = ("dag_run_id", "dag_id", "task_id", "map_index", "attempt_number", "state", "message", "params", "run_key", "logical_date", "data_interval_start", "data_interval_end", "form", "default", "approvers", "open_time", "timeout_time", "close_time", "answered_by", "note", "values")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Approval.State]
        STATE_OPEN: _ClassVar[Approval.State]
        STATE_APPROVED: _ClassVar[Approval.State]
        STATE_REJECTED: _ClassVar[Approval.State]
        STATE_EXPIRED: _ClassVar[Approval.State]
        STATE_WITHDRAWN: _ClassVar[Approval.State]
    STATE_UNSPECIFIED: Approval.State
    STATE_OPEN: Approval.State
    STATE_APPROVED: Approval.State
    STATE_REJECTED: Approval.State
    STATE_EXPIRED: Approval.State
    STATE_WITHDRAWN: Approval.State
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    RUN_KEY_FIELD_NUMBER: _ClassVar[int]
    LOGICAL_DATE_FIELD_NUMBER: _ClassVar[int]
    DATA_INTERVAL_START_FIELD_NUMBER: _ClassVar[int]
    DATA_INTERVAL_END_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    APPROVERS_FIELD_NUMBER: _ClassVar[int]
    OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_TIME_FIELD_NUMBER: _ClassVar[int]
    CLOSE_TIME_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_BY_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    dag_run_id: str
    dag_id: str
    task_id: str
    map_index: int
    attempt_number: int
    state: Approval.State
    message: str
    params: str
    run_key: str
    logical_date: _timestamp_pb2.Timestamp
    data_interval_start: _timestamp_pb2.Timestamp
    data_interval_end: _timestamp_pb2.Timestamp
    form: str
    default: _dag_pb2.ApprovalAnswer
    approvers: _containers.RepeatedScalarFieldContainer[str]
    open_time: _timestamp_pb2.Timestamp
    timeout_time: _timestamp_pb2.Timestamp
    close_time: _timestamp_pb2.Timestamp
    answered_by: str
    note: str
    values: str
    def __init__(self, dag_run_id: _Optional[str] = ..., dag_id: _Optional[str] = ..., task_id: _Optional[str] = ..., map_index: _Optional[int] = ..., attempt_number: _Optional[int] = ..., state: _Optional[_Union[Approval.State, str]] = ..., message: _Optional[str] = ..., params: _Optional[str] = ..., run_key: _Optional[str] = ..., logical_date: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., data_interval_start: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., data_interval_end: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., form: _Optional[str] = ..., default: _Optional[_Union[_dag_pb2.ApprovalAnswer, str]] = ..., approvers: _Optional[_Iterable[str]] = ..., open_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., timeout_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., close_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., answered_by: _Optional[str] = ..., note: _Optional[str] = ..., values: _Optional[str] = ...) -> None: ...

class ListApprovalsRequest(_message.Message):
    __slots__ = ("namespace", "dag_id", "dag_run_id", "include_closed", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_CLOSED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    dag_run_id: str
    include_closed: bool
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., include_closed: bool = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListApprovalsResponse(_message.Message):
    __slots__ = ("approvals", "next_page_token")
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    next_page_token: str
    def __init__(self, approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class AnswerApprovalRequest(_message.Message):
    __slots__ = ("namespace", "dag_run_id", "request_id", "task_id", "map_index", "answer", "values", "note")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_run_id: str
    request_id: str
    task_id: str
    map_index: int
    answer: _dag_pb2.ApprovalAnswer
    values: str
    note: str
    def __init__(self, namespace: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., request_id: _Optional[str] = ..., task_id: _Optional[str] = ..., map_index: _Optional[int] = ..., answer: _Optional[_Union[_dag_pb2.ApprovalAnswer, str]] = ..., values: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class AnswerApprovalResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ...) -> None: ...
