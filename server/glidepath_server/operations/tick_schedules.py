"""Give ticks their outcomes: what is due of schedules becomes runs, recorded skips, or waits for a run to end.

One transaction: the runs, the skips and the cursor that says how far they reach. Who holds a schedule's row decides;
other replicas pass over it. Time is the database's. Nothing is computed here that could have been computed before.

A schedule whose ticks cannot be decided (its zone is not known here, its plan cannot be read) keeps no other from its
runs: the batch is done anew, each schedule by itself, and that one is put off and looked at again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from ..core.errors import StateConflict
from ..core.events import RunCancelled, event_to_json
from ..core.schedules import ContinuousRule, Overlap, Schedule, Tick, continuous_tick, run_key
from ..core.tick_plans import AHEAD_MIN, DUE_MAX, TickPlan, plan_from_json, plan_to_json
from ..core.ticking import Decisions, Standing, TickState, decide_continuous, decide_ticks, find_reach
from ..store import engine
from ..store import schedules as store
from ..store.database import Connection, Database, database_now, is_retryable, transaction
from ..store.schedules import Advance, ScheduleKey, ScheduleRow, TickRow
from ..store.trigger import Selector
from .new_runs import RUNS_PER_CALL_MAX, RunRequest
from .plan_schedules import plan_of, schedule_of, seed_of
from .plans import Plans
from .schedule_faults import REASON_CHARACTERS_MAX, append_incident, put_off
from .scheduled_runs import MadeRun, ScheduledRuns

# Of a batch of due schedules, those that became due last: who comes while many are behind is served beside them.
NEWEST_SHARE = 0.2
# Ticks that one transaction decides, beyond those of its last schedule.
TICKS_AT_ONCE = RUNS_PER_CALL_MAX
WAITING_SCHEDULES_MAX = 500
# For so long ticks that were missed are looked for, before those that were found get their outcomes.
LOOK_SECONDS_MAX = 1.0
# Of a batch that fails, so many are done one by one.
ALONE_MAX = 100
REFUSED_KIND = "scheduled_run_refused"
# A continuous schedule whose run could not be made tries again after this.
REFUSED_PAUSE = timedelta(seconds=60)
MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class Ticked:
    """What a transaction did, for after its commit: runs to start, runs that have something in their inbox."""

    admitted: list[UUID] = field(default_factory=list)
    told: list[UUID] = field(default_factory=list)
    # Of each tick that got a run without waiting: how long after its due time, in seconds.
    late_seconds: list[float] = field(default_factory=list)
    schedules: int = 0
    # Something waits now for a run to end.
    waits: bool = False

    def add(self, other: Ticked) -> None:
        self.admitted += other.admitted
        self.told += other.told
        self.late_seconds += other.late_seconds
        self.schedules += other.schedules
        self.waits |= other.waits


async def tick_due(database: Database, plans: Plans, schedules_max: int) -> Ticked:
    """Take at most so many schedules that have something due, and give their due ticks outcomes."""
    newest = max(1, int(schedules_max * NEWEST_SHARE))

    async def claim(connection: Connection, alone: bool) -> list[ScheduleRow]:
        return await store.claim_due(connection, *((ALONE_MAX, 0) if alone else (schedules_max - newest, newest)))

    return await _tick(database, plans, claim)


async def tick_waiting(database: Database, plans: Plans) -> Ticked:
    """Let ticks go that have waited for a run of their schedule to end."""

    async def claim(connection: Connection, alone: bool) -> list[ScheduleRow]:
        return await store.claim_waiting(connection, ALONE_MAX if alone else WAITING_SCHEDULES_MAX)

    return await _tick(database, plans, claim)


_Claim = Callable[[Connection, bool], Awaitable[list[ScheduleRow]]]


async def _tick(database: Database, plans: Plans, claim: _Claim) -> Ticked:
    try:
        async with transaction(database.worker, "tick") as connection:
            ticked = Ticked()
            await _give(connection, plans, await claim(connection, False), ticked)
            return ticked
    except Exception as error:
        if is_retryable(error):
            raise
    ticked = Ticked()
    async with transaction(database.worker, "tick") as connection:
        for row in await claim(connection, True):
            await _give_alone(connection, plans, row, ticked)
    return ticked


async def _give(connection: Connection, plans: Plans, rows: Sequence[ScheduleRow], ticked: Ticked) -> None:
    if rows:
        outcomes = Outcomes(connection, plans, await database_now(connection), ticked)
        await outcomes.give([(row, plan_from_json(row.planned)) for row in rows])


async def _give_alone(connection: Connection, plans: Plans, row: ScheduleRow, ticked: Ticked) -> None:
    """What is done of one schedule; undone if it fails."""
    mine = Ticked()
    try:
        async with connection.transaction():
            await _give(connection, plans, [row], mine)
    except Exception as error:
        if is_retryable(error):
            raise
        now = await database_now(connection)
        if row.next_due_time is not None and row.next_due_time <= now:
            await put_off(connection, row, error, now)
    else:
        ticked.add(mine)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A tick that is to be given a run; `waited` says that it is stored already."""

    row: ScheduleRow
    tick: Tick
    waited: bool

    def request(self) -> RunRequest:
        return RunRequest(
            Selector(self.row.dag_id, self.row.version_number, self.row.alias),
            run_key=run_key(self.row.schedule_name, self.tick.logical_date),
            params=self.row.params,
            logical_date=self.tick.logical_date,
            data_interval_start=self.tick.data_interval_start,
            data_interval_end=self.tick.data_interval_end,
            run_type="scheduled",
        )


