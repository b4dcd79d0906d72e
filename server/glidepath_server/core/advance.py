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

from .board import FINAL, Board, Tally
from .effects import DeadLetter, Effects, Release, Withdraw
from .errors import IllegalTransition, StateConflict
from .events import (
    AttemptEnded,
    Event,
    RunCancelled,
    RunRetried,
    RunStarted,
    RunTimedOut,
    TasksCancelled,
    TasksCleared,
    TasksMarked,
    Withdrawn,
)
from .graph import Graph
from .next_attempt import next_attempt
from .retry import GiveUp
from .states import (
    MARKS,
    RUN_FINAL,
    AttemptState,
    RunEvent,
    RunIntent,
    RunState,
    TaskEvent,
    TaskState,
    next_run_state,
    next_task_state,
)
from .trigger_rules import TriggerRule, admit

# Of the reason why a run does not succeed: how much is noted on the way, and how many tasks are named at its end.
REASON_CHARACTERS_MAX = 1_500
NAMED_MAX = 5
# Of what an operator says of tasks: how much is kept with each, if he speaks of so few at once.
SAID_CHARACTERS_MAX = 200
SAID_MAX = 100

_SCHEDULED, _RELEASED, _RESTARTING = int(TaskState.SCHEDULED), int(TaskState.RELEASED), int(TaskState.RESTARTING)
_OUT = frozenset({_RELEASED, _RESTARTING})
_FAILED, _SUCCESS, _CANCELLED = int(TaskState.FAILED), int(TaskState.SUCCESS), int(TaskState.CANCELLED)
_BAD_BY_THEMSELVES = {_FAILED: "failed", _CANCELLED: "cancelled"}


def advance(
    graph: Graph, board: Board, events: Iterable[Event], now: datetime, so_far: Effects | None = None
) -> Effects:
    """Apply `events` to `board` in place and return what follows. On an exception the board must be thrown away.

    `so_far` is what an earlier call of the same step has returned; what follows is added to it.

    Raises IllegalTransition for an event that does not fit, StateConflict for a command the state does not allow.
    """
    if board.tally is None:
        board.tally = Tally(graph, board.states)
    step = _Step(graph, board, board.tally, now, so_far or Effects())
    for event in events:
        _HANDLERS[type(event)](step, event)  # type: ignore[operator]
    step.settle()
    return step.effects


