"""What operators say of single instances of a mapped task: that they have ended, and how; or that they are to end.

Of an instance that is
- not released yet: it has that end at once, and is passed over when its turn comes (`MapCounts.ahead`);
- held by a pause: it has that end at once;
- queued: it is taken back from the queue, and has that end with it;
- live, or goes on as a child run: it is told to end, and has that end then (`MapCounts.marks`); of a cancel, what its
  attempt has come to by then;
- ended: it gets that end; a cancel is refused.
The counts of the task follow, and with them, when all have ended, the end of the task and what waits for it. A task
that has ended gets the end that its instances come to now, unless an operator has marked it as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import maps
from .board import FINAL, Tally
from .effects import Withdraw
from .errors import LimitExceeded, StateConflict
from .events import InstancesMarked
from .states import MARKS, RUN_FINAL, RunIntent, RunState, TaskEvent, TaskState

if TYPE_CHECKING:
    from .moves import Moves

# Instances that have an end before their turn has come: the board names each.
AHEAD_MAX = 10_000
_RELEASED, _CANCELLED, _FAILED = int(TaskState.RELEASED), int(TaskState.CANCELLED), int(TaskState.FAILED)
# What the end of a task that has ended becomes, by what its instances come to now. There is no mark for a cancel: a
# task that cannot succeed because some were cancelled has failed.
_NEW_END = {
    TaskEvent.SUCCEED: TaskEvent.MARK_SUCCESS,
    TaskEvent.SKIP: TaskEvent.MARK_SKIPPED,
    TaskEvent.FAIL: TaskEvent.MARK_FAILED,
    TaskEvent.CANCEL: TaskEvent.MARK_FAILED,
}


def instances_marked(step: Moves, event: InstancesMarked) -> None:
    task, has_ended = event.task, step.states[event.task] in FINAL
    _check(step, event, has_ended)
    state = MARKS.get(event.mark, TaskState.CANCELLED)
    wanted = [index for index in sorted({*event.indexes}) if event.states.get(index) != state]
    if event.mark is TaskEvent.CANCEL:
        wanted = _still_open(step, event, wanted, has_ended)
    if event.mark is TaskEvent.MARK_FAILED:
        step.no_run_retry(event.reason)  # who says that it failed wants no other try
    held = step.board.maps[task].held
    out = {index for index in wanted if event.states.get(index) == _RELEASED and index not in held}
    _tell_to_end(step, event, sorted(out))
    at_once = [index for index in wanted if index not in out]
    if not at_once:
        return
    _give_end(step, event, at_once, state)
    if has_ended:
        _judge_anew(step, task, event.reason)
        return
    if state is TaskState.FAILED:
        maps.fail_fast(step, task)
    maps.moved(step, task)


def _check(step: Moves, event: InstancesMarked, has_ended: bool) -> None:
    """Raise StateConflict where nothing can be said of single instances."""
    if step.board.state is RunState.QUEUED:
        raise StateConflict("the run has not started", hint="cancel the run, or wait until it has started")
    if step.board.intent is not RunIntent.RUN and step.board.state not in RUN_FINAL:
        raise StateConflict("the run is being cancelled", hint="wait until it has ended")
    if not has_ended and maps.is_stopping(step, event.task):
        name = step.graph.task_ids[event.task]
        raise StateConflict(f"task {name} is being ended as a whole", hint="wait until it has ended")


def _still_open(step: Moves, event: InstancesMarked, wanted: list[int], has_ended: bool) -> list[int]:
    """What of these can be cancelled. Raises StateConflict when all have ended, and one otherwise than cancelled."""
    still_open = [index for index in wanted if event.states.get(index) not in FINAL and not has_ended]
    ended = [index for index in wanted if event.states.get(index) in FINAL]
    if ended and not still_open:
        name = TaskState(event.states[ended[0]]).name.lower()
        raise StateConflict(f"{step.graph.task_ids[event.task]}[{ended[0]}] has already ended: {name}")
    return still_open


def _tell_to_end(step: Moves, event: InstancesMarked, indexes: list[int]) -> None:
    """What is queued is taken back, and what is live told; what waits to be run again waits no more."""
    counts = step.board.maps[event.task]
    for index in indexes:
        counts.restarting.discard(index)
        step.effects.instance_marks[event.task, index] = None
        counts.marks.pop(index, None)
        if event.mark in MARKS:
            counts.marks[index] = event.mark
            step.effects.instance_marks[event.task, index] = (int(MARKS[event.mark]), event.reason)
    step.effects.withdrawals += [Withdraw(event.task, event.mark, event.reason, index) for index in indexes]


def _give_end(step: Moves, event: InstancesMarked, indexes: list[int], state: TaskState) -> None:
    """Instances that nobody is at have this end now."""
    task, counts = event.task, step.board.maps[event.task]
    for index in indexes:
        was = event.states.get(index)
        counts.held.pop(index, None)
        if was in FINAL:
            assert was is not None
            counts.count(TaskState(was), -1)
        elif was is None or was != _RELEASED:
            counts.ahead.add(index)
        maps.count(step, task, index, state)
        step.effects.instance_marks[task, index] = (int(state), event.reason)
    if len(counts.ahead) > AHEAD_MAX:
        name = step.graph.task_ids[task]
        raise LimitExceeded(
            f"task {name} would have {len(counts.ahead)} instances with an end that were not released, "
            f"expected at most {AHEAD_MAX}",
            hint="mark or cancel the task itself, or wait until more of it was released",
        )
    step.answer([(task, index) for index in indexes if event.states.get(index) == _FAILED])


def _judge_anew(step: Moves, task: int, reason: str) -> None:
    """What the instances of a task that has ended come to now; and what waits for it, which may see them one by one."""
    if task not in step.board.said:
        end = _NEW_END[maps.verdict(step.board.maps[task], step.graph.maps[task])]
        cancelled = step.states[task] == _CANCELLED and end is TaskEvent.MARK_FAILED
        if MARKS[end] != step.states[task] and not cancelled:
            step.look_at_end_anew(reason)
            step.move(task, end)
    step.tally = step.board.tally = Tally(step.graph, step.board)
    if step.board.state not in RUN_FINAL:
        step.judge_after([task])
        step.fail_fast([task])
