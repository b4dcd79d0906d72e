"""Gives the dates of backfills their runs, as their pace allows. Any replica may: whoever holds a backfill's row."""

from __future__ import annotations

from ..operations.pace_backfills import PaceBackfills
from .level import LevelLoop


def backfill_pacer(pace: PaceBackfills, interval_seconds: float) -> LevelLoop:
    """Woken when a run of a backfill has ended, and when somebody creates or steers one."""
    return LevelLoop("backfill_pacer", pace, interval_seconds)
