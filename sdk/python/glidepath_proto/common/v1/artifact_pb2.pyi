from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Artifact(_message.Message):
    __slots__ = ("uri", "sha256", "size_bytes", "type", "name", "content_type", "metadata", "numbers")
    class NumbersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    URI_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    uri: str
    sha256: str
    size_bytes: int
    type: str
    name: str
    content_type: str
    metadata: str
    numbers: _containers.ScalarMap[str, float]
    def __init__(self, uri: _Optional[str] = ..., sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ..., type: _Optional[str] = ..., name: _Optional[str] = ..., content_type: _Optional[str] = ..., metadata: _Optional[str] = ..., numbers: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ArtifactUse(_message.Message):
    __slots__ = ("direction", "artifact")
    class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DIRECTION_UNSPECIFIED: _ClassVar[ArtifactUse.Direction]
        DIRECTION_READ: _ClassVar[ArtifactUse.Direction]
        DIRECTION_WRITE: _ClassVar[ArtifactUse.Direction]
    DIRECTION_UNSPECIFIED: ArtifactUse.Direction
    DIRECTION_READ: ArtifactUse.Direction
    DIRECTION_WRITE: ArtifactUse.Direction
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    direction: ArtifactUse.Direction
    artifact: Artifact
    def __init__(self, direction: _Optional[_Union[ArtifactUse.Direction, str]] = ..., artifact: _Optional[_Union[Artifact, _Mapping]] = ...) -> None: ...
