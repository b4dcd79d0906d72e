"""What of a DAG's runs goes to which alert channels, as its author says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from glidepath.authoring.suggestions import suggestion
from glidepath.errors import AuthoringError

_KEYS = ("on", "channel")


class AlertOptions(TypedDict):
    """One route: facts of these kinds go to this channel of the namespace. The server knows the kinds."""

    on: Sequence[str]
    """"run_failed", "run_recovered", "incident", "at_risk", "missed", "met_late", "recovered"."""
    channel: str


def check_alerts(given: Sequence[Mapping[str, Any]], field: str) -> tuple[AlertOptions, ...]:
    """The routes, each looked at. AuthoringError names the place."""
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
        raise AuthoringError(f"{field} is {given!r:.60}; expected a list of {{'on': [...], 'channel': '...'}}")
    return tuple(_check(route, f"{field}[{place}]") for place, route in enumerate(given))


def _check(route: Mapping[str, Any], field: str) -> AlertOptions:
    if not isinstance(route, Mapping):
        raise AuthoringError(f"{field} is {route!r:.60}; expected {{'on': [...], 'channel': '...'}}")
    for key in route:
        if key not in _KEYS:
            raise AuthoringError(f"{field}: unknown key {key!r}; {suggestion(str(key), _KEYS, 'keys')}")
    on, channel = route.get("on"), route.get("channel")
    if not isinstance(channel, str) or not channel:
        raise AuthoringError(f"{field}.channel is {channel!r:.60}; expected the name of an alert channel")
    if isinstance(on, str) or not isinstance(on, Sequence) or not on or not all(isinstance(each, str) for each in on):
        raise AuthoringError(f"{field}.on is {on!r:.60}; expected a list of kinds of facts, such as ['run_failed']")
    return {"on": tuple(on), "channel": channel}
