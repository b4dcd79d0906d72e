"""Tokens, namespaces, request ids, audit, incidents and keys: thin functions over queries/identity.sql."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from .database import Connection
from .sql import statements

_SQL = statements("identity")
ALL = "*"
"""The namespace of a token that holds everywhere."""


@dataclass(frozen=True, slots=True)
class TokenCheck:
    """What an answer about a presented token rests on."""

    token_id: str
    name: str
    namespace: str
    role: str
    secret_hash: bytes
    valid: bool


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret."""

    token_id: str
    name: str
    namespace: str
    role: str
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None
    created_by: str


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """The first use of a request id."""

    method: str
    body_hash: bytes
    answer: bytes
    create_time: datetime


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who did what to what. `detail` is JSON."""

    audit_event_id: int
    event_time: datetime
    namespace: str
    actor: str
    action: str
    target: str
    detail: str


@dataclass(frozen=True, slots=True)
class Incident:
    """What the server could not do by itself."""

    incident_id: int
    event_time: datetime
    namespace: str
    dag_run_id: UUID | None
    kind: str
    message: str


async def namespaces(connection: Connection) -> frozenset[str]:
    """All that exist."""
    return frozenset(row[0] for row in await connection.fetch(_SQL["namespaces"]))


async def insert_namespace(connection: Connection, namespace: str) -> bool:
    """False when it exists."""
    return await connection.fetchval(_SQL["insert_namespace"], namespace) is not None


async def namespace_weights(connection: Connection, namespace: str, after: str, limit: int) -> list[tuple[str, float]]:
    """(namespace, weight) by name, those behind `after`; of one namespace, or of "*"."""
    rows = await connection.fetch(_SQL["namespace_weights"], namespace, after, limit)
    return [(row["namespace"], row["weight"]) for row in rows]


async def set_namespace_weight(connection: Connection, namespace: str, weight: float) -> float | None:
    """The weight that it had; None when there is no such namespace."""
    before: float | None = await connection.fetchval(_SQL["set_namespace_weight"], namespace, weight)
    return before


async def list_namespaces(connection: Connection, after: str, limit: int) -> list[str]:
    """By name, those behind `after`."""
    return [row[0] for row in await connection.fetch(_SQL["list_namespaces"], after, limit)]


async def lock_first_tokens(connection: Connection) -> None:
    await connection.execute(_SQL["lock_first_tokens"])


async def server_key(connection: Connection, name: str, candidate: bytes) -> bytes:
    """The secret that all replicas share under `name`; `candidate` becomes it when there is none."""
    await connection.execute(_SQL["insert_server_key"], name, candidate)
    return bytes(await connection.fetchval(_SQL["server_key"], name))


async def token_by_id(connection: Connection, token_id: str) -> TokenCheck | None:
    row = await connection.fetchrow(_SQL["token_by_id"], token_id)
    return TokenCheck(**row) if row else None


async def tokens_no_longer_valid(connection: Connection, token_ids: Iterable[str]) -> list[str]:
    """Of these, the revoked, expired and unknown ones."""
    return [row[0] for row in await connection.fetch(_SQL["tokens_no_longer_valid"], list(token_ids))]


async def insert_token(connection: Connection, token: Token, secret_hash: bytes) -> None:
    await connection.execute(
        _SQL["insert_token"],
        token.token_id,
        token.name,
        token.namespace,
        token.role,
        secret_hash,
        token.create_time,
        token.expire_time,
        token.created_by,
    )


async def lock_token(connection: Connection, token_id: str) -> Token | None:
    row = await connection.fetchrow(_SQL["lock_token"], token_id)
    return Token(**row) if row else None


async def revoke_token(connection: Connection, token_id: str, now: datetime) -> bool:
    """False when it was revoked before; the first revocation stands."""
    return _count(await connection.execute(_SQL["revoke_token"], token_id, now)) == 1


async def list_tokens(
    connection: Connection,
    namespace: str,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[Token]:
    """Newest first; `before` is the create_time and token_id of the last one seen."""
    create_time, token_id = before or (None, None)
    rows = await connection.fetch(_SQL["list_tokens"], namespace, create_time, token_id, limit)
    return [Token(**row) for row in rows]


async def claim_request(
    connection: Connection,
    namespace: str,
    request_id: str,
    method: str,
    body_hash: bytes,
    now: datetime,
) -> bool:
    """True for the first use; a concurrent one waits for the other transaction before it is told."""
    return bool(await connection.fetchval(_SQL["claim_request"], namespace, request_id, method, body_hash, now))


async def stored_request(connection: Connection, namespace: str, request_id: str) -> StoredRequest | None:
    row = await connection.fetchrow(_SQL["stored_request"], namespace, request_id)
    return StoredRequest(**row) if row else None


async def answer_request(connection: Connection, namespace: str, request_id: str, answer: bytes) -> None:
    await connection.execute(_SQL["answer_request"], namespace, request_id, answer)


async def prune_requests(connection: Connection, days: int, limit: int) -> int:
    """Deletes at most `limit` request ids older than `days`; how many."""
    return _count(await connection.execute(_SQL["prune_requests"], days, limit))


async def append_audit(
    connection: Connection,
    now: datetime,
    namespace: str,
    actor: str,
    action: str,
    target: str,
    detail: str,
) -> None:
    await connection.execute(_SQL["append_audit"], now, namespace, actor, action, target, detail)


async def list_audit_events(connection: Connection, namespace: str, below: int, limit: int) -> Sequence[AuditEvent]:
    """Newest first, below the id; of every namespace for "*"."""
    if namespace == ALL:
        rows = await connection.fetch(_SQL["list_all_audit_events"], below, limit)
    else:
        rows = await connection.fetch(_SQL["list_audit_events"], namespace, below, limit)
    return [AuditEvent(**row) for row in rows]


async def append_incident(
    connection: Connection,
    *,
    namespace: str,
    dag_run_id: UUID | None,
    kind: str,
    message: str,
    now: datetime,
) -> None:
    """Records what the server could not do by itself; `kind` is a word of the registry in docs ("run_quarantined")."""
    await connection.execute(_SQL["append_incident"], now, namespace, dag_run_id, kind, message)


async def list_incidents(connection: Connection, namespace: str, below: int, limit: int) -> Sequence[Incident]:
    return [Incident(**row) for row in await connection.fetch(_SQL["list_incidents"], namespace, below, limit)]


def _count(tag: str) -> int:
    return int(tag.rsplit(" ", 1)[-1])


def _time(value: Any) -> datetime:
    assert isinstance(value, datetime)
    return value
