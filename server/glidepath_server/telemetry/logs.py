"""Structured logging: one line per event, for people on a terminal, as JSON otherwise.

The first argument names the event (telemetry/names.py), everything else is a field. Secrets never are: whatever a field
is called, text that looks like a token is masked.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

_TOKEN = re.compile(r"gp_[a-z]+_[a-z2-7]{16}_[a-z2-7]{20,}")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(log_format: str = "auto", log_level: str = "info", stream: TextIO | None = None) -> None:
    """Set where and how lines are written; call once at start. `stream` is standard error by default."""
    out = stream if stream is not None else sys.stderr
    console = log_format == "console" or (log_format == "auto" and out.isatty())
    final: list[Any] = (
        # Tracebacks without the values of variables (structlog shows them where rich is installed): some are tokens.
        [structlog.processors.format_exc_info, _mask, structlog.dev.ConsoleRenderer()]
        if console
        else [structlog.processors.format_exc_info, _mask, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _mask,
            *final,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[log_level]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def get_logger(service: str) -> Any:
    """A logger whose lines say which part of the server speaks."""
    return structlog.get_logger(service=service)


def _mask(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and "gp_" in value:
            event[key] = _TOKEN.sub("gp_***", value)
    return event
