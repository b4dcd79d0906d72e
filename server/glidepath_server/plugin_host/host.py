"""All plugins of a server: which there are, what they bring, and asking one.

A process starts when a plugin is first asked. A fault ends it, and it starts again with the next call after a pause
that doubles; an answer makes all well again. After five faults in a row the plugin is given up
until the server starts anew: `given_up` says so, once, to whoever writes the incident.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine, Mapping
from typing import Any, NamedTuple, TypeVar

from glidepath_plugin import API_VERSION
from glidepath_plugin.config import MASKED, Option
from glidepath_plugin.loading import Installed, find

from .. import clock
from ..core.errors import InvalidInput, NotFound, Violation
from ..settings import Settings
from ..telemetry import get_logger
from .child import CALLS_MAX
from .process import PluginFault, PluginProcess, hidden

_log = get_logger("plugins")
_T = TypeVar("_T")
FAULTS_MAX = 5
PAUSE_SECONDS_FIRST, PAUSE_SECONDS_MAX = 1.0, 60.0
# Calls that may wait for one of the CALLS_MAX places of a plugin.
WAITING_MAX = 200


class PluginUnavailable(Exception):
    """A plugin cannot be asked now: it is refused, given up, or in the pause after a fault. Says why."""


class Channel(NamedTuple):
    """A kind of alert channel that a plugin brings."""

    name: str
    plugin: str
    summary: str
    options: tuple[Option, ...]


class PluginState(NamedTuple):
    """A plugin as people see it: `state` is idle, running, paused, refused, blocked or disabled; `reason` says why."""

    name: str
    distribution: str
    version: str
    state: str
    reason: str
    api: tuple[int, int] | None
    channels: tuple[Channel, ...]
    faults: int


class Plugin:
    """One installed plugin and its process, if it has one."""

    def __init__(self, installed: Installed, settings: Settings, blocked: bool) -> None:
        self.installed, self._settings, self.blocked = installed, settings, blocked
        self.refused = installed.refused
        self.api: tuple[int, int] | None = None
        self.channels: tuple[Channel, ...] = ()
        self.faults = 0
        self.last_fault = ""
        self._again_at = 0.0
        self._process: PluginProcess | None = None
        # Whose end was counted.
        self._blamed: PluginProcess | None = None
        self._starting = asyncio.Lock()
        self._places = asyncio.Semaphore(CALLS_MAX)
        self._waiting = 0
        self._asked: set[asyncio.Task[Any]] = set()

    @property
    def disabled(self) -> bool:
        return self.faults >= FAULTS_MAX

    def state(self) -> PluginState:
        state, reason = self._state()
        about = self.installed
        return PluginState(
            about.name, about.distribution, about.version, state, reason, self.api, self.channels, self.faults
        )

    def _state(self) -> tuple[str, str]:
        if self.blocked:
            return "blocked", "named by plugins_blocked"
        if self.refused:
            return "refused", self.refused
        if self.disabled:
            return "disabled", f"{self.faults} faults in a row, the last: {self.last_fault}"
        if self.faults and clock.monotonic() < self._again_at:
            return "paused", self.last_fault
        return ("running" if self._process is not None and self._process.alive else "idle"), self.last_fault

    async def call(self, name: str, timeout_seconds: float, **arguments: Any) -> dict[str, Any]:
        """Ask the plugin. Raises PluginUnavailable, or PluginFault for a fault of this call."""
        if self._waiting >= WAITING_MAX:
            raise PluginUnavailable(f"{WAITING_MAX} calls wait for plugin {self.installed.name} already")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        return await self._to_its_end(self._ask(name, timeout_seconds, arguments))

    async def load(self) -> None:
        """Have it imported, if it can be. Raises PluginUnavailable or PluginFault."""
        await self._to_its_end(self._load())

    async def _to_its_end(self, asking: Coroutine[Any, Any, _T]) -> _T:
        """Who asks may go meanwhile: a plugin that answers then is not to blame, and holds its place until it does."""
        task = asyncio.create_task(asking)
        self._asked.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._asked.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when nobody waits for it any more

    async def _ask(self, name: str, timeout_seconds: float, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            process = await self._running()
            secrets = self._secrets(arguments)
            process.hide(secrets)
            answer: dict[str, Any] = hidden(await process.call(name, timeout_seconds, **arguments), secrets)
        except PluginFault as error:
            raise self._note_end(str(error)) from None
        finally:
            self._places.release()
        if "fault" in answer:
            raise self._note_fault(str(answer["fault"]))
        self.faults, self.last_fault = 0, ""
        return answer

    def _secrets(self, arguments: Mapping[str, Any]) -> list[str]:
        """What of a call's configuration is not to be shown, the longest first."""
        config = arguments.get("config", {})
        options = [each.options for each in self.channels if each.name == arguments.get("channel")]
        found = {config.get(each.name, "") for about in options for each in about if each.secret}
        return sorted(found - {""}, key=len, reverse=True)

    async def _load(self) -> None:
        try:
            await self._running()
        except PluginFault as error:
            raise self._note_end(str(error)) from None

    async def _running(self) -> PluginProcess:
        async with self._starting:
            state, reason = self._state()
            if state in ("blocked", "refused", "disabled", "paused"):
                raise PluginUnavailable(f"plugin {self.installed.name} is {state}: {reason}")
            if self._process is not None and self._process.alive:
                return self._process
            return await self._start()

    async def _start(self) -> PluginProcess:
        if self._process is not None:
            await self._process.end()
        settings = self._settings
        path = [each for each in settings.plugin_path.split(os.pathsep) if each]
        try:
            process = await PluginProcess.start(self.installed.name, settings.plugin_memory_bytes_max, path)
        except OSError as error:
            raise PluginUnavailable(f"plugin {self.installed.name} cannot be started: {error}") from error
        self._process = process
        brought = await process.call("load", settings.plugin_load_timeout_seconds)
        if "fault" in brought:
            process._break(str(brought["fault"]))
            raise PluginFault(process.fault)
        if "misfit" in brought:
            self.refused = str(brought["misfit"])
            _log.error("plugin_refused", plugin=self.installed.name, reason=self.refused)
            await process.end()
            raise PluginUnavailable(f"plugin {self.installed.name} is refused: {self.refused}")
        first, last = brought["api"]
        self.api = (first, last)
        self.channels = tuple(_channel(self.installed.name, each) for each in brought["channels"])
        return process

    def _note_end(self, fault: str) -> PluginFault:
        """The process is gone: one fault, however many calls were in it."""
        if self._process is self._blamed:
            return PluginFault(f"plugin {self.installed.name}: {fault}")
        self._blamed = self._process
        return self._note_fault(fault)

    def _note_fault(self, fault: str) -> PluginFault:
        self.faults += 1
        self.last_fault = fault
        pause = min(PAUSE_SECONDS_FIRST * 2 ** (self.faults - 1), PAUSE_SECONDS_MAX)
        self._again_at = clock.monotonic() + pause
        _log.warning("plugin_fault", plugin=self.installed.name, fault=fault, faults=self.faults, pause_seconds=pause)
        return PluginFault(f"plugin {self.installed.name}: {fault}")

    def enable(self) -> None:
        """Try it again: somebody has mended it."""
        self.faults, self._again_at, self.refused = 0, 0.0, self.installed.refused

    async def end(self) -> None:
        """It is not to blame for that, whatever it was at."""
        self._blamed = self._process
        if self._process is not None:
            await self._process.end()


