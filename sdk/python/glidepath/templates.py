"""Templates: text with dotted names in double braces, replaced by values. Names only, no expressions.

    render("train --day {{ ds }} --rate {{ params.rate }}", context)

The context is a mapping with the names of `NAMES` (those that have a value):

    logical_date, data_interval_start, data_interval_end    datetime with a zone
    params      {name: JSON value}            outputs         {task id: JSON value}
    map_item    JSON value                    attempt_number  int
    run_id, run_key, dag_id, task_id          str

`ds`, `ds_nodash` and `ts` are formats of the logical date; every date takes a format behind a dot
("data_interval_end.ds"). Strings are written as they are, everything else as compact JSON. `{{{{` writes two
opening braces. The same cases hold for every language: tests/conformance/templates.json.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeGuard

from glidepath.errors import TemplateError

_TAG = re.compile(r"(\{\{\{\{)|\{\{(.*?)\}\}|(\{\{)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")

DATE_FORMATS: Mapping[str, Callable[[datetime], str]] = {
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
"""What may stand behind a date's name. Always UTC; `ts` is ISO 8601 with "+00:00", microseconds when there are any."""

_SHORTHANDS = {name: f"logical_date.{name}" for name in ("ds", "ds_nodash", "ts", "ts_nodash")}
_DATES = ("logical_date", "data_interval_start", "data_interval_end")
_TREES = ("params", "outputs", "map_item")
_PLAIN = ("run_id", "run_key", "dag_id", "task_id", "attempt_number")
NAMES: tuple[str, ...] = (*_SHORTHANDS, *_DATES, "params.NAME", "outputs.TASK.KEY", "map_item", *_PLAIN)
"""All names a template may use, as error messages list them."""

# Characters that no shell gives a meaning to, wherever they stand.
_SHELL_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]*", re.ASCII)
_SHELL_QUOTING = re.compile(r"['\"`\\#]|<<")


def is_template(text: str) -> bool:
    """Whether `text` holds anything that `render` would replace."""
    return "{{" in text


def names(text: str) -> list[str]:
    """The dotted names that a template uses, in order. TemplateError when it is not well formed."""
    return [_name(match) for match in _TAG.finditer(text) if not match[1]]


def render(text: str, context: Mapping[str, object]) -> str:
    """Replace every name in `text`. TemplateError names what is unknown or has no value, and what is known."""
    return _replace(text, context, lambda value, name, before: value)


def render_command(text: str, context: Mapping[str, object]) -> str:
    """Like `render`, for a shell command: a value stays one word and is never run as code.

    Values are quoted when they need it. Behind a quote character quoting would be a guess, so there a value with
    characters that a shell may interpret is refused: TemplateError says to hand it over as an environment variable.
    """
    return _replace(text, context, _shell_word)


def check(text: str) -> None:
    """Refuse a template that cannot be rendered whatever the values. Used before a DAG is registered."""
    for name in names(text):
        head, *rest = _SHORTHANDS.get(name, name).split(".")
        if head in _DATES and rest and (len(rest) > 1 or rest[0] not in DATE_FORMATS):
            raise _unknown_format(name)
        known = head in _DATES or (head in _TREES and (rest or head == "map_item")) or (head in _PLAIN and not rest)
        if not known:
            raise _unknown(name)


def _replace(text: str, context: Mapping[str, object], place: Callable[[str, str, str], str]) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return "{{"
        name = _name(match)
        return place(_write(_look_up(name, context), name), name, text[: match.start()])

    return _TAG.sub(replace, text)


def _name(match: re.Match[str]) -> str:
    if match[3]:
        raise TemplateError(f"template: '{{{{' at character {match.start()} has no '}}}}'; write '{{{{{{{{' for braces")
    name: str = match[2].strip()
    if not _NAME.fullmatch(name):
        raise TemplateError(
            f"template: '{{{{{match[2]}}}}}' is not a dotted name. Templates take names only, no expressions; "
            f"known names: {', '.join(NAMES)}"
        )
    return name


def _look_up(name: str, context: Mapping[str, object]) -> object:
    head, *rest = _SHORTHANDS.get(name, name).split(".")
    if head not in (*_DATES, *_TREES, *_PLAIN) or (head in _PLAIN and rest):
        raise _unknown(name)
    value = context.get(head)
    if value is None and head != "map_item":
        raise TemplateError(f"template: '{name}' has no value in this run")
    if head in _DATES:
        return _format_date(value, name, rest)
    if head == "outputs":
        value, rest = _task_output(value, name, rest)
    elif head == "params" and not rest:
        raise _unknown(name)
    return _descend(value, name, rest)


def _format_date(value: object, name: str, rest: Sequence[str]) -> str:
    if not isinstance(value, datetime):
        raise TemplateError(f"template: '{name}' is {value!r}, expected a date with a time zone")
    form = DATE_FORMATS.get(".".join(rest) or "ts")
    if form is None:
        raise _unknown_format(name)
    return form(value.astimezone(UTC))


def _task_output(outputs: object, name: str, rest: list[str]) -> tuple[object, list[str]]:
    """Task ids hold dots themselves, so the longest id that fits wins."""
    assert isinstance(outputs, Mapping)
    for length in range(len(rest), 0, -1):
        task_id = ".".join(rest[:length])
        if task_id in outputs:
            return outputs[task_id], rest[length:]
    raise TemplateError(f"template: '{name}' names no upstream task with an output; {_choice('task', outputs)}")


def _descend(value: object, name: str, path: Sequence[str]) -> object:
    for key in path:
        if isinstance(value, Mapping):
            if key not in value:
                raise TemplateError(f"template: '{name}' has no key '{key}'; {_choice('key', value)}")
            value = value[key]
        elif _is_list(value) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise TemplateError(f"template: '{name}': cannot take '{key}' of {_write(value, name)[:80]}")
    return value


def _write(value: object, name: str) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TemplateError(f"template: '{name}' cannot be written as text: {error}") from error


def _plain(value: object) -> object:
    """Whole numbers without a fraction, as languages with one number type write them."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if _is_list(value):
        return [_plain(item) for item in value]
    return value


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _shell_word(value: str, name: str, before: str) -> str:
    if not _SHELL_QUOTING.search(before):
        return shlex.quote(value)
    if _SHELL_PLAIN.fullmatch(value):
        return value
    raise TemplateError(
        f"template: the value of '{name}' has characters that a shell may interpret, and stands behind a quote. "
        f'Hand it over as an environment variable: env={{"VALUE": "{{{{ {name} }}}}"}}, then "$VALUE" in the command'
    )


def _unknown(name: str) -> TemplateError:
    return TemplateError(f"template: unknown name '{name}'; known names: {', '.join(NAMES)}")


def _unknown_format(name: str) -> TemplateError:
    return TemplateError(f"template: '{name}' has no such date format; known formats: {', '.join(DATE_FORMATS)}")


def _choice(what: str, values: Mapping[str, object]) -> str:
    return f"known {what}s: {', '.join(sorted(values))}" if values else f"there is no {what}"
