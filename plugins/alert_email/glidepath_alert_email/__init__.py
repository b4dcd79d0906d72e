"""Alerts by email, over SMTP: with STARTTLS unless told otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from glidepath_plugin import AlertChannel, hookimpl

from .config import EmailConfig
from .send import send

GLIDEPATH_API = (1, 1)


@hookimpl
def glidepath_alert_channels() -> Sequence[AlertChannel]:
    return [AlertChannel("email", "Sends each alert as an email, over SMTP.", EmailConfig, send)]
