"""A DAG in YAML is the same version on the server as the same DAG in Python."""

from __future__ import annotations

import json
import random
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from glidepath import Dag, dag, external, group, load_dags, shell
from glidepath.authoring.convert import to_registration
from glidepath.authoring.options import Role, TriggerRule
from glidepath.authoring.yaml_dags import SCHEMA
from glidepath.authoring.yaml_text import read_documents
from glidepath_server.api.convert_registry import draft_in
from glidepath_server.core.canonical import canonical_json, content_hash
from glidepath_server.core.draft import resolve
from glidepath_server.core.validation import check_dag

PYTHON = '''\
from datetime import date
from typing import Annotated, Literal
from glidepath import dag, external, group, literal, shell, task

@task(retries=1, retry_only_on=["OSError"])
def load(day: str, rows: list[int] = []) -> dict:
    """Load the rows.

    More of it.
    """
    return {"rows": [1, 2], "day": day}

def add(rows, weights, title="", options=None):
    return sum(rows)

@dag(
    dag_id="sales", description="Adds up.", owner="team", tags=["b", "a"], include=["data"],
    defaults={"retries": 2, "depends_on_past": True, "retry_delay": ["1m", "5m"], "timeout": "1h30m", "queue": "bulk"},
    run_timeout="2d", runs_active_max=1, tasks_active_max=10, fail_fast=True, runs_in_order=True,
    alerts=[{"on": ["run_failed", "missed"], "channel": "ops"}, {"on": ["incident"], "channel": "pager"}],
)
def made(
    day: Annotated[date, "the day", {"examples": ["2026-01-01"]}],
    rate: float = 0.5, size: int = 3, kind: Literal["x", "y"] = "x", names: list[str] | None = None, flag: bool = True,
):
    choose = external("choose", "decide.Go", version="7", inputs={"kind": kind, "deep": {"a": [1, {"b": None}]}},
                      role="branch", isolation="inline")
    loaded = load(day=day, rows=[1, 2])
    with group("work"):
        first = shell("first", "run.sh {{ params.day }} {{ outputs.load.day }}",
                      env={"RATE": rate, "N": 5, "T": "{{ ds }}"}, output="json",
                      resources={"cpu": 2, "gpu": 0.5}, worker_selector={"zone": "eu"},
                      retry_delay="10s", retry_backoff=2, retry_delay_max="1h", retry_jitter=0.5, losses_max=4,
                      preemptions_max=20)
        with group("inner"):
            second = task(add).options(task_id="second", priority=-5, pool="p", pool_slots=2, memory_limit_mb=512)(
                rows=loaded["rows"], weights=[first["w"], rate, 1, "{{ ds }}"], title="of {{ run_id }}",
                options={"size": size, "other": first},
            )
    choose >> [first, second]
    end = shell("end", "true", trigger_rule="none_failed_min_one_success", cancel_grace=5, lease_mode="exclusive")
    second >> end
    up = external("up", "cluster.Up", role="setup", inputs={"text": literal("{{ kept }}")}, description="Makes it.")
    down = external("down", "cluster.Down", inputs={"id": up}, role="teardown", wait_timeout="1d")
    up >> loaded >> down
    end >> down
'''

YAML = """\
dag_id: sales
description: Adds up.
owner: team
tags: [b, a]
include: [data]
defaults: {retries: 2, depends_on_past: true, retry_delay: [1m, 5m], timeout: 1h30m, queue: bulk}
run_timeout: 2d
runs_active_max: 1
runs_in_order: true
tasks_active_max: 10
fail_fast: true
alerts:
  - {on: [run_failed, missed], channel: ops}
  - {on: [incident], channel: pager}
params:
  day: {type: string, format: date, description: the day, examples: [2026-01-01]}
  rate: {type: number, default: 0.5}
  size: {type: integer, default: 3}
  kind: {enum: [x, y], default: x}
  names:
    anyOf:
      - {type: array, items: {type: string}}
      - type: "null"
    default: null
  flag: {type: boolean, default: true}
tasks:
  choose:
    handler: decide.Go
    version: "7"
    with: {kind: {param: kind}, deep: {a: [1, {b: ~}]}}
    role: branch
    isolation: inline
  load: {python: "jobs:load", with: {day: {param: day}, rows: [1, 2]}, after: [up]}
  second:
    group: work.inner
    python: jobs:add
    with:
      rows: {output: load, key: rows}
      weights: [{output: work.first, key: w}, {param: rate}, 1, "{{ ds }}"]
      title: of {{ run_id }}
      options: {size: {param: size}, other: {output: work.first}}
    after: [choose]
    priority: -5
    pool: p
    pool_slots: 2
    memory_limit_mb: 512
  first:
    group: work
    shell: run.sh {{ params.day }} {{ outputs.load.day }}
    env: {RATE: {param: rate}, N: 5, T: "{{ ds }}"}
    output: json
    resources: {cpu: 2, gpu: 0.5}
    worker_selector: {zone: eu}
    retry_delay: 10s
    retry_backoff: 2
    retry_delay_max: 1h
    retry_jitter: 0.5
    losses_max: 4
    preemptions_max: 20
    after: [choose]
  end: {shell: "true", trigger_rule: none_failed_min_one_success, cancel_grace: 5, lease_mode: exclusive, after: [work]}
  up: {handler: cluster.Up, role: setup, with: {text: {literal: "{{ kept }}"}}, description: Makes it.}
  down: {handler: cluster.Down, with: {id: {output: up}}, role: teardown, wait_timeout: 1d, after: [load, end]}
"""


def put(root: Path, name: str, content: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def only(path: Path) -> Dag:
    loaded = load_dags(path)
    assert not loaded.errors, loaded.errors
    (found,) = loaded.dags
    for document in read_documents(path.read_bytes()) if path.suffix == ".yaml" else []:
        Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document.value)
    return found


