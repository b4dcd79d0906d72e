"""dag.schema.json says what the loader takes: what is good is valid, what is wrong is not, no option is missing."""

from __future__ import annotations

import inspect
import json
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from glidepath import Dag, load_dags
from glidepath.authoring import yaml_dags, yaml_tasks
from glidepath.authoring.options import Isolation, LeaseMode, MapEmpty, PolicyOptions, Role, TaskOptions, TriggerRule
from glidepath.authoring.yaml_text import read_documents

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "yaml"
SCHEMA: dict[str, Any] = json.loads(files("glidepath.authoring").joinpath("dag.schema.json").read_text())
PARTS = SCHEMA["$defs"]


def wrong(text: str) -> bool:
    (document,) = read_documents(text.encode())
    return not Draft202012Validator(SCHEMA).is_valid(document.value)


def test_it_is_a_schema_of_its_draft() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(yaml_dags.SCHEMA.read_text()) == SCHEMA


def test_every_key_and_option_is_in_it() -> None:
    assert set(SCHEMA["properties"]) == yaml_dags.KEYS
    settings = inspect.signature(Dag).parameters.keys() - {"function", "params_schema"}
    assert settings | {"params", "tasks"} == yaml_dags.KEYS, "what Python can say of a DAG, YAML can"
    assert set(PARTS["policy"]["properties"]) == set(PolicyOptions.__annotations__)
    task = PARTS["task"]["properties"].keys() | PARTS["policy"]["properties"].keys()
    assert task == yaml_tasks.KEYS and set(TaskOptions.__annotations__) <= task
    references = {each["required"][0]: tuple(each["properties"]) for each in PARTS["reference"]["oneOf"]}
    assert references == yaml_tasks.REFERENCES
    for body in PARTS["task"]["oneOf"]:
        (kind,) = body["required"]
        belonging = {key for keys in yaml_tasks.BODIES.values() for key in keys}
        assert set(body["properties"]) == belonging - set(yaml_tasks.BODIES[kind])


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("trigger_rule", TriggerRule),
        ("role", Role),
        ("isolation", Isolation),
        ("lease_mode", LeaseMode),
        ("map_empty", MapEmpty),
    ],
)
def test_choices_are_those_of_the_options(name: str, choices: Any) -> None:
    found = {**PARTS["policy"]["properties"], **PARTS["task"]["properties"]}[name]
    assert found["enum"] == list(get_args(choices))


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: str(file.name))
def test_every_example_is_valid_and_loads(file: Path) -> None:
    for document in read_documents(file.read_bytes()):
        Draft202012Validator(SCHEMA).validate(document.value)
    assert not load_dags(file).errors


@pytest.mark.parametrize(
    "task",
    [
        "{}",
        "{shell: x, python: 'a:b'}",
        "{shell: x, with: {a: 1}}",
        "{python: 'a:b', env: {A: x}}",
        "{handler: h, output: json}",
        "{python: steps}",
        "{shell: x, retires: 2}",
        "{shell: x, retries: 1.5}",
        "{shell: x, timeout: soon}",
        "{shell: x, timeout: -5}",
        "{shell: x, trigger_rule: sometimes}",
        "{shell: x, after: load}",
        "{shell: x, task_id: other}",
        "{shell: x, env: {A: [1]}}",
        "{handler: h, with: {a: {output: load, ky: rows}}}",
        "{handler: h, with: {a: {param: [x]}}}",
        "{handler: h, version: 1.10}",
        "{handler: h, map: [1]}",
        "{handler: h, map: {}}",
        "{handler: h, map: {a: text}}",
        "{handler: h, map: {a.b: [1]}}",
        "{handler: h, map: {a: [1]}, product: {b: [1]}}",
        "{handler: h, map: {a: [1]}, map_active_max: 2001}",
        "{handler: h, map: {a: [1]}, map_success_ratio_min: 0}",
    ],
)
def test_a_task_that_the_loader_refuses_is_not_valid(task: str, tmp_path: Path) -> None:
    text = f"dag_id: d\ntasks:\n  load: {{shell: x}}\n  t: {task}\n"
    file = tmp_path / "d.yaml"
    file.write_text(text)
    assert wrong(text) and load_dags(file).errors


@pytest.mark.parametrize(
    "line",
    [
        "owenr: x",
        "tags: x",
        "fail_fast: yes",
        "runs_in_order: 1",
        "alerts: ops",
        "alerts: [{on: [run_failed]}]",
        "alerts: [{on: run_failed, channel: ops}]",
        "alerts: [{on: [], channel: ops}]",
        "alerts: [{on: [run_failed], channel: ops, whom: me}]",
        "defaults: {depends_on_past: 1}",
        "runs_active_max: 0",
        "params: {a: text}",
        "params: {a: {type: int}}",
        "params: {'a b': {}}",
        "defaults: {role: branch}",
        "run_timeout: [5m]",
        "description: 5",
    ],
)
def test_a_setting_that_the_loader_refuses_is_not_valid(line: str, tmp_path: Path) -> None:
    text = f"dag_id: d\n{line}\ntasks: {{t: {{shell: x}}}}\n"
    file = tmp_path / "d.yaml"
    file.write_text(text)
    assert wrong(text)
    (error,) = load_dags(file).errors
    assert error.line == 2 and error.message.startswith(line.partition(":")[0])
