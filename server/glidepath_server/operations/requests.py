"""A repeated request id has one effect and one answer.

The row of a request id is written first and in the transaction of the effect, so they are committed together or not at
all. Rows are kept for `request_retention_days`, then pruned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

from .. import clock
from ..core.errors import AlreadyExists, InvalidInput, Violation
from ..store import identity
from ..store.database import Connection, database_now

REQUEST_ID_CHARACTERS_MAX = 128
RETENTION = timedelta(days=7)


async def once(
    connection: Connection,
    *,
    namespace: str,
    request_id: str,
    method: str,
    body: bytes,
    run: Callable[[], Awaitable[bytes]],
) -> bytes:
    """The answer of `run`, or the stored answer when this request id has been used with the same method and body.

    Call it inside the transaction in which `run` works, and before that transaction has locked anything. A concurrent
    call with the same id waits until the other transaction has ended. An empty id is not de-duplicated. Raises
    AlreadyExists when the id was used for something else, InvalidInput for a bad id or one that is older than answers
    are kept (only UUIDs of version 7 tell their age).
    """
    if not request_id:
        return await run()
    now = await database_now(connection)
    _check(request_id, now)
    body_hash = hashlib.sha256(body).digest()
    while not await identity.claim_request(connection, namespace, request_id, method, body_hash, now):
        stored = await identity.stored_request(connection, namespace, request_id)
        if stored is not None:
            return _answer(stored, request_id, method, body_hash)
    answer = await run()
    await identity.answer_request(connection, namespace, request_id, answer)
    return answer


def _answer(stored: identity.StoredRequest, request_id: str, method: str, body_hash: bytes) -> bytes:
    if (stored.method, stored.body_hash) == (method, body_hash):
        return stored.answer
    raise AlreadyExists(
        f"request id {request_id!r} was used at {stored.create_time.isoformat()} for {stored.method} with body "
        f"sha256:{stored.body_hash.hex()[:12]}, not for {method} with body sha256:{body_hash.hex()[:12]}",
        hint="make a new request id for each new request, and keep it for its repetitions only",
    )


def _check(request_id: str, now: datetime) -> None:
    if len(request_id) > REQUEST_ID_CHARACTERS_MAX or not request_id.isprintable():
        raise _invalid(request_id[:REQUEST_ID_CHARACTERS_MAX], f"1 to {REQUEST_ID_CHARACTERS_MAX} printable characters")
    made = _made_at(request_id)
    if made is not None and made < now - RETENTION:
        raise _invalid(request_id, f"an id made after {(now - RETENTION).isoformat()}: older answers are not kept")


def _made_at(request_id: str) -> datetime | None:
    try:
        return clock.uuid7_time(UUID(request_id))
    except (ValueError, OverflowError):  # no UUID, or random digits that look like one of a far year
        return None


def _invalid(value: str, expected: str) -> InvalidInput:
    violation = Violation("request_id", repr(value), expected)
    return InvalidInput(str(violation), violations=[violation])
