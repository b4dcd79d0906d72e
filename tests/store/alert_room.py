"""What the tests of alerts share: plugins and a clock that do as they are told, a channel, a route."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from typing import Any

from step_room import SOON_SECONDS, StepRoom

from glidepath_server.core.alerts import Route
from glidepath_server.core.facts import Fact, FactKind
from glidepath_server.loops.alert_sender import AlertSender
from glidepath_server.operations.facts import append_facts
from glidepath_server.settings import Settings
from glidepath_server.store import alerts as store
from glidepath_server.store.database import database_now

GROUP_SECONDS = 5.0
OK = {"delivery_id": "yes"}


class Host:
    """Plugins that answer as they are told: the last answer repeats."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.answers: deque[Any] = deque([OK])
        self.disabled: list[tuple[str, str]] = []
        self.hold: asyncio.Event | None = None

    async def send(self, plugin: str, channel: str, config: dict[str, str], alert: dict[str, Any]) -> Any:
        self.sent.append(alert)
        if self.hold is not None:
            await self.hold.wait()
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def given_up(self) -> list[tuple[str, str]]:
        return self.disabled

    def told(self, name: str) -> None:
        self.disabled = []

    def told_of(self) -> list[list[str]]:
        return [[fact["summary"] for fact in alert["facts"]] for alert in self.sent]


class AlertRoom:
    """A database with a channel and a route to it, a sender, and a clock that goes when it is told to."""

    def __init__(self, room: StepRoom) -> None:
        self.room, self.host = room, Host()
        settings = Settings(alert_group_seconds=GROUP_SECONDS)
        self.tries: list[tuple[str, str]] = []
        self.sender = AlertSender(room.database, settings, self.host, self._tried)  # type: ignore[arg-type]
        self.seconds = 0.0

    async def channel(self, name: str = "ops") -> None:
        now = await database_now(self.room.watcher)
        await store.set_channel(
            self.room.watcher, store.Channel("default", name, "webhook", "webhook", {"url": "u"}, (), now, "test")
        )

    async def route(self, *kinds: str, dag_id: str = "", name: str = "all", channel: str = "ops") -> None:
        now = await database_now(self.room.watcher)
        found = Route(kinds or tuple(FactKind), channel, dag_id)
        await store.set_route(self.room.watcher, "default", name, found, now, "test")

    async def fact(
        self,
        summary: str,
        run_id: uuid.UUID | None = None,
        *,
        kind: FactKind = FactKind.RUN_FAILED,
        dag_id: str = "dag",
        connection: Any = None,
    ) -> None:
        connection = connection or self.room.watcher
        now = await database_now(connection)
        await append_facts(connection, [Fact(kind, "default", now, dag_id, run_id, body={"summary": summary})])

    def _tried(self, channel: str, outcome: str) -> None:
        self.tries.append((channel, outcome))

    async def later(self, seconds: float) -> None:
        self.seconds += seconds
        await self.room.shift_clock(self.seconds)

    async def go(self) -> None:
        """Rounds of the sender until there is nothing to do now."""
        async with asyncio.timeout(SOON_SECONDS):
            while True:
                delay = await self.sender.once()
                await asyncio.gather(*self.sender._sending)
                waits, due = await store.work_waits(self.room.watcher)
                if not waits and (due is None or due > 0):
                    return
                assert delay is not None

    async def deliveries(self) -> list[tuple[str, str]]:
        rows = await self.room.watcher.fetch("select state, last_error from alert_delivery order by alert_number")
        return [(row["state"], row["last_error"]) for row in rows]
