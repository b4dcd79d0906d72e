from glidepath_proto.common.v1 import payload_pb2 as _payload_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ApprovalAnswer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    APPROVAL_ANSWER_UNSPECIFIED: _ClassVar[ApprovalAnswer]
    APPROVAL_ANSWER_APPROVE: _ClassVar[ApprovalAnswer]
    APPROVAL_ANSWER_REJECT: _ClassVar[ApprovalAnswer]

class ApprovalReject(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    APPROVAL_REJECT_UNSPECIFIED: _ClassVar[ApprovalReject]
    APPROVAL_REJECT_FAIL: _ClassVar[ApprovalReject]
    APPROVAL_REJECT_SKIP: _ClassVar[ApprovalReject]

class MapMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MAP_MODE_UNSPECIFIED: _ClassVar[MapMode]
    MAP_MODE_ZIP: _ClassVar[MapMode]
    MAP_MODE_PRODUCT: _ClassVar[MapMode]

class MapEmpty(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MAP_EMPTY_UNSPECIFIED: _ClassVar[MapEmpty]
    MAP_EMPTY_SKIP: _ClassVar[MapEmpty]
    MAP_EMPTY_SUCCEED: _ClassVar[MapEmpty]

class TaskRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_ROLE_UNSPECIFIED: _ClassVar[TaskRole]
    TASK_ROLE_WORK: _ClassVar[TaskRole]
    TASK_ROLE_BRANCH: _ClassVar[TaskRole]
    TASK_ROLE_SHORT_CIRCUIT: _ClassVar[TaskRole]
    TASK_ROLE_SETUP: _ClassVar[TaskRole]
    TASK_ROLE_TEARDOWN: _ClassVar[TaskRole]

class TriggerRule(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRIGGER_RULE_UNSPECIFIED: _ClassVar[TriggerRule]
    TRIGGER_RULE_ALL_SUCCESS: _ClassVar[TriggerRule]
    TRIGGER_RULE_ALL_DONE: _ClassVar[TriggerRule]
    TRIGGER_RULE_ONE_FAILED: _ClassVar[TriggerRule]
    TRIGGER_RULE_NONE_FAILED: _ClassVar[TriggerRule]
    TRIGGER_RULE_ALWAYS: _ClassVar[TriggerRule]
    TRIGGER_RULE_ALL_FAILED: _ClassVar[TriggerRule]
    TRIGGER_RULE_ALL_SKIPPED: _ClassVar[TriggerRule]
    TRIGGER_RULE_ONE_SUCCESS: _ClassVar[TriggerRule]
    TRIGGER_RULE_ONE_DONE: _ClassVar[TriggerRule]
    TRIGGER_RULE_NONE_FAILED_MIN_ONE_SUCCESS: _ClassVar[TriggerRule]
    TRIGGER_RULE_NONE_SKIPPED: _ClassVar[TriggerRule]

class IsolationMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ISOLATION_MODE_UNSPECIFIED: _ClassVar[IsolationMode]
    ISOLATION_MODE_PROCESS: _ClassVar[IsolationMode]
    ISOLATION_MODE_INLINE: _ClassVar[IsolationMode]

class LeaseMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEASE_MODE_UNSPECIFIED: _ClassVar[LeaseMode]
    LEASE_MODE_HOLD: _ClassVar[LeaseMode]
    LEASE_MODE_EXCLUSIVE: _ClassVar[LeaseMode]
APPROVAL_ANSWER_UNSPECIFIED: ApprovalAnswer
APPROVAL_ANSWER_APPROVE: ApprovalAnswer
APPROVAL_ANSWER_REJECT: ApprovalAnswer
APPROVAL_REJECT_UNSPECIFIED: ApprovalReject
APPROVAL_REJECT_FAIL: ApprovalReject
APPROVAL_REJECT_SKIP: ApprovalReject
MAP_MODE_UNSPECIFIED: MapMode
MAP_MODE_ZIP: MapMode
MAP_MODE_PRODUCT: MapMode
MAP_EMPTY_UNSPECIFIED: MapEmpty
MAP_EMPTY_SKIP: MapEmpty
MAP_EMPTY_SUCCEED: MapEmpty
TASK_ROLE_UNSPECIFIED: TaskRole
TASK_ROLE_WORK: TaskRole
TASK_ROLE_BRANCH: TaskRole
TASK_ROLE_SHORT_CIRCUIT: TaskRole
TASK_ROLE_SETUP: TaskRole
TASK_ROLE_TEARDOWN: TaskRole
TRIGGER_RULE_UNSPECIFIED: TriggerRule
TRIGGER_RULE_ALL_SUCCESS: TriggerRule
TRIGGER_RULE_ALL_DONE: TriggerRule
TRIGGER_RULE_ONE_FAILED: TriggerRule
TRIGGER_RULE_NONE_FAILED: TriggerRule
TRIGGER_RULE_ALWAYS: TriggerRule
TRIGGER_RULE_ALL_FAILED: TriggerRule
TRIGGER_RULE_ALL_SKIPPED: TriggerRule
TRIGGER_RULE_ONE_SUCCESS: TriggerRule
TRIGGER_RULE_ONE_DONE: TriggerRule
TRIGGER_RULE_NONE_FAILED_MIN_ONE_SUCCESS: TriggerRule
TRIGGER_RULE_NONE_SKIPPED: TriggerRule
ISOLATION_MODE_UNSPECIFIED: IsolationMode
ISOLATION_MODE_PROCESS: IsolationMode
ISOLATION_MODE_INLINE: IsolationMode
LEASE_MODE_UNSPECIFIED: LeaseMode
LEASE_MODE_HOLD: LeaseMode
LEASE_MODE_EXCLUSIVE: LeaseMode

class DagSpec(_message.Message):
    __slots__ = ("dag_id", "description", "owner", "tags", "params_schema", "defaults", "tasks", "run_timeout", "runs_active_max", "tasks_active_max", "fail_fast", "run_retries_max", "run_retry_delay", "param_defaults", "run_tasks_active_max", "weight", "runs_in_order", "alerts")
    class ParamDefaultsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DAG_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    PARAMS_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    RUN_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    RUNS_ACTIVE_MAX_FIELD_NUMBER: _ClassVar[int]
    TASKS_ACTIVE_MAX_FIELD_NUMBER: _ClassVar[int]
    FAIL_FAST_FIELD_NUMBER: _ClassVar[int]
    RUN_RETRIES_MAX_FIELD_NUMBER: _ClassVar[int]
    RUN_RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    PARAM_DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    RUN_TASKS_ACTIVE_MAX_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    RUNS_IN_ORDER_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    dag_id: str
    description: str
    owner: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    params_schema: str
    defaults: TaskPolicy
    tasks: _containers.RepeatedCompositeFieldContainer[TaskSpec]
    run_timeout: _duration_pb2.Duration
    runs_active_max: int
    tasks_active_max: int
    fail_fast: bool
    run_retries_max: int
    run_retry_delay: _duration_pb2.Duration
    param_defaults: _containers.ScalarMap[str, str]
    run_tasks_active_max: int
    weight: float
    runs_in_order: bool
    alerts: _containers.RepeatedCompositeFieldContainer[AlertRoute]
    def __init__(self, dag_id: _Optional[str] = ..., description: _Optional[str] = ..., owner: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., params_schema: _Optional[str] = ..., defaults: _Optional[_Union[TaskPolicy, _Mapping]] = ..., tasks: _Optional[_Iterable[_Union[TaskSpec, _Mapping]]] = ..., run_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., runs_active_max: _Optional[int] = ..., tasks_active_max: _Optional[int] = ..., fail_fast: bool = ..., run_retries_max: _Optional[int] = ..., run_retry_delay: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., param_defaults: _Optional[_Mapping[str, str]] = ..., run_tasks_active_max: _Optional[int] = ..., weight: _Optional[float] = ..., runs_in_order: bool = ..., alerts: _Optional[_Iterable[_Union[AlertRoute, _Mapping]]] = ...) -> None: ...

class AlertRoute(_message.Message):
    __slots__ = ("on", "channel")
    ON_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    on: _containers.RepeatedScalarFieldContainer[str]
    channel: str
    def __init__(self, on: _Optional[_Iterable[str]] = ..., channel: _Optional[str] = ...) -> None: ...

class TaskSpec(_message.Message):
    __slots__ = ("task_id", "description", "group_id", "handler", "upstream_task_ids", "trigger_rule", "inputs", "policy", "role", "map", "input_schemas", "output_schema", "approval")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Input
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Input, _Mapping]] = ...) -> None: ...
    class InputSchemasEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    HANDLER_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_RULE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    MAP_FIELD_NUMBER: _ClassVar[int]
    INPUT_SCHEMAS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    description: str
    group_id: str
    handler: Handler
    upstream_task_ids: _containers.RepeatedScalarFieldContainer[str]
    trigger_rule: TriggerRule
    inputs: _containers.MessageMap[str, Input]
    policy: TaskPolicy
    role: TaskRole
    map: MapSpec
    input_schemas: _containers.ScalarMap[str, str]
    output_schema: str
    approval: ApprovalSpec
    def __init__(self, task_id: _Optional[str] = ..., description: _Optional[str] = ..., group_id: _Optional[str] = ..., handler: _Optional[_Union[Handler, _Mapping]] = ..., upstream_task_ids: _Optional[_Iterable[str]] = ..., trigger_rule: _Optional[_Union[TriggerRule, str]] = ..., inputs: _Optional[_Mapping[str, Input]] = ..., policy: _Optional[_Union[TaskPolicy, _Mapping]] = ..., role: _Optional[_Union[TaskRole, str]] = ..., map: _Optional[_Union[MapSpec, _Mapping]] = ..., input_schemas: _Optional[_Mapping[str, str]] = ..., output_schema: _Optional[str] = ..., approval: _Optional[_Union[ApprovalSpec, _Mapping]] = ...) -> None: ...

