"""What a step can do to a board: the arrows, what follows from each without a worker, and taking back.

The events of core/advance.py are made of these. One call of `advance` is one `Moves`: the board under change and the
effects so far.
"""

from __future__ import annotations

from datetime import datetime

from . import maps
from .approvals import ApprovalState
from .board import FINAL, Board, Tally
from .effects import Closed, Effects, Question, Release, Withdraw
from .events import MapPart, Withdrawn
from .graph import Graph
from .states import (
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
from .trigger_rules import admit

# Of the reason why a run does not succeed, how much is noted on the way.
REASON_CHARACTERS_MAX = 1_500

SCHEDULED, RELEASED, RESTARTING = int(TaskState.SCHEDULED), int(TaskState.RELEASED), int(TaskState.RESTARTING)
WAITING = int(TaskState.WAITING)
OUT = frozenset({RELEASED, RESTARTING})
# Open, and in nobody's hands: an operator's command moves it at once.
IDLE = frozenset({SCHEDULED, WAITING})
FAILED, SUCCESS, CANCELLED = int(TaskState.FAILED), int(TaskState.SUCCESS), int(TaskState.CANCELLED)


class Moves:
    """The board under change, and the effects so far."""

    __slots__ = (
        *("_left_out", "at", "board", "closing", "effects", "graph", "now", "parts", "past_free", "states", "tally"),
    )

    def __init__(self, graph: Graph, board: Board, tally: Tally, now: datetime, effects: Effects) -> None:
        self.graph, self.board, self.tally, self.now = graph, board, tally, now
        self.states = board.states
        self.effects = effects
        self.at: datetime | None = None
        # How the question ends whose task moves next.
        self.closing: Closed | None = None
        # Mapped tasks of which only some instances run again, by this very event.
        self.parts: dict[int, MapPart] = {}
        # Tasks that the run before lets start.
        self.past_free: set[int] = set()
        self._left_out: dict[int, frozenset[int]] = {}

    def move(self, task: int, event: TaskEvent) -> int:
        """Cross one arrow of the task machine, recorded."""
        before = self.states[task]
        state = int(next_task_state(before, event))
        self.states[task] = state
        self.effects.changes.append((task, -1, state))
        if before == SCHEDULED and event is not TaskEvent.RELEASE:
            self.board.held.pop(task, None)  # what it was to go on with
        if before == WAITING:
            self._close_question(task, event)
        return state

    def end(self, task: int, event: TaskEvent) -> None:
        """Move a task to a final state, and everything that follows from it without a worker."""
        self.move(task, event)
        self.spread([task])

    def spread(self, ended: list[int]) -> None:
        """Count tasks that have just ended into their downstream, and judge that. Iterative: chains are long."""
        while ended:
            task = ended.pop()
            self.tally.note_end(self.graph, task, self.board)
            for follower in self.graph.downstream[task]:
                if self.states[follower] == SCHEDULED:
                    self.judge(follower, ended)
            if task in self.graph.short_circuits or task in self.graph.torn_down:
                for follower in self.far(task):
                    if self.states[follower] == SCHEDULED:
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
            there = all(self.states[setup] == SUCCESS for setup in graph.teardowns[task])
            return None if tally.before[task] else TaskEvent.RELEASE if there else TaskEvent.SKIP
        return admit(graph.rules[task], still_open, tally.good[task], bad, skipped)

    def left_out(self, gate: int) -> frozenset[int]:
        """What a branch leaves out, worked out once per step."""
        if self.states[gate] != SUCCESS:
            return frozenset()
        if gate not in self._left_out:
            self._left_out[gate] = self.board.left_out(self.graph, gate)
        return self._left_out[gate]

    def release(self, task: int) -> None:
        """First attempt of the task's generation, or the one that a pause has held; what no worker runs asks people.
        What is paused waits."""
        if self.board.paused_by(task) is not None:
            return
        if task in self.graph.on_past and not self._goes_on(task):
            if task not in self.effects.past_asked:
                self.effects.past_asked.append(task)
            return
        if task in self.graph.approvals:
            self.move(task, TaskEvent.ASK)
            self.effects.asked.append(Question(task, -1, self.board.base(task) + 1))
            return
        self.move(task, TaskEvent.RELEASE)
        if task in self.parts:
            maps.resume(self, task, self.parts.pop(task))
            return
        if task in self.graph.maps:
            self.effects.expansions[task] = self.at
            return
        held = self.board.held.pop(task, None)
        if held is None:
            held = Release(task, -1, self.board.base(task) + 1, at=self.at)
        elif held.at is not None and held.at <= self.now:
            held = held._replace(at=None)
        self.effects.releases.append(held)

    def _goes_on(self, task: int) -> bool:
        """Whether the run before does not matter (any more): it lets the task start, or the task has started."""
        return task in self.past_free or task in self.parts or task in self.board.held

    def _close_question(self, task: int, event: TaskEvent) -> None:
        """Whatever moves a task that asks closes its question: by the answer at hand, or it is taken back. One of this
        very step was never put."""
        closing, self.closing = self.closing, None
        if closing is not None:
            self.effects.closed.append(closing)
            return
        number = self.board.base(task) + 1
        fresh = [each for each in self.effects.asked if each.task == task]
        if fresh:
            self.effects.asked.remove(fresh[0])
            return
        reason = f"not answered: {event.value.replace('_', ' ')}"
        self.effects.closed.append(Closed(task, -1, number, ApprovalState.WITHDRAWN, AttemptState.CANCELLED, reason))
        if event is TaskEvent.CLEAR:
            self.board.raise_base(task, number)

    def move_run(self, event: RunEvent, reason: str = "") -> None:
        if event is RunEvent.CLEAR and self.board.state in (RunState.FAILED, RunState.SUCCESS):
            self.board.has_failed = self.board.state is RunState.FAILED
        self.board.state = next_run_state(self.board.state, event)
        self.effects.run_state, self.effects.reason = self.board.state, reason

    def note(self, reason: str) -> None:
        """Keep why the run will not succeed: what ends it may come many steps later."""
        self.effects.notes.append(reason)
        known = self.board.reason
        if len(known) + len(reason) <= REASON_CHARACTERS_MAX:
            self.board.reason = f"{known}; {reason}" if known else reason

    def is_winding_down(self, task: int) -> bool:
        """Whether nothing of the task starts any more: its run was told to end, and it is no teardown."""
        return self.board.intent is not RunIntent.RUN and task not in self.graph.teardowns

    def fail_fast(self, tasks: list[int]) -> None:
        """End the run, if one of these has failed and that is to do so."""
        if self.graph.fail_fast and any(
            self.states[task] == FAILED and task not in self.graph.teardowns for task in tasks
        ):
            self.wind_down(RunIntent.FAIL, "the first failure ends a run of this DAG")

    def hold(self, release: Release) -> None:
        """What a pause keeps from starting waits again, and knows what its next attempt has to know."""
        if release.map_index >= 0:
            self.board.maps[release.task].held[release.map_index] = release
            return
        self.move(release.task, TaskEvent.HOLD)
        if release[3:] != Release(0, -1, 0)[3:]:
            self.board.held[release.task] = release

    def withdrawn(self, event: Withdrawn) -> None:
        if event.event is TaskEvent.HOLD:
            assert event.release is not None
            self.hold(event.release)
            return
        if event.map_index >= 0:
            maps.withdrawn(self, event)
            return
        self.board.marks.pop(event.task, None)
        if event.event is TaskEvent.CLEAR:
            self.board.raise_base(event.task, event.attempt_number - 1)
            self.reopen([event.task])
        else:
            self.end(event.task, event.event)
            self.fail_fast([event.task])

    def wind_down(self, intent: RunIntent, reason: str) -> None:
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
        # Who ends a run lifts its pauses: its teardowns have to run.
        paused = bool(board.pauses)
        board.pauses.clear()
        self.note(reason)
        stays = self._teardowns_to_come() if board.state is RunState.RUNNING else set()
        waiting = [task for task, state in enumerate(self.states) if state in IDLE and task not in stays]
        for task in waiting:
            self.move(task, TaskEvent.CANCEL)
        self.spread(waiting)
        teardowns = self.graph.teardowns
        out = [task for task, state in enumerate(self.states) if state in OUT and task not in teardowns]
        self.take_back(out, TaskEvent.CANCEL, reason)
        for task in sorted(teardowns) if paused else ():
            if self.states[task] == SCHEDULED and task in stays:
                ended: list[int] = []
                self.judge(task, ended)
                self.spread(ended)
            elif self.states[task] == RELEASED and task in board.maps:
                maps.resumed(self, task)

    def _teardowns_to_come(self) -> set[int]:
        """Teardowns whose setups have succeeded, or may yet."""
        there = OUT | {SUCCESS}
        return {
            task for task, setups in self.graph.teardowns.items() if all(self.states[each] in there for each in setups)
        }

    def no_restart(self, tasks: list[int]) -> None:
        """What an operator wants now takes the place of a clear that waits for an attempt to end."""
        for task in tasks:
            if self.states[task] == RESTARTING:
                self.move(task, TaskEvent.RELEASE)

    def no_run_retry(self, reason: str) -> None:
        """The run's next end is its last, whatever retries it has left."""
        if self.board.run_retries < self.graph.run_retries_max:
            self.board.run_retries = self.graph.run_retries_max
            self.effects.notes.append(reason or "no retry of the run any more")

    def look_at_end_anew(self, reason: str) -> None:
        """Of a run that has ended: nothing runs again, it gets the end that its tasks have now, but stays cancelled or
        timed out."""
        if self.board.state not in RUN_FINAL:
            return
        self.board.run_retries = self.graph.run_retries_max
        self.board.reason = self.board.reason if self.board.intent is not RunIntent.RUN else ""
        self.move_run(RunEvent.CLEAR, reason)

    def take_back(self, tasks: list[int], event: TaskEvent, reason: str) -> None:
        """Withdraw released tasks. What this very step released is in no queue yet, so it is taken back right here."""
        wanted, effects = set(tasks), self.effects
        fresh = sorted(release for release in effects.releases if release.task in wanted)
        effects.releases = [release for release in effects.releases if release.task not in wanted]
        # Plain tasks that are here, and mapped ones whose lists were not read yet, have nothing anywhere else.
        unread = [task for task in sorted(wanted) if task in effects.expansions]
        here = {release.task for release in fresh if release.map_index < 0} | set(unread)
        for task in tasks:
            if task in self.graph.maps and task not in here:
                maps.stop(self, task, event)
        # Of which a pause has let nothing more out: nobody will tell of an end.
        idle = [
            task for task in tasks if task in self.graph.maps and task not in here and not self.board.maps[task].out
        ]
        effects.withdrawals += [Withdraw(task, event, reason) for task in tasks if task not in here]
        fresh += [each for task in tasks if task not in here for each in maps.taken_from_hold(self, task)]
        for task in unread:
            del effects.expansions[task]
            self.withdrawn(Withdrawn(task, -1, self.board.base(task) + 1, event))
        for each in fresh:
            self.withdrawn(Withdrawn(each.task, each.map_index, each.attempt_number, event))
        for task in idle:
            if self.states[task] in OUT and task in self.board.maps:
                maps.moved(self, task)

    def judge_after(self, tasks: list[int]) -> None:
        """Judge what waits for these, which the tally has counted already."""
        for task in tasks:
            for follower in {*self.graph.downstream[task], *self.far(task)}:
                if self.states[follower] == SCHEDULED:
                    ended: list[int] = []
                    self.judge(follower, ended)
                    self.spread(ended)

    def reopen(self, tasks: list[int]) -> set[int]:
        """Back to scheduled, then judged anew, upstream first. Where ends are taken back, the tally is made afresh.

        Returns mapped tasks of which only a part was to run again, and which their rule or a pause did not admit: when
        they are admitted they begin as a whole.
        """
        ends = any(self.states[task] in FINAL for task in tasks)
        # A map may have given up instances without having failed.
        given_up = [task for task in tasks if self.states[task] == FAILED or task in self.graph.maps]
        self.answer([(task, -1) for task in given_up if task not in self.parts])
        for task in tasks:
            self.move(task, TaskEvent.CLEAR)
            if task not in self.parts:
                self.board.maps.pop(task, None)
            for notes in (self.board.choices, self.board.marks, self.board.said):
                notes.pop(task, None)
            self._left_out.pop(task, None)
        if ends:
            self.tally = self.board.tally = Tally(self.graph, self.board)
        for task in sorted(tasks):
            if self.states[task] == SCHEDULED:
                ended: list[int] = []
                self.judge(task, ended)
                self.spread(ended)
        left, self.parts = set(self.parts), {}
        for task in left:
            self.board.maps.pop(task, None)
        self.answer([(task, -1) for task in sorted(left)])
        return left

    def answer(self, instances: list[tuple[int, int]]) -> None:
        """What was given up, as (task, map index), runs again: its dead letters are gone, also those of this very step;
        with -1, all of the task."""
        cleared = set(instances)
        self.effects.dead_letters = [
            each for each in self.effects.dead_letters if cleared.isdisjoint({(each.task, -1), each[:2]})
        ]
        self.effects.answered += instances
