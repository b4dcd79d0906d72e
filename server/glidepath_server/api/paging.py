"""Pages: sizes within bounds, and tokens that say where the next page begins.

A token is opaque to clients: the keys of the last row, and a digest of the question it belongs to, so that a token used
with another filter is refused instead of answering nonsense. It needs no signature: it is only ever a position, and
every query carries the caller's namespace.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message

from ..core.errors import InvalidInput, Violation

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 500
# Ours are shorter: what is longer is not parsed at all.
TOKEN_CHARACTERS_MAX = 4096
# Answers stay below this: gRPC clients accept 4 MiB by default.
ANSWER_BYTES_MAX = 1024 * 1024

Row = TypeVar("Row")
Sent = TypeVar("Sent", bound=Message)


class Page:
    """One page of a list RPC: read `limit` rows behind `keys`, then `cut` them to the page and its next token."""

    def __init__(
        self,
        request: Any,
        scope: Sequence[Any],
        *kinds: type,
        default: int = PAGE_SIZE_DEFAULT,
        most: int = PAGE_SIZE_MAX,
    ) -> None:
        """`scope` is the method with its filters, `kinds` are the types of the keys. Raises InvalidInput."""
        self._scope = scope
        self._size = page_size(request.page_size, default=default, most=most)
        self.keys = page_keys(request.page_token, scope, kinds)
        self.limit = self._size + 1

    def first(self, otherwise: Any) -> Any:
        """The first key; `otherwise` on the first page."""
        return self.keys[0] if self.keys else otherwise

    def cut(self, rows: Sequence[Row], keys: Callable[[Row], Sequence[Any]]) -> tuple[Sequence[Row], str]:
        """The rows of this page and the token of the next, which is empty on the last page."""
        if len(rows) <= self._size:
            return rows, ""
        return rows[: self._size], page_token(keys(rows[self._size - 1]), self._scope)


def fitting(messages: Iterable[Sent]) -> list[Sent]:
    """As many as fit into one answer, at least one."""
    found: list[Sent] = []
    room = ANSWER_BYTES_MAX
    for message in messages:
        room -= message.ByteSize()
        if found and room < 0:
            break
        found.append(message)
    return found


def page_size(requested: int, *, default: int = PAGE_SIZE_DEFAULT, most: int = PAGE_SIZE_MAX) -> int:
    """The size to use; 0 means the default. Raises InvalidInput out of bounds."""
    if requested == 0:
        return default
    if not 1 <= requested <= most:
        raise _invalid("page_size", str(requested), f"1 to {most}, or 0 for {default}")
    return requested


def page_token(keys: Sequence[Any], scope: Sequence[Any]) -> str:
    """A token for the page behind the row with these keys. `keys` and `scope` (method, filters) are JSON values."""
    text = json.dumps([_digest(scope), *keys], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def page_keys(token: str, scope: Sequence[Any], kinds: Sequence[type]) -> list[Any] | None:
    """The keys in a token, of these types; None for the first page (no token). Raises InvalidInput."""
    if not token:
        return None
    try:
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise ValueError
        parts = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or [type(each) for each in parts] != [str, *kinds]:
        raise _invalid("page_token", repr(token[:64]), "next_page_token of the page before, unchanged")
    if parts[0] != _digest(scope):
        raise _invalid("page_token", repr(token[:64]), "a token of the same method with the same filters")
    return parts[1:]


def _digest(scope: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(list(scope), default=str).encode()).hexdigest()[:12]


def _invalid(field: str, value: str, expected: str) -> InvalidInput:
    violation = Violation(field, value, expected)
    return InvalidInput(str(violation), violations=[violation])