def hash_on_server(made: Dag) -> str:
    draft = draft_in(to_registration(made).spec)
    checked = check_dag(draft)
    assert not checked.violations, checked.violations
    return content_hash(canonical_json(resolve(draft, checked.order)))


def test_a_dag_in_yaml_is_the_same_version_as_in_python(tmp_path: Path) -> None:
    put(tmp_path, "data/weights.csv", "1,2\n")
    python, yaml = only(put(tmp_path, "jobs.py", PYTHON)), only(put(tmp_path, "sales.yaml", YAML))
    first, second = to_registration(python), to_registration(yaml)
    assert first.bundle is not None and second.bundle is not None
    assert first.bundle.files == second.bundle.files == ("data/weights.csv", "jobs.py")
    assert json.loads(first.spec.params_schema) == json.loads(second.spec.params_schema)
    assert hash_on_server(yaml) == hash_on_server(python)


def test_tasks_keep_the_order_of_the_document_whatever_they_wait_for(tmp_path: Path) -> None:
    put(tmp_path, "jobs.py", PYTHON)
    put(tmp_path, "data/weights.csv", "")
    order = ["choose", "load", "work.inner.second", "work.first", "end", "up", "down"]
    assert [node.task_id for node in only(put(tmp_path, "sales.yaml", YAML)).nodes] == order


def test_a_comment_makes_no_new_version_and_another_option_does(tmp_path: Path) -> None:
    put(tmp_path, "jobs.py", PYTHON)
    put(tmp_path, "data/weights.csv", "")
    file = put(tmp_path, "sales.yaml", YAML)
    before = hash_on_server(only(file))
    file.write_text("# more words\n" + YAML)
    assert hash_on_server(only(file)) == before
    file.write_text(YAML.replace("losses_max: 4", "losses_max: 5"))
    assert hash_on_server(only(file)) != before


def draw(chance: random.Random) -> list[dict[str, Any]]:
    """Tasks that wait for earlier ones and take their outputs."""
    tasks: list[dict[str, Any]] = []
    for number in range(chance.randint(1, 8)):
        earlier = [each["task_id"] for each in tasks]
        options = {name: chance.choice(values) for name, values in OPTIONS.items() if chance.random() < 0.15}
        after = chance.sample(earlier, min(len(earlier), chance.randint(0, 2)))
        if not after:
            options = {name: value for name, value in options.items() if name != "trigger_rule"}
        name, inside = f"t{number}", chance.choice(["", "", "g", "g.h"])
        task = {"name": name, "group": inside, "task_id": f"{inside}.{name}" if inside else name, "after": after}
        source = chance.choice(earlier) if earlier else None
        shell = chance.random() < 0.5
        tasks.append({**task, "source": source, "shell": shell, "options": options, "x": chance.choice(CONSTANTS)})
    return tasks


def values_of(task: dict[str, Any], source: Any, rate: Any) -> dict[str, Any]:
    if task["shell"]:
        return {"A": source, "R": rate}
    return {"a": source, "b": [rate, source, 1], "c": task["x"], "d": {"x": source, "y": "{{ ds }}"}}


def in_python(tasks: list[dict[str, Any]]) -> Dag:
    @dag(dag_id="drawn", tags=["x"])
    def drawn(rate: float = 0.5) -> None:
        handles: dict[str, Any] = {}
        for each in tasks:
            values = values_of(each, handles[each["source"]]["k"] if each["source"] else "none", rate)
            with group(each["group"]) if each["group"] else nullcontext():
                if each["shell"]:
                    handle = shell(each["name"], "x {{ ds }}", env=values, **each["options"])
                else:
                    handle = external(each["name"], "h", inputs=values, **each["options"])
            [handles[other] for other in each["after"]] >> handle
            handles[each["task_id"]] = handle

    return drawn


def in_yaml(tasks: list[dict[str, Any]]) -> str:
    entries = []
    for each in tasks:
        source = {"output": each["source"], "key": "k"} if each["source"] else "none"
        values = values_of(each, source, {"param": "rate"})
        body = {"shell": "x {{ ds }}", "env": values} if each["shell"] else {"handler": "h", "with": values}
        inside = {"group": each["group"]} if each["group"] else {}
        entries.append({"task_id": each["name"], **inside, **body, "after": each["after"], **each["options"]})
    params = {"rate": {"type": "number", "default": 0.5}}
    return json.dumps({"dag_id": "drawn", "tags": ["x"], "params": params, "tasks": entries})


CONSTANTS: list[Any] = [1, 1.5, None, True, "on", "2026-01-01", "0644", "", {"k": [1, {"z": "é"}]}, [], {}]
OPTIONS: dict[str, list[Any]] = {
    "retries": [0, 3],
    "retry_delay": ["5m", 60, 1.5],
    "timeout": ["90s", "1h30m", 10],
    "priority": [-100, 7],
    "queue": ["q"],
    "resources": [{"cpu": 1}, {"gpu": 0.5, "cpu": 2}],
    "worker_selector": [{"zone": "on"}],
    "trigger_rule": [*get_args(TriggerRule)],
    "role": [each for each in get_args(Role) if each != "teardown"],
    "retry_never_on": [["timeout", "ValueError"]],
    "description": ["no: yes # all of it"],
}


@pytest.mark.parametrize("first", range(0, 100, 50))
def test_drawn_dags_are_the_same_version_in_both(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 50):
        chance = random.Random(seed)
        tasks = draw(chance)
        expected = hash_on_server(in_python(tasks))
        chance.shuffle(tasks)
        assert hash_on_server(only(put(tmp_path, "drawn.yaml", in_yaml(tasks)))) == expected, seed
