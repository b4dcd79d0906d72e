"""Mapped tasks in YAML: the same version as in Python, and every mistake at its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_authoring_yaml_content_hash import hash_on_server, only, put

from glidepath import load_dags

PYTHON = """\
from glidepath import dag, external, literal, shell, task

@task
def train(day, model, rate=0.1): ...

@dag(dag_id="maps")
def made(models: list[str], rate: float = 0.5):
    days = shell("days", "days.sh", output="json")
    scores = train.options(map_active_max=4, map_success_ratio_min=0.9, map_empty="succeed",
                           map_name="{{ map_item.day }}").partial(rate=rate).map(model=models, day=days["all"])
    train.options(task_id="every").product(model=["a", literal("{{ b }}")], day=days)
    shell("tell", "tell.sh {{ map_item.score }}", map={"score": scores}, retries=1)
    external("resize", "go:resize", inputs={"width": 3}, product={"name": ["a", {"k": 1}], "height": [1, 2]})
"""

YAML = """\
dag_id: maps
params:
  models: {type: array, items: {type: string}}
  rate: {type: number, default: 0.5}
tasks:
  tell: {shell: "tell.sh {{ map_item.score }}", map: {score: {output: train}}, retries: 1}
  days: {shell: days.sh, output: json}
  train:
    python: maps:train
    with: {rate: {param: rate}}
    map: {model: {param: models}, day: {output: days, key: all}}
    map_active_max: 4
    map_success_ratio_min: 0.9
    map_empty: succeed
    map_name: "{{ map_item.day }}"
  every:
    python: maps:train
    product: {model: [a, {literal: "{{ b }}"}], day: {output: days}}
  resize:
    handler: go:resize
    with: {width: 3}
    product: {name: [a, {k: 1}], height: [1, 2]}
"""


def test_a_mapped_task_in_yaml_is_the_same_as_in_python(tmp_path: Path) -> None:
    python = only(put(tmp_path, "maps.py", PYTHON))
    expected = hash_on_server(python)
    assert hash_on_server(only(put(tmp_path, "maps.yaml", YAML))) == expected
    for old, new in (
        ("map: {model", "product: {model"),
        ("map_active_max: 4", "map_active_max: 5"),
        ("map_success_ratio_min: 0.9", "map_success_ratio_min: 0.8"),
        ("map_empty: succeed", "map_empty: skip"),
        ('map_name: "{{ map_item.day }}"', "map_name: x"),
        ("height: [1, 2]", "height: [1, 3]"),
    ):
        assert old in YAML
        assert hash_on_server(only(put(tmp_path, "maps.yaml", YAML.replace(old, new)))) != expected, new


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("map: [1]", [(5, "map is [1]; expected a mapping")]),
        ("map: {}", [(5, "map is empty; expected at least one list, by its argument's name")]),
        ("map: {a: text}", [(5, "expected a list, a param, or the output of a task")]),
        ("map: {a: 1, b: [1, 2], c: {output: lod}}", [(5, "expected a list"), (5, "unknown task 'lod'")]),
        ("map: {a: [1], b: [1, 2]}", [(5, "a has 1, b has 2; expected one length")]),
        ("map: {a: [1]}\n    product: {b: [1]}", [(6, "the task has map and product; expected one of them")]),
        ("map: {a: [1]}\n    map_empty: fail", [(6, "map_empty is 'fail'; expected one of skip, succeed")]),
        ("map: {a: [1]}\n    map_name: '{{ ds }}'", [(6, "template 'ds' stands in map_name")]),
        ("map: {a: {param: days}}", [(5, "the DAG has no param 'days'")]),
        ("map: {a: [1]}\n    role: branch", [(7, "role is 'branch'; expected none")]),
        ("map: {x: [1]}\n    with: {x: 1}", [(7, "argument 'x' is mapped, and stands in inputs, too")]),
        ("map_active_max: 3", [(6, "map_active_max is an option of a mapped task")]),
        ("with: {a: {output: load, key: k}}\n    map: {b: [1]}\n    after: [t]", [(4, "in a circle")]),
        ("map: {a: {output: t}}", [(4, "in a circle")]),
        ("with: {a: '{{ map_item.b }}'}", [(5, "template 'map_item.b' is for a mapped task")]),
    ],
)
def test_what_is_wrong_with_a_map_is_told_where_it_stands(
    lines: str, expected: list[tuple[int, str]], tmp_path: Path
) -> None:
    text = f"dag_id: d\ntasks:\n  load: {{shell: x}}\n  t:\n    {lines}\n    handler: h\n"
    found = [(each.line, each.message) for each in load_dags(put(tmp_path, "d.yaml", text)).errors]
    assert [line for line, _ in found] == [line for line, _ in expected], found
    assert all(part in message for (_, message), (_, part) in zip(found, expected, strict=True)), found


def test_a_key_of_a_mapped_task_is_refused_where_it_stands(tmp_path: Path) -> None:
    text = (
        "dag_id: d\ntasks:\n  t: {handler: h, map: {a: [1]}}\n  u:\n    handler: h\n    with:\n"
        "      b: {output: t, key: k}\n"
    )
    (error,) = load_dags(put(tmp_path, "d.yaml", text)).errors
    assert error.line == 7 and "the task is mapped, so its output is a list" in error.message
