"""Params of a run: parsed, completed with the schema's defaults, checked, and brought into one canonical text.

A DAG without a schema takes no params. A key that the schema does not know is refused, because a misspelt name that
silently runs with the default costs a night; a schema that wants free keys says `additionalProperties` itself.
"""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from jsonschema.exceptions import ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from .errors import Violation
from .param_defaults import RunDates, computed
from .schema_rules import ParamsValidator

PARAMS_BYTES_MAX = 64 * 1024
VALUE_SHOWN_MAX = 120
# More than this is noise; the rest shows up when these are mended.
VIOLATIONS_MAX = 20
_TYPE_WORDS = {
    "string": "a string",
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_BOUND_WORDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
    "multipleOf": "a multiple of",
    "const": "exactly",
}
_SIZE_WORDS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} keys",
    "maxProperties": "at most {} keys",
    "pattern": "a string that matches {}",
    "format": "a string in the format {}",
}


class InvalidParams(ValueError):
    """Params that a run cannot have; every violation at once, each with its path below the name that was given."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(map(str, violations)))
        self.violations = violations


class ParamsSchema:
    """The params schema of one DAG version, compiled once. Empty text: the DAG takes no params. `defaults` are those
    computed from a run's dates.

    The form of an approval is such a schema too; `what` names one of its values, `none` says that it takes none.
    """

    def __init__(
        self,
        schema_text: str,
        defaults: Mapping[str, str] | None = None,
        *,
        what: str = "a param of this DAG",
        none: str = "no params: this DAG takes none",
    ) -> None:
        self._what, self._none = what, none
        self._schema: dict[str, Any] = json.loads(schema_text) if schema_text else {}
        self._defaults = defaults or {}
        # An empty registry: a $ref to somewhere else is an error, never a download.
        self._validator = ParamsValidator(self._schema, registry=Registry()) if self._schema else None

    @property
    def dated(self) -> bool:
        """Whether equal texts give other params in runs of other dates."""
        return bool(self._defaults)

    def complete(self, text: str, at: str = "params", *, dates: RunDates | None = None) -> str:
        """Canonical JSON of `text` with defaults filled in, those of the run's `dates` too. Raises InvalidParams; `at`
        prefixes each path."""
        if self._validator is None and text in ("", "{}"):
            return "{}"
        params = _parse(text, at)
        if dates is not None:
            params = {**computed(self._defaults, self._schema, dates), **params}
        violations = list(self._unknown(params, at))
        if not violations and self._validator is not None:
            _fill_defaults(self._schema, params)
            violations = self._broken_rules(params, at)
        if violations:
            raise InvalidParams(violations)
        return canonical(params)

    def _broken_rules(self, params: Mapping[str, Any], at: str) -> list[Violation]:
        assert self._validator is not None
        try:
            return [_violation(error, at) for error in islice(self._validator.iter_errors(params), VIOLATIONS_MAX)]
        except Unresolvable as error:
            return [Violation(at, "a schema with a $ref that leads nowhere", f"every $ref inside the schema ({error})")]

    def _unknown(self, params: Mapping[str, Any], at: str) -> Iterator[Violation]:
        if self._schema.get("additionalProperties", False) is not False or "patternProperties" in self._schema:
            return
        known = list(self._schema.get("properties", {}))
        for name in params:
            if name not in known:
                yield Violation(f"{at}.{name}", shown(params[name]), self._known_names(name, known))

    def _known_names(self, name: str, known: list[str]) -> str:
        if not known:
            return self._none
        close = difflib.get_close_matches(name, known, n=1)
        if close:
            return f"{self._what}; did you mean {close[0]}?"
        return f"{self._what}: {', '.join(sorted(known)[:10])}"


def canonical(params: Mapping[str, Any]) -> str:
    """One text per value: sorted keys, no spaces, ASCII."""
    return _ENCODER.encode(params)


def shown(value: Any) -> str:
    """A value as JSON, cut to a length that a message can carry."""
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= VALUE_SHOWN_MAX else text[: VALUE_SHOWN_MAX - 3] + "..."


def _parse(text: str, at: str) -> dict[str, Any]:
    size = len(text.encode("utf-8", "replace"))
    if size > PARAMS_BYTES_MAX:
        raise InvalidParams([Violation(at, f"{size} bytes", f"at most {PARAMS_BYTES_MAX} bytes of JSON")])
    try:
        params = _DECODER.decode(text or "{}")
    except (ValueError, RecursionError) as error:
        raise InvalidParams([Violation(at, _cut(text), f"a JSON object ({error})")]) from None
    if not isinstance(params, dict):
        raise InvalidParams([Violation(at, shown(params), "a JSON object")])
    return params


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_SHOWN_MAX else text[: VALUE_SHOWN_MAX - 3] + "..."


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)} is given twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder(object_pairs_hook=_without_repeats, parse_constant=_no_constant)


def _fill_defaults(schema: Any, value: Any) -> None:
    """Put defaults of absent properties into `value`, also inside objects that are there."""
    if not isinstance(schema, dict) or not isinstance(value, dict):
        return
    for name, part in schema.get("properties", {}).items():
        if not isinstance(part, dict):
            continue
        if name not in value and "default" in part:
            value[name] = copy.deepcopy(part["default"])
        _fill_defaults(part, value.get(name))


def _violation(error: ValidationError, at: str) -> Violation:
    path = at + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    if error.validator == "required" and isinstance(error.instance, dict):
        # jsonschema reports each missing name by itself, and names it only inside the message.
        required: Any = error.validator_value
        missing = next(name for name in required if error.message.startswith(repr(name)))
        schema: Any = error.schema
        wanted = schema.get("properties", {}).get(missing, {})
        return Violation(f"{path}.{missing}", "nothing", f"{_type_words(wanted)} (required)")
    return Violation(path, shown(error.instance), _expected(error))


def _type_words(schema: Any) -> str:
    kinds = schema.get("type") if isinstance(schema, dict) else None
    if not kinds:
        return "a value"
    return " or ".join(_TYPE_WORDS.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _expected(error: ValidationError) -> str:
    rule = str(error.validator)
    value: Any = error.validator_value
    if rule == "type":
        return _type_words(error.schema)
    if rule == "enum":
        return "one of " + ", ".join(shown(item) for item in value)
    if rule in _BOUND_WORDS:
        return f"{_BOUND_WORDS[rule]} {shown(value)}"
    if rule in _SIZE_WORDS:
        return _SIZE_WORDS[rule].format(value)
    return error.message[:300]
