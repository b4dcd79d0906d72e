"""Alerts as people see them: a list, a test of a channel, dead ones tried anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from .. import clock
from ..core.errors import InvalidInput, NotFound, StateConflict, Violation
from ..core.facts import FactKind
from ..plugin_host.host import PluginHost
from ..store import alerts as store
from ..store.database import Connection, Database, database_now
from .audit import append_audit
from .deliver_alerts import Outcome, send_alert, view_of

RESENT_AT_ONCE_MAX = 1_000


@dataclass(frozen=True, slots=True)
class AlertSeen:
    """An alert with its facts, newest data: `row` is that of alert_delivery."""

    row: store.Row
    facts: Sequence[store.Row]


async def list_alerts(
    database: Database,
    namespace: str,
    *,
    channel_name: str,
    states: Sequence[str] | None,
    dag_run_id: UUID | None,
    below: int,
    limit: int,
) -> list[AlertSeen]:
    """Newest first, below an alert number."""
    async with database.api.acquire() as connection:
        rows = await store.list_deliveries(connection, namespace, channel_name, states, dag_run_id, below, limit)
        facts = await store.facts_of(connection, [row["alert_id"] for row in rows])
    return [AlertSeen(row, facts.get(row["alert_id"], [])) for row in rows]


async def test_channel(database: Database, host: PluginHost, namespace: str, name: str) -> tuple[str, Outcome]:
    """Send a test alert through a channel, at once and once; its id and what came of it. Raises NotFound."""
    async with database.api.acquire() as connection:
        channel = await store.get_channel(connection, namespace, name)
        now = await database_now(connection)
    if channel is None:
        raise NotFound(f"there is no channel {name!r}", hint="look at `glidepath alert channel list`")
    view = _test_view(clock.uuid7(now), namespace, name, now)
    return view["alert_id"], await send_alert(host, channel, view)


def _test_view(alert_id: UUID, namespace: str, name: str, now: datetime) -> dict[str, str]:
    body = json.dumps({"summary": f"somebody tries channel {name}: nothing has failed"})
    fact = {"kind": FactKind.RUN_FAILED.value, "task_id": "", "fact_time": now, "body": body}
    row = {"alert_id": alert_id, "namespace": namespace, "channel_name": name, "create_time": now}
    return view_of({**row, "dag_id": "", "dag_run_id": None}, [fact], is_test=True)


async def resend_alerts(
    connection: Connection, *, namespace: str, alert_ids: Sequence[UUID], channel_name: str, actor: str
) -> list[UUID]:
    """Try dead alerts anew, inside the caller's transaction: these, or all of a channel; which. Raises InvalidInput,
    NotFound for a channel that is not there, StateConflict when one that is named is not dead."""
    if bool(alert_ids) == bool(channel_name) or len(alert_ids) > RESENT_AT_ONCE_MAX:
        value = f"{len(alert_ids)} ids, channel {channel_name!r}"
        violation = Violation("alert_ids", value, f"1 to {RESENT_AT_ONCE_MAX} ids, or the name of a channel")
        raise InvalidInput(str(violation), violations=[violation])
    wanted = alert_ids or await store.dead_of_channel(connection, namespace, channel_name, RESENT_AT_ONCE_MAX)
    now = await database_now(connection)
    resent = await store.resend(connection, namespace, wanted, now)
    # Of a channel that is not there any more alerts may be dead all the same.
    if channel_name and not resent and await store.get_channel(connection, namespace, channel_name) is None:
        raise NotFound(f"there is no channel {channel_name!r}", hint="look at `glidepath alert channel list`")
    if alert_ids and (other := set(alert_ids) - set(resent)):
        raise StateConflict(
            f"{len(other)} of {len(alert_ids)} alerts are not dead, {min(other)} is one of them",
            hint="look at `glidepath alert list --state dead`",
        )
    if resent:
        await append_audit(
            connection,
            namespace=namespace,
            actor=actor,
            action="alert.resend",
            target=f"alert_channel/{channel_name}" if channel_name else f"alert/{resent[0]}",
            detail={"alerts": len(resent)},
            now=now,
        )
    return resent
