"""How far the clocks of hosts are off the database's, in words. Only the database's decides about due times."""

from __future__ import annotations

from typing import Any

from .output import span

SKEW_SECONDS_MAX = 2.0


def told(worker: Any) -> str:
    """Of a worker's host, for a table; empty when it has not said."""
    if not worker.HasField("clock_offset"):
        return ""
    apart = _seconds(worker.clock_offset)
    if abs(apart) <= max(_seconds(worker.clock_bound), 0.1):
        return "right"
    return f"{span(abs(apart))} {'behind' if apart > 0 else 'ahead'}"


def is_wrong(worker: Any) -> bool:
    """Whether it is off by more than is well, whatever the doubt about it."""
    known = worker.HasField("clock_offset")
    return bool(known and abs(_seconds(worker.clock_offset)) - _seconds(worker.clock_bound) > SKEW_SECONDS_MAX)


def _seconds(duration: Any) -> float:
    return float(duration.ToTimedelta().total_seconds())
