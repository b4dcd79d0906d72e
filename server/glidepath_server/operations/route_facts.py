"""Facts of the outbox become alerts: each fact, for each channel that somebody named for it, joins one.

A fact is dealt with in the transaction that moves the reader behind it, so that it leads to its alerts exactly once. A
channel that is not there makes a dead alert: it can be resent once somebody has set it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from .. import clock
from ..core.alerts import FACT_BYTES_MAX, FACTS_MAX, Route, channels_for, group_of
from ..store import alerts as store
from ..store.database import Connection, database_now

FACTS_AT_ONCE = 500


async def route_facts(connection: Connection, group_seconds: float) -> int:
    """Route up to FACTS_AT_ONCE facts inside the caller's transaction; how many. 0 also while another replica routes.

    Facts of a run and channel within `group_seconds` of the first are one alert, which is sent after that time.
    """
    after = await store.hold_reader(connection)
    facts = await store.read_facts(connection, after, FACTS_AT_ONCE) if after is not None else []
    if not facts:
        return 0
    now = await database_now(connection)
    routing = _Routing(now, now + timedelta(seconds=group_seconds))
    wanted = await _wanted(connection, facts)
    if wanted:
        groups = sorted({group for _, group in wanted})
        routing.known = await store.known_channels(connection, {group[:2] for group in groups})
        routing.open = {
            key: [row["alert_id"], row["facts"], row["bytes"]]
            for key, row in (await store.open_groups(connection, groups, now)).items()
        }
        for fact, group in wanted:
            routing.join(fact, group)
        await store.insert_deliveries(connection, routing.new, now, routing.close_time)
        await store.insert_facts(connection, routing.joined)
    await store.move_reader(connection, (facts[-1]["written"], facts[-1]["fact_id"]))
    return len(facts)


@dataclass(slots=True)
class _Routing:
    """The alerts of one transaction."""

    now: datetime
    close_time: datetime
    known: set[tuple[str, str]] = field(default_factory=set)
    # By group: the alert that facts join, how many it has, and the bytes of their bodies.
    open: dict[store.GroupKey, list[Any]] = field(default_factory=dict)
    new: list[store.NewDelivery] = field(default_factory=list)
    joined: list[tuple[UUID, int]] = field(default_factory=list)

    def join(self, fact: Any, group: store.GroupKey) -> None:
        alert = self.open.get(group)
        size = len(fact["body"].encode())
        if alert is None or alert[1] >= FACTS_MAX or alert[2] + size > FACT_BYTES_MAX:
            alert = self.open[group] = [clock.uuid7(self.now), 0, 0]
            error = "" if group[:2] in self.known else f"there is no channel {group[1]!r}"
            self.new.append(store.NewDelivery(alert[0], group, fact["dag_id"], fact["dag_run_id"], error))
        alert[1] += 1
        alert[2] += size
        self.joined.append((alert[0], fact["fact_id"]))


async def _wanted(connection: Connection, facts: Sequence[Any]) -> list[tuple[Any, store.GroupKey]]:
    """Each fact with each group that it belongs to, in the order of the facts."""
    of_namespace = await store.routes_of_namespaces(connection, sorted({fact["namespace"] for fact in facts}))
    runs = sorted({fact["dag_run_id"] for fact in facts if fact["dag_run_id"] is not None})
    of_run = await store.routes_of_runs(connection, runs)
    dags = sorted({(fact["namespace"], fact["dag_id"]) for fact in facts if fact["dag_run_id"] is None})
    of_dag = await store.routes_of_dags(connection, dags)
    wanted = []
    for fact in facts:
        declared: list[Route] = (
            of_run.get(fact["dag_run_id"], [])
            if fact["dag_run_id"] is not None
            else of_dag.get((fact["namespace"], fact["dag_id"]), [])
        )
        routes = [*of_namespace.get(fact["namespace"], []), *declared]
        for name in channels_for(fact["kind"], fact["dag_id"], routes):
            wanted.append((fact, (fact["namespace"], name, group_of(fact["dag_id"], fact["dag_run_id"]))))
    return wanted
