"""The rules of JSON Schema as params are checked: those of draft 2020-12, with patterns that take linear time.

Python's own expressions go back and try again: `(a+)+$` on 25 letters takes seconds, in which a server does nothing
else. RE2 never goes back, and so has no look-around and no back references; a schema that needs them is refused when it
is registered. https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import re2
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

# Where a key is data and no rule.
_DATA = frozenset({"const", "default", "enum", "examples"})
PATTERN_BYTES_MAX = 1 << 20
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = PATTERN_BYTES_MAX


@functools.lru_cache(maxsize=2000)
def compile_pattern(pattern: str) -> Any:
    """The expression; ValueError says what RE2 does not take."""
    try:
        return re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else "not an expression"
        raise ValueError(reason.decode() if isinstance(reason, bytes) else str(reason)) from None


def patterns_in(schema: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, expression) of every pattern that stands as a rule in a schema."""
    if isinstance(schema, Mapping):
        if isinstance(schema.get("pattern"), str):
            yield f"{path}.pattern", schema["pattern"]
        by_pattern = schema.get("patternProperties")
        for pattern in by_pattern if isinstance(by_pattern, Mapping) else ():
            yield f"{path}.patternProperties", pattern
        for key, value in schema.items():
            if key not in _DATA:
                yield from patterns_in(value, f"{path}.{key}")
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from patterns_in(value, f"{path}[{number}]")


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not compile_pattern(pattern).search(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, rules: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, rule in rules.items():
        for name, value in instance.items():
            if compile_pattern(pattern).search(name):
                yield from validator.descend(value, rule, path=name, schema_path=pattern)


def _additional_properties(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in instance.items():
        if name in known or any(compile_pattern(each).search(name) for each in patterns):
            continue
        if rule is False:
            yield ValidationError(f"Additional properties are not allowed ({name!r} was unexpected)")
        else:
            yield from validator.descend(value, rule, path=name)


ParamsValidator: Any = extend(
    Draft202012Validator,
    {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    },
)
