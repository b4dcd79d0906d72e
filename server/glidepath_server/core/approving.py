"""What the events of questions to people do to a board."""

from __future__ import annotations

from .approvals import DECIDED, Answer, ApprovalSpec, ApprovalState, Decision, OnReject, form_of
from .effects import Closed, DeadLetter
from .errors import StateConflict
from .events import ApprovalAnswered, ApprovalExpired
from .moves import WAITING, Moves
from .retry import Budget
from .states import AttemptState, TaskEvent

EXPIRED = "nobody answered within {seconds:g} s"


def approval_answered(moves: Moves, event: ApprovalAnswered) -> None:
    if not _asks(moves, event):
        raise StateConflict(
            f"task {moves.graph.task_ids[event.task]} does not ask that any more", hint="look at its approvals"
        )
    _decide(moves, event, event.answer)


def approval_expired(moves: Moves, event: ApprovalExpired) -> None:
    """The word of a timer: it may come after an answer, or after the task has asked again."""
    if not _asks(moves, event):
        return
    spec = moves.graph.approvals[event.task]
    if isinstance(spec.default, Decision):
        values = form_of(spec).complete("") if spec.default is Decision.APPROVE else "{}"
        _decide(moves, event, Answer(spec.default, values=values))
        return
    reason = EXPIRED.format(seconds=spec.timeout_seconds)
    moves.effects.dead_letters.append(
        DeadLetter(event.task, event.map_index, event.attempt_number, Budget.NONE, reason)
    )
    _fail(moves, Closed(*_key(event), ApprovalState.EXPIRED, AttemptState.TIMED_OUT, reason))


def _asks(moves: Moves, event: ApprovalAnswered | ApprovalExpired) -> bool:
    return moves.states[event.task] == WAITING and moves.board.base(event.task) + 1 == event.attempt_number


def _decide(moves: Moves, event: ApprovalAnswered | ApprovalExpired, answer: Answer) -> None:
    outcome = _outcome(moves.graph.approvals[event.task], answer.decision)
    closed = Closed(*_key(event), DECIDED[answer.decision], outcome, answer.reason, answer)
    if outcome is AttemptState.FAILED:
        if answer.by is not None:
            moves.no_run_retry(answer.reason)  # who rejects does not want to be asked again
        _fail(moves, closed)
        return
    moves.closing = closed
    moves.end(event.task, TaskEvent.SUCCEED if outcome is AttemptState.SUCCESS else TaskEvent.SKIP)


def _outcome(spec: ApprovalSpec, decision: Decision) -> AttemptState:
    if decision is Decision.APPROVE:
        return AttemptState.SUCCESS
    return AttemptState.SKIPPED if spec.on_reject is OnReject.SKIP else AttemptState.FAILED


def _fail(moves: Moves, closed: Closed) -> None:
    moves.note(f"{moves.graph.task_ids[closed.task]}: {closed.reason}")
    moves.closing = closed
    moves.end(closed.task, TaskEvent.FAIL)
    moves.fail_fast([closed.task])


def _key(event: ApprovalAnswered | ApprovalExpired) -> tuple[int, int, int]:
    return event.task, event.map_index, event.attempt_number