class Outcomes:
    """Decides and writes, inside the caller's transaction, who holds the rows of the schedules."""

    def __init__(self, connection: Connection, plans: Plans, now: datetime, ticked: Ticked) -> None:
        self.connection, self.plans, self.now, self.ticked = connection, plans, now, ticked
        self.wanted: list[_Wanted] = []
        self.new: list[TickRow] = []
        self.settled: list[TickRow] = []

    async def give(self, held: Sequence[tuple[ScheduleRow, TickPlan]]) -> None:
        """Outcomes for the due ticks of these schedules, as far as their plans reach, and for what has waited.

        Not of all schedules, when they have so many that others would wait for them too long; those stay due.
        """
        standings = await self._standings([row for row, _ in held])
        # In a thread: after an outage this is a search for each of many schedules.
        held, reaches = await asyncio.to_thread(_look_further, held, self.now)
        decided: list[tuple[ScheduleRow, TickPlan, Decisions]] = []
        cancels: list[UUID] = []
        for row, plan in held:
            decisions = await self._decide(row, plan, standings[row.key], reaches.get(row.key))
            decided.append((row, plan, decisions))
            self._note(row, decisions)
            cancels += decisions.cancels
            if len(self.wanted) + len(self.new) >= TICKS_AT_ONCE:
                break
        made = await self._make_runs()
        await store.insert_ticks(self.connection, self.new)
        if await store.settle_ticks(self.connection, self.settled) != len(self.settled):
            raise StateConflict("a tick that waited was given its outcome by somebody who does not hold its schedule")
        await self._cancel(cancels)
        await store.advance(self.connection, [self._advance(*each, made[each[0].key]) for each in decided])

    # ---- deciding
    async def _standings(self, rows: Sequence[ScheduleRow]) -> dict[ScheduleKey, Standing]:
        """In statements behind the one that took the rows: nobody makes runs of these schedules meanwhile."""
        counted = [row.key for row in rows if row.waiting or _counts(schedule_of(row.spec))]
        active = await store.active_runs(self.connection, counted) if counted else {}
        behind = [row.key for row in rows if row.waiting]
        waiting = await store.waiting_ticks(self.connection, behind, TICKS_AT_ONCE) if behind else {}
        sequences = [row.key for row in rows if row.in_sequence]
        failed = await store.blocked(self.connection, sequences) if sequences else set()
        return {
            row.key: Standing(
                active.get(row.key, ()),
                [_tick_of(each) for each in waiting.get(row.key, ())],
                row.waiting - len(waiting.get(row.key, ())),
                row.runs_made,
                row.resume_time,
                blocked=row.key in failed,
            )
            for row in rows
        }

    async def _decide(self, row: ScheduleRow, plan: TickPlan, standing: Standing, reach: datetime | None) -> Decisions:
        schedule = schedule_of(row.spec)
        if not isinstance(schedule.rule, ContinuousRule):
            return decide_ticks(schedule, standing, plan.due(self.now), self.now, reach)
        tick = None if standing.active else await self._continuous_tick(row, schedule)
        return decide_continuous(schedule, standing, tick, self.now)

    async def _continuous_tick(self, row: ScheduleRow, schedule: Schedule) -> Tick | None:
        """The next tick of a continuous schedule without an active run."""
        last = await store.last_tick(self.connection, row.key)
        if last is None:
            return continuous_tick(schedule, seed_of(row), None, row.last_tick_time + MICROSECOND)
        ended = last.end_time or last.decide_time
        if last.state == TickState.SKIP:
            ended += REFUSED_PAUSE
        return continuous_tick(schedule, seed_of(row), row.last_tick_time, ended)

    def _note(self, row: ScheduleRow, decisions: Decisions) -> None:
        """What is decided, as it is to be stored."""
        self.wanted += [_Wanted(row, tick, True) for tick in decisions.released]
        self.wanted += [_Wanted(row, tick, False) for tick in decisions.runs]
        self.new += [_tick_row(row, tick, TickState.SKIP, reason=reason) for tick, reason in decisions.skips]
        self.new += [_tick_row(row, tick, TickState.WAITING) for tick in decisions.waits]
        self.settled += [_tick_row(row, tick, TickState.SKIP, reason=reason) for tick, reason in decisions.dropped]
        self.ticked.late_seconds += [(self.now - tick.due_time).total_seconds() for tick in decisions.runs]
        self.ticked.schedules += 1
        self.ticked.waits |= bool(decisions.waits) or isinstance(schedule_of(row.spec).rule, ContinuousRule)

    # ---- doing
    async def _make_runs(self) -> Counter[ScheduleKey]:
        """Make the runs that are wanted; how many of each schedule."""
        made: Counter[ScheduleKey] = Counter()
        by_namespace: dict[str, list[_Wanted]] = {}
        for each in self.wanted:
            by_namespace.setdefault(each.row.namespace, []).append(each)
        for namespace, wanted in sorted(by_namespace.items()):
            runs = ScheduledRuns(self.connection, self.plans)
            for each, run in zip(wanted, await runs.make(namespace, [w.request() for w in wanted]), strict=True):
                outcome = _outcome(each, run)
                (self.settled if each.waited else self.new).append(outcome)
                made[each.row.key] += outcome.state == TickState.RUN
                if run.refusal:
                    await append_incident(self.connection, each.row, REFUSED_KIND, outcome.reason, self.now)
            self.ticked.admitted += runs.admitted
        return made

    async def _cancel(self, run_ids: Sequence[UUID]) -> None:
        """As an operator cancels: by the runs' own steps, which find it in their inboxes."""
        event = event_to_json(RunCancelled("a newer tick of its schedule came"))
        await engine.put_inbox(self.connection, [(run_id, event) for run_id in run_ids])
        self.ticked.told += run_ids

    def _advance(self, row: ScheduleRow, plan: TickPlan, decisions: Decisions, made: int) -> Advance:
        """Where the schedule stands now. It moves on also for a run that could not be made."""
        settled = len(decisions.released) + len(decisions.dropped)
        # It was taken for the last of so many, and was not made: others may follow.
        goes_on = schedule_of(row.spec).runs_max is not None and made < len(decisions.released) + len(decisions.runs)
        continuous = isinstance(schedule_of(row.spec).rule, ContinuousRule)
        if continuous:
            ticks, rest, due_time = tuple(decisions.runs), TickPlan(last=True), decisions.look_again
        else:
            ticks, rest = plan.ticks[: decisions.count], plan.without(decisions.count)
            due_time = rest.due_time
        if decisions.over:
            rest, due_time = TickPlan(last=True), None
        return Advance(
            row.key,
            last_tick_time=ticks[-1].tick_time if ticks else row.last_tick_time,
            planned=plan_to_json(rest),
            next_due_time=due_time,
            plan_due=goes_on or (not rest.last and len(rest.ticks) < AHEAD_MIN),
            # A continuous one waits for its run to end.
            waiting=int(not decisions.over and due_time is None)
            if continuous
            else row.waiting - settled + len(decisions.waits),
            runs_made=row.runs_made + made,
        )