class _Step:
    """One call of `advance`: the board under change and the effects so far."""

    __slots__ = ("_left_out", "at", "board", "effects", "graph", "now", "states", "tally")

    def __init__(self, graph: Graph, board: Board, tally: Tally, now: datetime, effects: Effects) -> None:
        self.graph, self.board, self.tally, self.now = graph, board, tally, now
        self.states = board.states
        self.effects = effects
        self.at: datetime | None = None
        self._left_out: dict[int, frozenset[int]] = {}

    # ---- arrows
    def move(self, task: int, event: TaskEvent) -> int:
        """Cross one arrow of the task machine, recorded."""
        state = int(next_task_state(self.states[task], event))
        self.states[task] = state
        self.effects.changes.append((task, -1, state))
        return state

    def end(self, task: int, event: TaskEvent) -> None:
        """Move a task to a final state, and everything that follows from it without a worker."""
        self.move(task, event)
        self.spread([task])

    def spread(self, ended: list[int]) -> None:
        """Count tasks that have just ended into their downstream, and judge that. Iterative: chains are long."""
        while ended:
            task = ended.pop()
            self.tally.note_end(self.graph, task, self.states[task])
            for follower in self.graph.downstream[task]:
                if self.states[follower] == _SCHEDULED:
                    self.judge(follower, ended)
            if task in self.graph.short_circuits or task in self.graph.torn_down:
                for follower in self.far(task):
                    if self.states[follower] == _SCHEDULED:
                        self.judge(follower, ended)

    def far(self, task: int) -> tuple[int, ...]:
        """What waits for the end of a task though it may not be directly downstream."""
        return (self.graph.gated[task] if task in self.graph.short_circuits else ()) + self.graph.torn_down.get(
            task, ()
        )

    def judge(self, task: int, ended: list[int]) -> None:
        """Decide of a scheduled task, if that can be done yet; a task that ends by it is appended to `ended`."""
        verdict = self.verdict(task)
        if verdict is TaskEvent.RELEASE:
            self.release(task)
        elif verdict is not None:
            self.move(task, verdict)
            ended.append(task)

    def verdict(self, task: int) -> TaskEvent | None:
        """What its branches, its setups or its trigger rule make of a scheduled task; None: wait."""
        graph, tally = self.graph, self.tally
        if task in graph.gates:
            if any(task in self.left_out(gate) for gate in graph.gates[task]):
                return TaskEvent.SKIP
            if any(self.states[gate] not in FINAL for gate in graph.gates[task]):
                return None  # else what is left out in the end would depend on the order
        still_open, bad, skipped = tally.open[task], tally.bad[task], tally.skipped[task]
        if task in graph.teardowns:
            there = all(self.states[setup] == _SUCCESS for setup in graph.teardowns[task])
            return None if tally.before[task] else TaskEvent.RELEASE if there else TaskEvent.SKIP
        good = len(graph.upstream[task]) - still_open - bad - skipped
        return admit(graph.rules[task], still_open, good, bad, skipped)

    def left_out(self, gate: int) -> frozenset[int]:
        """What a branch leaves out, worked out once per step."""
        if self.states[gate] != _SUCCESS:
            return frozenset()
        if gate not in self._left_out:
            self._left_out[gate] = self.board.left_out(self.graph, gate)
        return self._left_out[gate]

    def release(self, task: int) -> None:
        """First attempt of the task's generation."""
        self.move(task, TaskEvent.RELEASE)
        self.effects.releases.append(Release(task, -1, self.board.base(task) + 1, at=self.at))

    def move_run(self, event: RunEvent, reason: str = "") -> None:
        self.board.state = next_run_state(self.board.state, event)
        self.effects.run_state, self.effects.reason = self.board.state, reason

    def note(self, reason: str) -> None:
        """Keep why the run will not succeed: what ends it may come many steps later."""
        self.effects.notes.append(reason)
        known = self.board.reason
        if len(known) + len(reason) <= REASON_CHARACTERS_MAX:
            self.board.reason = f"{known}; {reason}" if known else reason

    # ---- events
    def run_started(self, event: RunStarted) -> None:
        if self.board.state is not RunState.QUEUED:
            return  # two replicas saw the same queued run; the first one started it
        self.move_run(RunEvent.START)
        ended: list[int] = []
        for task in range(self.graph.size):
            if not self.graph.upstream[task] or self.graph.rules[task] is TriggerRule.ALWAYS:
                self.judge(task, ended)
        self.spread(ended)

    def attempt_ended(self, event: AttemptEnded) -> None:
        task, outcome = event.task, event.outcome
        if self.states[task] == _RESTARTING:
            self._restarted(event)
        elif task in self.board.marks:
            self.end(task, self.board.marks.pop(task))
            self._fail_fast([task])
        elif outcome is AttemptState.SUCCESS:
            if event.choice is not None:
                self.board.choices[task] = event.choice
            self.end(task, TaskEvent.SUCCEED)
        elif outcome is AttemptState.SKIPPED:
            self.end(task, TaskEvent.SKIP)
        elif outcome is AttemptState.CANCELLED or event.cancel_requested or self.is_winding_down(task):
            self.end(task, TaskEvent.CANCEL)
        else:
            self._unsuccessful(event)

    def is_winding_down(self, task: int) -> bool:
        """Whether nothing of the task starts any more: its run was told to end, and it is no teardown."""
        return self.board.intent is not RunIntent.RUN and task not in self.graph.teardowns

    def _restarted(self, event: AttemptEnded) -> None:
        """The attempt of a task that was cleared while live has ended: the next generation begins."""
        if self.is_winding_down(event.task):
            self.end(event.task, TaskEvent.CANCEL)
            return
        self.board.raise_base(event.task, event.attempt_number)
        self._reopened([event.task])

    def _unsuccessful(self, event: AttemptEnded) -> None:
        """The one door by which all causes of failure go: own failure, timeout, loss, take-back."""
        again = next_attempt(self.graph, event, self.now, self.board.seed)
        if isinstance(again, GiveUp):
            self.note(f"{self.graph.task_ids[event.task]}: {again.reason}")
            self.effects.dead_letters.append(
                DeadLetter(event.task, event.map_index, event.attempt_number, again.budget, again.reason)
            )
            self.end(event.task, TaskEvent.FAIL)
            self._fail_fast([event.task])
        else:
            if self.states[event.task] != _RELEASED:
                state = self.states[event.task]
                raise IllegalTransition(f"attempt of task {event.task} ended, but the board has {state}")
            self.effects.releases.append(again)

    def _fail_fast(self, tasks: list[int]) -> None:
        """End the run, if one of these has failed and that is to do so."""
        if self.graph.fail_fast and any(
            self.states[task] == _FAILED and task not in self.graph.teardowns for task in tasks
        ):
            self._wind_down(RunIntent.FAIL, "the first failure ends a run of this DAG")

    def withdrawn(self, event: Withdrawn) -> None:
        self.board.marks.pop(event.task, None)
        if event.event is TaskEvent.CLEAR:
            self.board.raise_base(event.task, event.attempt_number - 1)
            self._reopened([event.task])
        else:
            self.end(event.task, event.event)
            self._fail_fast([event.task])

    # ---- commands
    def run_cancelled(self, event: RunCancelled) -> None:
        if self.board.intent is RunIntent.FAIL and self.board.state not in RUN_FINAL:
            self._no_run_retry(event.reason or "cancelled")  # it fails as it was about to, and that is its end
        self._wind_down(RunIntent.CANCEL, event.reason or "cancelled")

    def run_timed_out(self, event: RunTimedOut) -> None:
        self._wind_down(RunIntent.FAIL, event.reason)

    def _wind_down(self, intent: RunIntent, reason: str) -> None:
        """Nothing new starts; what is released is withdrawn or told to end. Idempotent; a cancel is not undone.

        Teardowns of what was set up run nevertheless, once all before them has ended.
        """
        board = self.board
        if board.state in RUN_FINAL or board.intent is not RunIntent.RUN:
            return
        board.intent = intent
        for task in board.marks:
            board.said.pop(task, None)
        board.marks.clear()
        self.note(reason)
        stays = self._teardowns_to_come() if board.state is RunState.RUNNING else set()
        waiting = [task for task, state in enumerate(self.states) if state == _SCHEDULED and task not in stays]
        for task in waiting:
            self.move(task, TaskEvent.CANCEL)
        self.spread(waiting)
        teardowns = self.graph.teardowns
        out = [task for task, state in enumerate(self.states) if state in _OUT and task not in teardowns]
        self._take_back(out, TaskEvent.CANCEL, reason)

    def _teardowns_to_come(self) -> set[int]:
        """Teardowns whose setups have succeeded, or may yet."""
        there = _OUT | {_SUCCESS}
        return {
            task for task, setups in self.graph.teardowns.items() if all(self.states[each] in there for each in setups)
        }

    def tasks_cancelled(self, event: TasksCancelled) -> None:
        if self.board.state is RunState.QUEUED:
            raise StateConflict("the run has not started", hint="cancel the run, or wait until it has started")
        waiting = [task for task in event.tasks if self.states[task] == _SCHEDULED]
        for task in waiting:
            self.move(task, TaskEvent.CANCEL)
        self.spread(waiting)
        out = [task for task in event.tasks if self.states[task] in _OUT]
        self._no_restart(out)
        for task in out:
            if self.board.marks.pop(task, None):
                self.board.said.pop(task, None)
        self._take_back(out, TaskEvent.CANCEL, event.reason or "cancelled")

    def _no_restart(self, tasks: list[int]) -> None:
        """What an operator wants now takes the place of a clear that waits for an attempt to end."""
        for task in tasks:
            if self.states[task] == _RESTARTING:
                self.move(task, TaskEvent.RELEASE)

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
            board.raise_base(task, event.attempts.get(task, 0))
        self.at = self.now + timedelta(seconds=graph.run_retry_delay_seconds) if graph.run_retry_delay_seconds else None
        self._reopened([task for task in event.tasks if self.states[task] in FINAL])

    def _no_run_retry(self, reason: str) -> None:
        """The run's next end is its last, whatever retries it has left."""
        if self.board.run_retries < self.graph.run_retries_max:
            self.board.run_retries = self.graph.run_retries_max
            self.effects.notes.append(reason or "no retry of the run any more")

    def tasks_marked(self, event: TasksMarked) -> None:
        if self.board.state is RunState.QUEUED:
            raise StateConflict("the run has not started", hint="cancel the run, or wait until it has started")
        if self.board.intent is not RunIntent.RUN and self.board.state not in RUN_FINAL:
            raise StateConflict("the run is being cancelled", hint="wait until it has ended, then mark")
        if event.mark is TaskEvent.MARK_FAILED:
            self._no_run_retry(event.reason)  # who says that it failed wants no other try
        marked = MARKS[event.mark]
        out = [task for task in event.tasks if self.states[task] in _OUT]
        rest = [task for task in event.tasks if self.states[task] not in _OUT and self.states[task] != marked]
        if rest and self.board.state in RUN_FINAL:
            # Nothing runs again: the run gets the end that its tasks have now, but stays cancelled or timed out.
            self.board.run_retries = self.graph.run_retries_max
            self.board.reason = self.board.reason if self.board.intent is not RunIntent.RUN else ""
            self.move_run(RunEvent.CLEAR, event.reason)
        self._mark(rest, event.mark)
        few = len(event.tasks) <= SAID_MAX
        self.board.said |= dict.fromkeys((*rest, *out), event.reason[:SAID_CHARACTERS_MAX] if few else "")
        self._fail_fast(rest)
        self._no_restart(out)
        for task in out:
            self.board.marks[task] = event.mark
        self._take_back(out, event.mark, event.reason or event.mark.value.replace("_", " "))

    def _mark(self, tasks: list[int], mark: TaskEvent) -> None:
        """Give tasks that are not out their new end, and judge what waits for them. An end that was there is undone."""
        ended_before = [task for task in tasks if self.states[task] in FINAL]
        self._answer([task for task in tasks if self.states[task] == _FAILED])
        for task in tasks:
            self.move(task, mark)
            self.board.choices.pop(task, None)
        if ended_before:
            self.tally = self.board.tally = Tally(self.graph, self.states)
            self._judge_after(tasks)
        else:
            self.spread(list(tasks))

    def _judge_after(self, tasks: list[int]) -> None:
        """Judge what waits for these, which the tally has counted already."""
        for task in tasks:
            for follower in {*self.graph.downstream[task], *self.far(task)}:
                if self.states[follower] == _SCHEDULED:
                    ended: list[int] = []
                    self.judge(follower, ended)
                    self.spread(ended)

    def _take_back(self, tasks: list[int], event: TaskEvent, reason: str) -> None:
        """Withdraw released tasks. What this very step released is in no queue yet, so it is taken back right here."""
        fresh = {release.task: release for release in self.effects.releases}
        here = fresh.keys() & set(tasks)
        self.effects.releases = [release for release in self.effects.releases if release.task not in here]
        self.effects.withdrawals += [Withdraw(task, event, reason) for task in tasks if task not in here]
        for task in sorted(here):
            self.withdrawn(Withdrawn(task, fresh[task].map_index, fresh[task].attempt_number, event))

    def tasks_cleared(self, event: TasksCleared) -> None:
        if self.board.intent is not RunIntent.RUN and self.board.state not in RUN_FINAL:
            raise StateConflict("the run is being cancelled", hint="wait until it has ended, then clear")
        if self.board.state is RunState.QUEUED:
            return  # nothing has run yet
        self.board.intent, self.board.reason, self.board.run_retries = RunIntent.RUN, "", 0
        self.move_run(RunEvent.CLEAR, event.reason)
        final = [task for task in event.tasks if self.states[task] in FINAL]
        out = [task for task in event.tasks if self.states[task] in _OUT]
        for task in event.tasks:
            self.board.raise_base(task, event.attempts.get(task, 0))
        for task in out:
            self.move(task, TaskEvent.RESTART)
            if self.board.marks.pop(task, None):
                self.board.said.pop(task, None)
        self._reopened(final)
        self._take_back(out, TaskEvent.CLEAR, event.reason or "cleared")

    def _reopened(self, tasks: list[int]) -> None:
        """Back to scheduled, then judged anew, upstream first. Where ends are taken back, the tally is made afresh."""
        ends = any(self.states[task] in FINAL for task in tasks)
        self._answer([task for task in tasks if self.states[task] == _FAILED])
        for task in tasks:
            self.move(task, TaskEvent.CLEAR)
            for notes in (self.board.choices, self.board.marks, self.board.said):
                notes.pop(task, None)
            self._left_out.pop(task, None)
        if ends:
            self.tally = self.board.tally = Tally(self.graph, self.states)
        for task in sorted(tasks):
            if self.states[task] == _SCHEDULED:
                ended: list[int] = []
                self.judge(task, ended)
                self.spread(ended)

    def _answer(self, tasks: list[int]) -> None:
        """Tasks that were given up run again: their dead letters are gone, also those of this very step."""
        cleared = set(tasks)
        self.effects.dead_letters = [each for each in self.effects.dead_letters if each.task not in cleared]
        self.effects.answered += tasks

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
        failed = {task for task, state in enumerate(self.states) if state == _FAILED and task not in teardowns}
        cancelled = {task for task, state in enumerate(self.states) if state == _CANCELLED}
        if not failed or (cancelled and not self.graph.fail_fast):
            return ()
        return tuple(sorted(self.board.with_surroundings(self.graph, self.graph.closure(failed | cancelled))))

    def _what_failed_all_the_same(self) -> str:
        """Teardowns that have failed in a run that has succeeded."""
        names = [self.graph.task_ids[task] for task in self.graph.teardowns if self.states[task] == _FAILED]
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
    Withdrawn: _Step.withdrawn,
    RunCancelled: _Step.run_cancelled,
    RunTimedOut: _Step.run_timed_out,
    TasksCancelled: _Step.tasks_cancelled,
    TasksCleared: _Step.tasks_cleared,
    TasksMarked: _Step.tasks_marked,
    RunRetried: _Step.run_retried,
}
