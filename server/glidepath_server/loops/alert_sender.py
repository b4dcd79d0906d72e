"""Sends alerts: routes facts, claims what is due, hands it to the channels' plugins, settles what they say.

Level-triggered: any number of replicas may run it, and a wake-up only makes it early. A channel that hangs holds its
own places alone; nothing here waits for a plugin.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from ..clock import monotonic
from ..core.alerts import DeliveryState, NotNow, Terms
from ..operations.deliver_alerts import Claimed, Outcome, claim_alerts, send_alert, settle_alert
from ..operations.plugin_incidents import note_disabled
from ..operations.route_facts import FACTS_AT_ONCE, route_facts
from ..plugin_host.host import PluginHost
from ..settings import Settings
from ..store import alerts as store
from ..store.database import Database, database_now, is_retryable, transaction
from ..telemetry import get_logger
from .level import LevelLoop

_log = get_logger("alerts")
# Sent at a time by one channel, and channels looked at in one round.
PLACES_PER_CHANNEL = 4
CHANNELS_AT_ONCE = 100
# Facts that are not to be seen yet, because an older transaction runs.
UNSEEN_SECONDS = 0.1
# What is due and finds no place is woken when one is free; this stands behind it.
NO_PLACE_SECONDS = 0.5
# A try may wait for a place of its plugin as long as another one takes, twice, and then be settled.
CLAIM_TIMEOUTS = 3
SETTLE_SECONDS, SETTLE_PAUSE_SECONDS = 10.0, 0.5
# What a try has come to, for who counts.
OUTCOMES = {
    DeliveryState.DELIVERED: "delivered",
    DeliveryState.RETRYING: "retried",
    DeliveryState.DEAD: "dead_lettered",
}


class AlertSender:
    """The loop, and what is being sent by it."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        host: PluginHost,
        on_try: Callable[[str, str], None] = lambda channel, outcome: None,
    ) -> None:
        """`on_try` is told of each try that was settled: the plugin's channel, and what has become of the alert."""
        self._on_try = on_try
        self._database, self._settings, self._host = database, settings, host
        self._terms = Terms(settings.alert_attempts_max, settings.alert_age_seconds_max)
        self._places: Counter[tuple[str, str]] = Counter()
        self._sending: set[asyncio.Task[None]] = set()
        self.loop = LevelLoop("alert_sender", self.once, settings.poll_interval_seconds)

    async def stop(self) -> None:
        """Let go what is being sent: its claims end by themselves, and it is sent again."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def once(self) -> float | None:
        given_up = self._host.given_up()
        async with self._database.api.acquire() as connection:
            facts, due = await store.work_waits(connection)
        if (facts or given_up) and await self._route(given_up) == FACTS_AT_ONCE:
            return 0.0
        if due is not None and due <= 0:
            await self._claim()
            return NO_PLACE_SECONDS
        return UNSEEN_SECONDS if facts or given_up else due

    async def _route(self, given_up: Sequence[tuple[str, str]] = ()) -> int:
        """Route facts, and make plugins that were given up facts themselves; how many were routed."""
        async with transaction(self._database.api, "alert_routing") as connection:
            for plugin, reason in given_up:
                await note_disabled(connection, plugin, reason)
            routed = await route_facts(connection, self._settings.alert_group_seconds)
        for plugin, _ in given_up:
            self._host.told(plugin)
        return routed

    async def _claim(self) -> None:
        """Begin to send whatever may be sent now."""
        async with self._database.api.acquire() as connection:
            now = await database_now(connection)
            full = [channel for channel, places in self._places.items() if places >= PLACES_PER_CHANNEL]
            channels = await store.due_channels(connection, now, CHANNELS_AT_ONCE, full)
        for channel in channels:
            room = PLACES_PER_CHANNEL - self._places.get(channel, 0)
            seconds = CLAIM_TIMEOUTS * self._settings.plugin_call_timeout_seconds + SETTLE_SECONDS
            async with transaction(self._database.api, "alert_claim") as connection:
                claimed = await claim_alerts(connection, channel, room, seconds)
            for each in claimed:
                self._places[channel] += 1
                task = asyncio.create_task(self._deliver(channel, each))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    async def _deliver(self, channel: tuple[str, str], claimed: Claimed) -> None:
        try:
            try:
                async with asyncio.timeout(CLAIM_TIMEOUTS * self._settings.plugin_call_timeout_seconds):
                    outcome = await send_alert(self._host, claimed.channel, claimed.view)
            except TimeoutError:
                outcome = NotNow("its plugin is busy with other alerts")
            state = await self._settle(claimed, outcome)
            if state is not None:
                self._on_try(claimed.channel.plugin_channel if claimed.channel is not None else "none", OUTCOMES[state])
        except Exception as error:
            # The claim ends by itself, and the alert is sent again.
            _log.warning("alert_unsettled", alert_id=str(claimed.alert_id), error=repr(error))
        finally:
            self._places[channel] -= 1
            if not self._places[channel]:
                del self._places[channel]
            self.loop.wake()

    async def _settle(self, claimed: Claimed, outcome: Outcome) -> DeliveryState | None:
        """What has become of the alert; None: that was settled before.

        Tried again while the claim lasts: what a channel has taken is not to be sent once more for a lost connection.
        """
        until = monotonic() + SETTLE_SECONDS
        while True:
            try:
                async with transaction(self._database.api, "alert_settle") as connection:
                    return await settle_alert(connection, claimed, outcome, self._terms)
            except Exception as error:
                if not is_retryable(error) or monotonic() > until:
                    raise
            await asyncio.sleep(SETTLE_PAUSE_SECONDS)
