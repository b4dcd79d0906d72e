"""DAGs in YAML: what they run and bundle, where they are found, and every mistake with its line and path."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from glidepath import Dag, load_dags
from glidepath.authoring.convert import to_registration
from glidepath.authoring.yaml_dags import SCHEMA
from glidepath.authoring.yaml_text import read_documents
from glidepath.testing import run_dag

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "yaml"


def put(root: Path, name: str, content: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def only(path: Path) -> Dag:
    """The one DAG of a good file, whose document is valid by the schema too."""
    loaded = load_dags(path)
    assert not loaded.errors, loaded.errors
    (found,), (document,) = loaded.dags, read_documents(path.read_bytes())
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document.value)
    return found


def errors(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    loaded = load_dags(put(tmp_path, "d.yaml", text))
    assert not loaded.dags
    return [(each.line, each.message) for each in loaded.errors]


# ---- running and registering
def test_the_example_runs_in_process() -> None:
    sales = load_dags(EXAMPLES / "sales.yaml").dags[0]
    result = run_dag(sales, {"floor": 5}).check()
    assert result.outputs["totals.north"] == 19.75 and result.outputs["totals.south"] == 0
    assert set(result.states.values()) == {"success"}
    left_out = run_dag(sales, {"floor": 100})
    assert left_out.states["tell"] == "skipped" and left_out.states["clean"] == "success"


def test_numbers_in_the_environment_stand_as_they_were_written(tmp_path: Path) -> None:
    command = 'printf "%s" "[\\"$A $B $C $D\\"]"'
    text = f"dag_id: d\ntasks: {{t: {{shell: '{command}', output: json, env: {{A: 0644, B: 1.10, C: true, D: on}}}}}}\n"
    assert run_dag(only(put(tmp_path, "d.yaml", text))).outputs["t"] == ["0644 1.10 true on"]


def test_a_dag_without_python_needs_no_source(tmp_path: Path) -> None:
    found = only(put(tmp_path, "d.yml", "dag_id: d\ntasks: {t: {shell: x}, u: {handler: h}}\n"))
    assert to_registration(found).bundle is None and found.file == found.source_file == tmp_path / "d.yml"


def test_code_of_a_package_and_of_modules_beside_are_bundled_together(tmp_path: Path) -> None:
    code = "def f(): return {}\n"
    for name, value in (("one.py", 1), ("two.py", 2), ("pack/three.py", 3), ("bare/four.py", 4)):
        put(tmp_path, name, code.format(value))
    put(tmp_path, "pack/__init__.py", "")
    put(tmp_path, "pack/other.py", "")
    tasks = {f"t{n}": {"python": each} for n, each in enumerate(("pack.three:f", "one:f", "two:f", "bare.four:f"))}
    found = only(put(tmp_path, "d.yaml", json.dumps({"dag_id": "d", "tasks": tasks})))
    registration = to_registration(found)
    assert registration.bundle is not None and registration.bundle.root == tmp_path
    expected = ("bare/four.py", "one.py", "pack/__init__.py", "pack/other.py", "pack/three.py", "two.py")
    assert registration.bundle.files == expected
    handlers = [each.handler.name for each in registration.spec.tasks]
    assert handlers == ["python:pack.three:f", "python:one:f", "python:two:f", "python:bare.four:f"]
    assert run_dag(found).outputs == {"t0": 3, "t1": 1, "t2": 2, "t3": 4}


def test_a_yaml_file_in_a_package_names_modules_from_outside_it(tmp_path: Path) -> None:
    put(tmp_path, "pack/__init__.py", "")
    put(tmp_path, "pack/jobs.py", "def f(): return 1\n")
    file = put(tmp_path, "pack/d.yaml", "dag_id: d\ntasks: {t: {python: pack.jobs:f}}\n")
    assert to_registration(only(file)).spec.tasks[0].handler.name == "python:pack.jobs:f"
    file.write_text("dag_id: d\ntasks: {t: {python: jobs:f}}\n")
    assert "its package counts: expected 'pack.jobs'" in load_dags(file).errors[0].message


def test_a_package_whose_name_is_taken_is_not_mistaken_for_another(tmp_path: Path) -> None:
    put(tmp_path, "json/__init__.py", "def f(): return 1\n")
    found = errors(tmp_path, "dag_id: d\ntasks: {t: {python: json:f}}\n")
    assert "has taken its name; rename its package" in found[0][1]


def test_a_group_is_waited_for_by_its_last_tasks(tmp_path: Path) -> None:
    text = """\
