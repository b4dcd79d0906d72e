"""When a run that goes on will end, and what it comes from."""

from __future__ import annotations

import math
import random
from statistics import quantiles

import pytest
from test_critical_path import DIAMOND, graph_of

from glidepath_server.core.durations import Belief
from glidepath_server.core.graph import Graph
from glidepath_server.core.prediction import FUTURES_MAX, FUTURES_MIN, Phase, TaskBelief, TaskNow, forecast
from glidepath_server.core.trigger_rules import TriggerRule

NO_WAIT = Belief(math.log(0.001), 0.01, 200, 1)
LATER, ENDED = TaskNow(Phase.SCHEDULED), TaskNow(Phase.ENDED)


def takes(seconds: float, sigma: float = 0.4, wait: float = 0.0) -> TaskBelief:
    waits = Belief(math.log(wait), 0.01, 200, 1) if wait else NO_WAIT
    return TaskBelief(Belief(math.log(seconds), sigma, 200, 1), waits)


def chain(size: int) -> Graph:
    return graph_of({f"t{task}": [f"t{task - 1}"] if task else [] for task in range(size)})


def test_the_ends_of_a_diamond_are_those_of_a_simulation_of_it() -> None:
    medians = [60.0, 100.0, 90.0, 30.0]
    found = forecast(DIAMOND, [LATER] * 4, [takes(each) for each in medians])
    chance = random.Random(3)
    ends = []
    for _ in range(20_000):
        load, left, right, join = (each * math.exp(chance.gauss(0, 0.4)) for each in medians)
        ends.append(load + max(left, right) + join)
    deciles = quantiles(ends, n=10)
    assert [found.end(0.5), found.end(0.9)] == pytest.approx([deciles[4], deciles[8]], rel=0.03)
    assert found.late(deciles[7]) == pytest.approx(0.2, abs=0.05)


def test_joins_make_a_run_longer_than_its_longest_path() -> None:
    wide = graph_of({"a": [], **{f"b{each}": ["a"] for each in range(20)}})
    found = forecast(wide, [LATER] * 21, [takes(60)] * 21)
    assert found.end(0.5) > 1.3 * 120


def test_tasks_that_have_run_once_end_when_their_run_does() -> None:
    """What is possible after one run reaches far: its mean is behind nearly all of it."""
    once = TaskBelief(Belief(math.log(60), 0.5, 1, 1), NO_WAIT)
    found = forecast(chain(1), [LATER], [once])
    assert found.tasks[0].end == found.end(0.5) < 1.2 * 60
    assert found.tasks[0].slack == 0


def test_what_has_ended_takes_no_time_and_what_runs_takes_the_rest() -> None:
    found = forecast(chain(3), [ENDED, TaskNow(Phase.RUNNING, elapsed=40), LATER], [takes(60, 0.01)] * 3)
    assert found.end(0.5) == pytest.approx(20 + 60, rel=0.03)
    assert list(found.tasks) == [1, 2]


def test_a_run_that_has_ended_ends_now() -> None:
    found = forecast(chain(2), [ENDED, ENDED], [takes(60)] * 2)
    assert (found.end(0.9), found.late(1), found.tasks) == (0.0, 0.0, {})


def test_the_wait_the_delay_and_the_queue_ahead_count() -> None:
    one = chain(1)
    usual = [takes(60, 0.01, wait=30)]
    assert forecast(one, [LATER], usual).end(0.5) == pytest.approx(90, rel=0.05)
    assert forecast(one, [TaskNow(Phase.QUEUED, elapsed=20)], usual).end(0.5) == pytest.approx(70, rel=0.05)
    assert forecast(one, [TaskNow(Phase.QUEUED, elapsed=20, ahead=600)], usual).end(0.5) == pytest.approx(660, rel=0.05)
    assert forecast(one, [TaskNow(Phase.QUEUED, delay=300)], usual).end(0.5) == pytest.approx(390, rel=0.05)


