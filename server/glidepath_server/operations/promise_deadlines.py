"""What schedules owe: a run for each of their ticks. Its deadlines are watched from the tick on, whether or not anybody
creates it: a scheduler that stands still, a tick that was skipped or a paused DAG are told of as a run that hangs is.

Not owed are ticks that a schedule excludes, and those of a paused schedule: who pauses it says that he expects no run.
A deadline is owed for the ticks after it was set. Any number of replicas may do this; what is written twice is there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from ..core.schedules import ContinuousRule, Tick, run_key, ticks
from ..store import deadlines as store
from ..store import trigger
from ..store.database import Connection, Database, database_now, transaction
from ..store.deadlines import OwingSchedule
from ..store.trigger import Selector
from ..telemetry import get_logger
from .new_deadlines import Promised, promise_runs
from .plan_schedules import schedule_of
from .plans import Plans

_log = get_logger("deadlines")
# Of a schedule whose ticks nobody looked at for long, the newest.
TICKS_MAX = 200
# A change that was committed after a look, and is older than that, is found by another look.
LOOK_AGAIN = timedelta(hours=1)


async def promise_deadlines(database: Database, plans: Plans, schedules_max: int) -> int:
    """Take at most so many schedules that have ticked since they were looked at, or were never; how many there were."""
    async with database.worker.acquire() as connection:
        owing = await store.owing_schedules(connection, schedules_max)
    if not owing:
        return 0
    async with transaction(database.worker, "promise_deadlines") as connection:
        now = await database_now(connection)
        # In a thread: for many schedules, after an outage, this is a long search.
        found = await asyncio.to_thread(lambda: [_known_ticks(each, now) for each in owing])
        owed = [(each, past) for each, (past, _) in zip(owing, found, strict=True) if past]
        for namespace in {each.namespace for each, _ in owed}:
            mine = [(each, past) for each, past in owed if each.namespace == namespace]
            await promise_runs(connection, plans, namespace, now, await _promised(connection, plans, namespace, mine))
        again = now + LOOK_AGAIN
        following = [(each, min(upcoming or again, again)) for each, (_, upcoming) in zip(owing, found, strict=True)]
        await store.save_promises(connection, now, following)
    return len(owing)


def _known_ticks(owing: OwingSchedule, now: datetime) -> tuple[list[Tick], datetime | None]:
    """`_ticks`; none of a schedule that cannot be computed here: the others get theirs."""
    try:
        return _ticks(owing, now)
    except Exception as error:
        _log.warning("schedule_unread", dag_id=owing.dag_id, schedule_name=owing.schedule_name, error=repr(error))
        return [], None


def _ticks(owing: OwingSchedule, now: datetime) -> tuple[list[Tick], datetime | None]:
    """The ticks since it was looked at that are owed a run, the newest of them; and when the next one is."""
    schedule = schedule_of(owing.spec)
    if isinstance(schedule.rule, ContinuousRule):
        return [], None
    seed = f"{owing.namespace}/{owing.dag_id}/{owing.schedule_name}"
    left = None if schedule.runs_max is None else schedule.runs_max - owing.runs_made
    past: deque[Tick] = deque(maxlen=TICKS_MAX)
    # A schedule that was changed owes what it owes from then on.
    since = now if owing.promised_time is None else max(owing.promised_time, owing.update_time)
    for tick in ticks(schedule, seed, since):
        if tick.skip:
            continue
        if tick.tick_time > now:
            # Also of a schedule that has none left: what was found here may be among the runs that it has made.
            return list(past), tick.tick_time
        if left is not None and tick.tick_time > owing.last_tick_time:
            # The others have their outcomes: what they have made is counted.
            if left <= 0:
                return list(past), None
            left -= 1
        past.append(tick)
    return list(past), None


async def _promised(
    connection: Connection, plans: Plans, namespace: str, owed: Sequence[tuple[OwingSchedule, list[Tick]]]
) -> list[Promised]:
    selectors = [Selector(each.dag_id, each.version_number, each.alias) for each, _ in owed]
    resolved = await trigger.resolve(connection, namespace, selectors)
    await plans.load(connection, {each.dag_version_id for each in resolved if each.dag_version_id is not None})
    return [
        Promised(
            each.dag_id,
            version.dag_version_id,
            run_key(each.schedule_name, tick.logical_date),
            tick.tick_time,
            tick.logical_date,
            tick.data_interval_end,
        )
        for (each, past), version in zip(owed, resolved, strict=True)
        if version.dag_version_id is not None
        for tick in past
    ]
