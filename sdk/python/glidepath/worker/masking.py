"""Secrets out of log lines and failure messages, on the worker, before anything leaves it.

A secret is the value of an environment variable whose name looks like one, or what a task registered. Its base64 and
percent-encoded forms are secrets as well; a secret of several lines is masked line by line. Values shorter than
`SECRET_CHARS_MIN` are left alone: masking "1" or "dev" would spoil every line and protect nothing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote, quote_plus

MASK = "***"
SECRET_CHARS_MIN = 6

_SECRET_NAME = re.compile(
    r"(^|_)(SECRETS?|TOKENS?|PASSWORDS?|PASSWD|PASSPHRASE|PWD|CREDENTIALS?|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|"
    r"ENCRYPTION_?KEY|SIGNING_?KEY|CONNECTION_STRING|DSN|WEBHOOK)(_|$)",
    re.IGNORECASE,
)
_NO_SECRETS = ("PWD", "OLDPWD")  # the shell's folders


def secrets_of(environment: Mapping[str, str]) -> set[str]:
    """Values of the variables whose names say that they are secret."""
    return {
        value for name, value in environment.items() if _SECRET_NAME.search(name) and name not in _NO_SECRETS and value
    }


class Masker:
    """Replaces secrets in text. `longest` is the length of the longest form it looks for."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.longest = 0
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Look for these as well, from now on."""
        forms = {form for secret in secrets for form in _forms(secret)} - self._forms
        if forms:
            self._forms |= forms
            by_length = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, by_length)))
            self.longest = len(by_length[0])

    def with_more(self, secrets: Iterable[str]) -> Masker:
        """Another masker that knows these as well."""
        more = Masker()
        more._forms, more._pattern, more.longest = set(self._forms), self._pattern, self.longest
        more.add(secrets)
        return more

    def mask(self, text: str) -> str:
        """`text` without secrets."""
        return self._pattern.sub(MASK, text) if self._pattern is not None else text


def _forms(secret: str) -> set[str]:
    if len(secret.strip()) < SECRET_CHARS_MIN:
        return set()
    raw = secret.encode()
    forms = {line for line in secret.splitlines() if len(line.strip()) >= SECRET_CHARS_MIN}
    forms |= {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        forms |= {_stable_base64(raw, offset, encode) for offset in range(3)}
    return {form for form in forms if len(form) >= SECRET_CHARS_MIN}


def _stable_base64(raw: bytes, offset: int, encode: Callable[[bytes], bytes]) -> str:
    """What of the base64 of a text that holds `raw` depends on `raw` alone, when `offset` bytes (mod 3) precede it."""
    encoded = encode(b"\0" * offset + raw).decode()
    start = -(-offset * 8 // 6)
    whole_bits = (offset + len(raw)) * 8
    return encoded[start : whole_bits // 6]
