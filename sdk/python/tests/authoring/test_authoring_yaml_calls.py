"""Calls of DAGs in YAML: the same as in Python, and every mistake at its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from glidepath import call_dag, dag, load_dags, loop
from glidepath.authoring import LoadError
from glidepath.authoring.convert import to_spec
from glidepath.authoring.yaml_dags import SCHEMA
from glidepath.authoring.yaml_text import read_documents

YAML = """\
dag_id: calling
params: {size: {type: integer, default: 3}}
tasks:
  plain: {call: train}
  full:
    call: train
    with: {day: "{{ ds }}", rate: 0.5, size: {param: size}, before: {output: plain, key: fit}}
    output: fit
    version: 3
    retries: 2
    timeout: 1h
  aliased: {call: train, alias: production, after: [full]}
  rounds:
    {call: tune, with: {goal: 0.9}, until: done, output: judge, iterations_max: 7, iteration: round, previous: before}
  each: {call: train, with: {rate: 0.1}, map: {day: ["2026-01-01", "2026-01-02"]}, map_active_max: 2}
"""


def load(folder: Path, text: str) -> Any:
    file = folder / "calls.yaml"
    file.write_text(text)
    return load_dags(file)


def test_calls_in_yaml_are_those_in_python(tmp_path: Path) -> None:
    (loaded,) = load(tmp_path, YAML).dags

    @dag(params_schema={"type": "object", "properties": {"size": {"type": "integer", "default": 3}}})
    def calling(size: int = 3) -> None:
        plain = call_dag("train", task_id="plain")
        full = call_dag(
            "train",
            {"day": "{{ ds }}", "rate": 0.5, "size": size, "before": plain["fit"]},
            task_id="full",
            output="fit",
            version=3,
            retries=2,
            timeout="1h",
        )
        full >> call_dag("train", alias="production", task_id="aliased")
        loop(
            "tune",
            {"goal": 0.9},
            until="done",
            output="judge",
            iterations_max=7,
            iteration="round",
            previous="before",
            task_id="rounds",
        )
        call_dag("train", {"rate": 0.1}, map={"day": ["2026-01-01", "2026-01-02"]}, task_id="each", map_active_max=2)

    assert list(to_spec(loaded, None).tasks) == list(to_spec(calling, None).tasks)


def test_they_are_valid_by_the_schema() -> None:
    (document,) = read_documents(YAML.encode())
    schema = json.loads(SCHEMA.read_text())
    assert not list(Draft202012Validator(schema).iter_errors(document.value))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("call: [train]", "tasks.t.call: call is ['train']; expected the id of a DAG"),
        ("call: a b", "tasks.t.call: call of 'a b': expected a dag_id"),
        ("call: train, version: two", "tasks.t.version: version is 'two'; expected the number of a version"),
        ("call: train, output: ''", "tasks.t.output: output is ''; expected text"),
        ("call: train, iterations_max: 3", "tasks.t.iterations_max: iterations_max is of a loop; expected until"),
        ("call: train, until: done, iterations_max: 0", "iterations_max is 0; expected 1 to 1,000"),
        ("call: train, until: done, map: {day: [1]}", "tasks.t.map: a loop is not mapped"),
        ("call: train, with: {day: 1}, map: {day: [1]}", "param 'day' is mapped, and stands in params, too"),
        ("call: train, env: {A: 1}", "tasks.t.env: env stands beside call; it belongs to shell"),
        ("call: train, shell: ls", "expected exactly one of shell, python, handler, call and approval"),
        ("call: train, with: {day: '{{ nope }}'}", "tasks.t.with.day: "),
    ],
)
def test_a_mistake_is_told_at_its_place(tmp_path: Path, fields: str, said: str) -> None:
    (error,) = load(tmp_path, f"dag_id: calling\ntasks:\n  t: {{{fields}}}\n").errors
    assert isinstance(error, LoadError)
    assert said in str(error)
