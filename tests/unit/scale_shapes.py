"""Large DAGs, and everything the pure core does with one, as the tests of scale need it.

A `Case` holds what each piece of work takes, made once; `WORK` names the pieces. None of them may need a deeper stack,
or more than in proportion to tasks and edges, for a large DAG.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

from glidepath_server.core.advance import advance
from glidepath_server.core.board import Board
from glidepath_server.core.canonical import canonical_json, content_hash, from_canonical_json
from glidepath_server.core.compile import compile_graph
from glidepath_server.core.critical_path import AttemptTimes, critical_path
from glidepath_server.core.definition import DagSpec, Handler, Input, InputList, OutputRef, Template
from glidepath_server.core.diff import diff_specs
from glidepath_server.core.doubts import warnings
from glidepath_server.core.draft import DagDraft, TaskDraft, resolve
from glidepath_server.core.effects import Release
from glidepath_server.core.events import AttemptEnded, Event, RunCancelled, RunStarted, TasksCleared, Withdrawn
from glidepath_server.core.explain import Facts, RunFacts, explain
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.run_view import RunRows, WaitingRow, task_instance_views
from glidepath_server.core.states import RUN_FINAL, AttemptState, RunIntent, RunState, TaskEvent, TaskState
from glidepath_server.core.trigger_rules import TriggerRule
from glidepath_server.core.validation import check_dag

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BROKEN = Failure(FailureKind.APPLICATION, message="broken")
NAMED_MAX = 500  # of a join's upstreams, whose outputs it takes


def _name(task: int) -> str:
    return f"t{task:05}"


def chain(size: int) -> list[Sequence[int]]:
    """Tasks one after another."""
    return [(task - 1,) if task else () for task in range(size)]


def fan(size: int) -> list[Sequence[int]]:
    """One task, then all others side by side, then one that waits for them."""
    return [(), *[(0,)] * (size - 2), range(1, size - 1)]


def mesh(size: int) -> list[Sequence[int]]:
    """Layers of 100 in which each task waits for 10 of the layer before."""
    first = [task - task % 100 - 100 for task in range(size)]  # of the layer before
    return [
        sorted(layer + (task * 37 + each * 11) % 100 for each in range(10)) if layer >= 0 else ()
        for task, layer in enumerate(first)
    ]


def beside_skipped(size: int) -> list[Sequence[int]]:
    """A chain, and beside it one whose tasks each wait for one of the first, too. See `Case.touched`."""
    half = size // 2
    return [*chain(half), *[(half + task - 1, task) if task else (0,) for task in range(half)]]


SHAPES: dict[str, Callable[[int], list[Sequence[int]]]] = {
    "chain": chain,
    "fan": fan,
    "mesh": mesh,
    "beside skipped": beside_skipped,
}


class Case:
    """A shape in a size."""

    def __init__(self, shape: str, size: int) -> None:
        self.shape, self.size = shape, size
        self.upstream = SHAPES[shape](size)
        self.draft = DagDraft("large", tuple(map(self._task, range(size))))
        self.order = check_dag(self.draft).order
        assert len(self.order) == size
        self.spec = resolve(self.draft, self.order)
        self.text = canonical_json(self.spec)
        self.graph = compile_graph(self.spec)

    def _task(self, task: int) -> TaskDraft:
        """A task that takes outputs of its upstreams, in lists and templates."""
        names = [_name(each) for each in self.upstream[task]][:NAMED_MAX]
        text = " ".join(f"{{{{ outputs.{name}.rows }}}}" for name in names)
        inputs: dict[str, Input | None] = (
            {"rows": Template(text), "all": InputList(tuple(map(OutputRef, names)))} if names else {}
        )
        upstream = [_name(each) for each in self.upstream[task]]
        rule = TriggerRule.ALL_DONE if self.shape == "beside skipped" else TriggerRule.ALL_SUCCESS
        return TaskDraft(
            _name(task), Handler("test:task"), upstream_task_ids=upstream, trigger_rule=rule, inputs=inputs
        )

    @cached_property
    def other_text(self) -> str:
        """The text of a version in which every task is another one."""
        tasks = tuple(replace(task, description="another") for task in self.spec.tasks)
        return canonical_json(replace(self.spec, tasks=tasks))

    @cached_property
    def touched(self) -> list[AttemptTimes]:
        """Attempts of all tasks, but of none in the first half of a shape whose first half is skipped."""
        first = self.size // 2 if self.shape == "beside skipped" else 0
        return [_second(task) for task in range(self.size) if task == 0 or task >= first]

    @cached_property
    def failed(self) -> bytes:
        """The board of a run whose first task has failed."""
        return bytes(run(self, one_by_one=False, outcome=AttemptState.FAILED).states)


def _second(task: int) -> AttemptTimes:
    at = NOW + timedelta(seconds=task)
    return AttemptTimes(task, at, at, at + timedelta(seconds=1))


# ---- runs
def run(case: Case, *, one_by_one: bool, outcome: AttemptState = AttemptState.SUCCESS) -> Board:
    """Let a run come to its end; the results come all that can at once, or each in a step of its own."""
    board = Board.fresh(case.size)
    live: list[Release] = step(case, board, [RunStarted()])
    while live:
        batch = [live.pop()] if one_by_one else live
        live = live if one_by_one else []
        board = stored(case, board)
        live += step(case, board, [_end(each, outcome) for each in batch])
    assert board.state in RUN_FINAL
    return board


def step(case: Case, board: Board, events: Iterable[Event]) -> list[Release]:
    return advance(case.graph, board, events, NOW).releases


def stored(case: Case, board: Board) -> Board:
    """The board from its stored form, beside the tally that the replica has kept."""
    again = Board.unpack(case.size, board.pack(), board.state, board.intent, board.reason)
    again.tally = board.tally
    return again


def _end(release: Release, outcome: AttemptState) -> AttemptEnded:
    failure = BROKEN if outcome is AttemptState.FAILED else None
    return AttemptEnded(release.task, -1, release.attempt_number, outcome, 0, 0, 0, failure)


def cancel_and_clear(case: Case) -> None:
    board = Board.fresh(case.size)
    queued = step(case, board, [RunStarted()])
    advance(case.graph, board, [RunCancelled("enough")], NOW)
    for each in queued:
        advance(case.graph, board, [Withdrawn(each.task, -1, each.attempt_number, TaskEvent.CANCEL)], NOW)
    assert board.state in RUN_FINAL
    board.tally = None  # another replica takes it from here
    everything = tuple(range(case.size))
    step(case, board, [TasksCleared(everything, attempts=dict.fromkeys(everything, 1))])
    assert board.state not in RUN_FINAL


def clear_what_is_live(case: Case) -> None:
    """All tasks are cleared while the first are live; these end one by one."""
    board = Board.fresh(case.size)
    step(case, board, [RunStarted()])
    cleared = TasksCleared(tuple(range(case.size)), cancel_running=True)
    for each in advance(case.graph, board, [cleared], NOW).withdrawals:
        step(case, board, [_end(Release(each.task, -1, 1), AttemptState.CANCELLED)])


def explain_board(case: Case, states: Sequence[int]) -> None:
    rows = RunRows()
    for task, state in enumerate(states):
        if state == TaskState.RELEASED:
            rows.waiting[task] = WaitingRow(task, -1, 1, 1, 1, 0.0, NOW, NOW, True, 0)
    facts = Facts(RunFacts("large", RunState.RUNNING, RunIntent.RUN, True, False, False, 1, None), NOW)
    found = explain(case.graph, states, task_instance_views(case.graph, Board(bytearray(states)), rows), rows, facts)
    assert len(found) == case.size


def explain_open(case: Case) -> None:
    board = Board.fresh(case.size)
    step(case, board, [RunStarted()])
    explain_board(case, board.states)


def critical(case: Case) -> None:
    states = [TaskState.SKIPPED] * case.size
    path = critical_path(case.graph, states, case.touched, NOW + timedelta(days=1))
    assert path and path[-1].task == case.size - 1


def read_back(case: Case) -> DagSpec:
    return from_canonical_json(case.text)


WORK: dict[str, Callable[[Case], object]] = {
    "check": lambda case: check_dag(case.draft),
    "resolve": lambda case: resolve(case.draft, case.order),
    "warn": lambda case: warnings(case.spec),
    "canonical text": lambda case: canonical_json(case.spec),
    "hash": lambda case: content_hash(case.text),
    "read back": read_back,
    "diff": lambda case: diff_specs(case.text, case.other_text),
    "compile": lambda case: compile_graph(case.spec),
    "closure": lambda case: case.graph.closure({0}),
    "run, at once": lambda case: run(case, one_by_one=False),
    "run, one result per step": lambda case: run(case, one_by_one=True),
    "failure": lambda case: run(case, one_by_one=True, outcome=AttemptState.FAILED),
    "cancel and clear": cancel_and_clear,
    "clear what is live": clear_what_is_live,
    "explain what is open": explain_open,
    "explain what failed": lambda case: explain_board(case, case.failed),
    "critical path": critical,
}
