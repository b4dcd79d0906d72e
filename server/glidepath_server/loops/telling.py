"""What a commit allows to be said to whom, one addressee at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import structlog

log = structlog.get_logger()


def grouped(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def tell(method: Callable[[list[Any]], None], items: list[Any]) -> None:
    """Tell one worker; a fault there is that worker's, and its lease or the accept timeout puts things right."""
    try:
        method(items)
    except Exception:
        log.exception("telling_failed", count=len(items))
