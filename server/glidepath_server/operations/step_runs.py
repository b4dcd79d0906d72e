"""The step transaction: the only writer of boards.

A step takes what has arrived for some runs and, in ONE transaction, locks the runs, fences the reports, advances the
boards, writes them, and gives out work for the credits at hand. Any replica may step any run; Postgres is the only
coordinator. The caller (loops/engine.py) commits, and only after the commit acts on the StepOutcome: acknowledges,
sends assignments, wakes watchers. If the transaction does not commit, nothing has happened: `undo` gives the credits
back.

What may go wrong, and what then:
- Another replica holds a run: it is skipped and comes back in `missed`; after two misses it is stepped alone, waiting.
- `advance` raises for a run: that run is quarantined in this very transaction, with its events in its inbox; the other
  runs of the batch go on.
- An SQL error: the whole transaction is gone; the caller retries, or steps run by run to find the one to blame.

Lock order: runs by id > live_attempt (accept) > withdrawn queue rows (wait) > kept results by key (wait, see
operations/equal_calls.py) > sessions by id > candidates (skip locked) > limit rows (wait; DAGs' before all others) >
holders. See operations/claims.py for the second half.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from ..core.advance import advance
from ..core.board import Board
from ..core.effects import Release, Withdraw
from ..core.errors import StateConflict
from ..core.events import (
    AttemptKey,
    ChildEnded,
    Event,
    RunMoved,
    RunRetried,
    RunTimedOut,
    TasksCleared,
    Withdrawn,
    event_from_json,
    event_to_json,
)
from ..core.layouts import move
from ..core.moves import OUT, WAITING
from ..core.priorities import from_text as priorities_from_text
from ..core.states import RUN_FINAL, AttemptState, RunIntent, RunState, TaskEvent
from ..store import engine as store
from ..store.database import Connection, database_now, is_retryable
from ..store.layouts import move_run
from .calls import cancel_calls, end_calls, note_call, tell_callers, write_ends
from .claims import Claims
from .complete_commands import completed
from .equal_calls import EqualCalls
from .flows import learn_backfills, order_key
from .judge_deadlines import judge_runs
from .map_tasks import expand, parts_to_clear
from .past import Past
from .quarantine_run import mark_quarantined
from .reports import accept_reports, ended_event, read_choice
from .run_facts import write_run_facts
from .step_approvals import write_approvals
from .step_rows import board_columns, event_columns, release_of, write_dead_letters, write_instance_marks
from .step_types import CancelOrder, ClaimError, LockedRun, Replica, Report, RunWork, StepOutcome

# By run, task and map index; -1: the task, with all its instances if it is mapped.
Withdrawals = dict[tuple[UUID, int, int], Withdraw]


class Step:
    """One step transaction. Use: `outcome = await step.run(connection)` inside a transaction; `undo()` if it is
    lost."""

    def __init__(
        self,
        replica: Replica,
        batch: dict[UUID, RunWork],
        *,
        wait_seconds: float | None = None,
        claiming: bool = True,
    ) -> None:
        """`claiming` off: the batch is stepped, and nothing is given out from the queues."""
        self.replica, self.batch, self.wait_seconds, self.claiming = replica, batch, wait_seconds, claiming
        self.outcome = StepOutcome()
        self.runs: dict[UUID, LockedRun] = {}
        self.events: dict[UUID, list[Event]] = {}
        self.claims = Claims(replica, self.outcome)
        self.equal_calls = EqualCalls(replica, self.outcome)
        self.past = Past(replica, self.outcome)
        # The step's one instant, read with the runs' locks.
        self.now: datetime

    async def run(self, connection: Connection) -> StepOutcome:
        """Everything up to, but without, the commit."""
        rows = await self._lock(connection) if self.batch else []
        self.now = rows[0]["now"] if rows else await database_now(connection)
        if any(row["has_deadlines"] for row in rows):
            # That one may have been read before the locks were there; what a deadline is judged by is not.
            self.now = await database_now(connection)
        await self._accept(connection)
        await self._collect(connection)
        await self._advance(connection)
        await self._follow(connection)
        await self.equal_calls.run(connection, self.runs, self.now, self._follow)
        await self._place(connection)
        return self.outcome

    def parts(self) -> Iterator[str]:
        """What this step holds beside itself, by the names of crash points."""
        if self.outcome.acks:
            yield "report"
        if self.outcome.assigned:
            yield "claim"
        if self.equal_calls.touched:
            yield "equal_call"
        if any(run.asked_back for run in self.runs.values()):
            yield "withdraw"
        if self.outcome.called:
            yield "call"
        if self.outcome.inboxes:
            yield "child_end"
        if any(work.command is not None for work in self.batch.values()):
            yield "command"
        if any(work.inbox for work in self.batch.values()):
            yield "inbox"

    def undo(self) -> None:
        """The transaction is gone: credits that were taken are free again."""
        self.claims.undo()

    # ---- 1. lock
    async def _lock(self, connection: Connection) -> list[store.Row]:
        rows = await store.lock_runs(connection, list(self.batch), wait_seconds=self.wait_seconds)
        if rows:
            await self.replica.plans.load(connection, (row["dag_version_id"] for row in rows))
            await learn_backfills(connection, self.replica, rows)
        for row in rows:
            self._admit(row)
        for run_id, work in self.batch.items():
            if run_id not in self.runs:
                work.missed += 1
                self.outcome.missed[run_id] = work
        return rows

    def _admit(self, row: store.Row) -> None:
        run_id, revision = row["dag_run_id"], row["revision"]
        plan = self.replica.plans.versions[row["dag_version_id"]]
        board = Board.unpack(
            plan.graph.size,
            row["board"],
            RunState(row["state"]),
            RunIntent(row["intent"]),
            row["reason"],
            run_id.bytes,
        )
        board.tally = self.replica.take_tally(run_id, revision)
        self.runs[run_id] = LockedRun(
            *(run_id, plan, board, revision, row["quarantined"], row["overdue"]),
            *(board.state, row["is_child"], row["has_deadlines"]),
        )
        if row["priorities"] is not None:
            self.runs[run_id].priorities = priorities_from_text(row["priorities"])
        self.runs[run_id].backfill_id = row["backfill_id"]
        self.events[run_id] = []

    # ---- 2. accept
    async def _accept(self, connection: Connection) -> None:
        reports = [report for run_id in self.runs for report in self.batch[run_id].reports]
        if not reports:
            return
        for report in reports:
            read_choice(self.runs[report.key.dag_run_id].plan, report)
        accepted, acks = await accept_reports(connection, self.replica.plans, reports, self.now)
        self.outcome.acks += acks
        for report, row in accepted:
            self._note_end(report, row)

    def _note_end(self, report: Report, row: store.Row) -> None:
        run_id, task = report.key.dag_run_id, report.key.task
        if report.outcome is AttemptState.CALLED:
            note_call(self.runs[run_id], report, self.outcome)
        else:
            self.events[run_id].append(ended_event(report, row))
        if report.output is not None and report.key.map_index < 0:
            self.runs[run_id].outputs[task] = report.output
        self.outcome.ended.append((row["session_id"], row["class_id"]))
        if row["freed"]:
            self.claims.freed.update(row["freed"])

    # ---- 3. advance
    async def _collect(self, connection: Connection) -> None:
        """Events in the order: inbox, what ended, what has come, the command."""
        curious = [run_id for run_id, run in self.runs.items() if self.batch[run_id].inbox and not run.quarantined]
        if curious:
            taken = [(row["dag_run_id"], row["event"]) for row in await store.take_inbox(connection, curious)]
            for run_id, event in reversed(await self._known(connection, taken)):
                self.events[run_id].insert(0, event)
        for run_id, run in self.runs.items():
            work = self.batch[run_id]
            self.events[run_id] += work.events
            if not run.overdue:
                # The word of a timer that saw another life of the run: it has ended and was cleared since.
                self.events[run_id] = [each for each in self.events[run_id] if not isinstance(each, RunTimedOut)]
            if work.command is not None:
                event = await completed(connection, self.runs[run_id], work.command.event)
                if isinstance(event, RunMoved):
                    event = await self._moved(connection, self.runs[run_id], event)
                self.events[run_id].append(event)
                if work.command.within is not None:
                    await work.command.within(connection, self.now, event)

    async def _known(self, connection: Connection, taken: list[tuple[UUID, str]]) -> list[tuple[UUID, Event]]:
        """The events of what was in inboxes. The end of a child run is that of its caller's attempt, or nothing."""
        events = [(run_id, event_from_json(text)) for run_id, text in taken]
        ends = [(run_id, event) for run_id, event in events if isinstance(event, ChildEnded)]
        if not ends:
            return events
        ended = await end_calls(connection, ends, self.now)
        found: list[tuple[UUID, Event]] = []
        for report, row in ended:
            read_choice(self.runs[report.key.dag_run_id].plan, report)
            found.append((report.key.dag_run_id, ended_event(report, row)))
        await write_ends(connection, ended, self.now)
        return found + [(run_id, event) for run_id, event in events if not isinstance(event, ChildEnded)]

    async def _moved(self, connection: Connection, run: LockedRun, event: RunMoved) -> RunMoved:
        """Put the other version under the run. Nothing of it may be out: its rows would be of the old one."""
        await self.replica.plans.load(connection, [event.dag_version_id])
        plan, names = self.replica.plans.versions[event.dag_version_id], run.plan.graph.task_ids
        if plan.graph.task_ids[: len(names)] != names:
            raise StateConflict("the run was moved meanwhile", hint="ask again")
        out = [names[task] for task, state in enumerate(run.board.states) if state in OUT or state == WAITING]
        if out:
            raise StateConflict(
                f"{len(out)} tasks are queued, run or wait for an answer, {out[0]} is one of them",
                hint="wait until they have ended, or cancel them; a pause of the run lets it come to rest",
            )
        await move_run(
            connection, run.dag_run_id, plan.dag_version_id, run.revision + 1, run.plan.dag_version_id, self.now
        )
        run.plan = plan
        self.replica.plans.forget_facts([run.dag_run_id])
        moved = move(run.board, plan.graph, event)
        tasks = tuple(sorted(run.board.with_surroundings(plan.graph, moved.tasks) - plan.graph.removed))
        attempts = await store.attempts_made(connection, run.dag_run_id, (*tasks, *moved.restored))
        return replace(moved, tasks=tasks, attempts=attempts)

    async def _advance(self, connection: Connection) -> None:
        parked: list[tuple[UUID, str]] = []
        for run in list(self.runs.values()):
            events = self.events[run.dag_run_id]
            command = self.batch[run.dag_run_id].command
            if run.quarantined:
                if command is not None:
                    raise StateConflict("the run is quarantined", hint="look at the incident, then release the run")
                parked += [(run.dag_run_id, event_to_json(event)) for event in events]
                del self.runs[run.dag_run_id]
                continue
            try:
                run.effects = advance(run.plan.graph, run.board, events, self.now)
                run.effects.notes += run.notes
            except Exception as error:
                if command is not None:
                    raise
                parked += [(run.dag_run_id, event_to_json(event)) for event in events]
                await self._quarantine(connection, run, f"{type(error).__name__}: {error}")
        await store.put_inbox(connection, parked)

    async def _quarantine(self, connection: Connection, run: LockedRun, reason: str) -> None:
        await mark_quarantined(connection, run.dag_run_id, reason)
        self.outcome.facts = True
        self.outcome.equal_calls = self.outcome.equal_calls or bool(run.plan.graph.cached)
        self.outcome.quarantined.append((run.dag_run_id, reason))
        del self.runs[run.dag_run_id]

    # ---- what advance asks for, until it asks for nothing more
    async def _follow(self, connection: Connection) -> None:
        """Each may lead to the others: a mark that fails a run fast, a list that nothing can be mapped over."""
        while True:
            if wanted := self._wanted_back():
                await self._take_back(connection, wanted)
            elif runs := [run for run in self.runs.values() if run.effects.expansions]:
                for run in runs:
                    self._go_on(run, await expand(connection, self.replica.plans, run))
            elif runs := [run for run in self.runs.values() if run.effects.past_asked]:
                for run, event in await self.past.answer(connection, runs):
                    self._go_on(run, [event])
            elif runs := [run for run in self.runs.values() if run.effects.run_again]:
                for run in runs:
                    self._go_on(run, [await self._retried(connection, run)])
            else:
                return

    def _go_on(self, run: LockedRun, events: Iterable[Event]) -> None:
        advance(run.plan.graph, run.board, events, self.now, run.effects)

    def _wanted_back(self) -> Withdrawals:
        """What is to be withdrawn and was not yet: taken out of the effects."""
        wanted: Withdrawals = {}
        for run in self.runs.values():
            for each in run.effects.withdrawals:
                wanted[run.dag_run_id, each.task, each.map_index] = each
                run.asked_back = True
            run.effects.withdrawals = []
        return wanted

    async def _take_back(self, connection: Connection, wanted: Withdrawals) -> None:
        """From the queue, waiting; what is live instead is told to end. Of a mapped task there may be both."""
        rows = await store.withdraw(connection, *_columns_of(wanted))
        back: dict[UUID, list[Event]] = {}
        live = dict(wanted)
        for row in rows:
            key = (row["dag_run_id"], row["task_index"], row["map_index"])
            whole = (*key[:2], -1)
            withdrawal = wanted[whole if whole in wanted else key]
            live.pop(key, None)
            back.setdefault(row["dag_run_id"], []).append(
                Withdrawn(*key[1:], row["attempt_number"], withdrawal.event, release_of(row), withdrawal.reason)
            )
            self.claims.freed_by(row)
        # What a pause finds live goes on.
        live = {key: each for key, each in live.items() if each.event is not TaskEvent.HOLD}
        if live:
            await self._cancel_live(connection, live)
        for run_id, events in back.items():
            self._go_on(self.runs[run_id], events)

    async def _retried(self, connection: Connection, run: LockedRun) -> RunRetried:
        """Runs that have failed and are retried never were at an end: their next generation begins in this step."""
        tasks = run.effects.run_again
        attempts = await store.attempts_made(connection, run.dag_run_id, tasks)
        parts = await parts_to_clear(
            *(connection, run.dag_run_id, run.plan.graph, run.board, tasks),
            only_failed=True,
            changes=run.effects.changes,
        )
        return RunRetried(tasks, attempts, parts)

    async def _cancel_live(self, connection: Connection, wanted: Withdrawals) -> None:
        rows = await store.request_cancel(
            connection, *_columns_of(wanted), [each.reason for each in wanted.values()], self.now
        )
        for row in rows:
            whole = wanted.get((row["dag_run_id"], row["task_index"], -1))
            each = whole or wanted[row["dag_run_id"], row["task_index"], row["map_index"]]
            self._refuse_clear_of_live(row["dag_run_id"], each)
        calling = [row for row in rows if row["child_run_id"] is not None]
        self.outcome.inboxes |= await cancel_calls(connection, self.runs, calling)
        self.outcome.cancels += [
            CancelOrder(
                AttemptKey(row["dag_run_id"], row["task_index"], row["map_index"], row["attempt_number"]),
                row["session_id"],
                row["cancel_reason"],
            )
            for row in rows
            if row["child_run_id"] is None
        ]

    def _refuse_clear_of_live(self, run_id: UUID, withdrawal: Withdraw) -> None:
        command = self.batch[run_id].command
        event = command.event if command is not None else None
        if withdrawal.event is TaskEvent.CLEAR and isinstance(event, TasksCleared) and not event.cancel_running:
            task_id = self.runs[run_id].plan.graph.task_ids[withdrawal.task]
            raise StateConflict(f"task {task_id} is running", hint="ask for cancel_running, or wait until it has ended")

    # ---- 4. and 5. give out work, write
    async def _place(self, connection: Connection) -> None:
        released = [(run, release) for run in self.runs.values() for release in run.effects.releases]
        await self._refuse_reopening(connection)
        waiting, ready = self.equal_calls.waiting(released)
        if waiting:
            await self.claims.learn_classes(connection, waiting)
        queued = waiting + await self.claims.hand_over(connection, ready, self.now)
        await self._write(connection, queued)
        await self.equal_calls.park(connection)
        await self.past.write(connection, self.runs)
        await self._give_out(connection)

    async def _refuse_reopening(self, connection: Connection) -> None:
        """A cleared run counts among the active runs of its DAG again: not over the cap, which is the DAG's now and may
        not have been there when the run's version was the latest."""
        for run in self.runs.values():
            if run.was not in RUN_FINAL or run.board.state in RUN_FINAL:
                continue
            capacity, active = await store.active_runs(connection, run.plan.namespace, run.plan.dag_id)
            if capacity is not None and active >= capacity:
                raise StateConflict(
                    f"DAG {run.plan.dag_id} may have {capacity} active runs, and has {active}",
                    hint="clear this run when one of them has ended",
                )

    async def _give_out(self, connection: Connection) -> None:
        """Claims, and what the assignments carry. Other runs' rows are met here: their faults are not the batch's."""
        try:
            if self.claiming:
                await self.claims.claim(connection, self.now)
            else:
                await self.claims.release(connection, self.now)
            await self.claims.complete(connection, self.runs)
        except Exception as error:
            if is_retryable(error):
                raise
            raise ClaimError(self.claims.guilty()) from error

    async def _write(self, connection: Connection, queued: list[tuple[LockedRun, Release]]) -> None:
        changed = [run for run in self.runs.values() if _has_effect(run)]
        if not changed:
            return
        boards, events = board_columns(changed), event_columns(changed)
        run_limits = await self._run_limits(connection, queued)
        released = self._queue_columns(queued, run_limits)
        written = await store.write_step(connection, boards, events, released, self.now)
        if written != len(changed):
            raise StateConflict(f"{len(changed) - written} boards were changed by someone who did not hold their lock")
        await write_dead_letters(connection, changed, self.now)
        await write_instance_marks(connection, changed)
        self.outcome.facts |= await write_run_facts(connection, changed, self.now)
        self.outcome.facts |= await judge_runs(connection, changed, self.now)
        await tell_callers(connection, changed, self.outcome)
        await write_approvals(connection, changed, self.now)
        for run in changed:
            self._note_written(run)
        asked = any(run.effects.asked for run in changed)
        self.outcome.timers = asked or any(release.at is not None for _, release in queued)
        self.outcome.queues |= {self._queue_of(run, release) for run, release in queued if release.at is None}
        self.replica.pullers.hope(self.outcome.queues)

    def _note_written(self, run: LockedRun) -> None:
        self.outcome.touched.add(run.dag_run_id)
        if run.board.state in RUN_FINAL:
            if run.plan.spec.runs_active_max is not None:
                self.outcome.ended_capped.add((run.plan.namespace, run.plan.dag_id))
            self.outcome.note_end(run.backfill_id is not None)
        elif run.board.tally is not None:
            self.outcome.tallies.append((run.dag_run_id, run.revision + 1, run.board.tally))

    def _queue_of(self, run: LockedRun, release: Release) -> int:
        return self.replica.pullers.classes[run.plan.class_of(release)].queue_id

    async def _run_limits(self, connection: Connection, queued: list[tuple[LockedRun, Release]]) -> dict[UUID, int]:
        """Limits on live attempts of single runs, made with the first release of each. New rows, so nobody's to wait
        for; that nobody else makes them is what the runs' locks are for."""
        capped = {
            run.dag_run_id: (run.dag_run_id, run.plan.namespace, run.plan.spec.run_tasks_active_max)
            for run, _ in queued
            if run.plan.spec.run_tasks_active_max is not None
        }
        return await store.ensure_run_limits(connection, list(capped.values())) if capped else {}

    def _queue_columns(
        self, queued: list[tuple[LockedRun, Release]], run_limits: dict[UUID, int]
    ) -> list[list[object]]:
        columns: list[list[object]] = [[] for _ in range(17)]
        for run, release in queued:
            plan = run.plan
            queue_id = self._queue_of(run, release)
            key, priority = order_key(self.replica, run, queue_id, release.task)
            row = (
                run.dag_run_id,
                release.task,
                release.map_index,
                release.attempt_number,
                plan.class_of(release),
                queue_id,
                key,
                release.tries,
                release.losses,
                release.redeliveries,
                release.at,
                plan.timeouts[release.task],
                priority,
                release.deferrals,
                release.waiting_since,
                run_limits.get(run.dag_run_id, 0),
                release.preemptions,
            )
            for column, value in zip(columns, row, strict=True):
                column.append(value)
        return columns


def _has_effect(run: LockedRun) -> bool:
    effects = run.effects
    return bool(effects.changes or effects.run_state or effects.releases or effects.notes or run.asked_back)


def _columns_of(wanted: Withdrawals) -> tuple[list[UUID], list[int], list[int]]:
    return [key[0] for key in wanted], [key[1] for key in wanted], [key[2] for key in wanted]