class ApprovalSpec(_message.Message):
    __slots__ = ("message", "form", "timeout", "default", "approvers", "on_reject")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    APPROVERS_FIELD_NUMBER: _ClassVar[int]
    ON_REJECT_FIELD_NUMBER: _ClassVar[int]
    message: str
    form: str
    timeout: _duration_pb2.Duration
    default: ApprovalAnswer
    approvers: _containers.RepeatedScalarFieldContainer[str]
    on_reject: ApprovalReject
    def __init__(self, message: _Optional[str] = ..., form: _Optional[str] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., default: _Optional[_Union[ApprovalAnswer, str]] = ..., approvers: _Optional[_Iterable[str]] = ..., on_reject: _Optional[_Union[ApprovalReject, str]] = ...) -> None: ...

class MapSpec(_message.Message):
    __slots__ = ("inputs", "mode", "active_max", "success_ratio_min", "empty", "name")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_MAX_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_RATIO_MIN_FIELD_NUMBER: _ClassVar[int]
    EMPTY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[MapInput]
    mode: MapMode
    active_max: int
    success_ratio_min: float
    empty: MapEmpty
    name: str
    def __init__(self, inputs: _Optional[_Iterable[_Union[MapInput, _Mapping]]] = ..., mode: _Optional[_Union[MapMode, str]] = ..., active_max: _Optional[int] = ..., success_ratio_min: _Optional[float] = ..., empty: _Optional[_Union[MapEmpty, str]] = ..., name: _Optional[str] = ...) -> None: ...

