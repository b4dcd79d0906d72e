"""The params of a run, from the parameters of the DAG's function: hints become JSON Schema, defaults stay defaults."""

from __future__ import annotations

import enum
import inspect
import json
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from glidepath import templates
from glidepath.authoring.hints import schema_of
from glidepath.errors import AuthoringError, TemplateError

_DATES = ("logical_date", "data_interval_start", "data_interval_end")
_SHORTHANDS = ("ds", "ds_nodash", "ts", "ts_nodash")


class Dated:
    """The default of a param that is computed from a run's dates; made by `dated`."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"dated({self.text!r})"


def dated(text: str) -> Any:
    """A default of a param that the server computes when it creates a run: `def sales(day: str = dated("{{ ds }}"))`.

    The text names dates of the run only, as templates do: "{{ ds }}", "{{ data_interval_end.ds_nodash }}". For a param
    that is an int, the number that it spells: `hour: int = dated("{{ logical_date.hour }}")`.
    """
    check_dated(text, f"dated({text!r})")
    return Dated(text)


def check_dated(text: object, where: str) -> None:
    """Refuse what is no text with dates of a run."""
    if not isinstance(text, str):
        raise AuthoringError(f"{where}: expected text with dates of the run, such as '{{{{ ds }}}}'")
    try:
        templates.check(text)
        names = templates.names(text)
    except TemplateError as error:
        raise AuthoringError(f"{where}: {error}") from error
    for name in names:
        if name.partition(".")[0] not in (*_DATES, *_SHORTHANDS):
            raise AuthoringError(
                f"{where}: '{name}' is no date of the run; expected {', '.join((*_SHORTHANDS, *_DATES))}"
            )


def param_defaults(function: Callable[..., Any]) -> dict[str, str]:
    """The text of each default that is computed from a run's dates."""
    parameters = inspect.signature(function).parameters
    return {name: each.default.text for name, each in parameters.items() if isinstance(each.default, Dated)}


def dated_params(
    defaults: Mapping[str, str], schema: Mapping[str, Any], dates: Mapping[str, datetime]
) -> dict[str, Any]:
    """The values of such defaults in a run of these dates, as the server has them."""
    values: dict[str, Any] = {}
    for name, text in defaults.items():
        value = templates.render(text, dates)
        whole = schema.get("properties", {}).get(name, {}).get("type") == "integer"
        values[name] = int(value) if whole and value.lstrip("-").isdecimal() else value
    return values


def params_schema(function: Callable[..., Any], where: str) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the function's parameters; {} when it takes none.

    Understood: what `hints.schema_of` is. A parameter without a default is required.
    """
    hints = _hints(function, where)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        field = f"{where}: param '{name}'"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise AuthoringError(f"{field}: params are given by name; {str(parameter)!r} cannot be")
        schema = schema_of(hints.get(name, parameter.annotation), _refuse(field))
        if parameter.default is parameter.empty:
            required.append(name)
        elif not isinstance(parameter.default, Dated):
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


def _refuse(field: str) -> Callable[[Any], dict[str, Any]]:
    def refuse(hint: Any) -> dict[str, Any]:
        raise AuthoringError(
            f"{field}: no JSON Schema for the hint {hint!r}; use str, int, float, bool, list, dict, date, Literal, "
            "Enum, or give @dag a params_schema"
        )

    return refuse


def _json_default(value: Any, field: str) -> Any:
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, date):
        value = value.isoformat()
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AuthoringError(f"{field}: the default {value!r} is not a JSON value ({error})") from error
