"""What becomes of a schedule's due ticks, one after the other: a run, a skip with its reason, or a wait for a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from .catchup import ON_TIME_SECONDS, catchup_reach, decide_missed
from .overlap import CancelThenStart, Queue, Skip, decide_overlap, runs_may_start
from .schedules import Catchup, Schedule, Tick


class TickState(StrEnum):
    """States of a tick. DUE is that of one that has no row yet: its time has come, or comes."""

    DUE = "due"
    WAITING = "waiting"
    RUN = "run"
    MET = "met"
    SKIP = "skip"


class TickEvent(StrEnum):
    WAIT = "wait"
    START = "start"
    # A run with its key is there already.
    MEET = "meet"
    SKIP = "skip"


TICK_ARROWS: dict[tuple[TickState, TickEvent], TickState] = {
    (TickState.DUE, TickEvent.WAIT): TickState.WAITING,
    (TickState.DUE, TickEvent.START): TickState.RUN,
    (TickState.DUE, TickEvent.MEET): TickState.MET,
    (TickState.DUE, TickEvent.SKIP): TickState.SKIP,
    (TickState.WAITING, TickEvent.START): TickState.RUN,
    (TickState.WAITING, TickEvent.MEET): TickState.MET,
    (TickState.WAITING, TickEvent.SKIP): TickState.SKIP,
}
TICK_FINAL = frozenset({TickState.RUN, TickState.MET, TickState.SKIP})


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with a schedule: the runs of it that have not ended, the oldest first; the oldest of the ticks that
    wait, and how many wait behind these; how many runs it has made; until when it was paused; whether its newest run
    has not succeeded."""

    active: Sequence[UUID] = ()
    waiting: Sequence[Tick] = ()
    waiting_behind: int = 0
    runs_made: int = 0
    paused_until: datetime | None = None
    blocked: bool = False


@dataclass(slots=True)
class Decisions:
    """What is to become of ticks. `released` and `dropped` have waited until now."""

    runs: list[Tick] = field(default_factory=list)
    skips: list[tuple[Tick, str]] = field(default_factory=list)
    waits: list[Tick] = field(default_factory=list)
    released: list[Tick] = field(default_factory=list)
    dropped: list[tuple[Tick, str]] = field(default_factory=list)
    cancels: list[UUID] = field(default_factory=list)
    # How many of the due ticks are decided; whether no tick ever follows.
    count: int = 0
    over: bool = False
    # Of a continuous schedule: when its next run may begin, if that is known and not yet.
    look_again: datetime | None = None


def decide_ticks(
    schedule: Schedule, standing: Standing, due: Sequence[Tick], now: datetime, reach: datetime | None
) -> Decisions:
    """Decide what waits and what is due, in this order. `reach` is that of `find_reach`."""
    work = _Work(schedule, standing)
    work.release()
    for tick, reason in decide_missed(schedule, due, now, standing.paused_until, reach):
        if work.over:
            break
        work.found.count += 1
        if reason is not None:
            work.found.skips.append((tick, reason))
        else:
            work.start_or_not(tick)
    work.found.over = work.over
    return work.found


def find_reach(
    schedule: Schedule, seed: str, due: Sequence[Tick], now: datetime, paused_until: datetime | None
) -> datetime | None:
    """How far back missed ticks are made up for; None when it does not matter, and need not be computed."""
    if not due or schedule.catchup not in (Catchup.LATEST, Catchup.LAST_N):
        return None
    first = due[0].due_time
    late = now - first > timedelta(seconds=ON_TIME_SECONDS) or (paused_until is not None and first <= paused_until)
    return catchup_reach(schedule, seed, now) if late else None


def decide_continuous(schedule: Schedule, standing: Standing, tick: Tick | None, now: datetime) -> Decisions:
    """Decide the one next tick of a continuous schedule; None while a run is active, or when none ever follows."""
    found = Decisions()
    most = schedule.runs_max
    found.over = (tick is None and not standing.active) or (most is not None and standing.runs_made >= most)
    if tick is None or found.over:
        return found
    if tick.due_time > now:
        found.look_again = tick.due_time
    else:
        found.runs.append(tick)
    return found


class _Work:
    def __init__(self, schedule: Schedule, standing: Standing) -> None:
        self.schedule, self.standing = schedule, standing
        self.found = Decisions()
        self.active, self.waiting = list(standing.active), list(standing.waiting)

    @property
    def starting(self) -> int:
        """Runs that begin here; they are active, but have no id yet."""
        return len(self.found.runs) + len(self.found.released)

    @property
    def waiting_count(self) -> int:
        return len(self.waiting) + self.standing.waiting_behind

    @property
    def over(self) -> bool:
        """The schedule has made all the runs that it may make, once those that wait have gone."""
        return self._enough(self.starting + self.waiting_count)

    def _enough(self, more: int) -> bool:
        most = self.schedule.runs_max
        return most is not None and self.standing.runs_made + more >= most

    def release(self) -> None:
        """What has waited goes, the oldest first, as far as there is room."""
        if self._enough(0):
            # More wait than may run: it was said meanwhile that fewer may.
            for each in self.waiting:
                self._drop(each, "the schedule has made all the runs that it may make")
            self.waiting.clear()
        while (
            self.waiting
            and not self._enough(self.starting)
            and runs_may_start(self.schedule, self.active_count, blocked=self.standing.blocked)
        ):
            self.found.released.append(self.waiting.pop(0))

    @property
    def active_count(self) -> int:
        return len(self.active) + self.starting

    def start_or_not(self, tick: Tick) -> None:
        blocked = self.standing.blocked
        match decide_overlap(self.schedule, self.active_count, self.waiting_count, tick, blocked=blocked):
            case Skip(reason):
                self.found.skips.append((tick, reason))
            case Queue(drop):
                for each in self.waiting[:drop]:
                    self._drop(each, "a newer tick came while it waited; overlap is latest_only")
                self.waiting = [*self.waiting[drop:], tick]
                self.found.waits.append(tick)
            case CancelThenStart():
                self._cancel()
                self.found.runs.append(tick)
            case _:
                self.found.runs.append(tick)

    def _drop(self, tick: Tick, reason: str) -> None:
        if tick in self.found.waits:
            self.found.waits.remove(tick)
            self.found.skips.append((tick, reason))
        else:
            self.found.dropped.append((tick, reason))

    def _cancel(self) -> None:
        """The older runs are cancelled; those that would only begin now are skipped."""
        self.found.cancels += self.active
        self.active.clear()
        self.found.skips += [(each, "a newer tick was due, too; overlap is cancel_older") for each in self.found.runs]
        self.found.runs.clear()
