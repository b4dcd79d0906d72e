"""Alerts by HTTP POST, signed as Standard Webhooks are: `webhook-id`, `webhook-timestamp`, `webhook-signature`.

The signature is HMAC-SHA256 over `id.timestamp.body`, so a receiver knows who has sent it, that nothing was changed and
that it is not an old one. The id is that of the alert and stays the same when it is sent again.
"""

from __future__ import annotations

from collections.abc import Sequence

from glidepath_plugin import AlertChannel, hookimpl

from .config import WebhookConfig
from .send import send

GLIDEPATH_API = (1, 1)


@hookimpl
def glidepath_alert_channels() -> Sequence[AlertChannel]:
    return [AlertChannel("webhook", "POSTs each alert as JSON, signed as Standard Webhooks are.", WebhookConfig, send)]
