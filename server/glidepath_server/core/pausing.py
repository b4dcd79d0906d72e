"""Pauses: nothing of a run, or of some of its tasks, starts any more until an operator resumes it; what runs goes on.

A paused task that its trigger rule admits stays scheduled. One that is in a queue is taken back to scheduled; what the
next attempt has to know of those before it (tries, losses, its time) waits with the board.
"""

from __future__ import annotations

from . import maps
from .board import WHOLE_RUN
from .effects import Withdraw
from .errors import StateConflict
from .events import RunPaused, RunResumed
from .moves import RELEASED, SCHEDULED, Moves
from .states import RUN_FINAL, RunIntent, RunState, TaskEvent


def run_paused(moves: Moves, event: RunPaused) -> None:
    board = moves.board
    if board.state in RUN_FINAL:
        raise StateConflict(f"the run has already ended: {board.state.value}")
    if board.intent is not RunIntent.RUN:
        raise StateConflict("the run is ending, nothing of it starts any more")
    new = [task for task in event.tasks or (WHOLE_RUN,) if task not in board.pauses]
    if not new:
        return
    board.pauses |= dict.fromkeys(new, event.by)
    moves.effects.notes.append(f"paused by {event.by}")
    # What this very step has released is held back at its end.
    fresh = {release.task for release in moves.effects.releases}
    moves.effects.withdrawals += [
        Withdraw(task, TaskEvent.HOLD, "paused")
        for task in (event.tasks or range(moves.graph.size))
        if moves.states[task] == RELEASED and (task not in fresh or task in moves.graph.maps)
    ]


def run_resumed(moves: Moves, event: RunResumed) -> None:
    board = moves.board
    if event.tasks and WHOLE_RUN in board.pauses:
        raise StateConflict(f"the whole run is paused by {board.pauses[WHOLE_RUN]}", hint="resume the run")
    gone = [task for task in event.tasks or tuple(board.pauses) if board.pauses.pop(task, None) is not None]
    if not gone:
        return
    moves.effects.notes.append(f"resumed by {event.by}")
    if board.state is RunState.RUNNING:
        judge_waiting(moves)


def judge_waiting(moves: Moves) -> None:
    """Let go what a pause has held back, if its trigger rule (still) admits it."""
    for task in range(moves.graph.size):
        if moves.states[task] == SCHEDULED:
            ended: list[int] = []
            moves.judge(task, ended)
            moves.spread(ended)
    for task in moves.graph.maps:
        is_out = moves.states[task] == RELEASED and task in moves.board.maps
        if is_out and moves.board.paused_by(task) is None:
            maps.resumed(moves, task)


def hold_back(moves: Moves) -> None:
    """Of what this step releases, nothing that is paused: whatever has led to it."""
    if not moves.board.pauses:
        return
    releases, moves.effects.releases = moves.effects.releases, []
    for release in releases:
        if moves.board.paused_by(release.task) is None:
            moves.effects.releases.append(release)
        else:
            moves.hold(release)
