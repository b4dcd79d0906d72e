"""Values to payloads and back: JSON for what JSON can hold, text and bytes by their content type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from glidepath.errors import InputError
from glidepath_proto.common.v1.payload_pb2 import Payload

JSON = "application/json"
BYTES = "application/octet-stream"

Fetch = Callable[[Payload], bytes]
"""Gets the bytes of a payload that travelled as a reference (its `uri`)."""


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
    content_type = (payload.content_type or JSON).partition(";")[0].strip().lower()
    if content_type == JSON:
        try:
            return json.loads(data)
        except ValueError as error:
            raise InputError(f"expected JSON, got {data[:40]!r}: {error}") from error
    return data.decode(errors="replace") if content_type.startswith("text/") else bytes(data)


def to_datetime(timestamp: Timestamp) -> datetime:
    """UTC, to the microsecond."""
    return timestamp.ToDatetime(tzinfo=UTC)


def _to_json(value: object) -> object:
    """What JSON does not know but people return: dataclasses, dates, sets, mappings, arrays."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    listed = getattr(value, "tolist", None)  # numpy scalars and arrays
    if callable(listed):
        return listed()
    raise TypeError(f"{type(value).__name__} is not a JSON value: return JSON values or bytes")
