"""From type hints to JSON Schema: of a DAG's params, and of the arguments and outputs of its tasks.

A hint of a task that says nothing JSON Schema could say makes no schema, and no check: a task may take and give what it
likes. `value_types` has the rules by which types of tasks are compared.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

SCHEMA_BYTES_MAX = 16 * 1024
"""Of one type; the server takes no larger one. What is larger counts as anything."""

Schema = dict[str, Any]
Otherwise = Callable[[Any], Schema]
"""The schema of a hint that is none of the plain ones."""

_SIMPLE: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    Any: {},
    object: {},
    inspect.Parameter.empty: {},
}
_OPEN = (typing.Required, typing.NotRequired, typing.Final, typing.ClassVar)


def schema_of(hint: Any, otherwise: Otherwise) -> Schema:
    """JSON Schema (draft 2020-12) of a hint: str, int, float, bool, None, date and datetime (as text), list, dict,
    Literal, Enum, unions, and Annotated with a text (the description) or a dict (schema keywords)."""
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin is typing.Annotated:
        return _annotated(arguments, otherwise)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [schema_of(each, otherwise) for each in arguments]}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [each.value for each in hint]}
    kind = origin or hint
    if kind in (list, Sequence, tuple, set):
        of_one_kind = len(arguments) == 1 or arguments[1:] == (...,)
        return {"type": "array", **({"items": schema_of(arguments[0], otherwise)} if of_one_kind else {})}
    if kind in (dict, Mapping):
        values = schema_of(arguments[1], otherwise) if len(arguments) == 2 else {}
        return {"type": "object", **({"additionalProperties": values} if values else {})}
    try:
        return dict(_SIMPLE[kind])
    except (KeyError, TypeError):
        return otherwise(hint)


@functools.lru_cache(maxsize=1_000)
def types_of(function: Callable[..., Any]) -> tuple[Mapping[str, Schema], Schema]:
    """Types of a task function's arguments by name, and of its output; what may be anything is left out, or {}."""
    given = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            given[name] = _type(_hint(function, name), closed=False)
    makes_values = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    output = {} if makes_values else _type(_hint(function, "return"), closed=True)
    return {name: schema for name, schema in given.items() if schema}, output


def _hint(function: Callable[..., Any], name: str) -> Any:
    """One hint of a function by itself: another one that cannot be read here, as of a library that only workers have,
    does no harm to it."""
    plain = inspect.unwrap(function)
    hints = getattr(plain, "__annotations__", {})
    if name not in hints:
        return Any
    alone = types.SimpleNamespace(__annotations__={name: hints[name]})
    try:
        return typing.get_type_hints(alone, getattr(plain, "__globals__", {}), include_extras=True)[name]
    except Exception:  # whatever evaluating a hint may raise
        return Any


def _type(hint: Any, *, closed: bool) -> Schema:
    try:
        schema = _Types(closed).schema(hint)
        return schema if len(json.dumps(schema, allow_nan=False)) <= SCHEMA_BYTES_MAX else {}
    except (TypeError, ValueError, RecursionError):
        return {}


class _Types:
    """Schemas of hints of tasks. `closed` types of objects have the keys that they name and no others: that is what is
    known of an output; what goes into an argument may have more."""

    def __init__(self, closed: bool) -> None:
        self._closed = closed
        self._within: list[Any] = []

    def schema(self, hint: Any) -> Schema:
        return schema_of(hint, self._otherwise)

    def _otherwise(self, hint: Any) -> Schema:
        artifact = getattr(hint, "artifact_schema", None)
        if artifact is not None:
            return dict(artifact())
        if hint in self._within or not isinstance(hint, type):
            return {}
        if typing.is_typeddict(hint):
            return self._object(hint, _typed_keys(hint))
        if dataclasses.is_dataclass(hint):
            return self._object(hint, {each.name: self._closed or _needed(each) for each in dataclasses.fields(hint)})
        return {}

    def _object(self, hint: Any, needed: Mapping[str, bool]) -> Schema:
        hints = typing.get_type_hints(hint, include_extras=True)
        self._within.append(hint)
        properties = {name: self.schema(_inner(hints[name])) for name in needed}
        self._within.pop()
        schema: Schema = {"type": "object", "properties": properties}
        if required := sorted(name for name, needs in needed.items() if needs):
            schema["required"] = required
        return {**schema, "additionalProperties": False} if self._closed else schema


def _typed_keys(hint: Any) -> dict[str, bool]:
    """The keys of a TypedDict, and whether each must be there."""
    keys = {}
    for name, each in typing.get_type_hints(hint, include_extras=True).items():
        origin = typing.get_origin(each)
        keys[name] = origin is not typing.NotRequired and (origin is typing.Required or name in hint.__required_keys__)
    return keys


def _needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _inner(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) in _OPEN else hint


def _annotated(arguments: tuple[Any, ...], otherwise: Otherwise) -> Schema:
    schema = schema_of(arguments[0], otherwise)
    for extra in arguments[1:]:
        if isinstance(extra, str):
            schema = {**schema, "description": extra}
        elif isinstance(extra, dict):
            schema = {**schema, **extra}
    return schema
