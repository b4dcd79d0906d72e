"""The hooks that the server calls. Each says when it is called, how often, with which timeout, what an exception does,
in what order, and since which version of the API. A hook is called in the plugin's own process, never inside a
transaction, and is given frozen views alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pluggy

from .views import Alert

hookspec = pluggy.HookspecMarker("glidepath")


@dataclass(frozen=True, slots=True)
class AlertChannel:
    """A kind of channel by which alerts leave the house.

    `name` is what `glidepath alert channel set NAME --plugin ...` configures: small letters, digits, `_` and `-`, and
    unique over all plugins. `config` is the schema of its configuration: a frozen dataclass of `option` fields.

    `send(config, alert)` hands one alert over and returns the id that the receiver knows it by (or the alert's own).
    Called: once per try to deliver, in a thread, up to 4 at a time. Timeout: 30 s, after which the process is ended.
    Exceptions: RetryLater is tried again, not before its `after` seconds; Rejected makes it a dead letter; any other is
    a fault of the plugin, and is tried again. Order: alerts of one run in a channel come one after the other, in the
    order of their facts. At least once: an alert may come again with the same `alert_id`. Since: 1.
    """

    name: str
    summary: str
    config: type
    send: Callable[[Any, Alert], str]


class Hooks:
    """All hooks, by name."""

    @hookspec
    def glidepath_alert_channels(self) -> Sequence[AlertChannel]:  # type: ignore[empty-body]
        """The alert channels that the plugin brings.

        Called: at the start of the plugin's process, before anything else of it.
        How often: once per process.
        Timeout: 10 s, together with the import of the plugin.
        Exceptions: a fault of the plugin; it is started again after a pause, and given up after five.
        Order: of no importance; a name that another plugin has already is refused.
        Since: 1.
        """
