"""Who did what: one row in the transaction of every mutating action."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from ..store import identity
from ..store.database import Connection


async def append_audit(
    connection: Connection,
    *,
    namespace: str,
    actor: str,
    action: str,
    target: str,
    detail: dict[str, Any],
    now: datetime,
) -> None:
    """Record an action ("pool.set") on a target ("pool/gpu"), inside the transaction that does it.

    `actor` is the caller's name, `now` the database's time, `detail` whatever JSON can hold; never a secret.
    """
    text = json.dumps(detail, ensure_ascii=False, separators=(",", ":"), default=str)
    await identity.append_audit(connection, now, namespace, actor, action, target, text.replace("\\u0000", ""))