def _look_further(
    held: Sequence[tuple[ScheduleRow, TickPlan]], now: datetime
) -> tuple[list[tuple[ScheduleRow, TickPlan]], dict[ScheduleKey, datetime]]:
    """Those that have their turns now, with plans that reach as far as they may, where all that they hold is due; and
    how far back each makes up for missed ticks, where that matters.

    The one that is due for the longest comes first, then who has least to do: those that are far behind keep nobody
    else waiting, and get on all the same. The transaction stands still meanwhile, and a database ends one that does so
    for long: whoever has no turn in time stays due.
    """
    turns = []
    for row, plan in held:
        due = plan.due(now)
        behind = bool(due) and len(due) == len(plan.ticks) < DUE_MAX and not plan.last
        turns.append((DUE_MAX if behind else len(due), due[0].due_time if due else now, behind, row, plan))
    longest = min(turns, key=lambda turn: turn[1], default=None)
    turns.sort(key=lambda turn: (turn is not longest, turn[0]))
    further: list[tuple[ScheduleRow, TickPlan]] = []
    reaches: dict[ScheduleKey, datetime] = {}
    found, began = 0, time.monotonic()
    for _, _, behind, row, plan in turns:
        if found >= TICKS_AT_ONCE or (further and time.monotonic() - began > LOOK_SECONDS_MAX):
            break
        further.append((row, plan_of(row, now) if behind else plan))
        due = further[-1][1].due(now)
        found += len(due)
        reach = find_reach(schedule_of(row.spec), seed_of(row), due, now, row.resume_time)
        if reach is not None:
            reaches[row.key] = reach
    return further, reaches


def _counts(schedule: Schedule) -> bool:
    """Whether it matters to the schedule how many of its runs are active."""
    unbounded = schedule.overlap is Overlap.ALLOW and schedule.overlap_runs is None
    return not unbounded or isinstance(schedule.rule, ContinuousRule)


def _tick_row(
    row: ScheduleRow, tick: Tick, state: TickState, dag_run_id: UUID | None = None, reason: str = ""
) -> TickRow:
    dates = tick.logical_date, tick.data_interval_start, tick.data_interval_end
    return TickRow(*row.key, tick.tick_time, *dates, state, dag_run_id, reason)


def _tick_of(row: TickRow) -> Tick:
    dates = row.logical_date, row.data_interval_start, row.data_interval_end
    return Tick(row.tick_time, *dates, row.tick_time)


def _outcome(wanted: _Wanted, made: MadeRun) -> TickRow:
    if made.refusal:
        reason = f"no run could be made: {made.refusal}"[:REASON_CHARACTERS_MAX]
        return _tick_row(wanted.row, wanted.tick, TickState.SKIP, reason=reason)
    return _tick_row(wanted.row, wanted.tick, TickState.MET if made.met else TickState.RUN, made.dag_run_id)
