"""Says of deadlines that they will probably be missed, before they are; and takes it back."""

from __future__ import annotations

from collections.abc import Callable

from ..operations.foresee_misses import Looks, foresee_misses
from ..operations.judge_deadlines import set_risks
from ..operations.read_runs import RunReader
from ..operations.step_types import Replica
from ..settings import Settings
from ..store.database import Database, transaction
from .level import LevelLoop


def risks(database: Database, replica: Replica, settings: Settings, on_facts: Callable[[], None]) -> LevelLoop:
    """The loop; any number of replicas may run it, the first one that says something has said it."""
    reader, looks = RunReader(database, replica.plans), Looks(urgency=replica.urgency)

    async def once() -> float | None:
        said = await foresee_misses(reader, looks, settings.risk_probability, settings.risk_runs_max)
        async with transaction(database.api, "risks") as connection:
            told = await set_risks(connection, said) if said else False
        if told:
            on_facts()
        return None

    return LevelLoop("risks", once, settings.risk_interval_seconds)