dag_id: d
tasks:
  end: {shell: x, after: [g]}
  a: {group: g, shell: x}
  b: {group: g.h, shell: x, after: [g.a]}
  c: {group: g, shell: x, after: [g.h]}
"""
    upstream = {node.task_id: list(node.upstream) for node in only(put(tmp_path, "d.yaml", text)).nodes}
    assert upstream == {"end": ["g.c"], "g.a": [], "g.h.b": ["g.a"], "g.c": ["g.h.b"]}


# ---- files and folders
def test_a_folder_gives_the_dags_of_both_kinds_of_files(tmp_path: Path) -> None:
    put(tmp_path, "a.py", "from glidepath import dag, shell\n@dag\ndef one(): shell('t', 'x')\n")
    put(tmp_path, "b.yaml", "dag_id: two\ntasks: {t: {shell: x}}\n---\ndag_id: three\ntasks: {t: {shell: x}}\n")
    put(tmp_path, "sub/c.yml", "dag_id: four\ntasks: {t: {shell: x}}\n")
    put(tmp_path, "compose.yaml", "services: {db: &x {image: postgres}}\n")
    put(tmp_path, ".hidden/d.yaml", "dag_id: five\n")
    loaded = load_dags(tmp_path)
    assert not loaded.errors and [each.dag_id for each in loaded.dags] == ["one", "two", "three", "four"]


def test_one_dag_id_in_two_files_or_documents_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "a.py", "from glidepath import dag, shell\n@dag\ndef one(): shell('t', 'x')\n")
    document = "dag_id: {}\ntasks: {{t: {{shell: x}}}}\n"
    put(
        tmp_path, "b.yaml", document.format("one") + "---\n" + document.format("two") + "---\n" + document.format("two")
    )
    found = [str(each).removeprefix(f"{tmp_path}/") for each in load_dags(tmp_path).errors]
    assert found == [
        f"b.yaml:1: dag_id: dag_id 'one' is used in {tmp_path}/a.py already",
        f"b.yaml:7: dag_id: dag_id 'two' is used in {tmp_path}/b.yaml already",
    ]


def test_a_good_document_loads_beside_a_wrong_one(tmp_path: Path) -> None:
    loaded = load_dags(put(tmp_path, "d.yaml", "dag_id: one\ntasks: {t: {shell: x}}\n---\ndag_id: two\n---\na: [\n"))
    assert [each.dag_id for each in loaded.dags] == ["one"]
    first, second = loaded.errors
    assert first.line == 4 and "tasks is None" in first.message and "this is not YAML" in second.message


def test_loading_again_reads_the_code_anew(tmp_path: Path) -> None:
    file = put(tmp_path, "d.yaml", "dag_id: d\ntasks: {t: {python: jobs:f}}\n")
    for value in (1, 22):
        put(tmp_path, "jobs.py", f"def f(): return {value}\n")
        assert run_dag(only(file)).outputs["t"] == value
    assert "jobs" not in sys.modules and str(tmp_path) not in sys.path


def test_a_file_without_a_document_is_an_error(tmp_path: Path) -> None:
    assert errors(tmp_path, "# nothing\n") == [(0, "no document in this file")]


def test_yaml_is_imported_when_a_yaml_file_is_read_and_its_absence_is_told(tmp_path: Path) -> None:
    file = put(tmp_path, "d.yaml", "dag_id: d\ntasks: {t: {shell: x}}\n")
    script = (
        "import sys, glidepath, glidepath.authoring, glidepath.worker\n"
        "assert 'yaml' not in sys.modules\n"
        "sys.modules['yaml'] = None\n"
        f"print(*glidepath.load_dags({str(file)!r}).errors)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{file}: reading YAML needs PyYAML, which is not installed here: pip install pyyaml\n"


# ---- what is wrong
def test_all_mistakes_of_a_file_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    text = """\
dag_id: d
owenr: me
runs_active_max: many
defaults:
  timeout: soon
  retires: 2
