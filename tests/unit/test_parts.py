"""A part of a DAG: what comes along, what cannot be left out, and how the rest is laid out."""

from __future__ import annotations

import pytest

from glidepath_server.core.compile import compile_graph
from glidepath_server.core.definition import (
    DagSpec,
    Handler,
    MapInput,
    MapSpec,
    OutputRef,
    TaskSpec,
    Template,
)
from glidepath_server.core.graph import TaskRole
from glidepath_server.core.layouts import Layout, laid_out
from glidepath_server.core.parts import lacks, part_of
from glidepath_server.core.trigger_rules import TriggerRule


def task(name: str, *upstream: str, **fields: object) -> TaskSpec:
    return TaskSpec(name, Handler("test:task"), upstream_task_ids=upstream, **fields)  # type: ignore[arg-type]


CHAIN = DagSpec("dag", (task("a"), task("b", "a"), task("c", "b"), task("d", "c"), task("e", "a")))
TORN_DOWN = DagSpec(
    "dag",
    (
        task("up", role=TaskRole.SETUP),
        task("first", "up"),
        task("work", "first"),
        task("down", "up", "work", role=TaskRole.TEARDOWN),
        task("after", "down"),
    ),
)


@pytest.mark.parametrize(
    ("spec", "named", "upstream", "downstream", "expected"),
    [
        (CHAIN, "c", False, False, "c"),
        (CHAIN, "c", True, False, "a b c"),
        (CHAIN, "c", False, True, "c d"),
        (CHAIN, "b", True, True, "a b c d"),
        (CHAIN, "a", False, True, "a b c d e"),
        # Between a setup and its teardown nothing runs without these, and without the way from the setup.
        (TORN_DOWN, "work", False, False, "up first work down"),
        (TORN_DOWN, "after", False, False, "after"),
        (TORN_DOWN, "up", False, False, "up down"),
    ],
)
def test_what_comes_along(spec: DagSpec, named: str, upstream: bool, downstream: bool, expected: str) -> None:
    graph = compile_graph(spec)
    tasks = [graph.task_ids.index(name) for name in named.split()]
    part = part_of(graph, tasks, with_upstream=upstream, with_downstream=downstream)
    assert {graph.task_ids[each] for each in part} == set(expected.split())


def test_a_task_cannot_stay_without_what_it_takes() -> None:
    mapped = MapSpec((MapInput("x", OutputRef("a")),))
    spec = DagSpec(
        "dag",
        (
            task("a"),
            task("b", "a", inputs={"x": OutputRef("a", xcom_key="k")}),
            task("c", "a", inputs={"x": Template("{{ outputs.a.key }} of {{ ds }}")}),
            task("d", "a", map=mapped),
            task("e", "a"),
            task("f", "a", role=TaskRole.BRANCH),
            task("g", "f"),
            task("h", "f"),
        ),
    )
    graph = compile_graph(spec)
    takes_in = "a as well: name it, or set only_with_upstream, which takes in all that comes before"
    assert [*lacks(spec, graph, frozenset({1, 2, 3, 4, 5, 6}))] == [
        ("b without a, whose output it takes", takes_in),
        ("c without a, whose output it takes", takes_in),
        ("d without a, whose output it takes", takes_in),
        (
            "the branch f without h, which it may choose",
            "h as well: name it, or set only_with_downstream, which takes in all that comes after",
        ),
    ]
    assert not [*lacks(spec, graph, frozenset(range(graph.size)))]


@pytest.mark.parametrize(
    ("count", "named"), [(2, "a0 and a1"), (3, "a0, a1 and a2"), (8, "a0, a1, a2, a3, a4 and 3 more")]
)
def test_several_that_are_missing_are_named_as_people_name_them(count: int, named: str) -> None:
    names = [f"a{number}" for number in range(count)]
    inputs = {name: OutputRef(name) for name in names}
    spec = DagSpec("dag", (*(task(name) for name in names), task("last", *names, inputs=inputs)))
    ((got, expected),) = lacks(spec, compile_graph(spec), frozenset({count}))
    assert got == f"last without {named}, whose outputs it takes"
    assert expected.startswith(f"{named} as well: name them, or set only_with_upstream")


def test_nobody_waits_for_what_is_left_out() -> None:
    spec = DagSpec(
        "dag",
        (
            task("a"),
            task("b"),
            task("c", "a", "b", trigger_rule=TriggerRule.ONE_FAILED),
            task("d", "a", trigger_rule=TriggerRule.ALL_FAILED),
        ),
    )
    layout = Layout(("a", "b", "c", "d"), frozenset({"a"}))
    assert Layout.from_json(layout.to_json()) == layout
    found = laid_out(spec, layout)
    assert [each.upstream_task_ids for each in found.tasks] == [(), (), ("b",), ()]
    assert [each.handler.name for each in found.tasks] == ["removed", *["test:task"] * 3]
    # With some left the rule speaks of those; a rule about ends of nothing would never let the task go.
    assert [each.trigger_rule for each in found.tasks[2:]] == [TriggerRule.ONE_FAILED, TriggerRule.ALL_SUCCESS]


def test_a_layout_that_leaves_nothing_out_is_stored_as_ever() -> None:
    assert Layout(("b", "a")).to_json() == '["b","a"]'
    assert Layout.from_json('["b","a"]') == Layout(("b", "a"))
