"""The order of tasks, cycles, and the compiled graph."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.compile import compile_graph, find_cycle, topological_order
from glidepath_server.core.definition import DagSpec, Handler, TaskSpec
from glidepath_server.core.trigger_rules import TriggerRule

LONG = 20_000


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, set[str]]:
    """Upstream ids by task id, in any order of names."""
    names = draw(st.lists(st.text("abcxyz", min_size=1, max_size=3), unique=True, max_size=12))
    return {name: set(draw(st.sets(st.sampled_from(names[:n])))) if n else set() for n, name in enumerate(names)}


@given(acyclic())
def test_every_task_comes_after_its_upstreams(upstream: dict[str, set[str]]) -> None:
    order = topological_order(upstream)
    assert sorted(order) == sorted(upstream)
    place = {name: number for number, name in enumerate(order)}
    assert all(place[before] < place[name] for name, befores in upstream.items() for before in befores)


@given(acyclic(), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_how_tasks_were_given(
    upstream: dict[str, set[str]],
    chance: random.Random,
) -> None:
    names = list(upstream)
    chance.shuffle(names)
    assert topological_order({name: sorted(upstream[name]) for name in names}) == topological_order(upstream)


def test_ties_go_by_id() -> None:
    assert topological_order({"c": [], "a": ["c"], "b": [], "d": ["b"]}) == ["b", "c", "a", "d"]


def test_a_cycle_is_told_along_its_edges_from_the_smallest_id() -> None:
    upstream = {"a": ["c"], "b": ["a"], "c": ["b", "before"], "before": [], "behind": ["c"]}
    order = topological_order(upstream)
    assert order == ["before"]
    assert find_cycle(upstream, order) == ["a", "b", "c", "a"]


@given(acyclic(), st.data())
def test_a_closed_chain_is_always_found(upstream: dict[str, set[str]], data: st.DataObject) -> None:
    names = list(upstream)
    assert find_cycle(upstream, topological_order(upstream)) == []
    if len(names) < 2:
        return
    circle = data.draw(st.lists(st.sampled_from(names), min_size=2, unique=True))
    for before, name in zip(circle, [*circle[1:], circle[0]], strict=True):
        upstream[name].add(before)
    cycle = find_cycle(upstream, topological_order(upstream))
    assert len(cycle) > 2 and cycle[0] == cycle[-1] == min(cycle) and len(set(cycle)) == len(cycle) - 1
    assert all(before in upstream[name] for before, name in itertools.pairwise(cycle))


def test_a_long_chain_and_a_long_cycle_need_no_deep_stack() -> None:
    names = [f"t{number:05}" for number in range(LONG)]
    chain: dict[str, list[str]] = {name: [before] for before, name in itertools.pairwise(names)}
    assert topological_order({names[0]: [], **chain}) == names
    cycle = find_cycle({names[0]: [names[-1]], **chain}, [])
    assert cycle == [*names, names[0]]


def spec_of(upstream: Mapping[str, tuple[str, ...]]) -> DagSpec:
    return DagSpec(
        "d", tuple(TaskSpec(name, Handler("h"), upstream_task_ids=befores) for name, befores in upstream.items())
    )


def test_a_graph_has_indices_in_the_order_of_the_spec() -> None:
    graph = compile_graph(spec_of({"load": (), "other": (), "join": ("load", "other"), "report": ("join", "load")}))
    assert graph.task_ids == ("load", "other", "join", "report")
    assert graph.upstream == ((), (), (0, 1), (0, 2))
    assert graph.downstream == ((2, 3), (2,), (3,), ())
    assert set(graph.rules) == {TriggerRule.ALL_SUCCESS} and len(graph.retries) == 4
