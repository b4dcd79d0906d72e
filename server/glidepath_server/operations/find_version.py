"""What to say of a version that was asked for and is not there."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from ..core.errors import NotFound
from ..store import trigger
from ..store.database import Connection
from ..store.trigger import Resolved, Selector


async def version_not_found(
    connection: Connection, namespace: str, at: str, selector: Selector, resolved: Resolved
) -> NotFound:
    """The error for a selector that means no version; `at` names the item that has it."""
    dag_id = selector.dag_id
    if not resolved.dag_exists:
        names = await trigger.dag_ids(connection, namespace)
        hint = _close(dag_id, names, f"register it first, or look at the DAGs of namespace {namespace}")
        return NotFound(f"{at}.dag_id: there is no DAG {dag_id!r} in namespace {namespace!r}", hint=hint)
    if selector.alias is not None:
        names = await trigger.aliases(connection, namespace, dag_id)
        hint = _close(selector.alias, names, f"its aliases: {', '.join(names) or 'none'}")
        return NotFound(f"{at}.alias: DAG {dag_id} has no alias {selector.alias!r}", hint=hint)
    return NotFound(
        f"{at}.dag_version_number: DAG {dag_id} has no version {selector.number}",
        hint=f"its versions go from 1 to {resolved.latest_version_number}",
    )


def _close(name: str, names: Sequence[str], otherwise: str) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else otherwise
