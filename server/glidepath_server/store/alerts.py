"""Alerts: thin typed functions over queries/alerts.sql."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from ..core.alerts import DeliveryState, Route, Settled
from .database import Connection
from .sql import statements

_SQL = statements("alerts")
_ALL_STATES = [each.value for each in DeliveryState]
Row = Any
Position = tuple[str, int]
"""A place in the outbox: transaction (as text), fact id."""
GroupKey = tuple[str, str, str]
"""Namespace, channel name, what the facts have in common."""


class NewDelivery(NamedTuple):
    """An alert to be stored; `error` says why it is dead from the start."""

    alert_id: UUID
    group: GroupKey
    dag_id: str
    dag_run_id: UUID | None
    error: str = ""


class Channel(NamedTuple):
    """A configured channel, with its secrets."""

    namespace: str
    channel_name: str
    plugin: str
    plugin_channel: str
    config: dict[str, str]
    secret_options: tuple[str, ...]
    update_time: datetime
    updated_by: str


# ---- routing
async def hold_reader(connection: Connection) -> Position | None:
    """How far facts were routed, held until the commit; None while another replica routes.

    After a dump and restore it is the start: what was routed before is gone, all else is still to come.
    """
    row = await connection.fetchrow(_SQL["hold_reader"])
    if row is None:
        return None
    place = (row["written"], row["fact_id"])
    if row["restored"]:
        await connection.execute(_SQL["forget_restored"], *place)
        await connection.execute(_SQL["renew_restored"], *place)
        place = ("0", 0)
        await move_reader(connection, place)
    return place


async def read_facts(connection: Connection, after: Position, limit: int) -> list[Row]:
    return await connection.fetch(_SQL["read_facts"], *after, limit)


async def move_reader(connection: Connection, to: Position) -> None:
    await connection.execute(_SQL["move_reader"], *to)


async def routes_of_namespaces(connection: Connection, namespaces: Sequence[str]) -> dict[str, list[Route]]:
    found: dict[str, list[Route]] = {}
    for row in await connection.fetch(_SQL["routes_of_namespaces"], namespaces):
        found.setdefault(row["namespace"], []).append(Route(tuple(row["kinds"]), row["channel_name"], row["dag_id"]))
    return found


async def routes_of_runs(connection: Connection, run_ids: Sequence[UUID]) -> dict[UUID, list[Route]]:
    rows = await connection.fetch(_SQL["routes_of_runs"], run_ids)
    return {row["dag_run_id"]: _declared(row["alerts"]) for row in rows}


async def routes_of_dags(connection: Connection, dags: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[Route]]:
    rows = await connection.fetch(_SQL["routes_of_dags"], [dag[0] for dag in dags], [dag[1] for dag in dags])
    return {(row["namespace"], row["dag_id"]): _declared(row["alerts"]) for row in rows}


def _declared(alerts: str) -> list[Route]:
    return [Route(tuple(each["on"]), each["channel"]) for each in json.loads(alerts)]


async def known_channels(connection: Connection, names: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of these (namespace, channel name) the ones that are configured."""
    pairs = list(names)
    rows = await connection.fetch(_SQL["known_channels"], [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return {(row["namespace"], row["channel_name"]) for row in rows}


async def open_groups(connection: Connection, keys: Sequence[GroupKey], now: datetime) -> dict[GroupKey, Row]:
    """The newest alert of each group that facts may join: `alert_id`, `facts`, `bytes`. Held until the commit."""
    columns = [list(column) for column in zip(*keys, strict=True)]
    rows = await connection.fetch(_SQL["open_groups"], *columns, now)
    return {(row["namespace"], row["channel_name"], row["group_key"]): row for row in rows}


async def insert_deliveries(
    connection: Connection, new: Sequence[NewDelivery], now: datetime, close_time: datetime
) -> None:
    await connection.execute(
        _SQL["insert_deliveries"],
        [each.alert_id for each in new],
        [each.group[0] for each in new],
        [each.group[1] for each in new],
        [each.group[2] for each in new],
        [each.dag_id for each in new],
        [each.dag_run_id for each in new],
        ["dead" if each.error else "pending" for each in new],
        now,
        close_time,
        [each.error for each in new],
    )


async def insert_facts(connection: Connection, facts: Sequence[tuple[UUID, int]]) -> None:
    """Facts of the outbox join alerts: (alert, fact id)."""
    await connection.execute(_SQL["insert_facts"], [each[0] for each in facts], [each[1] for each in facts])


# ---- delivering
async def work_waits(connection: Connection) -> tuple[bool, float | None]:
    """Whether facts are to be routed; seconds until an alert is due (None: there is none)."""
    row: Any = await connection.fetchrow(_SQL["work_waits"])
    return row["facts"], row["due_seconds"]


async def due_channels(
    connection: Connection, now: datetime, limit: int, full: Sequence[tuple[str, str]] = ()
) -> list[tuple[str, str]]:
    """(namespace, channel name) of those that may send something now, the longest due first; not those of `full`."""
    names = [each[0] for each in full], [each[1] for each in full]
    rows = await connection.fetch(_SQL["due_channels"], now, limit, *names)
    return [(row["namespace"], row["channel_name"]) for row in rows]


async def claim(
    connection: Connection, channel: tuple[str, str], now: datetime, limit: int, claim_seconds: float
) -> list[Row]:
    """What may be sent now by a channel, in order; it is this caller's for so long."""
    rows = await connection.fetch(_SQL["claim"], *channel, now, limit, claim_seconds)
    return sorted(rows, key=lambda row: row["alert_number"])


async def facts_of(connection: Connection, alert_ids: Sequence[UUID]) -> dict[UUID, list[Row]]:
    found: dict[UUID, list[Row]] = {}
    for row in await connection.fetch(_SQL["facts_of"], alert_ids):
        found.setdefault(row["alert_id"], []).append(row)
    return found


async def settle(connection: Connection, alert_id: UUID, attempt: int, settled: Settled, now: datetime) -> bool:
    """Write what became of an attempt; False when a later one has begun, or it is settled already."""
    found = await connection.fetchval(
        _SQL["settle"], alert_id, attempt, settled.state.value, settled.at, settled.delivery_id, settled.error, now
    )
    return found is not None


async def resend(connection: Connection, namespace: str, alert_ids: Sequence[UUID], now: datetime) -> list[UUID]:
    return [row["alert_id"] for row in await connection.fetch(_SQL["resend"], namespace, alert_ids, now)]


async def dead_of_channel(connection: Connection, namespace: str, channel_name: str, limit: int) -> list[UUID]:
    rows = await connection.fetch(_SQL["dead_of_channel"], namespace, channel_name, limit)
    return [row["alert_id"] for row in rows]


async def list_deliveries(
    connection: Connection,
    namespace: str,
    channel_name: str,
    states: Sequence[str] | None,
    dag_run_id: UUID | None,
    below: int,
    limit: int,
) -> list[Row]:
    """Newest first, below an alert number; `channel_name` "" and None: of all. Each way to ask has a statement of its
    own, so that none reads much more than it answers."""
    asked: list[Any] = [namespace, below, limit]
    if dag_run_id is not None:
        return await connection.fetch(
            _SQL["list_deliveries_of_run"], *asked, states or _ALL_STATES, channel_name, dag_run_id
        )
    if channel_name:
        return await connection.fetch(_SQL["list_deliveries_of_channel"], *asked, states or _ALL_STATES, channel_name)
    if states:
        return await connection.fetch(_SQL["list_deliveries_of_states"], *asked, sorted(set(states)))
    return await connection.fetch(_SQL["list_deliveries"], *asked)


# ---- channels and routes
async def get_channel(
    connection: Connection, namespace: str, channel_name: str, *, hold: bool = False
) -> Channel | None:
    row = await connection.fetchrow(_SQL["hold_channel" if hold else "get_channel"], namespace, channel_name)
    return _channel(row) if row is not None else None


def _channel(row: Row) -> Channel:
    fields = {**row, "config": json.loads(row["config"]), "secret_options": tuple(row["secret_options"])}
    return Channel(**fields)


async def set_channel(connection: Connection, channel: Channel) -> None:
    fields = channel._replace(config=json.dumps(channel.config))  # type: ignore[arg-type]
    await connection.execute(_SQL["set_channel"], *fields)


async def delete_channel(connection: Connection, namespace: str, channel_name: str) -> bool:
    return await connection.fetchval(_SQL["delete_channel"], namespace, channel_name) is not None


async def list_channels(connection: Connection, namespace: str, after: str, limit: int) -> list[Channel]:
    return [_channel(row) for row in await connection.fetch(_SQL["list_channels"], namespace, after, limit)]


async def routes_to_channel(connection: Connection, namespace: str, channel_name: str) -> list[str]:
    rows = await connection.fetch(_SQL["routes_to_channel"], namespace, channel_name)
    return [row["route_name"] for row in rows]


async def set_route(
    connection: Connection, namespace: str, route_name: str, route: Route, now: datetime, actor: str
) -> None:
    await connection.execute(
        _SQL["set_route"], namespace, route_name, list(route.kinds), route.dag_id, route.channel_name, now, actor
    )


async def count_other_routes(connection: Connection, namespace: str, route_name: str) -> int:
    return int(await connection.fetchval(_SQL["count_other_routes"], namespace, route_name))


async def delete_route(connection: Connection, namespace: str, route_name: str) -> bool:
    return await connection.fetchval(_SQL["delete_route"], namespace, route_name) is not None


async def list_routes(connection: Connection, namespace: str, after: str, limit: int) -> list[Row]:
    return await connection.fetch(_SQL["list_routes"], namespace, after, limit)


# ---- incidents of plugins
async def namespaces_of_plugin(connection: Connection, plugin: str) -> list[str]:
    return [row["namespace"] for row in await connection.fetch(_SQL["namespaces_of_plugin"], plugin)]


async def insert_incident(connection: Connection, now: datetime, namespace: str, kind: str, message: str) -> None:
    await connection.execute(_SQL["insert_incident"], now, namespace, kind, message)


# ---- forgetting
async def prune_facts(connection: Connection, retention_days: int, limit: int) -> int:
    """Delete routed facts past their retention, the oldest first; how many."""
    return _count(await connection.execute(_SQL["prune_facts"], retention_days, limit))


async def prune_deliveries(connection: Connection, retention_days: int, limit: int) -> int:
    """Delete alerts that ended before their retention, with their facts; how many alerts."""
    return int(await connection.fetchval(_SQL["prune_deliveries"], retention_days, limit))


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
