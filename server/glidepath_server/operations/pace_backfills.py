"""What a backfill does by itself: its next dates get their outcomes, as many as its pace allows.

Authority. A date has its outcome when its row says so, and the row is written in the transaction that makes the run, or
in the step that has it rerun. So a replica that dies leaves no date half done, and whoever comes next, here or
elsewhere, finds exactly what is left. Active runs are counted, in a statement after the one that took the backfill's
row.

A chunk is one transaction: hold the backfill's row (another replica's is passed over) > count > look who has the keys
of the next dates > make the runs that are to be made > write the outcomes. Runs that are to be rerun are not touched in
it but for their `backfill_id`: each is rerun by an operator's command, in a step of its own, which holds the run, then
the backfill's row, and counts again.

Lock order: backfill > run keys > dag_run (new ones, and passing over held ones) > limits; dag_run > backfill in a
step. Who holds a backfill's row waits for no run, so the two cannot wait for each other.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog

from ..core.backfill import (
    RUNS_ACTIVE_MAX,
    BackfillEvent,
    DateOutcome,
    Keep,
    Make,
    Rerun,
    Room,
    Skip,
    decide_date,
    decide_room,
    next_state,
)
from ..core.errors import GlidepathError, InvalidInput, StateConflict, Unavailable
from ..core.events import RunCancelled, event_to_json
from ..core.schedules import run_key
from ..store import backfills as store
from ..store.backfills import Outcome, StoredBackfill, StoredDate
from ..store.database import Connection, Database, database_now, is_retryable, transaction
from ..store.engine import put_inbox
from ..store.trigger import Selector
from .command_runs import CommandCall, RunCommander, Selection
from .new_runs import NewRuns, RunRequest
from .plans import Plans

log = structlog.get_logger()
Before = Callable[[Connection, datetime], Awaitable[None]] | None
_ITEM = re.compile(r"runs\[(\d+)\]")
# Dates that one transaction looks at, and runs that it makes at most.
CHUNK_DATES = 500
BACKFILLS_MAX = 1_000
# A run that could not be rerun now is tried again after so long.
AGAIN_SECONDS = 1.0
REASON_CHARACTERS_MAX = 500


class _NotNow(Exception):
    """The date has its outcome already, or there is no room for it now."""


@dataclass(frozen=True, slots=True)
class _ToRerun:
    """A date whose run is to be rerun. `version`: the number to move it to, "" for none."""

    date: StoredDate
    rerun: Rerun
    version: str


@dataclass(slots=True)
class _Chunk:
    """What a transaction has done."""

    created: list[UUID] = field(default_factory=list)
    reruns: list[_ToRerun] = field(default_factory=list)
    cancels: list[UUID] = field(default_factory=list)
    # In how many seconds there may be more to do; None: when something happens.
    wait_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class PaceBackfills:
    """The operation: one round over all backfills that have something to do."""

    database: Database
    plans: Plans
    commander: RunCommander
    # Called after the commit for each run that has got something into its inbox.
    on_inbox: Callable[[UUID], None]

    async def __call__(self) -> float | None:
        """Returns in how many seconds something is due; None: when a run ends, or somebody says something."""
        async with self.database.worker.acquire() as connection:
            hungry = await store.hungry(connection, BACKFILLS_MAX)
        waits = []
        for backfill_id in hungry:
            try:
                waits.append(await self.pace(backfill_id))
            except Exception as error:
                if is_retryable(error):
                    raise
                # One that cannot go on does not keep the others from it.
                log.exception("backfill_failed", backfill_id=str(backfill_id))
        return min((wait for wait in waits if wait is not None), default=None)

    async def pace(self, backfill_id: UUID) -> float | None:
        """One chunk of one backfill."""
        chunk = _Chunk()
        async with transaction(self.database.worker, "pace_backfill") as connection:
            backfill = await store.take(connection, backfill_id)
            if backfill is None:
                return None
            if backfill.cancel_runs:
                chunk.cancels = await _cancel_runs(connection, backfill)
            else:
                await _ChunkMaker(connection, self.plans, backfill, chunk).make()
        self.commander.engine.runs_created(chunk.created)
        for run_id in chunk.cancels:
            self.on_inbox(run_id)
        for each in chunk.reruns:
            if not await self._rerun(backfill, each):
                chunk.wait_seconds = AGAIN_SECONDS
        return chunk.wait_seconds

    # ---- runs that are there
    async def _rerun(self, backfill: StoredBackfill, wanted: _ToRerun) -> bool:
        """Rerun the run of a date by an operator's command, with the date's outcome in the same transaction. False: not
        now."""

        async def before(connection: Connection, now: datetime) -> None:
            held = await store.hold_running(connection, backfill.backfill_id)
            if held is None or (await _room(connection, held)).runs == 0:
                raise _NotNow
            outcome = Outcome(wanted.date.position, DateOutcome.RERUN, "", wanted.rerun.dag_run_id)
            if await store.write_outcomes(connection, backfill.backfill_id, [outcome], now) == 0:
                raise _NotNow

        call = _call(backfill, "RerunDagRun", wanted.rerun.dag_run_id, before)
        try:
            if wanted.rerun.whole:
                task_ids = await self._task_ids(call, wanted.version)
                await self.commander.clear(call, task_ids, Selection(), version=wanted.version)
            else:
                await self.commander.rerun(call, wanted.version)
        except (_NotNow, Unavailable):
            return False
        except GlidepathError as error:
            if await self._may_pass(backfill, wanted):
                return False
            await self._give_up(backfill, wanted, error)
        return True

    async def _task_ids(self, call: CommandCall, version: str) -> Sequence[str]:
        run, plan = await self.commander.load(call)
        if version:
            assert self.commander.mover is not None
            plan = await self.commander.mover.target(run.dag_run_id, plan, version)
        return [name for task, name in enumerate(plan.graph.task_ids) if task not in plan.graph.removed]

    async def _may_pass(self, backfill: StoredBackfill, wanted: _ToRerun) -> bool:
        """Whether it was refused for what passes: its DAG may have no further active run now."""
        async with self.database.worker.acquire() as connection:
            return await store.dag_is_full(connection, backfill.namespace, backfill.dag_id)

    async def _give_up(self, backfill: StoredBackfill, wanted: _ToRerun, error: GlidepathError) -> None:
        reason = f"its run cannot be rerun: {error}"[:REASON_CHARACTERS_MAX]
        outcome = Outcome(wanted.date.position, DateOutcome.SKIPPED, reason, wanted.rerun.dag_run_id)
        async with transaction(self.database.worker, "pace_backfill") as connection:
            held = await store.hold_running(connection, backfill.backfill_id)
            if held is not None:
                await store.write_outcomes(connection, backfill.backfill_id, [outcome], await database_now(connection))


class _ChunkMaker:
    """The next dates of a backfill whose row is held."""

    def __init__(self, connection: Connection, plans: Plans, backfill: StoredBackfill, chunk: _Chunk) -> None:
        self.connection, self.plans, self.backfill, self.chunk = connection, plans, backfill, chunk
        self.outcomes: list[Outcome] = []
        self.makes: list[StoredDate] = []

    async def make(self) -> None:
        room = await _room(self.connection, self.backfill)
        self.chunk.wait_seconds = room.wait_seconds
        dates = await store.waiting_dates(self.connection, self.backfill.backfill_id, CHUNK_DATES)
        if not dates:
            await self._end()
        elif room.runs > 0:
            looked_at = await self._decide(dates, room)
            await self._adopt()
            await self._create()
            await self._write()
            if looked_at == len(dates) or self.backfill.pace.rate_runs is not None:
                self.chunk.wait_seconds = 0.0

    async def _end(self) -> None:
        """Nothing waits any more: it has ended with the last of its runs."""
        if await store.count_active(self.connection, self.backfill.backfill_id) == 0:
            state = next_state(self.backfill.state, BackfillEvent.END)
            await store.set_state(self.connection, self.backfill.backfill_id, state, "")

    async def _decide(self, dates: Sequence[StoredDate], room: Room) -> int:
        """Decide dates until there is no more room. Returns how many were looked at."""
        backfill = self.backfill
        keys = [run_key(backfill.series, date.logical_date) for date in dates]
        found = await store.runs_of_keys(self.connection, backfill.namespace, backfill.dag_id, keys)
        for number, (date, key) in enumerate(zip(dates, keys, strict=True)):
            if len(self.makes) + len(self.chunk.reruns) >= room.runs:
                return number
            run = found.get(key)
            decision = decide_date(backfill.existing, run, date.again)
            if isinstance(decision, Make):
                self.makes.append(date)
            elif isinstance(decision, Skip):
                self.outcomes.append(Outcome(date.position, DateOutcome.SKIPPED, decision.reason, decision.dag_run_id))
            elif isinstance(decision, Keep):
                self.outcomes.append(Outcome(date.position, DateOutcome.RERUN, "", decision.dag_run_id, begins=False))
            else:
                stays = date.again or backfill.keeps_version or run is None
                moved = not stays and run is not None and run.dag_version_number != date.dag_version_number
                self.chunk.reruns.append(_ToRerun(date, decision, str(date.dag_version_number) if moved else ""))
        return len(dates)

    async def _adopt(self) -> None:
        """What is to be rerun belongs to the backfill, so that it counts and has its weight. What is held waits."""
        wanted = [each.rerun.dag_run_id for each in self.chunk.reruns]
        if wanted:
            adopted = await store.adopt_runs(self.connection, self.backfill.backfill_id, wanted)
            self.chunk.reruns = [each for each in self.chunk.reruns if each.rerun.dag_run_id in adopted]

    async def _create(self) -> None:
        """Make runs. A date whose run cannot be is skipped, with what is wrong; one whose key was just taken waits."""
        while self.makes:
            requests = [self._request(date) for date in self.makes]
            work = NewRuns(self.connection, self.plans, self.backfill.namespace, self.backfill.created_by, requests)
            try:
                made = await work.run()
            except InvalidInput as error:
                # Told before anything of the chunk was written.
                self._refuse(error)
                continue
            self.chunk.created = work.admitted
            for date, run in zip(self.makes, made, strict=True):
                if run.created:
                    self.outcomes.append(Outcome(date.position, DateOutcome.CREATED, "", run.dag_run_id))
            return

    def _request(self, date: StoredDate) -> RunRequest:
        backfill = self.backfill
        return RunRequest(
            selector=Selector(backfill.dag_id, date.dag_version_number, None, backfill.lane),
            run_key=run_key(backfill.series, date.logical_date),
            params=backfill.params,
            logical_date=date.logical_date,
            data_interval_start=date.data_interval_start,
            data_interval_end=date.data_interval_end,
            run_type="backfill",
            backfill_id=backfill.backfill_id,
            any_content=True,
        )

    def _refuse(self, error: InvalidInput) -> None:
        wrong: dict[int, str] = {}
        for violation in error.violations:
            place = _ITEM.match(violation.field)
            if place is None:
                raise error
            reason = f"its run cannot be made: {violation}"
            wrong.setdefault(int(place[1]), reason[:REASON_CHARACTERS_MAX])
        for number, reason in wrong.items():
            self.outcomes.append(Outcome(self.makes[number].position, DateOutcome.SKIPPED, reason))
        self.makes = [date for number, date in enumerate(self.makes) if number not in wrong]

    async def _write(self) -> None:
        now = await database_now(self.connection)
        written = await store.write_outcomes(self.connection, self.backfill.backfill_id, self.outcomes, now)
        if written != len(self.outcomes):
            raise StateConflict(f"{len(self.outcomes) - written} dates got outcomes from someone who held no lock")


async def _cancel_runs(connection: Connection, backfill: StoredBackfill) -> list[UUID]:
    """Tell all active runs to end, by their inboxes, once: a cancelled backfill begins none any more."""
    active = await store.active_runs(connection, backfill.backfill_id, RUNS_ACTIVE_MAX)
    event = event_to_json(RunCancelled(f"backfill {backfill.backfill_id} was cancelled: {backfill.reason}"))
    await put_inbox(connection, [(run_id, event) for run_id in active])
    await store.cancels_told(connection, backfill.backfill_id)
    return active


async def _room(connection: Connection, backfill: StoredBackfill) -> Room:
    """How many runs may begin now. In statements after the one that took the backfill's row."""
    active = await store.count_active(connection, backfill.backfill_id)
    pace = backfill.pace
    ages = await store.start_ages(connection, backfill.backfill_id, pace.rate_runs) if pace.rate_runs else []
    return decide_room(pace, active, ages)


def _call(backfill: StoredBackfill, method: str, run_id: UUID, before: Before = None) -> CommandCall:
    said = f"backfill {backfill.backfill_id}"
    return CommandCall(method, backfill.namespace, backfill.created_by, run_id, "", b"", said, before)
