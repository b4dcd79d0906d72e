"""Namespaces: walls between tenants. Every key and every query carries one."""

from __future__ import annotations

import re

from ..core.errors import AlreadyExists, InvalidInput, NotFound, Violation
from ..core.limit_checks import check_weight
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


async def set_weight(connection: Connection, *, namespace: str, weight: float, actor: str) -> None:
    """Set a namespace's share of shared workers, inside the caller's transaction. Raises InvalidInput, NotFound."""
    if wrong := list(check_weight("weight", weight)):
        raise InvalidInput(str(wrong[0]), violations=wrong)
    before = await identity.set_namespace_weight(connection, namespace, weight)
    if before is None:
        raise NotFound(f"namespace {namespace!r} does not exist", hint="ListNamespaces lists them")
    if before != weight:
        await append_audit(
            connection,
            namespace=namespace,
            actor=actor,
            action="namespace.weight",
            target=f"namespace/{namespace}",
            detail={"weight": weight, "weight_before": before},
            now=await database_now(connection),
        )
