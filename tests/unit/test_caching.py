"""When calls are equal: the key follows what is named and written, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.caching import Named, OutputFacts, call_key, sources_of_key
from glidepath_server.core.definition import (
    JSON,
    CachePolicy,
    Handler,
    Input,
    InputList,
    Literal,
    OutputRef,
    Param,
    ResolvedPolicy,
    TaskSpec,
    Template,
)

DAY = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
NAMED = Named("default", "churn", "train", "run 1", "key 1", 1, DAY, DAY, DAY + timedelta(days=1))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def task(cache: CachePolicy | None = None, handler: Handler | None = None, **inputs: Input) -> TaskSpec:
    """A cached task that has two upstream tasks, `load` and `load.more`."""
    policy = ResolvedPolicy(cache=cache or CachePolicy())
    upstream = ("load", "load.more")
    return TaskSpec("train", handler or Handler("python:m:f", "a" * 64), "", "", upstream, inputs=inputs, policy=policy)


def inline(value: object, **options: Any) -> OutputFacts:
    return OutputFacts(JSON, json.dumps(value, **options).encode(), None, "")


def reference(sha256: str, uri: str = "artifact://x") -> OutputFacts:
    return OutputFacts(JSON, None, uri, sha256)


def of(named: Named = NAMED, /, **changes: Any) -> Named:
    return replace(named, **changes)


def reordered(value: Any) -> Any:
    """The same value, its objects written the other way round."""
    if isinstance(value, dict):
        return {name: reordered(each) for name, each in reversed(value.items())}
    return [reordered(each) for each in value] if isinstance(value, list) else value


# ---- values
@given(JSON_VALUES, JSON_VALUES)
def test_equal_values_give_equal_keys_and_others_give_others(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    for make in (
        lambda value: call_key(task(x=Param("x")), of(params={"x": value})),
        lambda value: call_key(task(x=OutputRef("load")), of(outputs={"load": [inline(value)]})),
        lambda value: call_key(task(x=OutputRef("load", "k")), of(outputs={"load": [inline({"k": value})]})),
        lambda value: call_key(task(x=Literal(json.dumps(value).encode())), NAMED),
        lambda value: call_key(task(x=Template("{{ params.x }}")), of(params={"x": value})),
        lambda value: call_key(task(), of(item=json.dumps(value, sort_keys=True))),
    ):
        assert (make(one) == make(other)) is same


@given(JSON_VALUES)
def test_the_order_and_the_layout_of_objects_say_nothing(value: Any) -> None:
    other = reordered(value)
    assert call_key(task(x=Param("x")), of(params={"x": value})) == call_key(
        task(x=Param("x")), of(params={"x": other})
    )
    outputs = [{"load": [inline(value)]}, {"load": [inline(other, indent=2)]}]
    assert len({call_key(task(x=OutputRef("load")), of(outputs=each)) for each in outputs}) == 1


@given(st.dictionaries(st.text(st.characters(codec="ascii", categories=("L",)), min_size=1), st.integers(), max_size=5))
def test_the_order_of_inputs_says_nothing_and_their_names_do(inputs: dict[str, int]) -> None:
    sources = {name: Literal(str(value).encode()) for name, value in inputs.items()}
    backwards = dict(reversed(sources.items()))
    assert call_key(replace(task(), inputs=sources), NAMED) == call_key(replace(task(), inputs=backwards), NAMED)
    renamed = {f"other_{name}": each for name, each in sources.items()}
    same = call_key(replace(task(), inputs=sources), NAMED) == call_key(replace(task(), inputs=renamed), NAMED)
    assert same is not bool(inputs)


@given(st.lists(st.integers(0, 3), max_size=4), st.lists(st.integers(0, 3), max_size=4))
def test_lists_count_in_their_order(one: list[int], other: list[int]) -> None:
    keys = [
        call_key(task(x=InputList(tuple(Literal(str(each).encode()) for each in items))), NAMED)
        for items in (one, other)
    ]
    assert (keys[0] == keys[1]) is (one == other)


def test_only_what_a_template_names_counts_of_an_output() -> None:
    template = task(x=Template("{{ outputs.load.a.b }}"))
    same = [{"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1}}]
    keys = {call_key(template, of(outputs={"load": [inline(each)]})) for each in same}
    assert len(keys) == 1
    assert call_key(template, of(outputs={"load": [inline({"a": {"b": 2}})]})) not in keys
    assert call_key(template, of(outputs={"load": [inline({"a": {}})]})) not in keys
    assert call_key(template, of(outputs={"load": [inline({"a": {"b": None}})]})) not in keys


def test_a_name_is_the_output_of_the_longest_id_that_fits() -> None:
    template = task(x=Template("{{ outputs.load.more.rows }}"))
    outputs = {"load": [inline({"more": {"rows": 1}})], "load.more": [inline({"rows": 2})]}
    changed = {**outputs, "load": [inline({"more": {"rows": 9}})]}
    assert call_key(template, of(outputs=outputs)) == call_key(template, of(outputs=changed))
    changed = {**outputs, "load.more": [inline({"rows": 9})]}
    assert call_key(template, of(outputs=outputs)) != call_key(template, of(outputs=changed))


def test_an_output_by_reference_counts_by_its_digest_wherever_it_lies() -> None:
    takes = task(x=OutputRef("load"))
    one, moved = reference("a" * 64), reference("a" * 64, "artifact://elsewhere")
    assert call_key(takes, of(outputs={"load": [one]})) == call_key(takes, of(outputs={"load": [moved]}))
    assert call_key(takes, of(outputs={"load": [one]})) != call_key(takes, of(outputs={"load": [reference("b" * 64)]}))


def test_what_is_no_json_counts_by_its_bytes() -> None:
    takes = task(x=OutputRef("load"))
    contents = [(JSON, b"{"), (JSON, b"\xff"), ("text/plain", b"1"), (JSON, b"1"), (JSON, b"[" * 100_000)]
    keys = {
        call_key(takes, of(outputs={"load": [OutputFacts(content_type, body, None, "")]}))
        for content_type, body in contents
    }
    assert len(keys) == len(contents)


def test_no_output_is_not_null() -> None:
    takes = task(x=OutputRef("load"))
    assert call_key(takes, NAMED) != call_key(takes, of(outputs={"load": [inline(None)]}))


# ---- dates and names
@pytest.mark.parametrize(
    ("text", "counts"),
    [("{{ ds }}", False), ("{{ logical_date.day }}", False), ("{{ ts }}", True), ("{{ logical_date }}", True)],
)
def test_a_date_counts_as_far_as_it_is_named(text: str, counts: bool) -> None:
    later = of(logical_date=DAY + timedelta(hours=1))
    assert (call_key(task(x=Template(text)), NAMED) != call_key(task(x=Template(text)), later)) is counts
    tomorrow = of(logical_date=DAY + timedelta(days=1))
    assert call_key(task(x=Template(text)), NAMED) != call_key(task(x=Template(text)), tomorrow)


RUN_NAMES = {
    "run_id": {"run_id": "run 2"},
    "run_key": {"run_key": "key 2"},
    "dag_id": {"dag_id": "other"},
    "task_id": {"task_id": "other"},
    "attempt_number": {"attempt_number": 2},
}


@pytest.mark.parametrize("name", RUN_NAMES)
def test_the_runs_own_names_count_only_where_a_template_names_them(name: str) -> None:
    other = of(**RUN_NAMES[name])
    assert call_key(task(x=Param("x")), NAMED) == call_key(task(x=Param("x")), other)
    named = task(x=Template(f"{{{{ {name} }}}}"))
    assert call_key(named, NAMED) != call_key(named, other)


def test_dates_and_params_that_nobody_names_do_not_count() -> None:
    other = of(params={"y": 1}, logical_date=DAY + timedelta(days=9), data_interval_end=DAY)
    assert call_key(task(x=Literal(b"1")), NAMED) == call_key(task(x=Literal(b"1")), other)


# ---- what makes another call
def test_namespace_code_and_version_tell_calls_apart() -> None:
    keys = {
        call_key(task(x=Param("x")), NAMED),
        call_key(task(x=Param("x")), of(namespace="other")),
        call_key(task(handler=Handler("python:m:g", "a" * 64), x=Param("x")), NAMED),
        call_key(task(handler=Handler("python:m:f", "b" * 64), x=Param("x")), NAMED),
        call_key(task(CachePolicy(version="2"), x=Param("x")), NAMED),
    }
    assert len(keys) == 5


def test_how_long_a_result_is_kept_and_how_a_task_is_treated_tell_no_calls_apart() -> None:
    one = task(CachePolicy(60.0), x=Param("x"))
    other = replace(one, task_id="again", policy=ResolvedPolicy(cache=CachePolicy(), queue_name="gpu", priority=3))
    assert call_key(one, NAMED) == call_key(other, NAMED)


def test_an_input_that_is_left_out_does_not_count_nor_do_its_entries() -> None:
    def key(debug: bytes, day: bytes) -> bytes:
        inputs = {"debug": Literal(debug), "env.DAY": Literal(day), "x": Literal(b"1")}
        return call_key(replace(task(CachePolicy(ignore=("debug", "env"))), inputs=inputs), NAMED)

    assert key(b"1", b"1") == key(b"2", b"2")


def test_an_own_key_counts_instead_of_the_inputs() -> None:
    cache = CachePolicy(key="{{ params.day }}-{{ outputs.load.version }}")
    named = of(params={"day": "Tuesday", "debug": 1}, outputs={"load": [inline({"version": 3, "rows": 9})]})
    same = of(params={"day": "Tuesday", "debug": 2}, outputs={"load": [inline({"version": 3, "rows": 8})]})
    other = of(params={"day": "Tuesday", "debug": 1}, outputs={"load": [inline({"version": 4, "rows": 9})]})
    assert call_key(task(cache, x=Param("debug")), named) == call_key(task(cache, x=Literal(b"1")), same)
    assert call_key(task(cache, x=Param("debug")), named) != call_key(task(cache, x=Param("debug")), other)


def test_the_texts_of_a_value_and_of_its_name_are_not_mixed_up() -> None:
    """ "{{ params.a }}{{ params.b }}" is not what the values are when they are written one behind the other."""
    both = task(CachePolicy(key="{{ params.a }}{{ params.b }}"))
    assert call_key(both, of(params={"a": "1", "b": "23"})) != call_key(both, of(params={"a": "12", "b": "3"}))


def test_what_a_key_needs_of_upstream_tasks_is_what_it_takes() -> None:
    inputs: dict[str, Input] = {"x": OutputRef("load"), "debug": Template("{{ outputs.load.more.rows }}")}
    assert sources_of_key(replace(task(), inputs=inputs)) == ("load", "load.more")
    assert sources_of_key(replace(task(CachePolicy(ignore=("debug",))), inputs=inputs)) == ("load",)
    assert sources_of_key(replace(task(CachePolicy(key="{{ outputs.load.more.v }}")), inputs=inputs)) == ("load.more",)
    assert sources_of_key(replace(task(), policy=ResolvedPolicy())) == ()
