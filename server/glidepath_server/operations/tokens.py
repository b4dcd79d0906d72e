"""API tokens: their form, making them, revoking them.

A token reads `gp_<role>_<id>_<secret><checksum>`. The id finds the row, the SHA-256 of the whole text proves it, and
the checksum (CRC-32 of everything before it) tells a typing error or a cut-off line from a wrong token without a look
into the database. The secret has 256 bits, so a slow hash would protect nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from dataclasses import dataclass
from datetime import datetime

from .. import clock
from ..core.errors import InvalidInput, NotFound, Violation
from ..store import identity
from ..store.database import Connection, database_now
from ..store.identity import ALL, Token
from .audit import append_audit

ROLES = ("viewer", "operator", "author", "admin", "worker")
NAME_CHARACTERS_MAX = 100
_FORM = re.compile(r"gp_(?P<role>[a-z]+)_(?P<token_id>[a-z2-7]{16})_(?P<secret>[a-z2-7]{52})(?P<checksum>[a-z2-7]{7})")


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made, with its secret text: the only time that anybody sees it."""

    token: Token
    text: str


def token_id_of(text: str) -> str | None:
    """The id in a token's text, or None when it is no token: wrong form, or the checksum does not match."""
    match = _FORM.fullmatch(text)
    if match is None or _checksum(text[: match.start("checksum")]) != match["checksum"]:
        return None
    return match["token_id"]


def hash_of(text: str) -> bytes:
    """What is stored of a token's text."""
    return hashlib.sha256(text.encode()).digest()


def _checksum(text: str) -> str:
    return base64.b32encode(zlib.crc32(text.encode()).to_bytes(4, "big")).decode().rstrip("=").lower()


async def create_token(
    connection: Connection,
    *,
    name: str,
    namespace: str,
    role: str,
    expire_time: datetime | None,
    actor: str,
) -> NewToken:
    """Make a token, inside the caller's transaction. Raises InvalidInput; NotFound for an unknown namespace."""
    now = await database_now(connection)
    _check(name, role, expire_time, now)
    if namespace != ALL and namespace not in await identity.namespaces(connection):
        raise NotFound(f"namespace {namespace!r} does not exist", hint='create it first, or use "*" for all')
    made = _new(name, namespace, role, expire_time, actor, now)
    await identity.insert_token(connection, made.token, hash_of(made.text))
    await append_audit(
        connection,
        namespace=namespace,
        actor=actor,
        action="token.create",
        target=f"token/{made.token.token_id}",
        detail={"name": name, "role": role, "expire_time": expire_time and expire_time.isoformat()},
        now=now,
    )
    return made


def _new(name: str, namespace: str, role: str, expire_time: datetime | None, actor: str, now: datetime) -> NewToken:
    token_id = clock.token_name()
    body = f"gp_{role}_{token_id}_{clock.token_secret()}"
    token = Token(token_id, name, namespace, role, now, expire_time, None, actor)
    return NewToken(token, body + _checksum(body))


def _check(name: str, role: str, expire_time: datetime | None, now: datetime) -> None:
    wrong = []
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        wrong.append(Violation("name", repr(name), f"1 to {NAME_CHARACTERS_MAX} printable characters"))
    if role not in ROLES:
        wrong.append(Violation("role", repr(role), "one of " + ", ".join(ROLES)))
    if expire_time is not None and expire_time <= now:
        wrong.append(Violation("expire_time", expire_time.isoformat(), f"later than now ({now.isoformat()})"))
    if wrong:
        raise InvalidInput("; ".join(map(str, wrong)), violations=wrong)


async def revoke_token(connection: Connection, *, token_id: str, namespace: str, actor: str) -> Token:
    """End a token of this namespace ("*": any), inside the caller's transaction. Revoking twice changes nothing."""
    found = await identity.lock_token(connection, token_id)
    if found is None or namespace not in (ALL, found.namespace):
        raise NotFound(f"token {token_id!r} does not exist", hint="token ids are listed by ListTokens")
    now = await database_now(connection)
    if await identity.revoke_token(connection, token_id, now):
        await append_audit(
            connection,
            namespace=found.namespace,
            actor=actor,
            action="token.revoke",
            target=f"token/{token_id}",
            detail={"name": found.name},
            now=now,
        )
    after = await identity.lock_token(connection, token_id)
    assert after is not None
    return after
