"""The params of a run, from the parameters of the DAG's function: hints become JSON Schema, defaults stay defaults."""

from __future__ import annotations

import enum
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from glidepath.errors import AuthoringError

_SIMPLE: dict[Any, dict[str, Any]] = {
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


def params_schema(function: Callable[..., Any], where: str) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the function's parameters; {} when it takes none.

    Understood: str, int, float, bool, None, date and datetime (as text), list, dict, Literal, Enum, unions, and
    Annotated with a text (the description) or a dict (schema keywords). A parameter without a default is required.
    """
    hints = _hints(function, where)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        field = f"{where}: param '{name}'"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise AuthoringError(f"{field}: params are given by name; {str(parameter)!r} cannot be")
        schema = _schema(hints.get(name, parameter.annotation), field)
        if parameter.default is parameter.empty:
            required.append(name)
        else:
            schema = {**schema, "default": _json_default(parameter.default, field)}
        properties[name] = schema
    if not properties:
        return {}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def default_params(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The params that have a default."""
    properties = schema.get("properties", {})
    return {name: each["default"] for name, each in properties.items() if isinstance(each, dict) and "default" in each}


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise AuthoringError(f"{where}: a type hint of its function cannot be read: {error}") from error


def _schema(hint: Any, field: str) -> dict[str, Any]:
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin is typing.Annotated:
        return _annotated(arguments, field)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(each, field) for each in arguments]}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [each.value for each in hint]}
    kind = origin or hint
    if kind in (list, Sequence, tuple, set):
        of_one_kind = len(arguments) == 1 or arguments[1:] == (...,)
        return {"type": "array", **({"items": _schema(arguments[0], field)} if of_one_kind else {})}
    if kind in (dict, Mapping):
        values = _schema(arguments[1], field) if len(arguments) == 2 else {}
        return {"type": "object", **({"additionalProperties": values} if values else {})}
    try:
        return dict(_SIMPLE[kind])
    except (KeyError, TypeError):
        raise AuthoringError(
            f"{field}: no JSON Schema for the hint {hint!r}; use str, int, float, bool, list, dict, date, Literal, "
            "Enum, or give @dag a params_schema"
        ) from None


def _annotated(arguments: tuple[Any, ...], field: str) -> dict[str, Any]:
    schema = _schema(arguments[0], field)
    for extra in arguments[1:]:
        if isinstance(extra, str):
            schema = {**schema, "description": extra}
        elif isinstance(extra, dict):
            schema = {**schema, **extra}
    return schema


def _json_default(value: Any, field: str) -> Any:
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, date):
        value = value.isoformat()
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AuthoringError(f"{field}: the default {value!r} is not a JSON value ({error})") from error
