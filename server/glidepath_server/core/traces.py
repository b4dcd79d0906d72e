"""Which trace a run and its attempts belong to: W3C trace context, derived from ids alone.

The same run and attempt have the same ids wherever and however often they are computed, so a replica that dies after it
sent a span and before it noted that, and the one that goes on, send the same span and not two.

A run that was triggered with a traceparent is a part of that trace, under the caller's span, and keeps its word on
sampling. Any other run is a trace of its own, whose id is the run's id: who has the one can look for the other.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple
from uuid import UUID

from .events import AttemptKey

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = 0x01


class TraceContext(NamedTuple):
    """Ids as bytes (16 and 8); `parent_id` is the span under which things are, empty at a root. `flags`: bit 0 says
    whether spans of the trace are kept, the others are handed on."""

    trace_id: bytes
    parent_id: bytes
    flags: int

    @property
    def sampled(self) -> bool:
        return bool(self.flags & _SAMPLED)


def run_context(dag_run_id: UUID, traceparent: str) -> TraceContext:
    """The trace of a run, and what its span stands under."""
    return _parse(traceparent) or TraceContext(dag_run_id.bytes, b"", _SAMPLED)


def run_span_id(dag_run_id: UUID) -> bytes:
    return _span_id(f"run/{dag_run_id}")


def attempt_span_id(key: AttemptKey) -> bytes:
    return _span_id(f"attempt/{key.dag_run_id}/{key.task}/{key.map_index}/{key.attempt_number}")


def attempt_traceparent(key: AttemptKey, traceparent: str) -> str:
    """What an attempt of a run that has this traceparent hands on: to its task's code, and to runs that it calls."""
    context = run_context(key.dag_run_id, traceparent)
    return f"00-{context.trace_id.hex()}-{attempt_span_id(key).hex()}-{context.flags:02x}"


def _span_id(name: str) -> bytes:
    """Eight bytes that are not all zero, which would be no id."""
    return hashlib.sha256(name.encode()).digest()[:8].replace(bytes(8), b"\x01" * 8)


def _parse(traceparent: str) -> TraceContext | None:
    """None for what is no context: not of the form, version ff, ids of zeros."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or match[1] == "ff":
        return None
    trace_id, parent_id = bytes.fromhex(match[2]), bytes.fromhex(match[3])
    if not any(trace_id) or not any(parent_id):
        return None
    return TraceContext(trace_id, parent_id, int(match[4], 16))
