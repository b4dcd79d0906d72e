"""The types of a DAG's values: whether they are types at all, and whether what each edge brings can be what its end
takes. An edge is an output, one key of it, a param, a constant or a template that goes into an input."""

from __future__ import annotations

import functools
from collections.abc import Container, Iterator
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from .definition import JSON, Input, InputList, Literal, OutputRef, Param, Template, leaves
from .draft import DagDraft, TaskDraft, given_inputs, mapped_inputs, resolve_policy
from .errors import Violation
from .json_text import from_json, normalised_json
from .param_defaults import check_defaults
from .params_schema import check_params_schema, deeper_than
from .value_checks import check_id, check_name, shown
from .value_types import ANY, TEXT, Comparer, Schema, at_key, keys_of, list_of, words

SCHEMA_BYTES_MAX = 16 * 1024
SCHEMA_DEPTH_MAX = 32
SCHEMAS_MAX = 1_000
_EXPECTED = "a JSON Schema (draft 2020-12)"


def value_violations(draft: DagDraft) -> Iterator[Violation]:
    """What is wrong with types and computed defaults; edges are compared only when the types are right."""
    params_wrong = draft.params_schema and any(True for _ in check_params_schema(draft.params_schema))
    if draft.param_defaults and not params_wrong:
        yield from check_defaults(draft.param_defaults, draft.params_schema)
    yield from _xcoms(draft)
    wrong = False
    for task in draft.tasks:
        for violation in _schemas(task):
            wrong = True
            yield violation
    typed = any(task.input_schemas for task in draft.tasks)
    if typed and not wrong and not params_wrong:
        yield from _Edges(draft).all()


class _Edges:
    def __init__(self, draft: DagDraft) -> None:
        self.tasks = {task.task_id: task for task in draft.tasks}
        self.comparer = Comparer()
        params = from_json(draft.params_schema) if draft.params_schema else {}
        self.params: dict[str, Schema] = params.get("properties", {})

    def all(self) -> Iterator[Violation]:
        for task in self.tasks.values():
            for name, source in task.inputs.items():
                argument, dot, key = name.partition(".")
                if argument in task.input_schemas and source is not None:
                    takes = _parsed(task.input_schemas[argument])
                    at = f"tasks.{task.task_id}.inputs.{name[:80]}"
                    yield from self.entry(at, source, key, takes) if dot else self.edge(at, source, takes)
            for name, lists in mapped_inputs(task).items():
                if name in task.input_schemas:
                    takes = {"type": "array", "items": _parsed(task.input_schemas[name])}
                    yield from self.edge(f"tasks.{task.task_id}.map.inputs.{name[:80]}", lists, takes)

    def entry(self, at: str, source: Input, key: str, takes: Schema) -> Iterator[Violation]:
        """An entry of an argument that is a mapping."""
        inner = at_key(takes, key)
        if inner is None:
            yield Violation(at, f"the entry {shown(key)}", f"{words(takes)}, which has no such entry")
        else:
            yield from self.edge(at, source, inner)

    def edge(self, at: str, source: Input, takes: Schema) -> Iterator[Violation]:
        wrong = list(islice(self.keys(at, source), 1))
        if wrong:
            yield from wrong
            return
        gives = self.gives(source)
        if self.comparer.misfit(gives, takes):
            yield Violation(at, f"{words(gives)} from {_origin(source)}", words(takes))

    def keys(self, at: str, source: Input) -> Iterator[Violation]:
        """Keys that an output does not have."""
        match source:
            case OutputRef(task_id, key, "") if key and task_id in self.tasks:
                whole = self.output(task_id)
                if at_key(whole, key) is None:
                    names = keys_of(whole)
                    expected = f"one of the keys {', '.join(names)}" if names else "an output with keys"
                    yield Violation(at, f"key {shown(key)} of {task_id}, which gives {words(whole)}", expected)
            case InputList(items):
                for index, each in enumerate(items):
                    yield from self.keys(f"{at}.list[{index}]", each)
            case _:
                pass

    def gives(self, source: Input | None) -> Schema:
        """The type of what an edge brings."""
        match source:
            case OutputRef(task_id, key, ""):
                whole = self.output(task_id)
                return (at_key(whole, key) or ANY) if key else whole
            case Param(name):
                return self.params.get(name, ANY)
            case Template():
                return TEXT
            case Literal(data, content_type, uri) if content_type == JSON and not uri:
                return _constant(data)
            case InputList(items):
                return list_of([self.gives(each) for each in items])
            case _:
                return ANY

    def output(self, task_id: str) -> Schema:
        """The type of a task's output, which other violations may say is not there."""
        task = self.tasks.get(task_id)
        if task is None or not task.output_schema:
            return ANY if task is None or task.map is None else {"type": "array"}
        item = _parsed(task.output_schema)
        return item if task.map is None else {"type": "array", "items": item}