class MapInput(_message.Message):
    __slots__ = ("name", "source")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    source: Input
    def __init__(self, name: _Optional[str] = ..., source: _Optional[_Union[Input, _Mapping]] = ...) -> None: ...

class Handler(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class Input(_message.Message):
    __slots__ = ("literal", "template", "output", "list", "param")
    LITERAL_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    PARAM_FIELD_NUMBER: _ClassVar[int]
    literal: _payload_pb2.Payload
    template: str
    output: OutputRef
    list: InputList
    param: str
    def __init__(self, literal: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., template: _Optional[str] = ..., output: _Optional[_Union[OutputRef, _Mapping]] = ..., list: _Optional[_Union[InputList, _Mapping]] = ..., param: _Optional[str] = ...) -> None: ...

class OutputRef(_message.Message):
    __slots__ = ("task_id", "key", "xcom_key")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    XCOM_KEY_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    key: str
    xcom_key: str
    def __init__(self, task_id: _Optional[str] = ..., key: _Optional[str] = ..., xcom_key: _Optional[str] = ...) -> None: ...

class InputList(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Input]
    def __init__(self, items: _Optional[_Iterable[_Union[Input, _Mapping]]] = ...) -> None: ...

class TaskPolicy(_message.Message):
    __slots__ = ("owner", "queue_name", "retry", "execution_timeout", "pool_name", "pool_slots", "priority", "resources", "worker_selector", "isolation", "lease_mode", "memory_limit_mb", "cancel_grace", "wait_timeout", "limits", "active_max", "cache", "depends_on_past")
    class ResourcesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class WorkerSelectorEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class LimitsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    OWNER_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NAME_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    POOL_NAME_FIELD_NUMBER: _ClassVar[int]
    POOL_SLOTS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    WORKER_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    LEASE_MODE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_MB_FIELD_NUMBER: _ClassVar[int]
    CANCEL_GRACE_FIELD_NUMBER: _ClassVar[int]
    WAIT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_MAX_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_PAST_FIELD_NUMBER: _ClassVar[int]
    owner: str
    queue_name: str
    retry: RetryPolicy
    execution_timeout: _duration_pb2.Duration
    pool_name: str
    pool_slots: int
    priority: int
    resources: _containers.ScalarMap[str, float]
    worker_selector: _containers.ScalarMap[str, str]
    isolation: IsolationMode
    lease_mode: LeaseMode
    memory_limit_mb: int
    cancel_grace: _duration_pb2.Duration
    wait_timeout: _duration_pb2.Duration
    limits: _containers.ScalarMap[str, int]
    active_max: int
    cache: CachePolicy
    depends_on_past: bool
    def __init__(self, owner: _Optional[str] = ..., queue_name: _Optional[str] = ..., retry: _Optional[_Union[RetryPolicy, _Mapping]] = ..., execution_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., pool_name: _Optional[str] = ..., pool_slots: _Optional[int] = ..., priority: _Optional[int] = ..., resources: _Optional[_Mapping[str, float]] = ..., worker_selector: _Optional[_Mapping[str, str]] = ..., isolation: _Optional[_Union[IsolationMode, str]] = ..., lease_mode: _Optional[_Union[LeaseMode, str]] = ..., memory_limit_mb: _Optional[int] = ..., cancel_grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., wait_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., limits: _Optional[_Mapping[str, int]] = ..., active_max: _Optional[int] = ..., cache: _Optional[_Union[CachePolicy, _Mapping]] = ..., depends_on_past: bool = ...) -> None: ...

class CachePolicy(_message.Message):
    __slots__ = ("expire_after", "ignore", "key", "version")
    EXPIRE_AFTER_FIELD_NUMBER: _ClassVar[int]
    IGNORE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    expire_after: _duration_pb2.Duration
    ignore: _containers.RepeatedScalarFieldContainer[str]
    key: str
    version: str
    def __init__(self, expire_after: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., ignore: _Optional[_Iterable[str]] = ..., key: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class RetryPolicy(_message.Message):
    __slots__ = ("retries_max", "delay", "backoff", "delay_max", "delays", "losses_max", "jitter", "only_on", "never_on", "reroute_queue", "reroute_after", "preemptions_max")
    RETRIES_MAX_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIELD_NUMBER: _ClassVar[int]
    DELAY_MAX_FIELD_NUMBER: _ClassVar[int]
    DELAYS_FIELD_NUMBER: _ClassVar[int]
    LOSSES_MAX_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    ONLY_ON_FIELD_NUMBER: _ClassVar[int]
    NEVER_ON_FIELD_NUMBER: _ClassVar[int]
    REROUTE_QUEUE_FIELD_NUMBER: _ClassVar[int]
    REROUTE_AFTER_FIELD_NUMBER: _ClassVar[int]
    PREEMPTIONS_MAX_FIELD_NUMBER: _ClassVar[int]
    retries_max: int
    delay: _duration_pb2.Duration
    backoff: float
    delay_max: _duration_pb2.Duration
    delays: _containers.RepeatedCompositeFieldContainer[_duration_pb2.Duration]
    losses_max: int
    jitter: float
    only_on: _containers.RepeatedScalarFieldContainer[str]
    never_on: _containers.RepeatedScalarFieldContainer[str]
    reroute_queue: str
    reroute_after: int
    preemptions_max: int
    def __init__(self, retries_max: _Optional[int] = ..., delay: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., backoff: _Optional[float] = ..., delay_max: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., delays: _Optional[_Iterable[_Union[_duration_pb2.Duration, _Mapping]]] = ..., losses_max: _Optional[int] = ..., jitter: _Optional[float] = ..., only_on: _Optional[_Iterable[str]] = ..., never_on: _Optional[_Iterable[str]] = ..., reroute_queue: _Optional[str] = ..., reroute_after: _Optional[int] = ..., preemptions_max: _Optional[int] = ...) -> None: ...
