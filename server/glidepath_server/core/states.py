"""The state machines, as tables: `(state, event) -> state`. What is absent is an error.

Three machines. The *board* machine is the truth of a run: one byte per task, written only by the step transaction. It
says `released` for a task instance that is queued or running; which of the two it is, is said by the row that exists
for it (task_queue or live_attempt). The *attempt* machine is the life of one try. The *run* machine follows from the
tasks. `docs/states.md` is generated from this module.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from .errors import IllegalTransition


class TaskState(IntEnum):
    """Codes of the board's bytes and of dag_run_event.states. Codes are stored: never reuse one."""

    SCHEDULED = 0
    RELEASED = 1
    # Released, and to be cleared once its live attempt has ended.
    RESTARTING = 2
    # Admitted, and asks people: an open row of `approval` exists for it.
    WAITING = 3
    SUCCESS = 10
    FAILED = 11
    UPSTREAM_FAILED = 12
    SKIPPED = 13
    CANCELLED = 14
    # Not in the version that the run was moved to.
    REMOVED = 15


class TaskEvent(StrEnum):
    RELEASE = "release"
    ASK = "ask"
    RETRY = "retry"
    HOLD = "hold"
    REMOVE = "remove"
    SUCCEED = "succeed"
    FAIL = "fail"
    SKIP = "skip"
    UPSTREAM_FAIL = "upstream_fail"
    CANCEL = "cancel"
    CLEAR = "clear"
    RESTART = "restart"
    MARK_SUCCESS = "mark_success"
    MARK_FAILED = "mark_failed"
    MARK_SKIPPED = "mark_skipped"


_S, _E = TaskState, TaskEvent
TASK_TRANSITIONS: dict[tuple[TaskState, TaskEvent], TaskState] = {
    (_S.SCHEDULED, _E.RELEASE): _S.RELEASED,
    (_S.SCHEDULED, _E.SKIP): _S.SKIPPED,
    (_S.SCHEDULED, _E.UPSTREAM_FAIL): _S.UPSTREAM_FAILED,
    (_S.SCHEDULED, _E.CANCEL): _S.CANCELLED,
    (_S.SCHEDULED, _E.ASK): _S.WAITING,
    (_S.WAITING, _E.SUCCEED): _S.SUCCESS,
    (_S.WAITING, _E.FAIL): _S.FAILED,
    (_S.WAITING, _E.SKIP): _S.SKIPPED,
    (_S.WAITING, _E.CANCEL): _S.CANCELLED,
    (_S.WAITING, _E.CLEAR): _S.SCHEDULED,
    (_S.RELEASED, _E.SUCCEED): _S.SUCCESS,
    (_S.RELEASED, _E.FAIL): _S.FAILED,
    (_S.RELEASED, _E.SKIP): _S.SKIPPED,
    (_S.RELEASED, _E.CANCEL): _S.CANCELLED,
    (_S.RELEASED, _E.RETRY): _S.RELEASED,
    (_S.RELEASED, _E.HOLD): _S.SCHEDULED,
    (_S.RELEASED, _E.RESTART): _S.RESTARTING,
    (_S.RESTARTING, _E.RESTART): _S.RESTARTING,
    (_S.RESTARTING, _E.CLEAR): _S.SCHEDULED,
    (_S.RESTARTING, _E.RELEASE): _S.RELEASED,
    (_S.RESTARTING, _E.CANCEL): _S.CANCELLED,
    (_S.SUCCESS, _E.CLEAR): _S.SCHEDULED,
    (_S.FAILED, _E.CLEAR): _S.SCHEDULED,
    (_S.UPSTREAM_FAILED, _E.CLEAR): _S.SCHEDULED,
    (_S.SKIPPED, _E.CLEAR): _S.SCHEDULED,
    (_S.CANCELLED, _E.CLEAR): _S.SCHEDULED,
}
# A run is moved to another version only while nothing of it is out.
TASK_TRANSITIONS |= {
    (state, _E.REMOVE): _S.REMOVED
    for state in (_S.SCHEDULED, _S.SUCCESS, _S.FAILED, _S.UPSTREAM_FAILED, _S.SKIPPED, _S.CANCELLED)
}
TASK_TRANSITIONS[_S.REMOVED, _E.CLEAR] = _S.SCHEDULED
# What an operator marks has the state that he says, wherever it was; what is live is ended first.
MARKS = {_E.MARK_SUCCESS: _S.SUCCESS, _E.MARK_FAILED: _S.FAILED, _E.MARK_SKIPPED: _S.SKIPPED}
TASK_TRANSITIONS |= {
    (state, event): marked
    for event, marked in MARKS.items()
    for state in _S
    if state not in (marked, _S.RESTARTING, _S.REMOVED)
}
TASK_FINAL = frozenset({_S.SUCCESS, _S.FAILED, _S.UPSTREAM_FAILED, _S.SKIPPED, _S.CANCELLED, _S.REMOVED})
# End states that count as a failure of an upstream.
TASK_NOT_SUCCESSFUL = frozenset({_S.FAILED, _S.UPSTREAM_FAILED, _S.CANCELLED})


class AttemptState(StrEnum):
    """States of one try. All but RUNNING are final and stored in task_attempt."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    LOST = "lost"
    DEFERRED = "deferred"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    RETURNED = "returned"
    # Its child run has ended, and a further attempt was told how.
    CALLED = "called"


# An attempt begins running (the claim) and ends once, in one of the others.
ATTEMPT_TRANSITIONS: dict[tuple[AttemptState, str], AttemptState] = {
    (AttemptState.RUNNING, state.value): state for state in AttemptState if state is not AttemptState.RUNNING
}


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunEvent(StrEnum):
    START = "start"
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"
    CLEAR = "clear"


class RunIntent(StrEnum):
    """What a run has been told to do. CANCEL and FAIL end it as soon as nothing of it is live."""

    RUN = "run"
    CANCEL = "cancel"
    FAIL = "fail"


_R, _V = RunState, RunEvent
RUN_TRANSITIONS: dict[tuple[RunState, RunEvent], RunState] = {
    (_R.QUEUED, _V.START): _R.RUNNING,
    (_R.QUEUED, _V.CANCEL): _R.CANCELLED,
    (_R.RUNNING, _V.SUCCEED): _R.SUCCESS,
    (_R.RUNNING, _V.FAIL): _R.FAILED,
    (_R.RUNNING, _V.CANCEL): _R.CANCELLED,
    (_R.RUNNING, _V.CLEAR): _R.RUNNING,
    (_R.SUCCESS, _V.CLEAR): _R.RUNNING,
    (_R.FAILED, _V.CLEAR): _R.RUNNING,
    (_R.CANCELLED, _V.CLEAR): _R.RUNNING,
}
RUN_FINAL = frozenset({_R.SUCCESS, _R.FAILED, _R.CANCELLED})


def next_task_state(state: int, event: TaskEvent) -> TaskState:
    """The state after `event`. Raises IllegalTransition for an arrow that does not exist."""
    try:
        return TASK_TRANSITIONS[state, event]  # type: ignore[index]
    except KeyError:
        raise IllegalTransition(f"task: no arrow {event.value} from {TaskState(state).name.lower()}") from None


def next_run_state(state: RunState, event: RunEvent) -> RunState:
    """The state after `event`. Raises IllegalTransition for an arrow that does not exist."""
    try:
        return RUN_TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"run: no arrow {event.value} from {state.value}") from None
