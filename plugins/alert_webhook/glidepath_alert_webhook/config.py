"""Where a webhook goes, and the key that it is signed with."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from glidepath_plugin import Violation, option

PREFIX = "whsec_"
KEY_BYTES_MIN, KEY_BYTES_MAX = 24, 64
# The server ends a process whose `send` takes 30 s: addresses are looked up before, and tried one after the other.
TIMEOUT_SECONDS_MAX = 20


@dataclass(frozen=True)
class WebhookConfig:
    """`secret` as receivers have it: whsec_ and the key in base64."""

    url: str = option("Where alerts are posted to: http:// or https://.")
    secret: str = option("The signing key: whsec_ and 24 to 64 bytes in base64.", secret=True)
    allow_private: bool = option(
        "Whether the address may be one of this machine or of a private network.", default=False
    )
    timeout_seconds: float = option(
        "How long the receiver may take in all.", default=10.0, least=0.1, most=TIMEOUT_SECONDS_MAX
    )

    def check(self) -> Iterable[Violation]:
        try:
            parts = urlsplit(self.url)
            fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            fits = False
        if not fits or "@" in parts.netloc or any(ord(each) <= 32 or ord(each) > 126 for each in self.url):
            yield Violation("url", repr(self.url), "http:// or https://, a host, no user, no spaces")
        try:
            key = self.key
        except (binascii.Error, ValueError):
            key = b""
        if not (self.secret.startswith(PREFIX) and KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX):
            yield Violation("secret", "***", f"{PREFIX} and {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes in base64")

    @property
    def key(self) -> bytes:
        return base64.b64decode(self.secret.removeprefix(PREFIX), validate=True)
