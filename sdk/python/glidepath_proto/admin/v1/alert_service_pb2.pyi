from glidepath_proto.common.v1 import authorization_pb2 as _authorization_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AlertChannel(_message.Message):
    __slots__ = ("namespace", "channel_name", "plugin_name", "config", "update_time", "updated_by")
    class ConfigEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_NAME_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATED_BY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    channel_name: str
    plugin_name: str
    config: _containers.ScalarMap[str, str]
    update_time: _timestamp_pb2.Timestamp
    updated_by: str
    def __init__(self, namespace: _Optional[str] = ..., channel_name: _Optional[str] = ..., plugin_name: _Optional[str] = ..., config: _Optional[_Mapping[str, str]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., updated_by: _Optional[str] = ...) -> None: ...

class SetAlertChannelRequest(_message.Message):
    __slots__ = ("namespace", "channel_name", "plugin_name", "config")
    class ConfigEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_NAME_FIELD_NUMBER: _ClassVar[int]
    PLUGIN_NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    channel_name: str
    plugin_name: str
    config: _containers.ScalarMap[str, str]
    def __init__(self, namespace: _Optional[str] = ..., channel_name: _Optional[str] = ..., plugin_name: _Optional[str] = ..., config: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SetAlertChannelResponse(_message.Message):
    __slots__ = ("channel",)
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    channel: AlertChannel
    def __init__(self, channel: _Optional[_Union[AlertChannel, _Mapping]] = ...) -> None: ...

class ListAlertChannelsRequest(_message.Message):
    __slots__ = ("namespace", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAlertChannelsResponse(_message.Message):
    __slots__ = ("channels", "next_page_token")
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    channels: _containers.RepeatedCompositeFieldContainer[AlertChannel]
    next_page_token: str
    def __init__(self, channels: _Optional[_Iterable[_Union[AlertChannel, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteAlertChannelRequest(_message.Message):
    __slots__ = ("namespace", "channel_name")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_NAME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    channel_name: str
    def __init__(self, namespace: _Optional[str] = ..., channel_name: _Optional[str] = ...) -> None: ...

class DeleteAlertChannelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TestAlertChannelRequest(_message.Message):
    __slots__ = ("namespace", "channel_name")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_NAME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    channel_name: str
    def __init__(self, namespace: _Optional[str] = ..., channel_name: _Optional[str] = ...) -> None: ...

class TestAlertChannelResponse(_message.Message):
    __slots__ = ("alert_id", "delivery_id", "error", "retryable", "retry_after")
    ALERT_ID_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    alert_id: str
    delivery_id: str
    error: str
    retryable: bool
    retry_after: _duration_pb2.Duration
    def __init__(self, alert_id: _Optional[str] = ..., delivery_id: _Optional[str] = ..., error: _Optional[str] = ..., retryable: bool = ..., retry_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class AlertRoute(_message.Message):
    __slots__ = ("namespace", "route_name", "kinds", "dag_id", "channel_name", "update_time", "updated_by")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ROUTE_NAME_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_NAME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATED_BY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    route_name: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    dag_id: str
    channel_name: str
    update_time: _timestamp_pb2.Timestamp
    updated_by: str
    def __init__(self, namespace: _Optional[str] = ..., route_name: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ..., dag_id: _Optional[str] = ..., channel_name: _Optional[str] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., updated_by: _Optional[str] = ...) -> None: ...

class SetAlertRouteRequest(_message.Message):
    __slots__ = ("namespace", "route_name", "kinds", "dag_id", "channel_name")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ROUTE_NAME_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_NAME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    route_name: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    dag_id: str
    channel_name: str
    def __init__(self, namespace: _Optional[str] = ..., route_name: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ..., dag_id: _Optional[str] = ..., channel_name: _Optional[str] = ...) -> None: ...

class SetAlertRouteResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAlertRoutesRequest(_message.Message):
    __slots__ = ("namespace", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAlertRoutesResponse(_message.Message):
    __slots__ = ("routes", "next_page_token")
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    routes: _containers.RepeatedCompositeFieldContainer[AlertRoute]
    next_page_token: str
    def __init__(self, routes: _Optional[_Iterable[_Union[AlertRoute, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteAlertRouteRequest(_message.Message):
    __slots__ = ("namespace", "route_name")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ROUTE_NAME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    route_name: str
    def __init__(self, namespace: _Optional[str] = ..., route_name: _Optional[str] = ...) -> None: ...

class DeleteAlertRouteResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Alert(_message.Message):
    __slots__ = ("alert_id", "channel_name", "dag_id", "dag_run_id", "state", "create_time", "next_attempt_time", "end_time", "attempt_count", "delivery_id", "last_error", "facts")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Alert.State]
        STATE_PENDING: _ClassVar[Alert.State]
        STATE_RETRYING: _ClassVar[Alert.State]
        STATE_DELIVERED: _ClassVar[Alert.State]
        STATE_DEAD: _ClassVar[Alert.State]
    STATE_UNSPECIFIED: Alert.State
    STATE_PENDING: Alert.State
    STATE_RETRYING: Alert.State
    STATE_DELIVERED: Alert.State
    STATE_DEAD: Alert.State
    ALERT_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_NAME_FIELD_NUMBER: _ClassVar[int]
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    alert_id: str
    channel_name: str
    dag_id: str
    dag_run_id: str
    state: Alert.State
    create_time: _timestamp_pb2.Timestamp
    next_attempt_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    attempt_count: int
    delivery_id: str
    last_error: str
    facts: _containers.RepeatedCompositeFieldContainer[AlertFact]
    def __init__(self, alert_id: _Optional[str] = ..., channel_name: _Optional[str] = ..., dag_id: _Optional[str] = ..., dag_run_id: _Optional[str] = ..., state: _Optional[_Union[Alert.State, str]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., next_attempt_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., attempt_count: _Optional[int] = ..., delivery_id: _Optional[str] = ..., last_error: _Optional[str] = ..., facts: _Optional[_Iterable[_Union[AlertFact, _Mapping]]] = ...) -> None: ...

class AlertFact(_message.Message):
    __slots__ = ("kind", "task_id", "summary", "fact_time", "details")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    FACT_TIME_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    task_id: str
    summary: str
    fact_time: _timestamp_pb2.Timestamp
    details: str
    def __init__(self, kind: _Optional[str] = ..., task_id: _Optional[str] = ..., summary: _Optional[str] = ..., fact_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., details: _Optional[str] = ...) -> None: ...

class ListAlertsRequest(_message.Message):
    __slots__ = ("namespace", "channel_name", "states", "dag_run_id", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_NAME_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    DAG_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    channel_name: str
    states: _containers.RepeatedScalarFieldContainer[Alert.State]
    dag_run_id: str
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., channel_name: _Optional[str] = ..., states: _Optional[_Iterable[_Union[Alert.State, str]]] = ..., dag_run_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAlertsResponse(_message.Message):
    __slots__ = ("alerts", "next_page_token")
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[Alert]
    next_page_token: str
    def __init__(self, alerts: _Optional[_Iterable[_Union[Alert, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ResendAlertsRequest(_message.Message):
    __slots__ = ("namespace", "alert_ids", "channel_name")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ALERT_IDS_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_NAME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    alert_ids: _containers.RepeatedScalarFieldContainer[str]
    channel_name: str
    def __init__(self, namespace: _Optional[str] = ..., alert_ids: _Optional[_Iterable[str]] = ..., channel_name: _Optional[str] = ...) -> None: ...

class ResendAlertsResponse(_message.Message):
    __slots__ = ("alert_ids",)
    ALERT_IDS_FIELD_NUMBER: _ClassVar[int]
    alert_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, alert_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class PluginOption(_message.Message):
    __slots__ = ("option_name", "type", "help", "default", "secret", "choices", "least", "most")
    OPTION_NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    HELP_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    LEAST_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    option_name: str
    type: str
    help: str
    default: str
    secret: bool
    choices: _containers.RepeatedScalarFieldContainer[str]
    least: float
    most: float
    def __init__(self, option_name: _Optional[str] = ..., type: _Optional[str] = ..., help: _Optional[str] = ..., default: _Optional[str] = ..., secret: bool = ..., choices: _Optional[_Iterable[str]] = ..., least: _Optional[float] = ..., most: _Optional[float] = ...) -> None: ...

class PluginChannel(_message.Message):
    __slots__ = ("channel_name", "summary", "options")
    CHANNEL_NAME_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    channel_name: str
    summary: str
    options: _containers.RepeatedCompositeFieldContainer[PluginOption]
    def __init__(self, channel_name: _Optional[str] = ..., summary: _Optional[str] = ..., options: _Optional[_Iterable[_Union[PluginOption, _Mapping]]] = ...) -> None: ...

class Plugin(_message.Message):
    __slots__ = ("plugin_name", "distribution", "version", "state", "reason", "faults", "api_first", "api_last", "channels")
    PLUGIN_NAME_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    API_FIRST_FIELD_NUMBER: _ClassVar[int]
    API_LAST_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    plugin_name: str
    distribution: str
    version: str
    state: str
    reason: str
    faults: int
    api_first: int
    api_last: int
    channels: _containers.RepeatedCompositeFieldContainer[PluginChannel]
    def __init__(self, plugin_name: _Optional[str] = ..., distribution: _Optional[str] = ..., version: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., faults: _Optional[int] = ..., api_first: _Optional[int] = ..., api_last: _Optional[int] = ..., channels: _Optional[_Iterable[_Union[PluginChannel, _Mapping]]] = ...) -> None: ...

class ListPluginsRequest(_message.Message):
    __slots__ = ("namespace",)
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    def __init__(self, namespace: _Optional[str] = ...) -> None: ...

class ListPluginsResponse(_message.Message):
    __slots__ = ("plugins",)
    PLUGINS_FIELD_NUMBER: _ClassVar[int]
    plugins: _containers.RepeatedCompositeFieldContainer[Plugin]
    def __init__(self, plugins: _Optional[_Iterable[_Union[Plugin, _Mapping]]] = ...) -> None: ...
