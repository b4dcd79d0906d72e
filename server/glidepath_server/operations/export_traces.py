"""Spans of what has ended, made of committed rows and sent: at least once, with ids by which twice is known as once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

from ..core.events import AttemptKey
from ..store import traces as store
from ..store.database import Connection, Database
from ..telemetry.spans import AttemptRow, RunRow, Span, attempt_span, run_span
from .plans import Plans

BATCH_MAX = 500
# Longer than a receiver is waited for; after that another replica may send the same.
TAKEN_SECONDS = 30.0


class Undelivered(Exception):
    """The receiver did not take the spans, and may do so later."""


# Sends spans; how many of them the receiver has refused for good. Raises Undelivered.
Send: TypeAlias = Callable[[Sequence[Span]], Awaitable[int]]


class Exported(NamedTuple):
    """What became of a batch. `more`: there may be more to send. `failure`: why nothing was sent."""

    sent: int = 0
    refused: int = 0
    dropped: int = 0
    more: bool = False
    failure: str = ""


async def export_traces(database: Database, plans: Plans, send: Send, backlog_max: int) -> Exported:
    """Send a batch of what has ended. While the receiver takes nothing, the newest `backlog_max` are kept for it."""
    async with database.api.acquire() as connection:
        due = await store.take(connection, BATCH_MAX, TAKEN_SECONDS)
        spans = await _spans(connection, plans, due) if due else []
    feed_ids = [each.feed_id for each in due]
    try:
        refused = await send(spans) if spans else 0
    except Undelivered as error:
        async with database.api.acquire() as connection:
            await store.give_back(connection, feed_ids)
            return Exported(dropped=await store.cut(connection, backlog_max), failure=str(error))
    async with database.api.acquire() as connection:
        if feed_ids:
            await store.forget(connection, feed_ids)
        more = len(due) == BATCH_MAX
        dropped = await store.cut(connection, backlog_max) if more else 0
    return Exported(len(spans) - refused, refused, dropped, more)


async def _spans(connection: Connection, plans: Plans, due: Sequence[store.Due]) -> list[Span]:
    """Of what was asked to be traced, and is there still."""
    runs = await store.runs(connection, {each.dag_run_id for each in due})
    await plans.load(connection, {run.dag_version_id for run in runs.values()})
    # A run that was cleared since has an end to come.
    found = [run_span(runs[e.dag_run_id]) for e in due if e.attempt is None and _ended(runs.get(e.dag_run_id))]
    keys = [each.attempt for each in due if each.attempt is not None]
    for row in await store.attempts(connection, keys) if keys else ():
        run = runs.get(row["dag_run_id"])
        if run is not None:
            names = plans.versions[run.dag_version_id].graph.task_ids
            found.append(attempt_span(run, _attempt(row, names)))
    return [span for span in found if span.sampled]


def _ended(run: RunRow | None) -> bool:
    return run is not None and run.end_time is not None


def _attempt(row: store.Row, names: Sequence[str]) -> AttemptRow:
    run_id, task, map_index, number, *rest = row.values()
    return AttemptRow(AttemptKey(run_id, task, map_index, number), names[task], *rest)
