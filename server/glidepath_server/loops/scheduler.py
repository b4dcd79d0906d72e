"""The scheduler of a replica: gives due ticks of schedules their outcomes. Any number of replicas share the work.

Two loops. One takes what is due, in batches, and between them computes the ticks that come. The other lets ticks go
that have waited for a run of their schedule to end; the end of a run here wakes it while something waits, and it polls.
"""

from __future__ import annotations

from collections.abc import Callable

from ..operations.plan_schedules import plan_schedules
from ..operations.tick_schedules import Ticked, tick_due, tick_waiting
from ..store import schedules as store
from .engine import Engine
from .level import LevelLoop

# Schedules that one transaction takes.
DUE_MAX, PLANS_MAX = 1000, 300
# While more is due than one transaction takes, the ticks that come are computed after so many of them.
ROUNDS_BEFORE_PLANS = 8
# Schedules that are due and held, by another replica or by whoever edits them, are looked at again after this.
HELD_PAUSE_SECONDS = 0.05


class Scheduler:
    """`wake` it when a schedule was changed."""

    def __init__(self, engine: Engine, on_tick: Callable[[float], None] = lambda _: None) -> None:
        """`on_tick` is told of each tick that gets a run how many seconds late it is."""
        self._on_tick = on_tick
        self._engine, self._database, self._plans = engine, engine.database, engine.replica.plans
        interval_seconds = engine.settings.poll_interval_seconds
        self.due_loop = LevelLoop("scheduler", self.once, interval_seconds)
        self.waiting_loop = LevelLoop("waiting_ticks", self.once_waiting, interval_seconds)
        self._something_waits = True
        self._rounds = 0

    def wake(self) -> None:
        self.due_loop.wake()
        self.waiting_loop.wake()

    def changed(self, ticked: Ticked) -> None:
        """A schedule was changed, and what was due of it has got its outcome."""
        self._tell(ticked)
        self.wake()

    def run_ended(self) -> None:
        """A run has ended here: it may be what a tick waits for."""
        if self._something_waits:
            self.waiting_loop.wake()

    async def once(self) -> float | None:
        """One batch of what is due, and one of plans unless more is due."""
        ticked = await tick_due(self._database, self._plans, DUE_MAX)
        self._tell(ticked)
        more = ticked.schedules > 0
        self._rounds += 1
        if not more or self._rounds % ROUNDS_BEFORE_PLANS == 0:
            more = await plan_schedules(self._database, PLANS_MAX) > 0 or more
        if more:
            return 0.0
        async with self._database.worker.acquire() as connection:
            due = await store.next_due(connection)
        # What is due and was passed over is held by somebody, who needs the database more than we do.
        return due if due is None else max(due, HELD_PAUSE_SECONDS)

    async def once_waiting(self) -> float | None:
        """Let ticks go for which there is room."""
        ticked = await tick_waiting(self._database, self._plans)
        self._start(ticked)
        if ticked.schedules:
            self.due_loop.wake()
        async with self._database.worker.acquire() as connection:
            self._something_waits = await store.anything_waits(connection)
        return None

    def _tell(self, ticked: Ticked) -> None:
        self._start(ticked)
        if ticked.waits:
            # The run for which it waits may have ended before we knew that something waits.
            self._something_waits = True
            self.waiting_loop.wake()

    def _start(self, ticked: Ticked) -> None:
        for seconds in ticked.late_seconds:
            self._on_tick(seconds)
        self._engine.runs_created(ticked.admitted)
        for run_id in ticked.told:
            self._engine.add_inbox(run_id)
