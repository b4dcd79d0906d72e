from glidepath_proto.common.v1 import authorization_pb2 as _authorization_pb2
from glidepath_proto.common.v1 import payload_pb2 as _payload_pb2
from glidepath_proto.worker.v1 import task_pb2 as _task_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_ACCEPTED: _ClassVar[Verdict]
    VERDICT_DUPLICATE: _ClassVar[Verdict]
    VERDICT_FENCED: _ClassVar[Verdict]
    VERDICT_REJECTED: _ClassVar[Verdict]
VERDICT_UNSPECIFIED: Verdict
VERDICT_ACCEPTED: Verdict
VERDICT_DUPLICATE: Verdict
VERDICT_FENCED: Verdict
VERDICT_REJECTED: Verdict

class HandlerOffer(_message.Message):
    __slots__ = ("name", "versions")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    versions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., versions: _Optional[_Iterable[str]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("namespace", "worker_identity", "incarnation", "queue_names", "labels", "resources", "handlers", "sdk_name", "sdk_version", "protocol_version", "capabilities", "held_task_tokens", "finished_task_tokens", "host_name", "process_id", "other_namespaces")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ResourcesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKER_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    QUEUE_NAMES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    HANDLERS_FIELD_NUMBER: _ClassVar[int]
    SDK_NAME_FIELD_NUMBER: _ClassVar[int]
    SDK_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    HELD_TASK_TOKENS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_TASK_TOKENS_FIELD_NUMBER: _ClassVar[int]
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    PROCESS_ID_FIELD_NUMBER: _ClassVar[int]
    OTHER_NAMESPACES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    worker_identity: str
    incarnation: str
    queue_names: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    resources: _containers.ScalarMap[str, float]
    handlers: _containers.RepeatedCompositeFieldContainer[HandlerOffer]
    sdk_name: str
    sdk_version: str
    protocol_version: int
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    held_task_tokens: _containers.RepeatedScalarFieldContainer[bytes]
    finished_task_tokens: _containers.RepeatedScalarFieldContainer[bytes]
    host_name: str
    process_id: int
    other_namespaces: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, namespace: _Optional[str] = ..., worker_identity: _Optional[str] = ..., incarnation: _Optional[str] = ..., queue_names: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., resources: _Optional[_Mapping[str, float]] = ..., handlers: _Optional[_Iterable[_Union[HandlerOffer, _Mapping]]] = ..., sdk_name: _Optional[str] = ..., sdk_version: _Optional[str] = ..., protocol_version: _Optional[int] = ..., capabilities: _Optional[_Iterable[str]] = ..., held_task_tokens: _Optional[_Iterable[bytes]] = ..., finished_task_tokens: _Optional[_Iterable[bytes]] = ..., host_name: _Optional[str] = ..., process_id: _Optional[int] = ..., other_namespaces: _Optional[_Iterable[str]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session_id", "generation", "lease_ttl", "heartbeat_interval", "limits", "protocol_version_min", "protocol_version_max", "fenced_task_tokens", "server_version")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    LEASE_TTL_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_MIN_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_MAX_FIELD_NUMBER: _ClassVar[int]
    FENCED_TASK_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    generation: int
    lease_ttl: _duration_pb2.Duration
    heartbeat_interval: _duration_pb2.Duration
    limits: Limits
    protocol_version_min: int
    protocol_version_max: int
    fenced_task_tokens: _containers.RepeatedScalarFieldContainer[bytes]
    server_version: str
    def __init__(self, session_id: _Optional[str] = ..., generation: _Optional[int] = ..., lease_ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., heartbeat_interval: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., protocol_version_min: _Optional[int] = ..., protocol_version_max: _Optional[int] = ..., fenced_task_tokens: _Optional[_Iterable[bytes]] = ..., server_version: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("output_inline_bytes_max", "artifact_bytes_max", "message_bytes_max", "checkpoint_bytes_max")
    OUTPUT_INLINE_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    output_inline_bytes_max: int
    artifact_bytes_max: int
    message_bytes_max: int
    checkpoint_bytes_max: int
    def __init__(self, output_inline_bytes_max: _Optional[int] = ..., artifact_bytes_max: _Optional[int] = ..., message_bytes_max: _Optional[int] = ..., checkpoint_bytes_max: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("resource", "amount")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    resource: str
    amount: int
    def __init__(self, resource: _Optional[str] = ..., amount: _Optional[int] = ...) -> None: ...

class WorkRequest(_message.Message):
    __slots__ = ("hello", "credits", "accepted_task_tokens", "started_task_tokens", "progress", "results", "log_chunks", "heartbeat", "draining")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_TASK_TOKENS_FIELD_NUMBER: _ClassVar[int]
    STARTED_TASK_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    LOG_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    credits: _containers.RepeatedCompositeFieldContainer[Credit]
    accepted_task_tokens: _containers.RepeatedScalarFieldContainer[bytes]
    started_task_tokens: _containers.RepeatedScalarFieldContainer[bytes]
    progress: _containers.RepeatedCompositeFieldContainer[_task_pb2.Progress]
    results: _containers.RepeatedCompositeFieldContainer[_task_pb2.AttemptResult]
    log_chunks: _containers.RepeatedCompositeFieldContainer[_task_pb2.LogChunk]
    heartbeat: HeartbeatEcho
    draining: bool
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., credits: _Optional[_Iterable[_Union[Credit, _Mapping]]] = ..., accepted_task_tokens: _Optional[_Iterable[bytes]] = ..., started_task_tokens: _Optional[_Iterable[bytes]] = ..., progress: _Optional[_Iterable[_Union[_task_pb2.Progress, _Mapping]]] = ..., results: _Optional[_Iterable[_Union[_task_pb2.AttemptResult, _Mapping]]] = ..., log_chunks: _Optional[_Iterable[_Union[_task_pb2.LogChunk, _Mapping]]] = ..., heartbeat: _Optional[_Union[HeartbeatEcho, _Mapping]] = ..., draining: bool = ...) -> None: ...

class WorkResponse(_message.Message):
    __slots__ = ("welcome", "assignments", "result_acks", "cancels", "heartbeat", "drain", "start_permits", "log_acks")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    RESULT_ACKS_FIELD_NUMBER: _ClassVar[int]
    CANCELS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    START_PERMITS_FIELD_NUMBER: _ClassVar[int]
    LOG_ACKS_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    assignments: _containers.RepeatedCompositeFieldContainer[_task_pb2.Assignment]
    result_acks: _containers.RepeatedCompositeFieldContainer[ResultAck]
    cancels: _containers.RepeatedCompositeFieldContainer[Cancel]
    heartbeat: ServerHeartbeat
    drain: bool
    start_permits: _containers.RepeatedScalarFieldContainer[bytes]
    log_acks: _containers.RepeatedCompositeFieldContainer[LogAck]
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., assignments: _Optional[_Iterable[_Union[_task_pb2.Assignment, _Mapping]]] = ..., result_acks: _Optional[_Iterable[_Union[ResultAck, _Mapping]]] = ..., cancels: _Optional[_Iterable[_Union[Cancel, _Mapping]]] = ..., heartbeat: _Optional[_Union[ServerHeartbeat, _Mapping]] = ..., drain: bool = ..., start_permits: _Optional[_Iterable[bytes]] = ..., log_acks: _Optional[_Iterable[_Union[LogAck, _Mapping]]] = ...) -> None: ...

class ServerHeartbeat(_message.Message):
    __slots__ = ("nonce", "confirmed_nonce")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    confirmed_nonce: bytes
    def __init__(self, nonce: _Optional[bytes] = ..., confirmed_nonce: _Optional[bytes] = ...) -> None: ...

class HeartbeatEcho(_message.Message):
    __slots__ = ("nonce", "host_time")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    HOST_TIME_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    host_time: _timestamp_pb2.Timestamp
    def __init__(self, nonce: _Optional[bytes] = ..., host_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ResultAck(_message.Message):
    __slots__ = ("task_token", "verdict", "reason")
    TASK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    task_token: bytes
    verdict: Verdict
    reason: str
    def __init__(self, task_token: _Optional[bytes] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class LogAck(_message.Message):
    __slots__ = ("task_token", "sequence_number")
    TASK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    task_token: bytes
    sequence_number: int
    def __init__(self, task_token: _Optional[bytes] = ..., sequence_number: _Optional[int] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("task_token", "reason", "grace")
    TASK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    task_token: bytes
    reason: str
    grace: _duration_pb2.Duration
    def __init__(self, task_token: _Optional[bytes] = ..., reason: _Optional[str] = ..., grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SessionRef(_message.Message):
    __slots__ = ("session_id", "generation")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    generation: int
    def __init__(self, session_id: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class ClaimRequest(_message.Message):
    __slots__ = ("hello", "session", "assignments_max", "wait")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_MAX_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    session: SessionRef
    assignments_max: int
    wait: _duration_pb2.Duration
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., session: _Optional[_Union[SessionRef, _Mapping]] = ..., assignments_max: _Optional[int] = ..., wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ClaimResponse(_message.Message):
    __slots__ = ("welcome", "assignments")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    assignments: _containers.RepeatedCompositeFieldContainer[_task_pb2.Assignment]
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., assignments: _Optional[_Iterable[_Union[_task_pb2.Assignment, _Mapping]]] = ...) -> None: ...

class ReportRequest(_message.Message):
    __slots__ = ("session", "results", "progress", "log_chunks")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    LOG_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    session: SessionRef
    results: _containers.RepeatedCompositeFieldContainer[_task_pb2.AttemptResult]
    progress: _containers.RepeatedCompositeFieldContainer[_task_pb2.Progress]
    log_chunks: _containers.RepeatedCompositeFieldContainer[_task_pb2.LogChunk]
    def __init__(self, session: _Optional[_Union[SessionRef, _Mapping]] = ..., results: _Optional[_Iterable[_Union[_task_pb2.AttemptResult, _Mapping]]] = ..., progress: _Optional[_Iterable[_Union[_task_pb2.Progress, _Mapping]]] = ..., log_chunks: _Optional[_Iterable[_Union[_task_pb2.LogChunk, _Mapping]]] = ...) -> None: ...

class ReportResponse(_message.Message):
    __slots__ = ("result_acks", "log_acks")
    RESULT_ACKS_FIELD_NUMBER: _ClassVar[int]
    LOG_ACKS_FIELD_NUMBER: _ClassVar[int]
    result_acks: _containers.RepeatedCompositeFieldContainer[ResultAck]
    log_acks: _containers.RepeatedCompositeFieldContainer[LogAck]
    def __init__(self, result_acks: _Optional[_Iterable[_Union[ResultAck, _Mapping]]] = ..., log_acks: _Optional[_Iterable[_Union[LogAck, _Mapping]]] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ("session", "held_task_tokens")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    HELD_TASK_TOKENS_FIELD_NUMBER: _ClassVar[int]
    session: SessionRef
    held_task_tokens: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, session: _Optional[_Union[SessionRef, _Mapping]] = ..., held_task_tokens: _Optional[_Iterable[bytes]] = ...) -> None: ...

class HeartbeatResponse(_message.Message):
    __slots__ = ("cancels", "fenced_task_tokens", "lease_ttl")
    CANCELS_FIELD_NUMBER: _ClassVar[int]
    FENCED_TASK_TOKENS_FIELD_NUMBER: _ClassVar[int]
    LEASE_TTL_FIELD_NUMBER: _ClassVar[int]
    cancels: _containers.RepeatedCompositeFieldContainer[Cancel]
    fenced_task_tokens: _containers.RepeatedScalarFieldContainer[bytes]
    lease_ttl: _duration_pb2.Duration
    def __init__(self, cancels: _Optional[_Iterable[_Union[Cancel, _Mapping]]] = ..., fenced_task_tokens: _Optional[_Iterable[bytes]] = ..., lease_ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class GetOutputRequest(_message.Message):
    __slots__ = ("task_token", "task_id", "map_index")
    TASK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    task_token: bytes
    task_id: str
    map_index: int
    def __init__(self, task_token: _Optional[bytes] = ..., task_id: _Optional[str] = ..., map_index: _Optional[int] = ...) -> None: ...

class GetOutputResponse(_message.Message):
    __slots__ = ("output",)
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    output: _payload_pb2.Payload
    def __init__(self, output: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class GetXComRequest(_message.Message):
    __slots__ = ("task_token", "task_id", "map_index", "key")
    TASK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_INDEX_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    task_token: bytes
    task_id: str
    map_index: int
    key: str
    def __init__(self, task_token: _Optional[bytes] = ..., task_id: _Optional[str] = ..., map_index: _Optional[int] = ..., key: _Optional[str] = ...) -> None: ...

class GetXComResponse(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: str
    def __init__(self, value: _Optional[str] = ...) -> None: ...

class PutArtifactRequest(_message.Message):
    __slots__ = ("task_token", "content_type", "chunk")
    TASK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    task_token: bytes
    content_type: str
    chunk: bytes
    def __init__(self, task_token: _Optional[bytes] = ..., content_type: _Optional[str] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class PutArtifactResponse(_message.Message):
    __slots__ = ("artifact",)
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    artifact: _payload_pb2.Payload
    def __init__(self, artifact: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class GetArtifactRequest(_message.Message):
    __slots__ = ("task_token", "uri")
    TASK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    task_token: bytes
    uri: str
    def __init__(self, task_token: _Optional[bytes] = ..., uri: _Optional[str] = ...) -> None: ...

class GetArtifactResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    def __init__(self, chunk: _Optional[bytes] = ...) -> None: ...

class GetSourceRequest(_message.Message):
    __slots__ = ("namespace", "content_hash")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    content_hash: str
    def __init__(self, namespace: _Optional[str] = ..., content_hash: _Optional[str] = ...) -> None: ...

class GetSourceResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    def __init__(self, chunk: _Optional[bytes] = ...) -> None: ...
