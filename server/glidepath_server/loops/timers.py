"""What becomes due: retries, run timeouts, execution timeouts, runs that wait for admission. One small loop each."""

from __future__ import annotations

from uuid import UUID

from ..core.events import AttemptKey, RunStarted, RunTimedOut
from ..operations.calls import cancel_overdue
from ..operations.step_types import CancelOrder, StepOutcome
from ..store import caching, calls, limits, sessions
from ..store import engine as store
from ..store.database import transaction
from .engine import Engine
from .level import LevelLoop

ROWS_MAX = 2000
# The worker's own clock ends an attempt at its timeout; the server's watch stands this far behind it.
TIMEOUT_SLACK_SECONDS = 5.0


def due_rows(engine: Engine) -> LevelLoop:
    """Moves released rows whose time has come into the claim index."""

    async def once() -> float | None:
        async with engine.database.worker.acquire() as connection:
            queues = await store.wake_due(connection, ROWS_MAX)
            due = await store.next_due(connection)
        if queues:
            engine.look_for_work(set(queues))
            engine.on_queues(set(queues))
        return 0.0 if len(queues) == ROWS_MAX else due

    return LevelLoop("due_rows", once, engine.settings.poll_interval_seconds)


def run_timeouts(engine: Engine) -> LevelLoop:
    """Ends runs whose timeout has passed: an event for the step, which checks again under the run's lock."""

    async def once() -> float | None:
        async with engine.database.worker.acquire() as connection:
            late = await store.timed_out_runs(connection, ROWS_MAX)
            due = await store.next_run_timeout(connection)
        for run_id in late:
            engine.add_event(run_id, RunTimedOut())
        return None if late else due

    return LevelLoop("run_timeouts", once, engine.settings.poll_interval_seconds)


def execution_timeouts(engine: Engine) -> LevelLoop:
    """Tells workers to end attempts that their own watch should have ended some seconds ago."""

    async def once() -> float | None:
        async with engine.database.worker.acquire() as connection:
            rows = await sessions.overdue_attempts(connection, TIMEOUT_SLACK_SECONDS)
            due = await sessions.next_overdue(connection, TIMEOUT_SLACK_SECONDS)
        if rows:
            engine.settle(
                StepOutcome(
                    cancels=[
                        CancelOrder(
                            AttemptKey(row["dag_run_id"], row["task_index"], row["map_index"], row["attempt_number"]),
                            row["session_id"],
                            row["cancel_reason"],
                        )
                        for row in rows
                    ]
                )
            )
        return due

    return LevelLoop("execution_timeouts", once, engine.settings.poll_interval_seconds)


def call_timeouts(engine: Engine) -> LevelLoop:
    """Tells child runs to end whose callers have run over their timeouts: the attempts go on as these runs."""

    async def once() -> float | None:
        async with transaction(engine.database.worker, "call_timeouts") as connection:
            told = await cancel_overdue(connection, ROWS_MAX)
            due = await calls.next_overdue(connection)
        for run_id in told:
            engine.add_inbox(run_id)
        return due

    return LevelLoop("call_timeouts", once, engine.settings.poll_interval_seconds)


def admission(engine: Engine) -> LevelLoop:
    """Admits waiting runs of capped DAGs, counted under the row of the cap."""

    async def once() -> float | None:
        async with engine.database.worker.acquire() as connection:
            dags = await store.capped_dags(connection, ROWS_MAX)
        for dag in dags:
            async with transaction(engine.database.worker, "admission") as connection:
                admitted = await store.admit_runs(connection, dag["namespace"], dag["dag_id"], dag["runs_limit_id"])
            engine.runs_created(admitted)
        return None

    return LevelLoop("admission", once, engine.settings.poll_interval_seconds)


def lost_wake_ups(engine: Engine) -> LevelLoop:
    """The poll behind every wake-up: queued runs, inboxes, caps, rows in queues. Finds nothing when all is well."""
    seen: set[UUID] = set()

    async def once() -> float | None:
        nonlocal seen
        async with engine.database.worker.acquire() as connection:
            waiting = await store.waiting_runs(connection, ROWS_MAX)
            inboxes = await store.inbox_runs(connection, ROWS_MAX)
            engine.replica.pullers.learn(
                await store.task_classes(connection, max(engine.replica.pullers.classes, default=0))
            )
            engine.replica.pullers.set_capped(await store.capped_limits(connection))
            engine.replica.pullers.weights = await store.namespace_weights(connection)
            engine.replica.see_heads(await store.queue_heads(connection))
        # A run that was just created is being started by its creator; one seen twice is not.
        for run_id in (run_id for run_id in waiting if run_id in seen):
            engine.add_event(run_id, RunStarted())
        seen = set(waiting)
        for run_id in inboxes:
            engine.add_inbox(run_id)
        engine.replica.pullers.hope_everywhere()
        engine.credits_changed()
        return None

    return LevelLoop("lost_wake_ups", once, engine.settings.poll_interval_seconds)


def rates(engine: Engine) -> LevelLoop:
    """Lets go on what waits for a rate, as soon as a start has left its window."""

    async def once() -> float | None:
        async with engine.database.worker.acquire() as connection:
            waits = await limits.rates_waited_for(connection)
        for limit_id in (limit_id for limit_id, seconds in waits.items() if seconds <= 0):
            async with transaction(engine.database.worker, "limit_sweep") as connection:
                queues = await limits.release_waiting(connection, limit_id)
            if queues:
                engine.look_for_work(queues)
                engine.on_queues(queues)
        return min((seconds for seconds in waits.values() if seconds > 0), default=None)

    return LevelLoop("rates", once, engine.settings.poll_interval_seconds)


def limit_sweeper(engine: Engine) -> LevelLoop:
    """Looks for parked rows that could go on, and for slots held by what has ended. It should find next to nothing."""

    async def once() -> float | None:
        async with engine.database.worker.acquire() as connection:
            stale = await limits.stale_limits(connection)
        for limit_id in stale:
            async with transaction(engine.database.worker, "limit_sweep") as connection:
                queues = await limits.release_waiting(connection, limit_id)
            if queues:
                engine.look_for_work(queues)
        async with transaction(engine.database.worker, "limit_sweep") as connection:
            dropped = await limits.drop_run_limits(connection, ROWS_MAX)
        return 0.0 if dropped == ROWS_MAX else None

    return LevelLoop("limit_sweeper", once, 5.0)


def equal_call_sweeper(engine: Engine) -> LevelLoop:
    """Wakes who waits for an equal call that is not under way any more: its run was set aside, or is gone. The others
    are woken by the step in which the call ends; of a very large crowd this wakes the rest."""

    async def once() -> float | None:
        async with engine.database.worker.acquire() as connection:
            woken = await caching.sweep_calls(connection, ROWS_MAX)
        for run_id in woken:
            engine.add_inbox(run_id)
        return 0.0 if len(woken) == ROWS_MAX else None

    return LevelLoop("equal_call_sweeper", once, 5.0)