params:
  day: string
  n: {type: int}
tasks:
  a: {shell: x, python: "jobs:f"}
  b:
    shell: x
    retries: 3.5
    retry_delay: [1m, x]
    timeot: 5m
  c:
    handler: h
    retries: 1
    retries: 2
    after: [bb, a]
  d:
    shell: x {{ outputs.c }} {{ params.zz }}
    env: {A: "{{ nope }}", B: [1]}
    timeout: 99999999999d
  e: {handler: h, version: 1.10}
  f: {handler: h, with: {x: {output: g}}}
  g: {handler: h, after: [f]}
  h: {handler: h, with: {a: {output: cc}, b: [{param: q}]}}
  i: {handler: h, with: {a: {output: c, ky: x}, b: {param: 5}}}
  j: {handler: h, with: {a: {b: {c: {param: day}}}}}
  k: just text
  l m: {shell: x}
"""
    found = errors(tmp_path, text)
    expected = [
        (2, "owenr: unknown key 'owenr'; did you mean 'owner'? known keys of a DAG: alerts, dag_id, deadline"),
        (3, "runs_active_max: DAG 'd': runs_active_max is 'many'; expected a whole number of at least 1"),
        (5, "defaults.timeout: DAG 'd': defaults: timeout is 'soon'; expected seconds, a timedelta, or text such as"),
        (6, "defaults.retires: DAG 'd': defaults: unknown option 'retires'; did you mean 'retries'?"),
        (8, "params.day: param 'day' is 'string'; expected a JSON Schema, such as {type: string}"),
        (9, "params.n.type: type is 'int'; did you mean 'integer'? known types: array"),
        (
            11,
            "tasks.a: the task has shell and python; expected exactly one of shell, python, handler, call and approval",
        ),
        (14, "tasks.b.retries: task 'b': retries is 3.5; expected a whole number of at least 0"),
        (15, "tasks.b.retry_delay: task 'b': retry_delay is 'x'; expected seconds"),
        (16, "tasks.b.timeot: unknown key 'timeot'; did you mean 'timeout'? known keys of a task: active_max"),
        (20, "tasks.c.retries: the key stands on line 19 already; expected it once"),
        (21, "tasks.c.after[0]: unknown task 'bb'; did you mean 'b'? known tasks: a, b, c"),
        (23, "tasks.d.shell: the DAG has no param 'zz'; params: day, n"),
        (24, "tasks.d.env.A: env.A: template: unknown name 'nope'"),
        (24, "tasks.d.env.B: B is [1]; expected text, a number, {param: name} or {output: task}"),
        (25, "tasks.d.timeout: task 'd': timeout is '99999999999d', which is too large"),
        (26, "tasks.e.version: version is 1.1; expected text, in quotes"),
        (27, "tasks.f: tasks wait for each other in a circle: f >> g >> f"),
        (29, "tasks.h.with.a.output: unknown task 'cc'; did you mean 'c'?"),
        (29, "tasks.h.with.b: the DAG has no param 'q'; params: day, n"),
        (30, "tasks.i.with.a.ky: a reference has output, key and xcom only; a mapping that is meant as it"),
        (30, "tasks.i.with.b.param: param is 5; expected the name of a param"),
        (31, "tasks.j.with.a: task 'j', argument 'a'['b']['c']: a task's output, a param or a template may stand"),
        (32, "tasks.k: the task is 'just text'; expected a mapping with shell, python, handler, call or approval"),
        (33, "tasks.l m: task id 'l m': expected 1-200 letters, digits"),
    ]
    assert [
        (line, message[: len(want)]) for (line, message), (_, want) in zip(found, expected, strict=True)
    ] == expected


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("- 1\n", 1, "the document is [1]; expected a mapping with dag_id and tasks"),
        ("tasks: {t: {shell: x}}\n", 1, "dag_id: a DAG has no dag_id"),
        ("dag_id: a b\ntasks: {t: {shell: x}}\n", 1, "dag_id: dag_id 'a b': expected 1-200 letters"),
        ("dag_id: 2026\ntasks: {t: {shell: x}}\n", 1, "dag_id: dag_id is 2026; expected text"),
        ("dag_id: d\nfail_fast: on\ntasks: {t: {shell: x}}\n", 2, "fail_fast is 'on'; expected True or False"),
        ("dag_id: d\nruns_in_order: 1\ntasks: {t: {shell: x}}\n", 2, "runs_in_order is 1; expected True or False"),
        ("dag_id: d\ntags: x\ntasks: {t: {shell: x}}\n", 2, "tags: tags is 'x'; expected a list of text"),
        ("dag_id: d\nrun_timeout: soon\ntasks: {t: {shell: x}}\n", 2, "run_timeout is 'soon'; expected seconds"),
        ("dag_id: d\ntasks: {}\n", 2, "tasks: tasks is {}; expected tasks by their ids, at least one"),
        ("dag_id: d\ntasks:\n- shell: x\n", 3, "tasks[0].task_id: task_id is None; expected text"),
        (
            "dag_id: d\ntasks:\n- {task_id: a, shell: x}\n- {task_id: a, shell: x}\n",
            4,
            "is given to the task on line 3",
        ),
        ("dag_id: d\ntasks:\n  t:\n    shell: x\n    task_id: u\n", 5, "the key 't' is the task's id"),
        ("dag_id: d\ntasks:\n  t:\n    retries: 1\n", 3, "tasks.t: the task has no body"),
        ("dag_id: d\ntasks:\n  t:\n    shell: x\n    with: {}\n", 5, "with stands beside shell; it belongs to python"),
        ("dag_id: d\ntasks:\n  t:\n    shell: x\n    output: xml\n", 5, "output is 'xml'; expected 'none' or 'json'"),
        ("dag_id: d\ntasks:\n  t:\n    shell: 5\n", 4, "tasks.t.shell: shell is 5; expected a command line as text"),
        ("dag_id: d\ntasks:\n  t:\n    shell: x\n    after: u\n", 5, "after is 'u'; expected a list of ids"),
        ("dag_id: d\ntasks:\n  t:\n    shell: x\n    after: [t]\n", 3, "in a circle: t >> t"),
        ("dag_id: d\ntasks:\n  t:\n    shell: x {{ outputs.t }}\n", 3, "in a circle: t >> t"),
        ("dag_id: d\ntasks:\n  t:\n    handler: h\n    with: {a: {output: t}}\n", 3, "in a circle: t >> t"),
        ("dag_id: d\ntasks:\n  t:\n    handler: h\n    with: {a.b: 1}\n", 4, "argument 'a.b' has a dot"),
        ("dag_id: d\ntasks:\n  t:\n    shell: x\n    group: 5\n", 5, "group is 5; expected the id of a group, as text"),
        (
            "dag_id: d\ntasks:\n  t:\n    shell: x\n    retry_delay: [1]\n    retry_backoff: 2\n",
            3,
            "takes no retry_backoff",
        ),
        ("dag_id: d\ntasks:\n  t:\n    python: steps\n", 4, "python is 'steps'; expected 'module:function'"),
        ("dag_id: d\ntasks:\n  t:\n    python: gone:f\n", 4, "tasks.t.python: python: no module 'gone' in "),
        (
            "dag_id: d\ntasks:\n  t:\n    python: jobs:ff\n",
            4,
            "has no function 'ff'; did you mean 'f'? known functions: f, g",
        ),
        ("dag_id: d\ntasks:\n  t:\n    python: jobs:system\n", 4, "outside"),
        ("dag_id: d\ntasks:\n  t:\n    python: jobs:f\n", 4, "missing a required argument: 'x'"),
        ("dag_id: d\ntasks:\n  t:\n    python: jobs:f\n    with: {x: 1, y: 2}\n", 4, "unexpected keyword argument 'y'"),
        ("dag_id: d\ntasks:\n  t:\n    python: broken:f\n", 4, "/broken.py:2: SyntaxError"),
        ("dag_id: d\ntasks:\n  t:\n    python: leaving:f\n", 4, "/leaving.py:1: SystemExit: 3"),
    ],
)
def test_a_mistake_names_its_line_and_path(text: str, line: int, message: str, tmp_path: Path) -> None:
    put(tmp_path, "jobs.py", "from shlex import quote as system\ndef f(x): pass\ndef g(*args): pass\n")
    put(tmp_path, "broken.py", "x = 1\ndef (:\n")
    put(tmp_path, "leaving.py", "raise SystemExit(3)\n")
    (found,) = errors(tmp_path, text)
    assert found[0] == line and message in found[1], found


def test_options_are_refused_in_the_words_of_python(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {"retries": -1, "timeout": "x", "priority": 101, "queue": "", "retry_jitter": 2}
    wrong |= {"role": "boss", "resources": {"cpu": "all"}, "retry_only_on": "x", "isolation": None, "losses_max": 0.5}
    put(tmp_path, "d.py", f"from glidepath import dag, task\n@task(**{wrong!r})\ndef t(): pass\n@dag\ndef d(): t()\n")
    told_in_python = [each.message for each in load_dags(tmp_path / "d.py").errors]
    told_in_yaml = errors(tmp_path, json.dumps({"dag_id": "d", "tasks": {"t": {"shell": "x", **wrong}}}))
    assert len(told_in_python) == len(wrong)
    assert [message.partition(": ")[2] for _, message in told_in_yaml] == told_in_python


JUNK: list[Any] = [None, True, -1, 10**300, 1.5, "", "x y", "{{", "{{ ds }}", "a:b", [], [[]], [None], {}, {"": 1}]
JUNK += [{"output": "fetch"}, {"output": 1, "x": 2}, {"param": None}, {"literal": [{"output": {}}]}, "e" * 300]


def spoil(value: Any, chance: random.Random) -> Any:
    """The value with junk somewhere in it."""
    inner = [*value] if isinstance(value, dict) else [*range(len(value))] if isinstance(value, list) else []
    if not inner or chance.random() < 0.1:
        return chance.choice(JUNK)
    copy, place = value.copy(), chance.choice(inner)
    if isinstance(copy, dict) and chance.random() < 0.2:
        copy[chance.choice(["", "with", "tasks", "output", "a.b", "task_id"])] = copy.pop(place)
    else:
        copy[place] = spoil(copy[place], chance)
    return copy


def test_whatever_stands_in_a_document_it_is_a_dag_or_has_mistakes(tmp_path: Path) -> None:
    put(tmp_path, "steps.py", (EXAMPLES / "steps.py").read_text())
    whole: list[Any] = [document.value for document in read_documents((EXAMPLES / "sales.yaml").read_bytes())]
    params = [each["params"] for each in whole]
    schema = Draft202012Validator(json.loads(SCHEMA.read_text()))
    for seed in range(300):
        chance = random.Random(seed)
        document = spoil(spoil(chance.choice(whole), chance), chance)
        text = json.dumps(document)
        loaded = load_dags(put(tmp_path, "d.yaml", text))
        assert loaded.dags or loaded.errors, text
        if loaded.dags and document.get("params") in params:  # what a param's schema says is the server's to check
            assert schema.is_valid(document), text
        assert all(each.message and each.line <= 1 for each in loaded.errors), text


def test_what_is_wrong_with_a_teardown_is_told_at_its_line(tmp_path: Path) -> None:
    text = """\
dag_id: d
run_retries: 2
run_retry_delay: 10m
tasks:
  a: {shell: x}
  b:
    shell: x
    role: teardown
  c:
    shell: x
    role: teardown
    after: [a]
    trigger_rule: all_done
"""
    assert errors(tmp_path, text) == [
        (8, "tasks.b.role: is 'teardown'; expected at least one upstream task, which it is to run after"),
        (13, "tasks.c.trigger_rule: is 'all_done'; expected none: a teardown runs when all before it has ended"),
    ]
