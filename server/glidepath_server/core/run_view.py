"""A run as readers see it: the board's bytes and the rows of released task instances, put together.

The board says `released` for a task instance that is queued or running; which of the two is said by the row that exists
for it. Rows and board must come from one snapshot, or a task instance between two rows would seem to be in neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from .board import FINAL, Board
from .calls import child_name
from .graph import Graph, reached
from .map_view import InstanceFacts, RowCounts, counts_of, instance_code, progress_text
from .states import AttemptState, TaskState
from .trigger_rules import SKIP_SPREADS

UPSTREAMS_SHOWN_MAX = 3
MESSAGE_CHARACTERS_SHOWN_MAX = 300


class ViewState(StrEnum):
    """State of a task instance for a reader: the board's, with `released` told apart."""

    SCHEDULED = "scheduled"
    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    UPSTREAM_FAILED = "upstream_failed"
    SKIPPED = "skipped"
    UP_FOR_RETRY = "up_for_retry"
    DEFERRED = "deferred"
    CANCELLED = "cancelled"
    REMOVED = "removed"


_BY_CODE = {int(state): ViewState(state.name.lower()) for state in TaskState if state.name.lower() in set(ViewState)}
_RELEASED = frozenset({int(TaskState.RELEASED), int(TaskState.RESTARTING)})
# Board states that the newest attempt brought about, when its own state is one of these.
_MADE_BY = {
    int(TaskState.SUCCESS): frozenset({AttemptState.SUCCESS}),
    int(TaskState.FAILED): frozenset(
        {
            AttemptState.FAILED,
            AttemptState.TIMED_OUT,
            AttemptState.LOST,
            AttemptState.RETURNED,
            AttemptState.DEFERRED,
            AttemptState.CALLED,
        }
    ),
    int(TaskState.SKIPPED): frozenset({AttemptState.SKIPPED}),
    int(TaskState.CANCELLED): frozenset(AttemptState) - {AttemptState.SUCCESS, AttemptState.RUNNING},
}

# Of an attempt that ended its task and says nothing itself.
_REASONS = {
    (int(TaskState.FAILED), AttemptState.DEFERRED): "waited as long, or as often, as it may",
    (int(TaskState.FAILED), AttemptState.CALLED): "has called child runs as often as it may",
}


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A released, unclaimed task instance."""

    task: int
    map_index: int
    attempt_number: int
    class_id: int
    queue_id: int
    order_key: float
    queue_time: datetime
    available_time: datetime
    due: bool
    parked_on: int


@dataclass(frozen=True, slots=True)
class LiveRow:
    """An attempt in a worker's hands, with what it last said of its progress; or one that waits for a child run."""

    task: int
    map_index: int
    attempt_number: int
    worker_identity: str
    queue_time: datetime
    start_time: datetime
    cancel_requested_time: datetime | None = None
    progress_percent: float = 0.0
    progress_note: str = ""
    # Of an attempt that goes on as the child run which it has called.
    child_run_id: UUID | None = None
    child_dag_id: str = ""

    def waits_for(self) -> str:
        """The child run, for a person; empty when a worker has the attempt."""
        return child_name(self.child_run_id, self.child_dag_id) if self.child_run_id is not None else ""


@dataclass(frozen=True, slots=True)
class EndedRow:
    """An attempt that has ended. `failure` is the JSON form of core/failure.py."""

    task: int
    map_index: int
    attempt_number: int
    state: AttemptState
    worker_identity: str
    queue_time: datetime
    start_time: datetime
    end_time: datetime
    failure: Mapping[str, Any] | None = None
    reason: str = ""
    has_output: bool = False
    child_run_id: UUID | None = None


