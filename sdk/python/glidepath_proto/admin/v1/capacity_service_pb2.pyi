from glidepath_proto.common.v1 import authorization_pb2 as _authorization_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NamespaceWeight(_message.Message):
    __slots__ = ("namespace", "weight")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    weight: float
    def __init__(self, namespace: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class SetNamespaceWeightRequest(_message.Message):
    __slots__ = ("namespace", "weight")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    weight: float
    def __init__(self, namespace: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class SetNamespaceWeightResponse(_message.Message):
    __slots__ = ("namespace_weight",)
    NAMESPACE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    namespace_weight: NamespaceWeight
    def __init__(self, namespace_weight: _Optional[_Union[NamespaceWeight, _Mapping]] = ...) -> None: ...

class ListNamespaceWeightsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListNamespaceWeightsResponse(_message.Message):
    __slots__ = ("namespace_weights", "next_page_token")
    NAMESPACE_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace_weights: _containers.RepeatedCompositeFieldContainer[NamespaceWeight]
    next_page_token: str
    def __init__(self, namespace_weights: _Optional[_Iterable[_Union[NamespaceWeight, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class StartRate(_message.Message):
    __slots__ = ("starts", "per")
    STARTS_FIELD_NUMBER: _ClassVar[int]
    PER_FIELD_NUMBER: _ClassVar[int]
    starts: int
    per: _duration_pb2.Duration
    def __init__(self, starts: _Optional[int] = ..., per: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Limit(_message.Message):
    __slots__ = ("namespace", "limit_name", "slots", "slots_used", "waiting", "rate", "starts_counted")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_NAME_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_USED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    STARTS_COUNTED_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    limit_name: str
    slots: int
    slots_used: int
    waiting: int
    rate: StartRate
    starts_counted: int
    def __init__(self, namespace: _Optional[str] = ..., limit_name: _Optional[str] = ..., slots: _Optional[int] = ..., slots_used: _Optional[int] = ..., waiting: _Optional[int] = ..., rate: _Optional[_Union[StartRate, _Mapping]] = ..., starts_counted: _Optional[int] = ...) -> None: ...

class SetLimitRequest(_message.Message):
    __slots__ = ("namespace", "limit_name", "slots", "rate")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_NAME_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    limit_name: str
    slots: int
    rate: StartRate
    def __init__(self, namespace: _Optional[str] = ..., limit_name: _Optional[str] = ..., slots: _Optional[int] = ..., rate: _Optional[_Union[StartRate, _Mapping]] = ...) -> None: ...

class SetLimitResponse(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: Limit
    def __init__(self, limit: _Optional[_Union[Limit, _Mapping]] = ...) -> None: ...

class ListLimitsRequest(_message.Message):
    __slots__ = ("namespace", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListLimitsResponse(_message.Message):
    __slots__ = ("limits", "next_page_token")
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    limits: _containers.RepeatedCompositeFieldContainer[Limit]
    next_page_token: str
    def __init__(self, limits: _Optional[_Iterable[_Union[Limit, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteLimitRequest(_message.Message):
    __slots__ = ("namespace", "limit_name")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_NAME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    limit_name: str
    def __init__(self, namespace: _Optional[str] = ..., limit_name: _Optional[str] = ...) -> None: ...

class DeleteLimitResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
