"""What must hold after every committed step, said once more and differently from how `core` does it.

The judge believes the history: it replays the changes of each step on boards of its own, asks of each change what made
it, and counts attempts by what was claimed and accepted. It uses the words of `core` (states, events), none of its
decisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from glidepath_server.core.effects import Release
from glidepath_server.core.events import AttemptEnded, RunCancelled, RunTimedOut, TasksCancelled, TasksCleared
from glidepath_server.core.failure import FailureKind
from glidepath_server.core.matching import Offer
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.states import AttemptState, RunIntent, RunState, TaskState
from glidepath_server.core.trigger_rules import TriggerRule
from tests.trigger_rule_table import verdict

from .rows import Database, Key, LiveRow, RunRow
from .scenario import Plan
from .step import Rules, RunStep, Told

S, A = TaskState, AttemptState
FINAL = {S.SUCCESS, S.FAILED, S.UPSTREAM_FAILED, S.SKIPPED, S.CANCELLED}
BAD = {S.FAILED, S.UPSTREAM_FAILED, S.CANCELLED}
OUT = {S.RELEASED, S.RESTARTING}
RUN_FINAL = {RunState.SUCCESS, RunState.FAILED, RunState.CANCELLED}
TAKE_BACKS_MAX = 5
_SAYS = {"run": S.RELEASED, "skip": S.SKIPPED, "fail": S.UPSTREAM_FAILED, "wait": None}


class Broken(Exception):
    """A promise that does not hold. `invariant` is its number in the list of guarantees."""

    def __init__(self, invariant: str, text: str) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant


def must(holds: bool, invariant: str, text: str) -> None:
    if not holds:
        raise Broken(invariant, text)


@dataclass(slots=True)
class Track:
    """What the judge knows of a task instance; the counts are of its newest generation."""

    claimed_max: int = 0
    current: int | None = None
    timeout_time: datetime | None = None
    starts: int = 0
    tries: int = 0
    losses: int = 0
    take_backs: int = 0
    end: AttemptEnded | None = None
    release: Release | None = None
    stopped: bool = False

    def new_generation(self) -> None:
        self.starts = self.tries = self.losses = self.take_backs = 0
        self.end, self.release, self.stopped = None, None, False

    def note(self, end: AttemptEnded) -> None:
        self.current, self.end = None, end
        self.losses += end.outcome is A.LOST
        self.take_backs += end.outcome is A.RETURNED
        self.tries += end.outcome in (A.FAILED, A.TIMED_OUT)

    def over_budget(self, policy: RetryPolicy) -> bool:
        """Whether the last end may be the end of the task."""
        end = self.end
        if end is None:
            return False
        for_ever = end.failure is not None and (
            end.failure.kind is FailureKind.BAD_INPUT or end.failure.retryable is False
        )
        used_up = self.tries > policy.retries_max or for_ever
        return (
            (end.outcome is A.LOST and self.losses > policy.losses_max)
            or (end.outcome is A.RETURNED and self.take_backs > TAKE_BACKS_MAX)
            or (end.outcome in (A.FAILED, A.TIMED_OUT) and used_up)
        )


@dataclass(slots=True)
class Causes:
    """What in a step may move a task: ends of attempts, commands, and that the run is being wound down."""

    ended: dict[int, AttemptEnded] = field(default_factory=dict)
    cleared: set[int] = field(default_factory=set)
    cancelled: set[int] = field(default_factory=set)
    winding: bool = False


class Judge:
    """Raises Broken. `check` after each committed step, `rows` at any time."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.boards: dict[str, list[TaskState]] = {}
        self.tracks: dict[Key, Track] = {}

    def check(self, db: Database, told: Told, now: datetime) -> None:
        for attempt, session in told.lost:
            holds = session.is_open and session.lease_expire_time >= now
            must(not holds, "I9", f"{attempt} declared lost, its session {session} holds")
        for step in told.runs:
            self._run(step, now)
        for key, live in told.claims:
            self._claim(db, key, live, now)
        self._limits(db, {live.class_id for _, live in told.claims})
        self.rows(db)
        for key, live in db.live.items():
            early = live.timed_out and (live.timeout_time is None or live.timeout_time > now)
            must(not early, "I17", f"{key}#{live.release.attempt_number} is timed out before {live.timeout_time}")

    def track(self, key: Key) -> Track:
        return self.tracks.setdefault(key, Track())

    # ---- a step of a run
    def _run(self, step: RunStep, now: datetime) -> None:
        assert step.after is not None
        plan, run = self.rules.plans[step.before.dag_id], step.run
        board = self.boards.setdefault(run, [S.SCHEDULED] * plan.graph.size)
        causes = self._causes(step, now)
        self._timeout(step, now)
        for task, _, state in step.effects.changes:
            self._arrow(run, plan, board, causes, task, S(state))
        stored = [S(code) for code in step.after.board[: len(board)]]
        must(board == stored, "I5", f"{run}: the history says {board}, the board {stored}")
        for task in causes.cancelled:
            self.track((run, task)).stopped = True
        for release in step.effects.releases:
            self._release(run, plan, release, step.after, now)
        self._run_state(run, step, board)
        if step.after.state is RunState.RUNNING and step.after.intent is RunIntent.RUN:
            self._all_decided(run, plan, board)

    def _causes(self, step: RunStep, now: datetime) -> Causes:
        causes = Causes(winding=RunIntent.RUN is not step.before.intent)
        for event in step.events:
            match event:
                case AttemptEnded(task=task):
                    track = self.track((step.run, task))
                    fits = track.current == event.attempt_number
                    must(fits, "I4", f"{step.run}: an end of {task}#{event.attempt_number} moved {track.current}")
                    early = event.outcome is A.TIMED_OUT and (track.timeout_time is None or now < track.timeout_time)
                    must(not early, "I17", f"{step.run}: {task}#{event.attempt_number} timed out before its time")
                    track.note(event)
                    causes.ended[task] = event
                case TasksCleared(tasks=tasks):
                    causes.cleared |= set(tasks)
                case TasksCancelled(tasks=tasks):
                    causes.cancelled |= set(tasks)
                case RunCancelled():
                    causes.winding = True
                case RunTimedOut():
                    causes.winding = True
        return causes

    def _timeout(self, step: RunStep, now: datetime) -> None:
        """A run fails for its timeout when that has passed, and not for one that it had before it was cleared."""
        assert step.after is not None
        if step.after.intent is RunIntent.FAIL and step.before.intent is RunIntent.RUN:
            due = step.before.timeout_time
            must(due is not None and due <= now, "I17", f"{step.run} timed out at {now}, its timeout was {due}")

    def _arrow(self, run: str, plan: Plan, board: list[TaskState], causes: Causes, task: int, new: TaskState) -> None:
        """One change: the arrow exists, and what it needs was there."""
        old, track, end = board[task], self.track((run, task)), causes.ended.get(task)
        arrow = f"{run}.{plan.graph.task_ids[task]} {old.name} > {new.name}"
        if old is S.SCHEDULED and new is not S.CANCELLED:
            said = rule_says(plan.graph.rules[task], [board[each] for each in plan.graph.upstream[task]])
            must(said is new, "I11", f"{arrow}, but its trigger rule says {said and said.name}")
        elif new is S.SCHEDULED:
            asked = task in causes.cleared if old in FINAL else old is S.RESTARTING
            must(asked, "I5", f"{arrow} without a clear")
            track.new_generation()
        elif old in OUT and new in (S.SUCCESS, S.SKIPPED):
            outcome = A.SUCCESS if new is S.SUCCESS else A.SKIPPED
            must(old is S.RELEASED and end is not None and end.outcome is outcome, "I5", f"{arrow} without such an end")
        elif old is S.RELEASED and new is S.FAILED:
            may = end is not None and track.over_budget(plan.graph.retries[task])
            must(may, "I8", f"{arrow} with attempts left: {track}")
        elif new is S.CANCELLED:
            told = task in causes.cancelled or causes.winding
            by_end = end is not None and (end.outcome is A.CANCELLED or end.cancel_requested)
            must(old not in FINAL and (told or by_end), "I5", f"{arrow} without a cancel")
        else:
            restart = old in OUT and new is S.RESTARTING and task in causes.cleared
            undone = old is S.RESTARTING and new is S.RELEASED and task in causes.cancelled
            must(restart or undone, "I5", f"{arrow}: there is no such arrow")
        board[task] = new

    def _release(self, run: str, plan: Plan, release: Release, after: RunRow, now: datetime) -> None:
        track, name = self.track((run, release.task)), f"{run}.{plan.graph.task_ids[release.task]}"
        number = release.attempt_number
        must(number > track.claimed_max, "I3", f"{name}#{number} after #{track.claimed_max} was claimed")
        must(after.intent is RunIntent.RUN and not track.stopped, "I19", f"{name}#{number} released after a cancel")
        said = (release.tries, release.losses, release.redeliveries)
        counted = (track.tries, track.losses, track.take_backs)
        must(said == counted, "I8", f"{name}#{number} has (tries, losses, take-backs) {said}, there were {counted}")
        used_up = track.over_budget(plan.graph.retries[release.task])
        must(not used_up, "I8", f"{name}#{number} is beyond its budget: {said}")
        due = now + timedelta(seconds=_delay(plan.graph.retries[release.task], track))
        must((release.at or now) == due, "I17", f"{name}#{number} is due at {release.at}, not {due}")
        track.release = release._replace(at=due)

    def _run_state(self, run: str, step: RunStep, board: list[TaskState]) -> None:
        assert step.after is not None
        state, intent = step.after.state, step.after.intent
        if step.before.state in RUN_FINAL and state is not step.before.state:
            cleared = any(isinstance(event, TasksCleared) for event in step.events)
            must(cleared, "I5", f"{run} was {step.before.state} and is {state}")
        if any(each not in FINAL for each in board):
            must(state not in RUN_FINAL, "I11", f"{run} is {state} with tasks {board}")
        elif step.before.state in RUN_FINAL and state is step.before.state:
            return
        elif intent is RunIntent.CANCEL:
            must(state is RunState.CANCELLED, "I11", f"{run} was cancelled and is {state}")
        else:
            bad = intent is RunIntent.FAIL or any(each in BAD for each in board)
            expected = RunState.FAILED if bad else RunState.SUCCESS
            must(state is expected, "I11", f"{run} is {state} with tasks {board}")

    def _all_decided(self, run: str, plan: Plan, board: list[TaskState]) -> None:
        for task, state in enumerate(board):
            if state is S.SCHEDULED:
                said = rule_says(plan.graph.rules[task], [board[each] for each in plan.graph.upstream[task]])
                must(said is None, "I12", f"{run}.{plan.graph.task_ids[task]} still waits; its rule says {said}")

    # ---- claims
    def _claim(self, db: Database, key: Key, live: LiveRow, now: datetime) -> None:
        run, plan, track = db.runs[key[0]], self.rules.plans[db.runs[key[0]].dag_id], self.track(key)
        name, number = f"{key[0]}.{plan.graph.task_ids[key[1]]}", live.release.attempt_number
        must(track.current is None, "I3", f"{name}#{number} starts while #{track.current} is live")
        must(number > track.claimed_max, "I3", f"{name}#{number} starts after #{track.claimed_max}")
        release = track.release
        must(release is not None and release.attempt_number == number, "I3", f"{name}#{number} was not released")
        assert release is not None and release.at is not None
        must(now >= release.at, "I17", f"{name}#{number} starts at {now}, is due at {release.at}")
        must(not track.stopped and run.intent is RunIntent.RUN, "I19", f"{name}#{number} starts after a cancel")
        policy, seconds = plan.graph.retries[key[1]], plan.spec.tasks[key[1]].policy.execution_timeout_seconds
        track.timeout_time = None if seconds is None else now + timedelta(seconds=seconds)
        track.current, track.claimed_max, track.starts = number, number, track.starts + 1
        most = 1 + policy.retries_max + policy.losses_max + TAKE_BACKS_MAX
        must(track.starts <= most, "I8", f"{name} started {track.starts} times, {most} are allowed")
        offer = self.rules.seats[db.sessions[live.session].worker][1]
        must(can_run(offer, plan, key[1]), "I11", f"{name}#{number} was given to {live.session}, which cannot run it")

    def _limits(self, db: Database, classes: Iterable[int]) -> None:
        used = dict.fromkeys(db.limits, 0)
        for live in db.live.values():
            plan, task = self.rules.plans[self.rules.classes[live.class_id].dag_id], live.release.task
            policy = plan.spec.tasks[task].policy
            for limit, row in db.limits.items():
                if row.kind == "pool" and row.name == policy.pool_name:
                    used[limit] += policy.pool_slots
                elif row.kind == "dag_tasks" and row.name == plan.spec.dag_id:
                    used[limit] += 1
        for limit in {limit for each in classes for limit in self.rules.slots[each]}:
            room = db.limits[limit].room
            must(room is None or used[limit] <= room, "I13", f"{db.limits[limit]} has {used[limit]} slots in use")

    # ---- rows
    def rows(self, db: Database) -> None:
        """What is released is in exactly one place, and a run that is not final owns something that will move it."""
        twice = db.queue.keys() & db.live.keys()
        must(not twice, "I3", f"queued and live: {sorted(twice)}")
        owned: dict[str, set[int]] = {}
        for name, task in (*db.queue, *db.live):
            owned.setdefault(name, set()).add(task)
        for key, live in db.live.items():
            number = self.track(key).current
            must(live.release.attempt_number == number, "I3", f"{key}: {live} instead of #{number}")
        for name, run in db.runs.items():
            out = {task for task, state in enumerate(self.boards.get(name, ())) if state in OUT}
            rows = owned.get(name, set())
            must(out == rows, "I12", f"{name}: released are {out}, there are rows of {rows}")
            must(run.state is not RunState.RUNNING or bool(out), "I12", f"{name} runs, and nothing will move it")
            must(run.state not in RUN_FINAL or not out, "I11", f"{name} is {run.state} with {out} released")


def rule_says(rule: TriggerRule, upstream: list[TaskState]) -> TaskState | None:
    """What a trigger rule makes of a scheduled task; None: it waits."""
    return _SAYS[verdict(rule, [state.name.lower() for state in upstream])] if upstream else S.RELEASED


def can_run(offer: Offer, plan: Plan, task: int) -> bool:
    policy = plan.spec.tasks[task].policy
    zones: Mapping[str, str] = policy.worker_selector
    return policy.queue_name in offer.queue_names and zones.items() <= offer.labels.items()


def _delay(policy: RetryPolicy, track: Track) -> float:
    """Seconds that the attempt after the last end has to wait."""
    end = track.end
    if end is None or end.outcome not in (A.FAILED, A.TIMED_OUT):
        return 0.0
    delays = policy.delays_seconds
    own = policy.delay_seconds * policy.backoff ** (track.tries - 1)
    planned = delays[min(track.tries, len(delays)) - 1] if delays else min(own, policy.delay_max_seconds)
    return max(planned, end.failure.retry_after_seconds if end.failure is not None else 0.0)
