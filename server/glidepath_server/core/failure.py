"""A failure as data. Mirrors the wire's Failure; stored as JSON in task_attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MESSAGE_BYTES_MAX = 8 * 1024
STACK_TRACE_BYTES_MAX = 64 * 1024
CAUSES_MAX = 8
BASE_TYPES_MAX = 20


class FailureKind(StrEnum):
    APPLICATION = "application"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    KILLED_BY_SIGNAL = "killed_by_signal"
    BAD_INPUT = "bad_input"
    INFRASTRUCTURE = "infrastructure"
    PREEMPTED = "preempted"


@dataclass(frozen=True, slots=True)
class Failure:
    """Kind, the error's own type, a message and a trace for people, and what it says of a retry (seconds)."""

    kind: FailureKind
    type: str = ""
    message: str = ""
    stack_trace: str = ""
    retryable: bool | None = None
    retry_after_seconds: float = 0.0
    signal_number: int = 0
    causes: tuple[Failure, ...] = ()
    base_types: tuple[str, ...] = ()

    def summary(self) -> str:
        """One line: type and the message's first line."""
        first = self.message.strip().splitlines()[0] if self.message.strip() else ""
        return ": ".join(part for part in (self.type or self.kind.value, first[:300]) if part)

    def to_json(self) -> dict[str, Any]:
        """Fields that are set, for storage; bounded in size, and free of NUL, which Postgres cannot hold."""
        fields: dict[str, Any] = {"kind": self.kind.value}
        if self.type:
            fields["type"] = _clean(self.type, 512)
        if self.message:
            fields["message"] = _clean(self.message, MESSAGE_BYTES_MAX)
        if self.stack_trace:
            fields["stack_trace"] = _clean_end(self.stack_trace, STACK_TRACE_BYTES_MAX)
        if self.retryable is not None:
            fields["retryable"] = self.retryable
        if self.retry_after_seconds:
            fields["retry_after_seconds"] = self.retry_after_seconds
        if self.signal_number:
            fields["signal_number"] = self.signal_number
        if self.base_types:
            fields["base_types"] = [_clean(each, 512) for each in self.base_types[:BASE_TYPES_MAX]]
        if self.causes:
            fields["causes"] = [cause.to_json() for cause in self.causes[:CAUSES_MAX]]
        return fields

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> Failure:
        """The inverse of to_json. Raises ValueError for an unknown kind."""
        causes = tuple(Failure.from_json(cause) for cause in fields.get("causes", ()))
        known = {name: value for name, value in fields.items() if name not in ("kind", "causes", "base_types")}
        bases = tuple(fields.get("base_types", ()))
        return Failure(kind=FailureKind(fields["kind"]), causes=causes, base_types=bases, **known)


def _clean(text: str, size_max: int) -> str:
    return text.replace("\0", "\\0").encode("utf-8", "replace")[:size_max].decode("utf-8", "ignore")


def _clean_end(text: str, size_max: int) -> str:
    return text.replace("\0", "\\0").encode("utf-8", "replace")[-size_max:].decode("utf-8", "ignore")
