"""What this machine, or the container the worker is in, can offer."""

from __future__ import annotations

import os
from pathlib import Path

_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def resources() -> dict[str, float]:
    """Totals by resource name: "cpu" in cores that this process may use, "memory_mb" in MiB."""
    return {"cpu": float(len(os.sched_getaffinity(0))), "memory_mb": float(_memory_bytes() // 1024**2)}


def _memory_bytes() -> int:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in _MEMORY_LIMITS:
        try:
            total = min(total, int(Path(limit).read_text()))
        except (OSError, ValueError):  # not there, or "max"
            pass
    return total
