"""What a plugin of Glidepath imports, and nothing else of it.

A plugin is a distribution with an entry point in the group `glidepath.plugins` that names a module (or an object). It
has `GLIDEPATH_API = (first, last)`, the versions of this API that it works with, and implements hooks of `hookspecs`:

    from glidepath_plugin import AlertChannel, hookimpl

    GLIDEPATH_API = (1, 1)

    @hookimpl
    def glidepath_alert_channels():
        return [AlertChannel("pager", "Pages whoever is on duty.", PagerConfig, send)]
"""

from __future__ import annotations

import pluggy

from .config import option
from .errors import InvalidConfig, Misfit, PluginError, Rejected, RetryLater, Violation
from .hookspecs import AlertChannel
from .views import Alert, Fact

API_VERSION = 1
"""Raised when a hook's contract changes so that an older plugin would go wrong; new hooks do not raise it."""
PROJECT = "glidepath"
ENTRY_POINTS = "glidepath.plugins"

hookimpl = pluggy.HookimplMarker(PROJECT)

__all__ = [
    "API_VERSION",
    "ENTRY_POINTS",
    "Alert",
    "AlertChannel",
    "Fact",
    "InvalidConfig",
    "Misfit",
    "PluginError",
    "Rejected",
    "RetryLater",
    "Violation",
    "hookimpl",
    "option",
]
