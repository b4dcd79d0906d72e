"""Learns from runs that have ended how long their tasks take."""

from __future__ import annotations

from ..operations.learn_durations import learn_durations
from ..operations.plans import Plans
from ..settings import Settings
from ..store.database import Database, transaction
from ..store.durations import any_ended
from .level import LevelLoop

RUNS_MAX = 2000
# With more left to do: no hurry, what runs goes first.
_SOON_SECONDS = 0.2


def durations(database: Database, plans: Plans, settings: Settings) -> LevelLoop:
    """The loop; of several replicas one learns at a time, the others find it held."""

    async def once() -> float | None:
        async with database.api.acquire() as connection:
            if not await any_ended(connection):
                return None
        async with transaction(database.api, "durations") as connection:
            ended = await learn_durations(connection, plans, RUNS_MAX)
        return _SOON_SECONDS if ended == RUNS_MAX else None

    return LevelLoop("durations", once, settings.learn_interval_seconds)