def test_slack_is_what_a_task_may_slip_and_the_longest_way_has_the_least() -> None:
    found = forecast(DIAMOND, [LATER] * 4, [takes(each, 0.01) for each in (60, 100, 40, 30)], target=250)
    slacks = [found.tasks[task].slack for task in range(4)]
    assert slacks == pytest.approx([60, 60, 120, 60], abs=3)
    assert [found.tasks[task].critical for task in range(4)] == [1, 1, 0, 1]
    free = forecast(DIAMOND, [LATER] * 4, [takes(each, 0.01) for each in (60, 100, 40, 30)])
    assert free.tasks[1].slack == pytest.approx(0, abs=3)


def test_a_task_that_follows_the_first_of_several_waits_for_the_first() -> None:
    graph = graph_of({"slow": [], "fast": [], "after": ["slow", "fast"]}, {"after": TriggerRule.ONE_SUCCESS})
    found = forecast(graph, [LATER] * 3, [takes(600, 0.01), takes(10, 0.01), takes(5, 0.01)])
    assert found.tasks[2].end == pytest.approx(15, rel=0.05)
    begun = forecast(graph, [LATER, ENDED, LATER], [takes(600, 0.01), takes(10, 0.01), takes(5, 0.01)])
    assert begun.tasks[2].end == pytest.approx(5, rel=0.05)


def test_a_task_that_waits_for_nothing_begins_at_once() -> None:
    graph = graph_of({"slow": [], "now": ["slow"]}, {"now": TriggerRule.ALWAYS})
    assert forecast(graph, [LATER] * 2, [takes(600, 0.01), takes(10, 0.01)]).tasks[1].end == pytest.approx(10, rel=0.05)


def test_instances_of_a_map_run_together_as_far_as_they_fit() -> None:
    one, even = chain(1), [takes(60, 0.01)]
    all_at_once = forecast(one, [TaskNow(Phase.QUEUED, rest=100, window=100)], even)
    assert all_at_once.end(0.5) == pytest.approx(60, rel=0.1)
    in_tens = forecast(one, [TaskNow(Phase.QUEUED, rest=100, window=10)], even)
    assert in_tens.end(0.5) == pytest.approx(600, rel=0.1)
    half_done = forecast(one, [TaskNow(Phase.RUNNING, elapsed=30, live=10, rest=40, window=10)], even)
    assert half_done.end(0.5) == pytest.approx(270, rel=0.15)
    uneven = forecast(one, [TaskNow(Phase.QUEUED, rest=100, window=100)], [takes(60)])
    assert uneven.end(0.5) == pytest.approx(60 * math.exp(0.4 * 2.5), rel=0.1)


def test_some_tasks_may_be_asked_for_alone() -> None:
    found = forecast(chain(2), [LATER] * 2, [takes(60, 0.01)] * 2)
    assert (found.late(90, [0]), found.late(90, [0, 1]), found.late(90)) == (0.0, 1.0, 1.0)
    done = forecast(chain(2), [ENDED, LATER], [takes(60, 0.01)] * 2)
    assert done.late(0, [0]) == 0.0


def test_tasks_of_which_nothing_is_known_are_named() -> None:
    guess = TaskBelief(Belief(math.log(60), 1.0, 3), NO_WAIT)
    assert forecast(chain(3), [ENDED, LATER, LATER], [guess, takes(60), guess]).unknown == [2]


def test_a_graph_of_ten_thousand_is_bounded_work() -> None:
    """Fewer futures of more tasks."""
    small = forecast(chain(50), [LATER] * 50, [takes(60)] * 50)
    found = forecast(chain(10_000), [LATER] * 10_000, [takes(60)] * 10_000)
    assert (len(small.ends), len(found.ends)) == (FUTURES_MAX, FUTURES_MIN)
    assert found.end(0.5) == pytest.approx(10_000 * 60 * math.exp(0.08), rel=0.02)
