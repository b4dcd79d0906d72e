"""Missed ticks: which of them are made up for.

A tick is missed when it became due while its schedule was paused, or when nobody gave it an outcome for
`ON_TIME_SECONDS` since. Ticks on time run, whatever the policy; of the missed ones the newest, all, the last N or
those within a window do, or none. Each of the others has a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from .schedules import Catchup, Schedule, Tick, ticks_before

ON_TIME_SECONDS = 300.0
"""So long a server may be away, for an upgrade, before ticks count as missed."""

NEVER = datetime.max.replace(tzinfo=UTC)
ALWAYS = datetime.min.replace(tzinfo=UTC)


def decide_missed(
    schedule: Schedule,
    due_ticks: Sequence[Tick],
    now: datetime,
    paused_until: datetime | None,
    reach: datetime | None = None,
) -> list[tuple[Tick, str | None]]:
    """Each due tick with the reason why it gets no run, or None if it gets one.

    `due_ticks` are in order and due at `now`. `paused_until`: when the schedule was last resumed; what was due before
    was due while it was paused. Without `reach` the ticks must be all that are due; with that of `catchup_reach` they
    may be any part of them.
    """
    if reach is None:
        kept = [tick.tick_time for tick in due_ticks if not tick.skip]
        reach = _reach(schedule, reversed(kept), now)
    return [(tick, _reason(schedule, tick, now, paused_until, reach)) for tick in due_ticks]


def catchup_reach(schedule: Schedule, seed: str, now: datetime) -> datetime:
    """The tick time from which on missed ticks are made up for. It is found from now backwards, in a few steps."""
    due = (tick.tick_time for tick in ticks_before(schedule, seed, now) if not tick.skip and tick.due_time <= now)
    return _reach(schedule, due, now)


def _reach(schedule: Schedule, newest_first: Iterator[datetime], now: datetime) -> datetime:
    match schedule.catchup:
        case Catchup.NONE:
            return NEVER
        case Catchup.ALL:
            return ALWAYS
        case Catchup.WITHIN:
            return now - timedelta(seconds=schedule.catchup_seconds or 0)
    count = 1 if schedule.catchup is Catchup.LATEST else schedule.catchup_runs or 1
    found = list(islice(newest_first, count))
    # Fewer than that many: all of them.
    return NEVER if not found else found[-1] if len(found) == count else ALWAYS


def _reason(
    schedule: Schedule, tick: Tick, now: datetime, paused_until: datetime | None, reach: datetime
) -> str | None:
    if tick.skip:
        return tick.skip
    paused = paused_until is not None and tick.due_time <= paused_until
    on_time = not paused and now - tick.due_time <= timedelta(seconds=ON_TIME_SECONDS)
    if on_time or tick.tick_time >= reach:
        return None
    why = "it was due while the schedule was paused" if paused else "it was due while no server gave it a run"
    return f"missed: {why}; catchup is {_policy(schedule)}"


def _policy(schedule: Schedule) -> str:
    match schedule.catchup:
        case Catchup.LAST_N:
            return f"last_n, {schedule.catchup_runs}"
        case Catchup.WITHIN:
            return f"within {schedule.catchup_seconds:g} s"
    return schedule.catchup.value
