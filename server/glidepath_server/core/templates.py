"""What a template names. Rendering is the worker's; here is only what registration must know to refuse a wrong one.

A template is text with dotted names in double braces; `{{{{` writes two braces. tests/conformance/templates.json holds
the golden cases of every language.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_TAG = re.compile(r"(\{\{\{\{)|\{\{(.*?)\}\}|(\{\{)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_DATE_FORMATS = frozenset({"ds", "ds_nodash", "ts", "ts_nodash", "year", "month", "day", "hour", "unix"})
_DATES = frozenset({"logical_date", "data_interval_start", "data_interval_end"})
_PLAIN = frozenset({"ds", "ds_nodash", "ts", "ts_nodash", "run_id", "run_key", "dag_id", "task_id", "attempt_number"})
# No id is longer, so of a longer name only the beginning is looked at.
ID_CHARACTERS_MAX = 200
KNOWN_NAMES = (
    "ds, ds_nodash, ts, ts_nodash, logical_date, data_interval_start, data_interval_end, params.NAME, "
    "outputs.TASK.KEY, map_item, run_id, run_key, dag_id, task_id, attempt_number"
)


class TemplateSyntaxError(ValueError):
    """A text that is no template: `value` is the wrong part of it, `expected` what should stand there."""

    def __init__(self, value: str, expected: str) -> None:
        super().__init__(f"got {value}, expected {expected}")
        self.value, self.expected = value, expected


def template_names(text: str) -> list[str]:
    """The dotted names in a template, in order. Raises TemplateSyntaxError."""
    return [_name(match) for match in _TAG.finditer(text) if not match[1]]


def _name(match: re.Match[str]) -> str:
    if match[3]:
        raise TemplateSyntaxError(f"'{{{{' at character {match.start()}", "'}}' after it, or '{{{{' for two braces")
    name = match[2].strip()
    if not _NAME.fullmatch(name):
        raise TemplateSyntaxError(repr(match[0][:80]), "a dotted name in the braces, no expression")
    return name


def unknown_name(name: str) -> str | None:
    """What was expected instead of a name that has no meaning whatever the DAG is; None for one that may have."""
    head, *rest = name.split(".")
    if head in _DATES and rest:
        return (
            None
            if rest[0] in _DATE_FORMATS and len(rest) == 1
            else (f"a date with one of the formats {', '.join(sorted(_DATE_FORMATS))}")
        )
    known = head in _DATES or head == "map_item" or (head in ("params", "outputs") and rest)
    return None if known or name in _PLAIN else f"one of {KNOWN_NAMES}"


def output_of(name: str, task_ids: Collection[str]) -> str | None:
    """The task whose output a name takes: ids hold dots too, so the longest that fits. None when no id fits."""
    head, _, rest = name.partition(".")
    if head != "outputs":
        return None
    end = len(rest) if len(rest) <= ID_CHARACTERS_MAX else rest.rfind(".", 0, ID_CHARACTERS_MAX + 1)
    while end > 0:
        if rest[:end] in task_ids:
            return rest[:end]
        end = rest.rfind(".", 0, end)
    return None
