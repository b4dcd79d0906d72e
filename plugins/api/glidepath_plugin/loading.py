"""Finding plugins by their entry points, and loading one into this process.

The server finds them, and loads each in a process of its own; `glidepath plugin check` loads one where it is called.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, distributions
from typing import Any

import pluggy

from . import API_VERSION, ENTRY_POINTS, PROJECT
from .config import describe
from .errors import Misfit
from .hookspecs import AlertChannel, Hooks

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Installed:
    """A plugin that is installed: the name of its entry point, and the distribution that brings it.

    `refused` says why it cannot be used, as far as that is known without importing it.
    """

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a plugin brings."""

    name: str
    api: tuple[int, int]
    channels: tuple[AlertChannel, ...]


def find(path: Sequence[str] | None = None) -> list[Installed]:
    """Plugins by name; `path` as in sys.path, None for this interpreter's. Nothing is imported."""
    found: dict[str, Installed] = {}
    seen: set[str] = set()
    for distribution in distributions() if path is None else distributions(path=list(path)):
        owner = distribution.metadata["Name"] or "?"
        if owner in seen:
            continue  # what stands further back in the path is hidden
        seen.add(owner)
        for point in distribution.entry_points.select(group=ENTRY_POINTS):
            refused = "" if NAME.fullmatch(point.name) else f"its name does not fit {NAME.pattern}"
            if (first := found.get(point.name)) is not None:
                refused = f"{first.distribution} and {owner} both bring a plugin {point.name}"
                found[point.name] = Installed(*_about(first), refused)
                continue
            found[point.name] = Installed(point.name, owner, distribution.version, point, refused)
    return [found[name] for name in sorted(found)]


def _about(plugin: Installed) -> tuple[str, str, str, EntryPoint]:
    return plugin.name, plugin.distribution, plugin.version, plugin.entry_point


def load(plugin: Installed) -> Loaded:
    """Import a plugin and ask for what it brings. Raises Misfit, or whatever the plugin raises."""
    return check(plugin.name, plugin.entry_point.load())


def check(name: str, plugin: Any) -> Loaded:
    """What a plugin brings, that is imported already. Raises Misfit when it does not keep the contract."""
    api = _api_of(name, plugin)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(plugin, name=name)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise Misfit(f"{name}: {error}") from error
    channels = tuple(each for brought in manager.hook.glidepath_alert_channels() for each in brought)
    if not channels:
        raise Misfit(f"{name} brings nothing: it implements no hook, or has returned nothing")
    names = [_checked(name, each).name for each in channels]
    if twice := {each for each in names if names.count(each) > 1}:
        raise Misfit(f"{name} brings {', '.join(sorted(twice))} twice")
    return Loaded(name, api, channels)


def _api_of(name: str, plugin: Any) -> tuple[int, int]:
    api = getattr(plugin, "GLIDEPATH_API", None)
    if not (isinstance(api, tuple) and len(api) == 2 and all(type(each) is int for each in api)):
        raise Misfit(f"{name} does not say with which versions of the API it works: GLIDEPATH_API = (first, last)")
    first, last = api
    if not first <= API_VERSION <= last:
        raise Misfit(f"{name} works with versions {first} to {last} of the plugin API, this is version {API_VERSION}")
    return first, last


def _checked(name: str, channel: Any) -> AlertChannel:
    if not isinstance(channel, AlertChannel):
        raise Misfit(f"{name}: glidepath_alert_channels has returned {channel!r}, which is no AlertChannel")
    if not NAME.fullmatch(channel.name):
        raise Misfit(f"{name}: the name of a channel, {channel.name!r}, does not fit {NAME.pattern}")
    describe(channel.config)
    return channel