class PluginHost:
    """What the server knows of its plugins. Nothing of a plugin is imported here."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        blocked = {each.strip() for each in settings.plugins_blocked.split(",") if each.strip()}
        path = [each for each in settings.plugin_path.split(os.pathsep) if each]
        found = find([*path, *sys.path] if path else None)
        self._plugins = {each.name: Plugin(each, settings, each.name in blocked) for each in found}
        self._told: set[str] = set()

    async def stop(self) -> None:
        await asyncio.gather(*(plugin.end() for plugin in self._plugins.values()))

    def named(self, name: str) -> Plugin:
        """Raises NotFound with the names that there are."""
        if name not in self._plugins:
            raise NotFound(f"there is no plugin {name!r}", hint=f"there are: {', '.join(self._plugins) or 'none'}")
        return self._plugins[name]

    async def load_all(self) -> list[PluginState]:
        """Every plugin, loaded once so that its state says what it brings or why it cannot be used."""

        async def load(plugin: Plugin) -> None:
            try:
                await plugin.load()
            except (PluginFault, PluginUnavailable):
                pass  # the state says it

        await asyncio.gather(*(load(plugin) for plugin in self._plugins.values() if plugin.api is None))
        return [plugin.state() for plugin in self._plugins.values()]

    def given_up(self) -> list[tuple[str, str]]:
        """(plugin, why) of those that are disabled and were not told of; `told` says that they were."""
        disabled = {name: plugin for name, plugin in self._plugins.items() if plugin.disabled}
        self._told &= disabled.keys()
        return [(name, plugin.last_fault) for name, plugin in disabled.items() if name not in self._told]

    def told(self, name: str) -> None:
        self._told.add(name)

    # ---- alert channels
    async def channel(self, plugin_name: str, channel_name: str = "") -> Channel:
        """What a plugin brings under this name (empty: that of the plugin, or its only one).

        Raises NotFound, PluginUnavailable, PluginFault.
        """
        plugin = self.named(plugin_name)
        if plugin.api is None:
            await plugin.load()
        by_name = {each.name: each for each in plugin.channels}
        wanted = channel_name or (plugin_name if plugin_name in by_name else next(iter(by_name)))
        if wanted not in by_name:
            raise NotFound(
                f"plugin {plugin_name} brings no channel {wanted!r}", hint=f"it brings: {', '.join(by_name)}"
            )
        return by_name[wanted]

    async def check_config(self, channel: Channel, config: Mapping[str, str]) -> None:
        """Raises InvalidInput with every option that is wrong, and what `channel` raises."""
        answer = await self.named(channel.plugin).call(
            "check_config", self._settings.plugin_call_timeout_seconds, channel=channel.name, config=dict(config)
        )
        if answer.get("violations"):
            wrong = [Violation(f"config.{field}", value, expected) for field, value, expected in answer["violations"]]
            raise InvalidInput("; ".join(map(str, wrong)), violations=wrong)

    async def send(
        self, plugin_name: str, channel_name: str, config: Mapping[str, str], alert: dict[str, Any]
    ) -> dict[str, Any]:
        """One try: `delivery_id`, or `retry_later` with `after` (seconds or None), or `rejected`.

        Raises NotFound, PluginUnavailable, PluginFault.
        """
        answer = await self.named(plugin_name).call(
            "send", self._settings.plugin_call_timeout_seconds, channel=channel_name, config=dict(config), alert=alert
        )
        if "violations" in answer:
            return {"rejected": "; ".join(f"{field}: expected {said}" for field, _, said in answer["violations"])}
        return answer


def mask(channel: Channel | None, config: Mapping[str, str]) -> dict[str, str]:
    """The configuration as it may be shown. Of a plugin that is not known nothing may be."""
    secret = {each.name for each in channel.options if each.secret} if channel is not None else set(config)
    return {name: MASKED if name in secret else value for name, value in config.items()}


def _channel(plugin: str, about: dict[str, Any]) -> Channel:
    options = (Option(*each) for each in about["options"])
    return Channel(
        about["name"], plugin, about["summary"], tuple(each._replace(choices=tuple(each.choices)) for each in options)
    )


__all__ = ["API_VERSION", "Channel", "PluginFault", "PluginHost", "PluginState", "PluginUnavailable", "mask"]