def _xcoms(draft: DagDraft) -> Iterator[Violation]:
    tasks = {task.task_id: task for task in draft.tasks}
    mapped = {task.task_id for task in draft.tasks if task.map is not None}
    for task in draft.tasks:
        at = f"tasks.{task.task_id}"
        for name, source in given_inputs(task).items():
            for leaf in leaves(source):
                if isinstance(leaf, OutputRef) and leaf.xcom_key:
                    yield from _xcom(f"{at}.inputs.{name[:80]}.output", leaf, mapped)
                    # A kept result has no XComs, and they are no part of the key by which it is found.
                    for each in sorted({task.task_id, leaf.task_id} & tasks.keys()):
                        if resolve_policy(tasks[each], draft).cache is None:
                            continue
                        place, value = f"{at}.inputs.{name[:80]}.output.xcom_key", shown(leaf.xcom_key)
                        yield Violation(place, value, f"an output, or no cache: results of {each} are kept")
        for name, source in mapped_inputs(task).items():
            if isinstance(source, OutputRef) and source.xcom_key:
                place = f"{at}.map.inputs.{name[:80]}.output.xcom_key"
                yield Violation(place, shown(source.xcom_key), "an output, a param or a constant to map over")


def _xcom(at: str, ref: OutputRef, mapped: Container[str]) -> Iterator[Violation]:
    yield from check_id(f"{at}.xcom_key", ref.xcom_key)
    if ref.key:
        yield Violation(f"{at}.key", shown(ref.key), "nothing beside xcom_key; choose one of them")
    if ref.task_id in mapped:
        yield Violation(f"{at}.xcom_key", shown(ref.xcom_key), f"a task that is not mapped; {ref.task_id} is")


def _origin(source: Input | None) -> str:
    match source:
        case OutputRef(task_id, key):
            return f"{task_id}[{shown(key)}]" if key else task_id
        case Param(name):
            return f"param {name}"
        case Template():
            return "a template"
        case InputList(items):
            return f"a list of {', '.join(dict.fromkeys(map(_origin, items)))}"[:200]
        case _:
            return "a constant"


def _constant(data: bytes) -> Schema:
    try:
        return {"const": from_json(normalised_json(data.decode()))}
    except ValueError:
        return ANY  # no JSON, which is a violation of its own


def _schemas(task: TaskDraft) -> Iterator[Violation]:
    at = f"tasks.{task.task_id}"
    if len(task.input_schemas) > SCHEMAS_MAX:
        yield Violation(f"{at}.input_schemas", f"{len(task.input_schemas)} schemas", f"at most {SCHEMAS_MAX}")
        return
    for name, text in sorted(task.input_schemas.items()):
        yield from check_name(f"{at}.input_schemas", name)
        if found := _wrong_schema(text):
            yield Violation(f"{at}.input_schemas.{name[:80]}", *found)
    if task.output_schema and (found := _wrong_schema(task.output_schema)):
        yield Violation(f"{at}.output_schema", *found)


@functools.lru_cache(maxsize=2_000)
def _wrong_schema(text: str) -> tuple[str, str] | None:
    """What stands there and what was expected; None for a schema."""
    size = len(text.encode())
    if size > SCHEMA_BYTES_MAX:
        return f"{size} bytes", f"at most {SCHEMA_BYTES_MAX} bytes"
    try:
        schema = from_json(text)
    except ValueError as error:
        return shown(text), f"{_EXPECTED} ({error})"
    if not isinstance(schema, dict):
        return shown(text), _EXPECTED
    if deeper_than(schema, SCHEMA_DEPTH_MAX):
        return "a schema", f"values nested at most {SCHEMA_DEPTH_MAX} deep"
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return shown(text), f"{_EXPECTED}: {error.message[:120]}"
    return None


@functools.lru_cache(maxsize=2_000)
def _parsed(text: str) -> Any:
    return from_json(text)
