"""A plugin that was given up is an incident of every namespace that uses it."""

from __future__ import annotations

from ..core.facts import Fact, FactKind
from ..store import alerts as store
from ..store.database import Connection, database_now
from .facts import SUMMARY_CHARACTERS_MAX, append_facts

KIND = "plugin_disabled"


async def note_disabled(connection: Connection, plugin: str, reason: str) -> None:
    """Write the incidents and their facts, inside the caller's transaction."""
    now = await database_now(connection)
    message = f"plugin {plugin} was disabled on a server after faults in a row, the last: {reason}"
    namespaces = await store.namespaces_of_plugin(connection, plugin)
    for namespace in namespaces:
        await store.insert_incident(connection, now, namespace, KIND, message)
    body = {"summary": message[:SUMMARY_CHARACTERS_MAX], "incident_kind": KIND, "plugin": plugin}
    await append_facts(connection, [Fact(FactKind.INCIDENT, each, now, body=body) for each in namespaces])
