"""Overlap: what a due tick does while runs of its schedule are active, or while earlier ticks wait for them to end."""

from __future__ import annotations

from dataclasses import dataclass

from .schedules import Overlap, Schedule, Tick

WAITING_MAX = 10_000
"""Ticks of one schedule that wait; a further one is skipped."""


@dataclass(frozen=True, slots=True)
class Start:
    """Its run is created now."""


@dataclass(frozen=True, slots=True)
class Queue:
    """It waits until runs have ended. The oldest `drop` of those that wait are skipped for it."""

    drop: int = 0


@dataclass(frozen=True, slots=True)
class Skip:
    """It gets no run."""

    reason: str


@dataclass(frozen=True, slots=True)
class CancelThenStart:
    """All active runs of the schedule are cancelled, and its run is created now."""


Decision = Start | Queue | Skip | CancelThenStart


def decide_overlap(schedule: Schedule, active: int, waiting: int, tick: Tick, *, blocked: bool = False) -> Decision:
    """What the tick does beside `active` runs of its schedule that have not ended, and `waiting` ticks before it.

    `blocked`: the newest run of the schedule has not succeeded; a strict sequence does not go on then.
    """
    if not waiting and runs_may_start(schedule, active, blocked=blocked):
        return Start()
    match schedule.overlap:
        case Overlap.SKIP:
            return Skip(f"{_active(active)} when it was due; overlap is skip")
        case Overlap.CANCEL_OLDER:
            return CancelThenStart()
        case Overlap.QUEUE_ONE if waiting:
            return Skip("another tick was waiting already; overlap is queue_one")
        case Overlap.LATEST_ONLY:
            return Queue(drop=waiting)
    if waiting >= WAITING_MAX:
        return Skip(f"{WAITING_MAX} ticks were waiting already; overlap is {schedule.overlap.value}")
    return Queue()


def runs_may_start(schedule: Schedule, active: int, *, blocked: bool = False) -> bool:
    """Whether one more run may begin beside those that are active: what a waiting tick waits for."""
    match schedule.overlap:
        case Overlap.ALLOW:
            return schedule.overlap_runs is None or active < schedule.overlap_runs
        case Overlap.SEQUENCE:
            return not active and not blocked
    return not active


def _active(active: int) -> str:
    return "a run was active" if active == 1 else f"{active} runs were active"