@dataclass(slots=True)
class RunRows:
    """All rows of the task instances looked at: one of each kind per task at most; `ended` holds the newest.

    By task; or, where one mapped task is looked at, by map index. Of mapped tasks `instances` has the counts, and
    `waiting` the instance that is first in the queue.
    """

    waiting: dict[int, WaitingRow] = field(default_factory=dict)
    live: dict[int, LiveRow] = field(default_factory=dict)
    ended: dict[int, EndedRow] = field(default_factory=dict)
    instances: dict[int, RowCounts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskInstanceView:
    """One task instance for a reader. Times and failure are those of the newest attempt, while it still counts."""

    task: int
    state: ViewState
    attempt_number: int = 0
    map_index: int = -1
    reason: str = ""
    queue_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    available_time: datetime | None = None
    worker_identity: str = ""
    failure: Mapping[str, Any] | None = None
    progress_percent: float = 0.0
    progress_note: str = ""
    # Of a mapped task as a whole: its instances per state, and their `total`.
    map_counts: Mapping[str, int] | None = None
    # Of an instance: what it is given, a JSON object.
    map_item: str = ""


def task_instance_views(
    graph: Graph, board: Board, rows: RunRows, tasks: Iterable[int] | None = None
) -> list[TaskInstanceView]:
    """Views of `tasks` (default: all), in the order given."""
    return [_view(graph, board, rows, task) for task in (range(graph.size) if tasks is None else tasks)]


def view_state(code: int, waiting: WaitingRow | None, live: LiveRow | None, last: EndedRow | None) -> ViewState:
    """State of one task instance from its board byte and its rows."""
    if code not in _RELEASED:
        return _BY_CODE[code]
    if live is not None:
        return ViewState.RUNNING
    if waiting is not None and not waiting.due and last is not None:
        return ViewState.DEFERRED if last.state is AttemptState.DEFERRED else ViewState.UP_FOR_RETRY
    return ViewState.QUEUED


def instance_views(
    board: Board, task: int, rows: RunRows, indexes: Iterable[int], facts: InstanceFacts
) -> list[TaskInstanceView]:
    """Views of these instances of a mapped task, in order; `rows` are theirs, by map index."""
    found = []
    for index, item in zip(indexes, facts.items, strict=True):
        waiting, live, last = rows.waiting.get(index), rows.live.get(index), rows.ended.get(index)
        if last is not None and last.attempt_number <= board.base(task):
            last = None  # of an earlier generation
        is_out = waiting is not None or live is not None
        if (mark := facts.mark_of(board, task, index, is_out)) is not None:
            number = last.attempt_number if last else 0
            marked = TaskInstanceView(task, _BY_CODE[mark[0]], number, index, mark[1], map_item=item, **_times(last))
            found.append(marked)
            continue
        code = instance_code(board, task, index, is_out, last.state if last else None, facts.given_up)
        view = _view_of_rows(task, code, waiting, live, last)
        if view is None:
            paused = board.paused_by(task) if code == TaskState.SCHEDULED else None
            reason = f"paused by {paused}" if paused else ""
            view = TaskInstanceView(task, _BY_CODE[code], last.attempt_number if last else 0, reason=reason)
        found.append(replace(view, map_index=index, map_item=item))
    return found


def _map_view(graph: Graph, board: Board, rows: RunRows, task: int) -> TaskInstanceView:
    """A mapped task as a whole."""
    code, found = board.states[task], rows.instances.get(task, RowCounts())
    counts = counts_of(board.maps.get(task), found, code in FINAL)
    if code not in _RELEASED:
        state, reason = _BY_CODE[code], _said(board, task) or _why_without_attempt(graph, board, task)
    else:
        at_first = (ViewState.RUNNING, ViewState.QUEUED, ViewState.UP_FOR_RETRY, ViewState.DEFERRED)
        state, reason = next((each for each in at_first if counts.get(each.value)), _idle(board, task)), ""
    end_time = found.end_time if code in FINAL else None
    return TaskInstanceView(
        task,
        state,
        reason=reason or progress_text(counts),
        start_time=found.start_time,
        end_time=end_time,
        map_counts=counts,
    )


def _idle(board: Board, task: int) -> ViewState:
    """The state of a mapped task of which no instance is queued or runs: unless a pause holds them, they are to be."""
    return ViewState.SCHEDULED if board.paused_by(task) is not None else ViewState.QUEUED


def _said(board: Board, task: int) -> str:
    """What an operator said of a task that has the end he gave it."""
    if task not in board.said or board.states[task] not in FINAL:
        return ""
    return f"marked: {board.said[task]}" if board.said[task] else "marked by an operator"


def _view(graph: Graph, board: Board, rows: RunRows, task: int) -> TaskInstanceView:
    if task in graph.maps:
        return _map_view(graph, board, rows, task)
    code, last = board.states[task], rows.ended.get(task)
    if said := _said(board, task):
        newest = last.attempt_number if last else 0
        return TaskInstanceView(task, _BY_CODE[code], newest, reason=said, **_times(last))
    view = _view_of_rows(task, code, rows.waiting.get(task), rows.live.get(task), last)
    if view is not None:
        return view
    state = view_state(code, None, None, last)
    newest = last.attempt_number if last else 0
    return TaskInstanceView(task, state, newest, reason=_why_without_attempt(graph, board, task))


def _view_of_rows(
    task: int, code: int, waiting: WaitingRow | None, live: LiveRow | None, last: EndedRow | None
) -> TaskInstanceView | None:
    """What the rows of a task instance tell of it; None: nothing, its state came from elsewhere."""
    state = view_state(code, waiting, live, last)
    newest = last.attempt_number if last else 0
    if state is ViewState.RUNNING and live is not None:
        return TaskInstanceView(
            task,
            state,
            live.attempt_number,
            reason=_why_not_yet(live),
            queue_time=live.queue_time,
            start_time=live.start_time,
            worker_identity=live.worker_identity,
            progress_percent=live.progress_percent,
            progress_note=live.progress_note,
        )
    if code in _RELEASED and waiting is not None:
        return TaskInstanceView(
            task,
            state,
            newest,
            reason=_why_again(last),
            queue_time=waiting.queue_time,
            available_time=None if waiting.due else waiting.available_time,
            failure=last.failure if last and state is ViewState.UP_FOR_RETRY else None,
        )
    if last is not None and last.state in _MADE_BY.get(code, ()):
        return TaskInstanceView(
            task,
            state,
            newest,
            reason=last.reason or failure_summary(last.failure) or _REASONS.get((code, last.state), ""),
            failure=last.failure,
            **_times(last),
        )
    return None


def _why_not_yet(live: LiveRow) -> str:
    child = f"waits for {live.waits_for()}" if live.child_run_id is not None else ""
    return "; ".join(filter(None, [child, "told to end" if live.cancel_requested_time else ""]))


def _times(last: EndedRow | None) -> dict[str, Any]:
    """When and where an attempt was, as a view has it."""
    names = ("queue_time", "start_time", "end_time", "worker_identity")
    return {name: getattr(last, name) for name in names} if last is not None else {}


def _why_again(last: EndedRow | None) -> str:
    if last is None or last.state in (AttemptState.SUCCESS, AttemptState.SKIPPED):
        return ""
    cause = last.reason or failure_summary(last.failure)
    return f"attempt {last.attempt_number} ended {last.state.value}{': ' + cause if cause else ''}"


def failure_summary(failure: Mapping[str, Any] | None) -> str:
    """One line: the error's type and the first line of its message."""
    if not failure:
        return ""
    lines = str(failure.get("message", "")).strip().splitlines()
    return ": ".join(part for part in (failure.get("type") or failure["kind"], lines[0][:300] if lines else "") if part)


def _why_without_attempt(graph: Graph, board: Board, task: int) -> str:
    """Why a task instance that no attempt of its own has brought here is where it is."""
    states, upstream = board.states, graph.upstream[task]
    code = states[task]
    if code == TaskState.SCHEDULED:
        still_open = waited_for(graph, states, task)
        paused = board.paused_by(task)
        parts = [f"waits for {names(graph, still_open)}" if still_open else "", f"paused by {paused}" if paused else ""]
        return "; ".join(filter(None, parts))
    if code == TaskState.REMOVED:
        return "left out of the run, or not in the version that it was moved to"
    if code == TaskState.WAITING:
        spec = graph.approvals[task]
        return f"waits for an answer{_within(spec.timeout_seconds)}: {spec.message[:MESSAGE_CHARACTERS_SHOWN_MAX]}"
    if code == TaskState.UPSTREAM_FAILED:
        bad = [i for i in upstream if states[i] in (TaskState.FAILED, TaskState.UPSTREAM_FAILED, TaskState.CANCELLED)]
        told = "; ".join(f"{graph.task_ids[i]}: {_BY_CODE[states[i]]}" for i in bad[:UPSTREAMS_SHOWN_MAX])
        return told or "an upstream task had ended badly, which is no longer so: rerun goes on from here"
    if code == TaskState.SKIPPED:
        left_out_by = [gate for gate in graph.gates.get(task, ()) if task in board.left_out(graph, gate)]
        if left_out_by:
            return f"left out by {names(graph, left_out_by)}"
        if task in graph.teardowns:
            return "what it takes down was not set up"
        skipped = [index for index in upstream if states[index] == TaskState.SKIPPED]
        if skipped and graph.rules[task] in SKIP_SPREADS:
            return f"skipped upstream: {names(graph, skipped)}"
        return f"its trigger rule {graph.rules[task].value} did not hold"
    return ""


def _within(seconds: float | None) -> str:
    return f" within {seconds:g} s" if seconds is not None else ""


def waited_for(graph: Graph, states: Sequence[int], task: int) -> list[int]:
    """What has not ended of the upstream tasks, and of the branches that may leave the task out."""
    before = dict.fromkeys([*graph.upstream[task], *graph.gates.get(task, ())])
    if task in graph.teardowns:
        before |= dict.fromkeys(sorted(reached([task], graph.upstream) - {task}))
    return [index for index in before if states[index] not in FINAL]


def names(graph: Graph, tasks: Sequence[int]) -> str:
    """A few task ids and how many more there are."""
    shown = ", ".join(graph.task_ids[task] for task in tasks[:UPSTREAMS_SHOWN_MAX])
    more = len(tasks) - UPSTREAMS_SHOWN_MAX
    return f"{shown} and {more} more" if more > 0 else shown


def task_counts(states: Sequence[int], live: int, up_for_retry: int, deferred: int) -> dict[str, int]:
    """Task instances per state. `live`, `up_for_retry`, `deferred` count the rows that tell `released` apart."""
    counts: dict[str, int] = {}
    released = 0
    for code in range(max(states, default=0) + 1):
        number = states.count(code)
        if code in _RELEASED:
            released += number
        elif number:
            counts[_BY_CODE[code].value] = number
    parts = {"running": live, "up_for_retry": up_for_retry, "deferred": deferred}
    parts["queued"] = released - sum(parts.values())
    return counts | {state: number for state, number in parts.items() if number > 0}
