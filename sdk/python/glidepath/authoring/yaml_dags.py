"""DAGs written in YAML: each document of a file is one, made by the same calls as a DAG in Python.

dag_id: sales
params:
  day: {type: string}
tasks:
  fetch: {shell: "fetch.sh {{ params.day }}", output: json, retries: 3}
  report: {python: "steps:report", with: {rows: {output: fetch, key: rows}}}

dag.schema.json beside this module says all that may stand in a document. What is wrong is listed with its line and its
path, and reading goes on with what is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from glidepath.authoring.dags import Dag
from glidepath.authoring.options import check_policy
from glidepath.authoring.params import check_dated
from glidepath.authoring.suggestions import suggestion
from glidepath.authoring.yaml_code import Code, bundled
from glidepath.authoring.yaml_tasks import Tasks
from glidepath.authoring.yaml_text import Document, Mistake, read_documents
from glidepath.errors import InvalidDag

SCHEMA = Path(__file__).with_name("dag.schema.json")
"""The JSON Schema (draft 2020-12) of a document, for editors and checks."""

_TEXT, _TEXTS, _CHECKED_BY_DAG = "text", "a list of text", ""
_SETTINGS = {
    "dag_id": _TEXT,
    "description": _TEXT,
    "owner": _TEXT,
    "tags": _TEXTS,
    "include": _TEXTS,
    "run_timeout": _CHECKED_BY_DAG,
    "runs_active_max": _CHECKED_BY_DAG,
    "tasks_active_max": _CHECKED_BY_DAG,
    "run_tasks_active_max": _CHECKED_BY_DAG,
    "weight": _CHECKED_BY_DAG,
    "runs_in_order": _CHECKED_BY_DAG,
    "fail_fast": _CHECKED_BY_DAG,
    "run_retries": _CHECKED_BY_DAG,
    "run_retry_delay": _CHECKED_BY_DAG,
    "deadlines": _CHECKED_BY_DAG,
    "alerts": _CHECKED_BY_DAG,
    "schedule": _CHECKED_BY_DAG,
    "schedules": _CHECKED_BY_DAG,
}
KEYS = frozenset({*_SETTINGS, "params", "defaults", "tasks"})
"""All that may stand in a document."""

_PARAM = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


class YamlDag(Dag):
    """A DAG that stands in a YAML file, at `line`. Its tasks are there from the start.

    `source_file` is where its source bundle starts: a file of its Python tasks, or the YAML file without such tasks.
    """

    def __init__(
        self, file: Path, line: int, add_tasks: Callable[[], None], param_defaults: Mapping[str, str], **settings: Any
    ) -> None:
        super().__init__(lambda: add_tasks(), **settings)  # not itself: its docstring is no description of the DAG
        self.param_defaults = dict(param_defaults)
        self.line = line
        self._file = file
        functions = [node.function for node in self.nodes if node.function is not None]
        self._source_file, self.include = bundled(file, functions, self.include)

    @property
    def file(self) -> Path:
        return self._file

    @property
    def source_file(self) -> Path:
        return self._source_file


def read_dags(file: Path, import_file: Callable[[Path], ModuleType]) -> tuple[list[YamlDag], list[Mistake]]:
    """The valid DAGs of a YAML file, and everything that is wrong in it. `import_file` runs a module beside it.

    AuthoringError when PyYAML is not installed.
    """
    code = Code(file, import_file)
    dags: list[YamlDag] = []
    mistakes: list[Mistake] = []
    for document in read_documents(file.read_bytes()):
        read = len(document.mistakes)
        dag = _make(document, file, code) if document.whole else None
        found = [each for each in document.mistakes[read:] if each.line not in document.unread]
        mistakes += sorted([*document.mistakes[:read], *found], key=lambda each: each.line)
        if dag is not None and not document.mistakes:
            dags.append(dag)
    return dags, mistakes


def _make(document: Document, file: Path, code: Code) -> YamlDag | None:
    """The DAG of a document, None when it cannot be made; it is not valid when the document has mistakes."""
    content = document.value
    if not isinstance(content, Mapping):
        document.say((), f"the document is {content!r:.60}; expected a mapping with dag_id and tasks")
        return None
    for key in content:
        if key not in KEYS:
            document.say((key,), f"unknown key {key!r}; {suggestion(key, KEYS, 'keys of a DAG')}")
    settings = _settings(document, content)
    tasks = Tasks(document, content.get("tasks"), code)
    try:
        return YamlDag(file, document.lines[()], tasks.add_all, **settings)
    except InvalidDag as error:
        for violation in error.violations:
            tasks.note(violation)
        return None


def _settings(document: Document, content: Mapping[str, Any]) -> dict[str, Any]:
    """What `Dag` takes besides its tasks, without what is wrong."""
    dag_id = content.get("dag_id")
    if "dag_id" not in content:
        document.say(("dag_id",), "a DAG has no dag_id; expected its name, which is unique in its namespace")
    good: dict[str, Any] = {"dag_id": "unnamed"}
    for name, expected in _SETTINGS.items():
        if name not in content:
            continue
        value = content[name]
        if not _fits(value, expected):
            document.say((name,), f"{name} is {value!r:.60}; expected {expected}")
            continue
        with document.noting((name,)):
            Dag(lambda: None, **{"dag_id": good["dag_id"], name: value})
            good[name] = value
    if "schedule" in good and "schedules" in good:
        document.say(("schedule",), "schedule and schedules are both given; expected one of them")
        del good["schedule"]
    defaults = content.get("defaults", {})
    if not isinstance(defaults, Mapping):
        document.say(("defaults",), f"defaults is {defaults!r:.60}; expected options of tasks by their names")
        defaults = {}
    good["defaults"] = document.check_each(("defaults",), defaults, check_policy, f"DAG '{dag_id}': defaults")
    schemas, good["param_defaults"] = _dated(document, content.get("params", {}))
    good["params_schema"] = _params(document, schemas, good["param_defaults"]) or None
    return good


def _fits(value: object, expected: str) -> bool:
    if expected == _TEXTS:
        return isinstance(value, list) and all(_fits(each, _TEXT) for each in value)
    return expected != _TEXT or (isinstance(value, str) and value != "")


def _dated(document: Document, params: object) -> tuple[object, dict[str, str]]:
    """The params without their `dated`, and what these say."""
    if not isinstance(params, Mapping):
        return params, {}
    found: dict[str, str] = {}
    for name, schema in params.items():
        if isinstance(schema, Mapping) and "dated" in schema:
            with document.noting(("params", name, "dated")):
                check_dated(schema["dated"], f"param '{name}': dated is {schema['dated']!r:.60}")
                found[name] = schema["dated"]
    plain = {
        name: {key: each for key, each in schema.items() if key != "dated"} if isinstance(schema, Mapping) else schema
        for name, schema in params.items()
    }
    return plain, found


def _params(document: Document, params: object, dated: Mapping[str, str]) -> dict[str, Any]:
    """JSON Schema of the params, as hints of a function's parameters give it; {} when there are none."""
    if not isinstance(params, Mapping):
        document.say(("params",), f"params is {params!r:.60}; expected JSON Schemas by the names of params")
        return {}
    for name, schema in params.items():
        path = ("params", name)
        if not _PARAM.fullmatch(name):
            document.say(path, f"param {name!r}: expected letters, digits, '_', '-', starting with a letter or '_'")
        if not isinstance(schema, Mapping):
            document.say(path, f"param '{name}' is {schema!r:.60}; expected a JSON Schema, such as {{type: string}}")
            continue
        kinds = schema.get("type", [])
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            if kind not in _TYPES:
                document.say((*path, "type"), f"type is {kind!r:.60}; {suggestion(str(kind), _TYPES, 'types')}")
    if not params:
        return {}
    required = [
        name
        for name, each in params.items()
        if isinstance(each, Mapping) and "default" not in each and name not in dated
    ]
    schema = {"type": "object", "properties": dict(params), "additionalProperties": False}
    return {**schema, "required": required} if required else schema
