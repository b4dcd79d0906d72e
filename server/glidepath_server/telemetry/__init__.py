"""What the server says about itself: log lines, and the registry of the names in them."""

from __future__ import annotations

from .logs import configure, get_logger

__all__ = ["configure", "get_logger"]
