"""Tasks that depend on the past: what `advance` asks for, and what it makes of the answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from glidepath_server.core.advance import advance
from glidepath_server.core.board import Board
from glidepath_server.core.compile import compile_graph
from glidepath_server.core.definition import DagSpec, Handler, ResolvedPolicy, TaskSpec
from glidepath_server.core.draft import DagDraft, PolicyDraft, TaskDraft, resolve_policy
from glidepath_server.core.effects import Effects
from glidepath_server.core.events import (
    AttemptEnded,
    Event,
    PastChanged,
    PastLetsGo,
    RunCancelled,
    RunMoved,
    RunPaused,
    RunResumed,
    RunRetried,
    RunStarted,
    TasksCleared,
    TasksMarked,
    event_from_json,
    event_to_json,
)
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.graph import TaskRole
from glidepath_server.core.past import place_before
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.states import AttemptState, RunState, TaskEvent, TaskState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOAD, TRAIN = 0, 1
BROKEN = Failure(FailureKind.APPLICATION, "ValueError", "broken")


def spec(*, retries: int = 0, run_retries: int = 0, **fields: Any) -> DagSpec:
    """load -> train, which depends on the past, as load does."""
    policy = ResolvedPolicy(retry=RetryPolicy(retries), depends_on_past=True)
    load = TaskSpec("load", Handler("h"), policy=policy)
    train = TaskSpec("train", Handler("h"), policy=policy, upstream_task_ids=("load",))
    return DagSpec("churn", (load, train), run_retries_max=run_retries, run_retry_delay_seconds=60.0, **fields)


class OneRun:
    """A run whose step answers as the test says."""

    def __init__(self, **fields: Any) -> None:
        self.graph = compile_graph(spec(**fields))
        self.board = Board.fresh(self.graph.size)

    def does(self, *events: Event) -> Effects:
        return advance(self.graph, self.board, events, NOW)

    def ends(self, task: int, outcome: AttemptState = AttemptState.SUCCESS, number: int = 1, tries: int = 0) -> Effects:
        failure = BROKEN if outcome is AttemptState.FAILED else None
        return self.does(AttemptEnded(task, -1, number, outcome, tries, 0, 0, failure))

    @property
    def states(self) -> list[TaskState]:
        return [TaskState(each) for each in self.board.states]


def test_a_task_that_may_start_asks_first_and_starts_when_the_past_lets_it_go() -> None:
    run = OneRun()
    effects = run.does(RunStarted())
    assert (effects.past_asked, effects.releases, run.states[LOAD]) == ([LOAD], [], TaskState.SCHEDULED)
    assert run.does(PastChanged(LOAD)).past_asked == [LOAD]
    [release] = run.does(PastLetsGo((LOAD,))).releases
    assert (release.task, release.attempt_number, run.states[LOAD]) == (LOAD, 1, TaskState.RELEASED)
    assert run.ends(LOAD).past_asked == [TRAIN]  # only now: before, its upstream held it back
    assert not run.does(PastChanged(LOAD)).past_asked


def test_an_answer_that_comes_too_late_starts_nothing() -> None:
    run = OneRun()
    run.does(RunStarted())
    run.does(RunCancelled("no more"))
    assert not run.does(PastLetsGo((LOAD,))).releases
    assert run.does(PastChanged(LOAD)).past_told == [LOAD]
    assert run.board.state is RunState.CANCELLED
    queued = OneRun()
    assert not queued.does(PastChanged(LOAD)).past_asked


def test_a_retry_does_not_ask_again_but_a_clear_does() -> None:
    run = OneRun(retries=1)
    run.does(RunStarted())
    run.does(PastLetsGo((LOAD,)))
    effects = run.ends(LOAD, AttemptState.FAILED)
    assert [each.attempt_number for each in effects.releases] == [2] and not effects.past_asked
    run.ends(LOAD, AttemptState.SUCCESS, 2, tries=1)
    effects = run.does(TasksCleared((LOAD,), attempts={LOAD: 2}))
    assert effects.past_asked == [LOAD] and not effects.releases


def test_a_retry_of_the_run_asks_for_what_has_not_started_and_keeps_its_delay() -> None:
    run = OneRun(run_retries=1)
    run.does(RunStarted())
    run.does(PastLetsGo((LOAD,)))
    again = run.ends(LOAD, AttemptState.FAILED).run_again
    assert again == (LOAD, TRAIN)
    effects = run.does(RunRetried(again, {LOAD: 1}))
    [release] = effects.releases
    assert (release.task, release.attempt_number) == (LOAD, 2) and release.at is not None and release.at > NOW
    assert run.ends(LOAD, number=2).past_asked == [TRAIN]


def test_a_pause_comes_before_the_past_and_what_has_begun_goes_on_after_it() -> None:
    run = OneRun(retries=1)
    run.does(RunStarted(), RunPaused((LOAD,), "alice"))
    assert not run.does(PastLetsGo((LOAD,))).releases
    assert run.does(RunResumed((), "alice")).past_asked == [LOAD]
    run.does(PastLetsGo((LOAD,)))
    run.does(RunPaused((LOAD,), "alice"))
    run.ends(LOAD, AttemptState.FAILED)
    effects = run.does(RunResumed((), "alice"))
    assert [each.attempt_number for each in effects.releases] == [2] and not effects.past_asked


def test_an_operator_who_marks_what_waits_needs_no_past() -> None:
    run = OneRun()
    run.does(RunStarted())
    effects = run.does(TasksMarked((LOAD,), TaskEvent.MARK_SUCCESS, "done by hand"))
    assert run.states[LOAD] is TaskState.SUCCESS and effects.past_asked == [TRAIN]


def test_a_run_that_moves_to_a_version_without_the_dependency_goes_on() -> None:
    run = OneRun()
    run.does(RunStarted())
    run.graph = replace(run.graph, on_past=frozenset())
    assert [each.task for each in run.does(RunMoved((), 2, 2)).releases] == [LOAD]


def test_a_teardown_takes_no_dependency_from_the_defaults() -> None:
    draft = DagDraft("churn", defaults=PolicyDraft(depends_on_past=True))
    assert resolve_policy(TaskDraft("a", Handler("h")), draft).depends_on_past
    assert not resolve_policy(TaskDraft("a", Handler("h"), role=TaskRole.TEARDOWN), draft).depends_on_past
    unlike = PolicyDraft(depends_on_past=False)
    assert not resolve_policy(TaskDraft("a", Handler("h"), policy=unlike), draft).depends_on_past


def test_the_same_task_is_found_by_its_name() -> None:
    graph = compile_graph(spec())
    assert [place_before("train", at, graph) for at in (TRAIN, LOAD, 7)] == [TRAIN] * 3
    assert place_before("other", TRAIN, graph) is None


def test_the_word_of_a_change_is_stored_and_read_again() -> None:
    assert event_from_json(event_to_json(PastChanged(3))) == PastChanged(3)
