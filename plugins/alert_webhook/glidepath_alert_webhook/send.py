"""One POST: which address it may go to, what is signed, and what the answer means."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ipaddress
import json
import socket
import ssl
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from glidepath_plugin import Alert, Rejected, RetryLater
from glidepath_plugin.patience import Conversation, at_most

from .config import WebhookConfig

RETRY_AFTER_SECONDS_MAX = 24 * 3600.0
# What people are shown of an answer that is no success.
ANSWER_BYTES_MAX = 300
# Statuses below 500 that may be another the next time: a timeout, a conflict, too early, too many.
PASSING = frozenset({408, 409, 425, 429})


def send(config: WebhookConfig, alert: Alert) -> str:
    """Post the alert; its id. Raises RetryLater for 429, 5xx and a receiver that is away, Rejected for all else."""
    with at_most(config.timeout_seconds) as conversation:
        return _post(config, alert, conversation)


def _post(config: WebhookConfig, alert: Alert, conversation: Conversation) -> str:
    body = payload(alert)
    connection = connect(config, conversation)
    try:
        headers = {"content-type": "application/json", "user-agent": "glidepath-alert-webhook/0.1"}
        headers |= sign(config.key, alert.alert_id, int(time.time()), body)
        parts = urlsplit(config.url)
        connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
        answer = connection.getresponse()
        if conversation.over:
            raise TimeoutError("its headers had no end")
        said = answer.read(ANSWER_BYTES_MAX).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        late = f" within {config.timeout_seconds:g} s" if conversation.over else ""
        raise RetryLater(f"no answer{late}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if 200 <= answer.status < 300:
        return alert.alert_id
    reason = f"answered {answer.status} {answer.reason}" + (f": {said}" if said else "")
    if answer.status in PASSING or answer.status >= 500:
        raise RetryLater(reason, retry_after(answer.getheader("retry-after")))
    if 300 <= answer.status < 400:
        reason += f" (redirects are not followed: set url to {answer.getheader('location')})"
    raise Rejected(reason)


def payload(alert: Alert) -> bytes:
    """As Standard Webhooks has it: a type, a time, the data."""
    data = {**alert.to_json(), "title": alert.title, "text": alert.text}
    about = {"type": "glidepath.alert", "timestamp": alert.create_time.isoformat(), "data": data}
    return json.dumps(about, ensure_ascii=False, separators=(",", ":")).encode()


def sign(key: bytes, alert_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers. A receiver checks the signature over the body as it came, and that the time is near."""
    signed = hmac.new(key, f"{alert_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": alert_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(signed).decode(),
    }


def connect(config: WebhookConfig, conversation: Conversation) -> http.client.HTTPConnection:
    """A connection to an address that was looked at, and is not looked up again. Raises RetryLater, Rejected."""
    parts = urlsplit(config.url)
    assert parts.hostname is not None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.hostname, port, timeout=config.timeout_seconds)
    else:
        connection = http.client.HTTPConnection(parts.hostname, port, timeout=config.timeout_seconds)
    raw = reach(parts.hostname, port, config)
    raw.settimeout(config.timeout_seconds)
    conversation.holds(raw)
    try:
        secure = ssl.create_default_context() if parts.scheme == "https" else None
        connection.sock = secure.wrap_socket(raw, server_hostname=parts.hostname) if secure else raw
    except OSError as error:
        raw.close()
        raise RetryLater(f"no TLS with {parts.hostname}: {error}") from error
    return connection


def reach(host: str, port: int, config: WebhookConfig) -> socket.socket:
    """Connect to the first address of the host that answers, within the timeout over all of them and their look-up."""
    until = time.monotonic() + config.timeout_seconds
    try:
        found = [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError as error:
        raise RetryLater(f"{host} is not known: {error}") from error
    allowed = [each for each in found if config.allow_private or is_public(each)]
    if not allowed:
        meant = "" if host in found else f" ({', '.join(found)})"
        raise Rejected(f"{host}{meant} is of this machine or a private network; allow_private=true allows that")
    last: OSError = TimeoutError(f"its addresses were not found within {config.timeout_seconds:g} s")
    for address in allowed:
        if (left := until - time.monotonic()) <= 0:
            break
        try:
            return socket.create_connection((address, port), left)
        except OSError as error:
            last = error
    raise RetryLater(f"{host} does not answer: {last}") from last


def is_public(address: str) -> bool:
    """Whether that is out in the world: no loopback, private, link-local (metadata of clouds), multicast address."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped or parsed
    return parsed.is_global and not parsed.is_multicast


def retry_after(text: str | None) -> float | None:
    """Seconds of a Retry-After header: a number or a date; None: it says nothing that can be read."""
    if text is None:
        return None
    try:
        seconds = float(text) if text.strip().isdecimal() else _until(text)
    except (ValueError, TypeError):
        return None
    return min(max(0.0, seconds), RETRY_AFTER_SECONDS_MAX)


def _until(text: str) -> float:
    when = parsedate_to_datetime(text)
    return (when.replace(tzinfo=when.tzinfo or UTC) - datetime.fromtimestamp(time.time(), UTC)).total_seconds()
