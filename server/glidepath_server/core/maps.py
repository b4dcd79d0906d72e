"""Mapped tasks: one task of the graph, and its instances (map_index from 0), each with attempts of its own.

The board keeps counts only: how many instances there are, how many were released, how those that have ended did. Which
instance is where is said by its rows, as for every task instance: queue, live attempt, history. So a map of 100,000
costs the board a few numbers, and a result of one of them rewrites no list.

The life of a mapped task on the board:
- Its trigger rule admits it: it is `released`, and `Effects.expansions` asks the step for its lists.
- The step has read them: `Mapped`. Instances are released in ascending order, at most a window of them at once.
- Instances end; each that has ended lets the next one go. What they have come to, when all have ended, is the end of
  the task (`verdict`); cancel, mark and clear of the task wait until nothing of it is out any more. What operators say
  of single instances is in map_marks.py.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from .board import MapCounts
from .effects import DeadLetter, Release, Withdraw
from .errors import StateConflict
from .events import AttemptEnded, MapPart, Mapped, Withdrawn
from .graph import MapPolicy
from .next_attempt import next_attempt
from .retry import Budget, GiveUp
from .states import MARKS, AttemptState, RunIntent, TaskEvent, TaskState

if TYPE_CHECKING:
    from .moves import Moves

INSTANCES_MAX = 100_000
_RELEASED, _RESTARTING = int(TaskState.RELEASED), int(TaskState.RESTARTING)
# Of shares that are worked out in floating point.
_EPSILON = 1e-9


def expanded(step: Moves, event: Mapped) -> None:
    """The lists were read: release the first window, or end what has nothing to run or cannot."""
    task, policy = event.task, step.graph.maps[event.task]
    if event.problem:
        step.note(f"{step.graph.task_ids[task]}: {event.problem}")
        number = step.board.base(task) + 1
        step.effects.dead_letters.append(DeadLetter(task, -1, number, Budget.NONE, event.problem))
        step.end(task, TaskEvent.FAIL)
        step.fail_fast([task])
    elif not event.length:
        step.end(task, TaskEvent.SKIP if policy.empty_skips else TaskEvent.SUCCEED)
    else:
        for key in [key for key in step.effects.instance_marks if key[0] == task]:
            del step.effects.instance_marks[key]  # of the instances before
        step.board.maps[task] = MapCounts(event.length)
        _refill(step, task, event.at)


def ended(step: Moves, event: AttemptEnded) -> None:
    """An attempt of an instance has ended: another one follows, or the instance has ended with it."""
    task, counts = event.task, step.board.maps[event.task]
    if step.states[task] == _RESTARTING:
        # It may have been claimed after the clear had looked for the highest number.
        step.board.raise_base(task, event.attempt_number)
        count(step, task, event.map_index, TaskState.CANCELLED)
    elif event.map_index in counts.restarting:
        counts.restarting.discard(event.map_index)
        _release(step, task, event.map_index, event.attempt_number + 1)
        return
    elif event.map_index in counts.marks:
        marked(step, task, event.map_index, MARKS[counts.marks.pop(event.map_index)])
    elif event.outcome is AttemptState.SUCCESS:
        if task in step.graph.cached and not event.cached:
            step.effects.results.append((task, event.map_index, event.attempt_number))
        count(step, task, event.map_index, TaskState.SUCCESS)
    elif event.outcome is AttemptState.SKIPPED:
        count(step, task, event.map_index, TaskState.SKIPPED)
    elif event.outcome is AttemptState.CANCELLED or event.cancel_requested or is_stopping(step, task):
        count(step, task, event.map_index, TaskState.CANCELLED)
    elif not _unsuccessful(step, event):
        return
    moved(step, task)


def withdrawn(step: Moves, event: Withdrawn) -> None:
    """An instance was taken back from the queue."""
    task, counts = event.task, step.board.maps[event.task]
    if event.event is TaskEvent.CLEAR and event.map_index in counts.restarting:
        counts.restarting.discard(event.map_index)
        _release(step, task, event.map_index, event.attempt_number)
        return
    if is_stopping(step, task):
        if event.attempt_number > step.board.base(task) + 1:
            # It was to run again: what its last attempt said is no longer so.
            step.effects.instance_marks[task, event.map_index] = (int(TaskState.CANCELLED), event.reason)
        count(step, task, event.map_index, TaskState.CANCELLED)
    else:  # this one alone was taken back
        counts.marks.pop(event.map_index, None)
        state = MARKS.get(event.event, TaskState.CANCELLED)
        step.effects.instance_marks[task, event.map_index] = (int(state), event.reason)
        marked(step, task, event.map_index, state)
    moved(step, task)


def moved(step: Moves, task: int) -> None:
    """Let the next instances go; when nothing is out any more, nor will be, end the task."""
    if step.states[task] not in (_RELEASED, _RESTARTING):
        return  # what its instance has come to has ended the run, and the task with it
    counts, stopping = step.board.maps[task], is_stopping(step, task)
    if not stopping:
        _refill(step, task)
    if not counts.out and (stopping or not counts.left):
        _finish(step, task)


def stop(step: Moves, task: int, event: TaskEvent) -> None:
    """What is out of the task is being taken back: nothing more of it is released, nor run again by itself."""
    counts = step.board.maps[task]
    counts.stopped = counts.stopped or event is TaskEvent.CANCEL
    if event is not TaskEvent.CLEAR:
        counts.restarting.clear()
    step.effects.instance_marks |= {(task, index): None for index in counts.marks}
    counts.marks.clear()


def taken_from_hold(step: Moves, task: int) -> list[Release]:
    """What a pause held of a mapped task: it is taken back with what is queued."""
    counts = step.board.maps.get(task)
    if counts is None:
        return []
    held, counts.held = counts.held, {}
    return [release for _, release in sorted(held.items())]


def resumed(step: Moves, task: int) -> None:
    """A pause of the task is over: what it held goes on, and the next instances with it."""
    for release in taken_from_hold(step, task):
        due = release.at is None or release.at <= step.now
        step.effects.releases.append(release._replace(at=None) if due else release)
    moved(step, task)


def clear_part(step: Moves, task: int, part: MapPart, reason: str) -> None:
    """Some instances of a task that is under way run again: at once, or when their attempt has ended."""
    if is_stopping(step, task):
        name = step.graph.task_ids[task]
        raise StateConflict(f"task {name} is being ended as a whole", hint="wait until it has ended, then clear")
    _release_again(step, task, part)
    counts = step.board.maps[task]
    out = sorted(part.out - counts.held.keys())
    for index in part.out & counts.held.keys():
        counts.held[index] = Release(task, index, counts.held[index].attempt_number)
    counts.restarting |= set(out)
    for index in counts.marks.keys() & part.out:
        del counts.marks[index]
        step.effects.instance_marks[task, index] = None
    step.effects.withdrawals += [Withdraw(task, TaskEvent.CLEAR, reason, index) for index in out]


def resume(step: Moves, task: int, part: MapPart) -> None:
    """A task that had ended is released again for the sake of some of its instances; the others stay as they are."""
    step.board.maps[task].stopped = False
    _release_again(step, task, part)
    _refill(step, task, step.at)
    moved(step, task)


def verdict(counts: MapCounts, policy: MapPolicy) -> TaskEvent:
    """What the ends of all instances make of the task; what was never released counts as cancelled."""
    if counts.left:
        counts = replace(counts, cancelled=counts.cancelled + counts.left)
    if counts.skipped == counts.length:
        return TaskEvent.SKIP
    if not _is_hopeless(counts, policy):
        return TaskEvent.SUCCEED
    return TaskEvent.FAIL if counts.failed else TaskEvent.CANCEL


def marked(step: Moves, task: int, index: int, state: TaskState) -> None:
    """An instance has the end that an operator gave it."""
    count(step, task, index, state)
    if state is TaskState.FAILED:
        fail_fast(step, task)


def fail_fast(step: Moves, task: int) -> None:
    """End the run, if so many instances have failed that the task will, and that is to do so."""
    if not step.graph.fail_fast or task in step.graph.teardowns:
        return
    counts = step.board.maps[task]
    if counts.failed and _is_hopeless(counts, step.graph.maps[task]):
        step.wind_down(RunIntent.FAIL, "the first failure ends a run of this DAG")


def _is_hopeless(counts: MapCounts, policy: MapPolicy) -> bool:
    """Whether too many have failed already, whatever becomes of the rest."""
    tried = counts.length - counts.skipped
    return tried - counts.failed - counts.cancelled < policy.success_ratio_min * tried - _EPSILON


def is_stopping(step: Moves, task: int) -> bool:
    return (
        step.board.maps[task].stopped
        or task in step.board.marks
        or step.states[task] == _RESTARTING
        or step.is_winding_down(task)
    )


def _refill(step: Moves, task: int, at: datetime | None = None) -> None:
    if step.board.paused_by(task) is not None:
        return
    counts = step.board.maps[task]
    room = step.graph.maps[task].window - counts.out
    number, index = step.board.base(task) + 1, counts.released
    while index < counts.length and (room > 0 or index in counts.ahead):
        if index in counts.ahead:
            counts.ahead.discard(index)
        else:
            _release(step, task, index, number, at)
            room -= 1
        index += 1
    counts.released = index


def _release(step: Moves, task: int, index: int, number: int, at: datetime | None = None) -> None:
    step.effects.changes.append((task, index, _RELEASED))
    step.effects.releases.append(Release(task, index, number, at=at))


def _release_again(step: Moves, task: int, part: MapPart) -> None:
    counts = step.board.maps[task]
    for index, (number, state) in sorted(part.again.items()):
        counts.count(TaskState(state), -1)
        step.effects.instance_marks[task, index] = None
        if index in counts.ahead:
            counts.ahead.discard(index)  # its turn comes
            step.effects.changes.append((task, index, int(TaskState.SCHEDULED)))
        else:
            _release(step, task, index, number, step.at)
    step.answer([(task, index) for index in part.again])


def count(step: Moves, task: int, index: int, state: TaskState) -> None:
    """An instance has ended in this state."""
    step.board.maps[task].count(state, 1)
    step.effects.changes.append((task, index, int(state)))


def _unsuccessful(step: Moves, event: AttemptEnded) -> bool:
    """The door of all causes of failure, for instances. Returns whether the instance has ended by it."""
    task, index = event.task, event.map_index
    counts = step.board.maps[task]
    again = next_attempt(step.graph, event, step.now, step.board.seed)
    if not isinstance(again, GiveUp):
        step.effects.releases.append(again)
        return False
    if not counts.failed:
        step.note(f"{step.graph.task_ids[task]}[{index}]: {again.reason}")
    letter = DeadLetter(task, index, event.attempt_number, again.budget, again.reason)
    step.effects.dead_letters.append(letter)
    count(step, task, index, TaskState.FAILED)
    fail_fast(step, task)
    return True


def _finish(step: Moves, task: int) -> None:
    """Nothing of the task is out any more."""
    counts, policy = step.board.maps[task], step.graph.maps[task]
    if step.states[task] == _RESTARTING and not step.is_winding_down(task):
        step.reopen([task])
        return
    mark = step.board.marks.pop(task, None)
    if mark is not None:
        step.end(task, mark)
    elif counts.stopped or step.is_winding_down(task):
        failed = step.graph.fail_fast and counts.failed and _is_hopeless(counts, policy)
        step.end(task, TaskEvent.FAIL if failed and step.states[task] == _RELEASED else TaskEvent.CANCEL)
    else:
        event = verdict(counts, policy)
        if event is TaskEvent.FAIL:
            step.note(f"{step.graph.task_ids[task]}: {counts.failed} of {counts.length} instances failed")
        step.end(task, event)
    step.fail_fast([task])
