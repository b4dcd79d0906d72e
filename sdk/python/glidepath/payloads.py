"""Values to payloads and back: JSON for what JSON can hold, text and bytes by their content type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from glidepath.artifacts import Artifact
from glidepath.errors import InputError
from glidepath_proto.common.v1.payload_pb2 import Payload

if TYPE_CHECKING:
    from glidepath.lists import LazyList

JSON = "application/json"
BYTES = "application/octet-stream"

Fetch = Callable[[Payload], bytes | Path]
"""Gets the bytes of a payload that travelled as a reference (its `uri`), or the file that they are in."""
LAZY_BYTES_MIN = 1024 * 1024
"""Lists that are gathered from a mapped task stay in their file when it is larger."""
OUTPUT = "output:"
"""Begins the reference of an upstream output that had no room in its assignment; the task's id follows."""


def encode(value: object) -> Payload:
    """A payload of `value`: bytes as they are, everything else as JSON. TypeError names what JSON cannot hold."""
    if isinstance(value, bytes | bytearray):
        return Payload(content_type=BYTES, data=bytes(value))
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_to_json)
    return Payload(content_type=JSON, data=text.encode())


def decode(payload: Payload, fetch: Fetch | None = None) -> object:
    """The value of a payload: JSON decoded, "text/..." as str, any other content type as bytes, an empty one None.

    A payload that holds a reference is fetched by `fetch`; InputError when there is none or the data is not JSON.
    """
    body = payload.WhichOneof("body")
    if body is None:
        return None
    if body == "uri" and fetch is None:
        raise InputError(f"the value lies at {payload.uri} and cannot be fetched here")
    data = fetch(payload) if body == "uri" and fetch is not None else payload.data
    if isinstance(data, Path):
        if (gathered := _gathered(payload, data)) is not None:
            return gathered
        data = data.read_bytes()
    content_type = (payload.content_type or JSON).partition(";")[0].strip().lower()
    if content_type == JSON:
        try:
            return json.loads(data)
        except ValueError as error:
            raise InputError(f"expected JSON, got {data[:40]!r}: {error}") from error
    return data.decode(errors="replace") if content_type.startswith("text/") else bytes(data)


def _gathered(payload: Payload, file: Path) -> LazyList | None:
    """The list of a mapped task's outputs that is large.

    Nothing else that goes by its task's id is: a large output of any other task is an artifact.
    """
    if not payload.uri.startswith(OUTPUT) or file.stat().st_size <= LAZY_BYTES_MIN:
        return None
    from glidepath.lists import LazyList, NoList

    try:
        return LazyList.open(file)
    except NoList:
        return None


def to_datetime(timestamp: Timestamp) -> datetime:
    """UTC, to the microsecond."""
    return timestamp.ToDatetime(tzinfo=UTC)


def _to_json(value: object) -> object:
    """What JSON does not know but people return: dataclasses, dates, sets, mappings, gathered lists, arrays."""
    from glidepath.lists import LazyList

    if isinstance(value, Artifact):
        return value.to_json()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, LazyList):
        return list(value)
    listed = getattr(value, "tolist", None)  # numpy scalars and arrays
    if callable(listed):
        return listed()
    raise TypeError(f"{type(value).__name__} is not a JSON value: return JSON values or bytes")
