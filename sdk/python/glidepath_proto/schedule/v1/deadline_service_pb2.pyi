from glidepath_proto.common.v1 import authorization_pb2 as _authorization_pb2
from glidepath_proto.schedule.v1 import deadline_pb2 as _deadline_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SetDeadlineRequest(_message.Message):
    __slots__ = ("namespace", "dag_id", "declaration")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DECLARATION_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    declaration: _deadline_pb2.DeadlineDeclaration
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ..., declaration: _Optional[_Union[_deadline_pb2.DeadlineDeclaration, _Mapping]] = ...) -> None: ...

class SetDeadlineResponse(_message.Message):
    __slots__ = ("deadline",)
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    deadline: _deadline_pb2.Deadline
    def __init__(self, deadline: _Optional[_Union[_deadline_pb2.Deadline, _Mapping]] = ...) -> None: ...

class DeleteDeadlineRequest(_message.Message):
    __slots__ = ("namespace", "dag_id", "deadline_name")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_NAME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    deadline_name: str
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ..., deadline_name: _Optional[str] = ...) -> None: ...

class DeleteDeadlineResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDeadlinesRequest(_message.Message):
    __slots__ = ("namespace", "dag_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ...) -> None: ...

class ListDeadlinesResponse(_message.Message):
    __slots__ = ("deadlines",)
    DEADLINES_FIELD_NUMBER: _ClassVar[int]
    deadlines: _containers.RepeatedCompositeFieldContainer[_deadline_pb2.Deadline]
    def __init__(self, deadlines: _Optional[_Iterable[_Union[_deadline_pb2.Deadline, _Mapping]]] = ...) -> None: ...

class ListRunDeadlinesRequest(_message.Message):
    __slots__ = ("namespace", "dag_id", "dag_run_id", "states", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    dag_id: str
    dag_run_id: str
    states: _containers.RepeatedScalarFieldContainer[_deadline_pb2.DeadlineState]
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., dag_id: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_deadline_pb2.DeadlineState, str]]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRunDeadlinesResponse(_message.Message):
    __slots__ = ("deadlines", "next_page_token")
    DEADLINES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    deadlines: _containers.RepeatedCompositeFieldContainer[_deadline_pb2.RunDeadline]
    next_page_token: str
    def __init__(self, deadlines: _Optional[_Iterable[_Union[_deadline_pb2.RunDeadline, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
