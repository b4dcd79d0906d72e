"""Alerts are claimed, sent outside any transaction, and settled: at least once, in order per run and channel.

A try is counted when it is claimed. A server that dies in between leaves a claim that ends by itself, and the alert is
sent again with the same id; the word of a try counts only while no later one has begun.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ..core.alerts import DeliveryState, NotNow, Refused, Sent, Terms, settle
from ..core.errors import NotFound
from ..core.facts import KINDS, FactKind, Severity
from ..plugin_host.frames import BadFrame
from ..plugin_host.host import PluginFault, PluginHost, PluginUnavailable
from ..store import alerts as store
from ..store.database import Connection, database_now

Outcome = Sent | NotNow | Refused


@dataclass(frozen=True, slots=True)
class Claimed:
    """An alert that is this replica's to send: to which channel (None: it was deleted), as what, which try it is."""

    alert_id: UUID
    channel: store.Channel | None
    view: dict[str, Any]
    attempt: int
    attempts_before: int
    first_time: datetime


async def claim_alerts(
    connection: Connection, channel: tuple[str, str], limit: int, claim_seconds: float
) -> list[Claimed]:
    """What a channel (namespace, name) may send now, at most `limit`, inside the caller's transaction."""
    rows = await store.claim(connection, channel, await database_now(connection), limit, claim_seconds)
    if not rows:
        return []
    facts = await store.facts_of(connection, [row["alert_id"] for row in rows])
    configured = await store.get_channel(connection, *channel)
    return [
        Claimed(
            row["alert_id"],
            configured,
            view_of(row, facts[row["alert_id"]]),
            row["attempt_count"],
            row["attempts_before"],
            row["first_time"],
        )
        for row in rows
    ]


def view_of(row: Mapping[str, Any], facts: Sequence[Any], *, is_test: bool = False) -> dict[str, Any]:
    """An alert as plugins are given it (glidepath_plugin.views.Alert, as JSON)."""
    return {
        "alert_id": str(row["alert_id"]),
        "namespace": row["namespace"],
        "channel": row["channel_name"],
        "create_time": row["create_time"].isoformat(),
        "dag_id": row["dag_id"],
        "dag_run_id": str(row["dag_run_id"] or ""),
        "facts": [_fact_view(each["kind"], each["task_id"], each["fact_time"], each["body"]) for each in facts],
        "is_test": is_test,
    }


def _fact_view(kind: str, task_id: str, fact_time: datetime, body: str) -> dict[str, Any]:
    details = json.loads(body)
    # A newer server may have written it.
    severity = KINDS[FactKind(kind)].severity if kind in set(FactKind) else Severity.WARNING
    return {
        "kind": kind,
        "severity": severity.value,
        "summary": details.pop("summary", "") or kind,
        "time": fact_time.isoformat(),
        "task_id": task_id,
        "details": details,
    }


async def send_alert(host: PluginHost, channel: store.Channel | None, view: dict[str, Any]) -> Outcome:
    """One try, outside any transaction. Whatever the plugin does is an outcome."""
    if channel is None:
        return Refused(f"there is no channel {view['channel']!r}")
    try:
        answer = await host.send(channel.plugin, channel.plugin_channel, channel.config, view)
    except (PluginFault, PluginUnavailable, NotFound) as error:
        return NotNow(str(error))
    except BadFrame as error:
        return Refused(f"it cannot be given to its plugin: {error}")
    if "delivery_id" in answer:
        return Sent(answer["delivery_id"])
    if "retry_later" in answer:
        return NotNow(answer["retry_later"], answer["after"])
    return Refused(answer.get("rejected", "the plugin has said nothing"))


async def settle_alert(
    connection: Connection, claimed: Claimed, outcome: Outcome, terms: Terms
) -> DeliveryState | None:
    """Write what became of a try, inside the caller's transaction; None when a later try has begun meanwhile."""
    now = await database_now(connection)
    tries = claimed.attempt - claimed.attempts_before
    settled = settle(outcome, terms, tries, claimed.first_time, now, claimed.alert_id)
    written = await store.settle(connection, claimed.alert_id, claimed.attempt, settled, now)
    return settled.state if written else None
