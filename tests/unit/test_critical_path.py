"""The critical path is the chain that decided when the run ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from glidepath_server.core.critical_path import AttemptTimes, critical_path
from glidepath_server.core.graph import Graph
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.states import TaskState
from glidepath_server.core.trigger_rules import TriggerRule

ZERO = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return ZERO + timedelta(seconds=seconds)


def graph_of(upstream: dict[str, list[str]], rules: dict[str, TriggerRule] | None = None) -> Graph:
    ids = list(upstream)
    index = {name: position for position, name in enumerate(ids)}
    down: list[list[int]] = [[] for _ in ids]
    for name, ups in upstream.items():
        for up in ups:
            down[index[up]].append(index[name])
    return Graph(
        tuple(ids),
        tuple(tuple(index[up] for up in ups) for ups in upstream.values()),
        tuple(map(tuple, down)),
        tuple((rules or {}).get(name, TriggerRule.ALL_SUCCESS) for name in ids),
        (RetryPolicy(),) * len(ids),
    )


def path(
    graph: Graph, attempts: list[AttemptTimes], now: float = 1000, **states: TaskState
) -> list[tuple[str, float, float]]:
    board = [states.get(task_id, TaskState.SUCCESS) for task_id in graph.task_ids]
    steps = critical_path(graph, board, attempts, at(now))
    return [(graph.task_ids[s.task], s.waited.total_seconds(), s.worked.total_seconds()) for s in steps]


DIAMOND = graph_of({"load": [], "left": ["load"], "right": ["load"], "join": ["left", "right"]})


def test_the_slower_branch_is_the_path() -> None:
    attempts = [
        AttemptTimes(0, at(0), at(1), at(5)),
        AttemptTimes(1, at(5), at(6), at(8)),
        AttemptTimes(2, at(5), at(9), at(20)),
        AttemptTimes(3, at(20), at(20), at(22)),
    ]
    assert path(DIAMOND, attempts) == [("load", 1, 4), ("right", 4, 11), ("join", 0, 2)]


def test_waiting_and_work_of_all_attempts_count() -> None:
    attempts = [AttemptTimes(0, at(0), at(1), at(3)), AttemptTimes(0, at(3), at(10), at(12))]
    assert path(DIAMOND, attempts) == [("load", 8, 4)]


def test_what_has_not_ended_counts_until_now() -> None:
    attempts = [
        AttemptTimes(0, at(0), at(0), at(5)),
        AttemptTimes(1, at(5), at(6), None),
        AttemptTimes(2, at(5), at(5), at(7)),
    ]
    assert path(DIAMOND, attempts, now=30) == [("load", 0, 5), ("left", 1, 24)]
    assert path(DIAMOND, [AttemptTimes(0, at(0))], now=7) == [("load", 7, 0)]


def test_the_path_goes_through_a_task_that_was_skipped() -> None:
    graph = graph_of({"a": [], "skipped": ["a"], "b": ["skipped"]}, {"b": TriggerRule.NONE_FAILED})
    attempts = [AttemptTimes(0, at(0), at(0), at(4)), AttemptTimes(2, at(4), at(5), at(6))]
    assert path(graph, attempts, skipped=TaskState.SKIPPED) == [("a", 0, 4), ("b", 1, 1)]


def test_the_path_goes_through_a_task_to_the_failure_that_decided_it() -> None:
    graph = graph_of(
        {"well": [], "fails": [], "slow": [], "doomed": ["well", "fails", "slow"], "alert": ["doomed"]},
        {"alert": TriggerRule.ALL_DONE},
    )
    attempts = [
        AttemptTimes(0, at(0), at(0), at(1)),
        AttemptTimes(1, at(0), at(0), at(2)),
        AttemptTimes(2, at(0), at(0), at(9)),
        AttemptTimes(4, at(2), at(3), at(99)),
    ]
    ends = {"fails": TaskState.FAILED, "doomed": TaskState.UPSTREAM_FAILED}
    assert path(graph, attempts, **ends) == [("fails", 0, 2), ("alert", 1, 96)]


def test_a_task_that_starts_with_the_run_was_let_go_by_nobody() -> None:
    graph = graph_of({"a": [], "b": ["a"]}, {"b": TriggerRule.ALWAYS})
    assert path(graph, [AttemptTimes(0, at(0), at(0), at(4)), AttemptTimes(1, at(0), at(0), at(9))]) == [("b", 0, 9)]


def test_a_task_let_go_by_the_first_failure_is_not_blamed_on_a_later_end() -> None:
    graph = graph_of({"fails": [], "slow": [], "alert": ["fails", "slow"]}, {"alert": TriggerRule.ONE_FAILED})
    attempts = [
        AttemptTimes(0, at(0), at(0), at(2)),
        AttemptTimes(1, at(0), at(0), at(9)),
        AttemptTimes(2, at(2), at(2), at(99)),
    ]
    assert path(graph, attempts) == [("fails", 0, 2), ("alert", 0, 97)]


def test_a_worker_with_a_wrong_clock_does_not_break_the_path() -> None:
    graph = graph_of({"a": [], "b": ["a"]})
    attempts = [AttemptTimes(0, at(0), at(0), at(8)), AttemptTimes(1, at(5), at(9), at(12))]
    assert [name for name, _, _ in path(graph, attempts)] == ["a", "b"]


def test_a_run_without_attempts_has_no_path() -> None:
    assert path(DIAMOND, []) == []
