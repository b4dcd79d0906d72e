"""What a server counts of itself: its steps, its loops, its event loop, the database, the queues.

Runs only while there is an endpoint for it (`metrics_address`); without one, no statement and no timer is spent.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from ..clock import monotonic, utc_now
from ..core.events import AttemptEnded
from ..core.states import RUN_FINAL
from ..operations.step_runs import Step
from ..store import telemetry as store
from ..store.database import Database, database_now
from ..telemetry.metrics import Metrics
from .level import LevelLoop

# A queue's depth is counted row by row: seldom enough to cost nothing beside the claims.
INTERVAL_SECONDS = 5.0
LAG_INTERVAL_SECONDS = 0.5
QUEUES_MAX = 1000


def count_steps(metrics: Metrics) -> Callable[[Step, float], None]:
    """What the engine calls after each commit with the step and how many seconds it took."""

    def committed(step: Step, seconds: float) -> None:
        ends = (each.outcome.value for told in step.events.values() for each in told if isinstance(each, AttemptEnded))
        states = (run.board.state for run in step.runs.values() if run.was not in RUN_FINAL)
        ended = Counter(state.value for state in states if state in RUN_FINAL)
        metrics.step(seconds, len(step.outcome.assigned), Counter(ends), ended)

    return committed


def watch_loops(metrics: Metrics, loops: Sequence[LevelLoop], ready: Callable[[], bool]) -> None:
    """Tell the age of each loop with every scrape; loops that start later are told of, too."""

    def look() -> None:
        now = monotonic()
        for each in loops:
            metrics.loop_age(each.name, now - each.beat)
        metrics.ready(ready())

    metrics.before_scrape(look)


def watch_database(metrics: Metrics, database: Database) -> LevelLoop:
    """The loop that asks the database for its time and the depth of the queues."""

    async def once() -> float | None:
        async with database.api.acquire() as connection:
            before, begun = utc_now(), monotonic()
            now = await database_now(connection)
            seconds = monotonic() - begun
            rows = await store.queue_depths(connection, QUEUES_MAX)
            metrics.worker_clocks(await store.clock_offset_max(connection))
        # The answer was made somewhere on its way: half of it is the best guess.
        metrics.database(seconds, (now - before).total_seconds() - seconds / 2)
        metrics.queues(
            (
                row["namespace"],
                row["queue_name"],
                {state: row[state] for state in ("due", "later", "parked")},
                row["oldest"],
            )
            for row in rows
        )
        return None

    return LevelLoop("metrics", once, INTERVAL_SECONDS)


def watch_event_loop(metrics: Metrics) -> LevelLoop:
    """The loop that sleeps and says how much too long it slept."""

    async def once() -> float | None:
        begun = monotonic()
        await asyncio.sleep(LAG_INTERVAL_SECONDS)
        metrics.event_loop_lag(max(0.0, monotonic() - begun - LAG_INTERVAL_SECONDS))
        return 0.0

    return LevelLoop("event_loop", once, LAG_INTERVAL_SECONDS)
