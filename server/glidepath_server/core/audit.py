"""What an operator's action leaves behind, written in the transaction of its effect."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer of a mutating call, kept so that a repeated request id has one effect (`request` table)."""

    request_id: str
    method: str
    body_hash: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to which thing. `detail` is JSON. `answer` is stored beside it when the call has a request id."""

    namespace: str
    actor: str
    action: str
    target: str
    detail: str = "{}"
    answer: StoredAnswer | None = None
