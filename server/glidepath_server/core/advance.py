"""How a run moves: `advance(graph, board, events, now)` applies events to a board and says what follows.

Pure: no I/O, no clock, no randomness; so a property test, a simulator and a replay tool run the very code that the
server runs. The step transaction (operations/step_runs.py) is the only caller in the product; it holds the run's lock,
and it hands in an event only when the row that proves the event was deleted in the same transaction. Therefore
`advance` trusts its events: one that does not fit the board is a bug and raises IllegalTransition, which quarantines
the run.

Outcomes do not depend on the order in which upstreams end (see trigger_rules.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from . import map_marks, maps
from .approving import approval_answered, approval_expired
from .board import FINAL, Board, Tally
from .effects import DeadLetter, Effects
from .errors import IllegalTransition, StateConflict
from .events import (
    ApprovalAnswered,
    ApprovalExpired,
    AttemptEnded,
    EqualCallEnded,
    Event,
    InstancesMarked,
    Mapped,
    PastChanged,
    PastLetsGo,
    RunCancelled,
    RunMoved,
    RunPaused,
    RunResumed,
    RunRetried,
    RunStarted,
    RunTimedOut,
    TasksCancelled,
    TasksCleared,
    TasksMarked,
    Withdrawn,
)
from .graph import Graph
from .moves import CANCELLED, FAILED, IDLE, OUT, RELEASED, RESTARTING, SCHEDULED, WAITING, Moves
from .next_attempt import next_attempt
from .past import past_changed, past_lets_go
from .pausing import hold_back, judge_waiting, run_paused, run_resumed
from .retry import GiveUp
from .states import (
    MARKS,
    RUN_FINAL,
    AttemptState,
    RunEvent,
    RunIntent,
    RunState,
    TaskEvent,
)
from .trigger_rules import TriggerRule

# Of the reason why a run does not succeed, how many tasks are named at its end.
NAMED_MAX = 5
# Of what an operator says of tasks: how much is kept with each, if he speaks of so few at once.
SAID_CHARACTERS_MAX = 200
SAID_MAX = 100

_BAD_BY_THEMSELVES = {FAILED: "failed", CANCELLED: "cancelled"}


def advance(
    graph: Graph, board: Board, events: Iterable[Event], now: datetime, so_far: Effects | None = None
) -> Effects:
    """Apply `events` to `board` in place and return what follows. On an exception the board must be thrown away.

    `so_far` is what an earlier call of the same step has returned; what follows is added to it.

    Raises IllegalTransition for an event that does not fit, StateConflict for a command the state does not allow.
    """
    if board.tally is None:
        board.tally = Tally(graph, board)
    step = _Step(graph, board, board.tally, now, so_far or Effects())
    for event in events:
        _HANDLERS[type(event)](step, event)  # type: ignore[operator]
    hold_back(step)
    step.settle()
    return step.effects


class _Step(Moves):
    """One call of `advance`: what each event does."""

    __slots__ = ()

    # ---- events
    def run_started(self, event: RunStarted) -> None:
        if self.board.state is not RunState.QUEUED or self.board.intent is not RunIntent.RUN:
            return  # two replicas saw the same queued run; or a child run was told to end before it began
        self.move_run(RunEvent.START)
        for task in sorted(self.graph.removed):
            self.move(task, TaskEvent.REMOVE)  # a run of a part of its DAG
        if self.graph.removed:
            self.tally = self.board.tally = Tally(self.graph, self.board)
        ended: list[int] = []
        for task in range(self.graph.size):
            first = not self.graph.upstream[task] or self.graph.rules[task] is TriggerRule.ALWAYS
            if first and self.states[task] == SCHEDULED:
                self.judge(task, ended)
        self.spread(ended)

    def attempt_ended(self, event: AttemptEnded) -> None:
        task, outcome = event.task, event.outcome
        if event.map_index >= 0:
            maps.ended(self, event)
        elif self.states[task] == RESTARTING:
            self._restarted(event)
        elif task in self.board.marks:
            self.end(task, self.board.marks.pop(task))
            self.fail_fast([task])
        elif outcome is AttemptState.SUCCESS:
            if event.choice is not None:
                self.board.choices[task] = event.choice
            if task in self.graph.cached and not event.cached:
                self.effects.results.append((task, event.map_index, event.attempt_number))
            self.end(task, TaskEvent.SUCCEED)
        elif outcome is AttemptState.SKIPPED:
            self.end(task, TaskEvent.SKIP)
        elif outcome is AttemptState.CANCELLED or event.cancel_requested or self.is_winding_down(task):
            self.end(task, TaskEvent.CANCEL)
        else:
            self._unsuccessful(event)

    def _restarted(self, event: AttemptEnded) -> None:
        """The attempt of a task that was cleared while live has ended: the next generation begins."""
        if self.is_winding_down(event.task):
            self.end(event.task, TaskEvent.CANCEL)
            return
        self.board.raise_base(event.task, event.attempt_number)
        self.reopen([event.task])

    def _unsuccessful(self, event: AttemptEnded) -> None:
        """The one door by which all causes of failure go: own failure, timeout, loss, take-back."""
        again = next_attempt(self.graph, event, self.now, self.board.seed)
        if isinstance(again, GiveUp):
            self.note(f"{self.graph.task_ids[event.task]}: {again.reason}")
            self.effects.dead_letters.append(
                DeadLetter(event.task, event.map_index, event.attempt_number, again.budget, again.reason)
            )
            self.end(event.task, TaskEvent.FAIL)
            self.fail_fast([event.task])
        else:
            if self.states[event.task] != RELEASED:
                state = self.states[event.task]
                raise IllegalTransition(f"attempt of task {event.task} ended, but the board has {state}")
            self.effects.releases.append(again)

    def equal_call_ended(self, event: EqualCallEnded) -> None:
        self.effects.equal_calls_ended.append((event.task, event.map_index, event.attempt_number))

    def mapped(self, event: Mapped) -> None:
        maps.expanded(self, event)

    # ---- commands
    def run_cancelled(self, event: RunCancelled) -> None:
        if self.board.intent is RunIntent.FAIL and self.board.state not in RUN_FINAL:
            self.no_run_retry(event.reason or "cancelled")  # it fails as it was about to, and that is its end
        self.wind_down(RunIntent.CANCEL, event.reason or "cancelled")

    def run_timed_out(self, event: RunTimedOut) -> None:
        self.wind_down(RunIntent.FAIL, event.reason)

    def tasks_cancelled(self, event: TasksCancelled) -> None:
        if self.board.state is RunState.QUEUED:
            raise StateConflict("the run has not started", hint="cancel the run, or wait until it has started")
        waiting = [task for task in event.tasks if self.states[task] in IDLE]
        for task in waiting:
            self.move(task, TaskEvent.CANCEL)
        self.spread(waiting)
        out = [task for task in event.tasks if self.states[task] in OUT]
        self.no_restart(out)
        for task in out:
            if self.board.marks.pop(task, None):
                self.board.said.pop(task, None)
        self.take_back(out, TaskEvent.CANCEL, event.reason or "cancelled")

    def run_retried(self, event: RunRetried) -> None:
        """The next generation of what failed, and of all that follows from it, after the run's delay."""
        graph, board = self.graph, self.board
        self.effects.run_again = ()
        board.run_retries += 1
        board.intent, board.reason = RunIntent.RUN, ""
        note = f"run retry {board.run_retries} of {graph.run_retries_max}"
        self.effects.notes.append(note)
        self.move_run(RunEvent.CLEAR, note)
        for task in event.tasks:
            if task not in event.parts:
                board.raise_base(task, event.attempts.get(task, 0))
        self.past_free.update(event.tasks)  # what begins again here was let go before
        self.at = self.now + timedelta(seconds=graph.run_retry_delay_seconds) if graph.run_retry_delay_seconds else None
        self.parts = {task: part for task, part in event.parts.items() if self.states[task] in FINAL}
        for task in self.reopen([task for task in event.tasks if self.states[task] in FINAL]):
            board.raise_base(task, event.attempts.get(task, 0))

    def tasks_marked(self, event: TasksMarked) -> None:
        if self.board.state is RunState.QUEUED:
            raise StateConflict("the run has not started", hint="cancel the run, or wait until it has started")
        if self.board.intent is not RunIntent.RUN and self.board.state not in RUN_FINAL:
            raise StateConflict("the run is being cancelled", hint="wait until it has ended, then mark")
        if event.mark is TaskEvent.MARK_FAILED:
            self.no_run_retry(event.reason)  # who says that it failed wants no other try
        marked = MARKS[event.mark]
        out = [task for task in event.tasks if self.states[task] in OUT]
        rest = [task for task in event.tasks if self.states[task] not in OUT and self.states[task] != marked]
        if rest:
            self.look_at_end_anew(event.reason)
        self._mark(rest, event.mark)
        few = len(event.tasks) <= SAID_MAX
        self.board.said |= dict.fromkeys((*rest, *out), event.reason[:SAID_CHARACTERS_MAX] if few else "")
        self.fail_fast(rest)
        self.no_restart(out)
        for task in out:
            self.board.marks[task] = event.mark
        self.take_back(out, event.mark, event.reason or event.mark.value.replace("_", " "))

    def _mark(self, tasks: list[int], mark: TaskEvent) -> None:
        """Give tasks that are not out their new end, and judge what waits for them. An end that was there is undone."""
        ended_before = [task for task in tasks if self.states[task] in FINAL]
        self.answer([(task, -1) for task in tasks if self.states[task] == FAILED])
        for task in tasks:
            self.move(task, mark)
            self.board.choices.pop(task, None)
        if ended_before:
            self.tally = self.board.tally = Tally(self.graph, self.board)
            self.judge_after(tasks)
        else:
            self.spread(list(tasks))

    def tasks_cleared(self, event: TasksCleared) -> None:
        if self.board.intent is not RunIntent.RUN and self.board.state not in RUN_FINAL:
            raise StateConflict("the run is being cancelled", hint="wait until it has ended, then clear")
        if self.board.state is RunState.QUEUED:
            return  # nothing has run yet
        self.board.intent, self.board.reason, self.board.run_retries = RunIntent.RUN, "", 0
        self.move_run(RunEvent.CLEAR, event.reason)
        self.board.anew = tuple(sorted({*self.board.anew, *(self.graph.cached & set(event.tasks))}))
        # What asks asks anew, once what comes before it has ended again.
        again = [task for task in event.tasks if self.states[task] in FINAL or self.states[task] == WAITING]
        out = [task for task in event.tasks if self.states[task] in OUT and task not in event.parts]
        for task in event.tasks:
            if task not in event.parts:
                self.board.raise_base(task, event.attempts.get(task, 0))
            self.board.held.pop(task, None)
        for task in out:
            self.move(task, TaskEvent.RESTART)
            if self.board.marks.pop(task, None):
                self.board.said.pop(task, None)
        for task, part in event.parts.items():
            if self.states[task] in OUT:
                maps.clear_part(self, task, part, event.reason or "cleared")
        self.parts = {task: part for task, part in event.parts.items() if self.states[task] in FINAL}
        for task in self.reopen(again):
            self.board.raise_base(task, event.attempts.get(task, 0))
        self.take_back(out, TaskEvent.CLEAR, event.reason or "cleared")

    def run_moved(self, event: RunMoved) -> None:
        """The graph and the board are those of the other version already: what has ended stays so."""
        if self.board.intent is not RunIntent.RUN and self.board.state not in RUN_FINAL:
            raise StateConflict("the run is being cancelled", hint="wait until it has ended, then move it")
        self.effects.notes.append(f"moved to version {event.dag_version_number}")
        self.answer([(task, -1) for task in event.removed if self.states[task] == FAILED])
        for task in event.removed:
            self.move(task, TaskEvent.REMOVE)
            for notes in (self.board.choices, self.board.said, self.board.pauses, self.board.maps):
                notes.pop(task, None)
        for task in event.restored:
            self.board.raise_base(task, event.attempts.get(task, 0))
            self.move(task, TaskEvent.CLEAR)
        self.tally = self.board.tally = Tally(self.graph, self.board)
        self.tasks_cleared(TasksCleared(event.tasks, reason=event.reason, attempts=event.attempts))
        if self.board.state is RunState.RUNNING:
            judge_waiting(self)

    # ---- the run's end
    def settle(self) -> None:
        """A run ends when all its tasks have: its state is a function of theirs, and of what it was told."""
        if self.tally.open_total or self.board.state in RUN_FINAL:
            return
        if again := self._run_again():
            self.effects.run_again = again
            return
        self.board.reason = self._why()
        if self.board.intent is RunIntent.CANCEL:
            self.move_run(RunEvent.CANCEL, self.board.reason)
        elif self.board.intent is RunIntent.FAIL or self.tally.bad_total:
            self.move_run(RunEvent.FAIL, self.board.reason)
        elif self.board.state is RunState.RUNNING:
            self.board.reason = self._what_failed_all_the_same()
            self.move_run(RunEvent.SUCCEED, self.board.reason)

    def _run_again(self) -> tuple[int, ...]:
        """What runs again for a retry of the run: all that failed, and follows; nothing when that is not to be.

        A run fails by its tasks, not by its timeout or by an operator. What was cancelled as another task failed fast
        has failed with it.
        """
        if self.board.run_retries >= self.graph.run_retries_max:
            return ()
        if self.board.intent is not RunIntent.RUN and not (
            self.graph.fail_fast and self.board.intent is RunIntent.FAIL
        ):
            return ()
        teardowns = self.graph.teardowns
        failed = {task for task, state in enumerate(self.states) if state == FAILED and task not in teardowns}
        cancelled = {task for task, state in enumerate(self.states) if state == CANCELLED}
        if not failed or (cancelled and not self.graph.fail_fast):
            return ()
        # What is done again because a teardown has taken it down has a downstream, too.
        again: set[int] = set()
        wider = failed | cancelled
        while wider != again:
            again, wider = wider, self.board.with_surroundings(self.graph, self.graph.closure(wider))
        return tuple(sorted(again))

    def _what_failed_all_the_same(self) -> str:
        """Teardowns that have failed in a run that has succeeded."""
        names = [self.graph.task_ids[task] for task in self.graph.teardowns if self.states[task] == FAILED]
        return "; ".join(f"{name}: failed" for name in names[:NAMED_MAX])

    def _why(self) -> str:
        """What was noted on the way, and the names of tasks of which nothing was noted since the last clear."""
        known = self.board.reason
        if self.board.intent is not RunIntent.RUN:
            return known
        names = self.graph.task_ids
        ended = [(names[task], state) for task, state in enumerate(self.states) if state in _BAD_BY_THEMSELVES]
        untold = [f"{name}: {_BAD_BY_THEMSELVES[state]}" for name, state in ended if f"; {name}: " not in f"; {known}"]
        more = [f"and {len(untold) - NAMED_MAX} more"] if len(untold) > NAMED_MAX else []
        return "; ".join(filter(None, [known, *untold[:NAMED_MAX], *more]))


_HANDLERS = {
    RunStarted: _Step.run_started,
    AttemptEnded: _Step.attempt_ended,
    Mapped: _Step.mapped,
    Withdrawn: _Step.withdrawn,
    RunCancelled: _Step.run_cancelled,
    RunTimedOut: _Step.run_timed_out,
    TasksCancelled: _Step.tasks_cancelled,
    TasksCleared: _Step.tasks_cleared,
    TasksMarked: _Step.tasks_marked,
    InstancesMarked: map_marks.instances_marked,
    RunRetried: _Step.run_retried,
    EqualCallEnded: _Step.equal_call_ended,
    PastChanged: past_changed,
    PastLetsGo: past_lets_go,
    RunMoved: _Step.run_moved,
    RunPaused: run_paused,
    RunResumed: run_resumed,
    ApprovalAnswered: approval_answered,
    ApprovalExpired: approval_expired,
}
