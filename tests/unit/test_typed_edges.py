"""Edges of a DAG: what cannot be what its end takes is refused when the DAG is registered, with both ends named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from glidepath_server.core.caching import CachePolicy
from glidepath_server.core.canonical import canonical_json, content_hash, from_canonical_json
from glidepath_server.core.definition import Handler, Input, InputList, Literal, OutputRef, Param, Template
from glidepath_server.core.draft import DagDraft, MapDraft, PolicyDraft, TaskDraft, resolve
from glidepath_server.core.typed_edges import value_violations
from glidepath_server.core.validation import check_dag

INTEGER, TEXT = {"type": "integer"}, {"type": "string"}
ROWS = {"type": "object", "properties": {"rows": INTEGER}, "required": ["rows"], "additionalProperties": False}
PARAMS = json.dumps({"type": "object", "properties": {"day": TEXT, "count": INTEGER}})
HANDLER = Handler("test:task")


def task(name: str, inputs: Mapping[str, Input] | None = None, output: Any = None, **takes: Any) -> TaskDraft:
    schemas = {key: json.dumps(schema) for key, schema in takes.items()}
    return TaskDraft(
        name, HANDLER, inputs=inputs or {}, input_schemas=schemas, output_schema=json.dumps(output) if output else ""
    )


def said(*tasks: TaskDraft, params: str = PARAMS) -> list[str]:
    return [str(each) for each in check_dag(DagDraft("d", tasks, params_schema=params)).violations]


LOAD = task("load", output=TEXT)
COUNT = task("count", output=ROWS)


@pytest.mark.parametrize(
    ("source", "takes", "expected"),
    [
        (OutputRef("load"), INTEGER, "tasks.train.inputs.rows: got a string from load, expected an integer"),
        (OutputRef("count", "rows"), TEXT, "got an integer from count['rows'], expected a string"),
        (OutputRef("count", "row"), TEXT, "got key 'row' of count, which gives an object with rows, expected one of"),
        (OutputRef("load", "x"), TEXT, "got key 'x' of load, which gives a string, expected an output with keys"),
        (Param("day"), INTEGER, "got a string from param day, expected an integer"),
        (Template("{{ params.count }}"), INTEGER, "got a string from a template, expected an integer"),
        (Literal(b"1.5"), INTEGER, "got 1.5 from a constant, expected an integer"),
        (InputList((OutputRef("load"),)), INTEGER, "from a list of load, expected an integer"),
        (
            InputList((OutputRef("count", "rows"), OutputRef("load"))),
            {"type": "array", "items": INTEGER},
            "from a list of count['rows'], load, expected a list of integers",
        ),
    ],
)
def test_an_edge_that_cannot_be_is_refused(source: Input, takes: Any, expected: str) -> None:
    (found,) = said(LOAD, COUNT, task("train", {"rows": source}, rows=takes))
    assert expected in found


@pytest.mark.parametrize(
    ("source", "takes"),
    [
        (OutputRef("count", "rows"), {"type": "number"}),
        (OutputRef("count"), {"type": "object"}),
        (OutputRef("untyped", "x"), INTEGER),
        (Param("count"), {"type": ["number", "null"]}),
        (Literal(b"x", "text/plain"), INTEGER),
        (InputList((OutputRef("count", "rows"), Literal(b"2"))), {"type": "array", "items": INTEGER}),
    ],
)
def test_an_edge_that_can_be_passes(source: Input, takes: Any) -> None:
    assert said(LOAD, COUNT, task("untyped"), task("train", {"rows": source}, rows=takes)) == []


def test_entries_of_a_mapping_are_edges_too() -> None:
    env = {"type": "object", "additionalProperties": TEXT}
    ends = {"env.DAY": OutputRef("load"), "env.ROWS": OutputRef("count", "rows")}
    (found,) = said(LOAD, COUNT, task("train", ends, env=env))
    assert found == "tasks.train.inputs.env.ROWS: got an integer from count['rows'], expected a string"
    (found,) = said(task("train", {"rows.a": Literal(b"1")}, rows=INTEGER))
    assert "got the entry 'a', expected an integer, which has no such entry" in found


def test_what_is_no_type_is_refused() -> None:
    wrong = {"a": '{"type": "strong"}', "b": "[]", "c": "{", "d": json.dumps({"enum": ["x" * 17_000]})}
    found = said(TaskDraft("train", HANDLER, input_schemas=wrong, output_schema="1"))
    assert [each.partition(":")[0] for each in found] == [
        *(f"tasks.train.input_schemas.{name}" for name in "abcd"),
        "tasks.train.output_schema",
    ]
    assert "expected at most 16384 bytes" in found[3]


def test_types_are_part_of_the_version_and_other_content_keeps_its_hash() -> None:
    def text(draft: TaskDraft) -> str:
        return canonical_json(resolve(DagDraft("d", [draft]), [draft.task_id]))

    plain, typed = text(TaskDraft("load", HANDLER)), text(LOAD)
    assert "schema" not in plain and "param_defaults" not in plain
    # The hash that this content had before tasks had types.
    assert content_hash(plain) == "53950b0d6920cbc83737f4f44204ee59f368ee71c2166b3f87b510dfa621b93f"
    assert content_hash(typed) != content_hash(plain)
    assert text(TaskDraft("load", HANDLER, output_schema=' {"type":"string"}')) == typed
    assert canonical_json(from_canonical_json(typed)) == typed


def test_a_dag_without_types_is_not_looked_at() -> None:
    assert list(value_violations(DagDraft("d", [LOAD, task("train", {"rows": OutputRef("load")})]))) == []


def test_a_mapped_task_takes_lists_and_gives_the_list_of_its_outputs() -> None:
    def mapped(source: Input) -> TaskDraft:
        return replace(task("each", output=INTEGER, row=INTEGER), map=MapDraft(inputs=[("row", source)]))

    total = task("total", {"rows": OutputRef("each")}, rows={"type": "array", "items": TEXT})
    found = said(LOAD, COUNT, mapped(OutputRef("count", "rows")), total)
    assert found == [
        "tasks.each.map.inputs.row: got an integer from count['rows'], expected a list of integers",
        "tasks.total.inputs.rows: got a list of integers from each, expected a list of strings",
    ]
    total = replace(total, input_schemas={"rows": json.dumps({"type": "array", "items": INTEGER})})
    assert said(LOAD, COUNT, mapped(Literal(b"[1, 2]")), total) == []


def test_an_xcom_is_of_a_task_that_is_not_mapped_and_whose_results_are_not_kept() -> None:
    ref = OutputRef("load", xcom_key="rows")
    train = task("train", {"rows": ref}, rows=INTEGER)
    assert said(LOAD, train) == [], "what is pushed may be anything"
    assert (
        "expected a task that is not mapped; load is"
        in said(replace(LOAD, map=MapDraft([("x", Param("day"))])), train)[0]
    )
    kept = PolicyDraft(cache=CachePolicy())
    assert "results of load are kept" in said(replace(LOAD, policy=kept), train)[0]
    assert "results of train are kept" in said(LOAD, replace(train, policy=kept))[0]
    assert "expected nothing beside xcom_key" in said(LOAD, task("train", {"rows": OutputRef("load", "k", "rows")}))[0]
    assert "1 to 200 of" in said(LOAD, task("train", {"rows": OutputRef("load", xcom_key="a b")}))[0]
    over = replace(task("train"), map=MapDraft([("rows", ref)]))
    assert "expected an output, a param or a constant to map over" in said(LOAD, over)[0]
