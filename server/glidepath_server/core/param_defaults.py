"""Defaults of params that are computed from a run's dates when it is created, so that its stored params are final.

A default is text with dates in double braces: the closed list of names and formats that templates have for dates. They
are values of the run that the server has made itself; nothing of a caller's is evaluated. Rendering of templates in
general stays the worker's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from .errors import Violation
from .templates import TemplateSyntaxError, template_names
from .value_checks import check_text, shown
from .value_types import TEXT, Comparer

PARAM_DEFAULTS_MAX = 100
PARAM_DEFAULT_BYTES_MAX = 1024
_TAG = re.compile(r"(\{\{\{\{)|\{\{(.*?)\}\}", re.DOTALL)
_SHORTHANDS = ("ds", "ds_nodash", "ts", "ts_nodash")
_FORMATS: Mapping[str, Callable[[datetime], str]] = {
    "ds": lambda date: date.strftime("%Y-%m-%d"),
    "ds_nodash": lambda date: date.strftime("%Y%m%d"),
    "ts": lambda date: date.isoformat(),
    "ts_nodash": lambda date: date.strftime("%Y%m%dT%H%M%S"),
    "year": lambda date: date.strftime("%Y"),
    "month": lambda date: date.strftime("%m"),
    "day": lambda date: date.strftime("%d"),
    "hour": lambda date: date.strftime("%H"),
    "unix": lambda date: str(int(date.timestamp())),
}
_EXPECTED = (
    f"dates of the run only: {', '.join(_SHORTHANDS)}, or logical_date, data_interval_start, data_interval_end with "
    f"one of the formats {', '.join(_FORMATS)} behind a dot"
)
_DIGITS = re.compile(r"-?[0-9]{1,18}")


class RunDates(NamedTuple):
    """The dates of one run."""

    logical_date: datetime
    data_interval_start: datetime
    data_interval_end: datetime


def computed(defaults: Mapping[str, str], schema: Mapping[str, Any], dates: RunDates) -> dict[str, str | int]:
    """The values of the defaults in a run. One whose text cannot be the whole number that its schema wants stays text,
    which the schema then refuses by name."""
    properties = schema.get("properties", {})
    return {name: _typed(render(text, dates), properties.get(name)) for name, text in defaults.items()}


def render(text: str, dates: RunDates) -> str:
    """The text with the run's dates, in UTC. The text has passed `check_defaults`."""
    return _TAG.sub(lambda match: "{{" if match[1] else _date(match[2].strip(), dates), text)


def check_defaults(defaults: Mapping[str, str], schema_text: str, at: str = "param_defaults") -> Iterator[Violation]:
    """What is wrong with computed defaults of params that this schema (which is valid) describes."""
    if len(defaults) > PARAM_DEFAULTS_MAX:
        yield Violation(at, f"{len(defaults)} defaults", f"at most {PARAM_DEFAULTS_MAX}")
        return
    properties = json.loads(schema_text).get("properties", {}) if schema_text else {}
    for name, text in sorted(defaults.items()):
        place = f"{at}.{name[:80]}"
        if name not in properties:
            yield Violation(place, shown(name), "a property of params_schema")
            continue
        yield from check_text(place, text, PARAM_DEFAULT_BYTES_MAX)
        yield from _names(place, text)
        if isinstance(properties[name], dict) and "default" in properties[name]:
            yield Violation(place, shown(text), "no default in params_schema beside it; choose one of them")
        if not _wants_whole(properties[name]) and Comparer().misfit(TEXT, properties[name]):
            yield Violation(place, "text", "a param whose schema admits text, or is of type integer")


def _names(at: str, text: str) -> Iterator[Violation]:
    try:
        names = template_names(text)
    except TemplateSyntaxError as error:
        yield Violation(at, error.value, error.expected)
        return
    for name in dict.fromkeys(names):
        head, _, form = name.partition(".")
        if name not in _SHORTHANDS and (head not in RunDates._fields or (form and form not in _FORMATS)):
            yield Violation(at, shown(name), _EXPECTED)


def _date(name: str, dates: RunDates) -> str:
    head, _, form = (f"logical_date.{name}" if name in _SHORTHANDS else name).partition(".")
    date: datetime = getattr(dates, head)
    return _FORMATS[form or "ts"](date.astimezone(UTC))


def _typed(text: str, schema: Any) -> str | int:
    return int(text) if _wants_whole(schema) and _DIGITS.fullmatch(text) else text


def _wants_whole(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "integer"
