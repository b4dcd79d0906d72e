"""Namespaces: walls between tenants. Every key and every query carries one."""

from __future__ import annotations

import re

from ..core.errors import AlreadyExists, InvalidInput, Violation
from ..store import identity
from ..store.database import Connection, database_now
from .audit import append_audit

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


async def create_namespace(connection: Connection, *, name: str, actor: str) -> None:
    """Create a namespace, inside the caller's transaction. Raises InvalidInput, AlreadyExists."""
    if not _NAME.fullmatch(name):
        violation = Violation("new_namespace", repr(name[:64]), "1 to 63 of a-z, 0-9, _, -, beginning with none of _ -")
        raise InvalidInput(str(violation), violations=[violation])
    if not await identity.insert_namespace(connection, name):
        raise AlreadyExists(f"namespace {name!r} exists")
    await append_audit(
        connection,
        namespace=name,
        actor=actor,
        action="namespace.create",
        target=f"namespace/{name}",
        detail={},
        now=await database_now(connection),
    )
