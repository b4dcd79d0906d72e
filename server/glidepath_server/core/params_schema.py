"""Whether a text is a schema that params can be checked against, now and whenever a run is triggered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from .errors import Violation
from .json_text import from_json, to_json
from .schema_rules import ParamsValidator, compile_pattern, patterns_in

PARAMS_SCHEMA_BYTES_MAX = 256 * 1024
PARAMS_SCHEMA_DEPTH_MAX = 32
DEFAULTS_BROKEN_MAX = 20
_SCHEMA = "a JSON Schema (draft 2020-12) of type object"


def check_params_schema(text: str, at: str = "params_schema") -> list[Violation]:
    """What is wrong with a params schema; all of it only when the schema is one at all."""
    size = len(text.encode())
    if size > PARAMS_SCHEMA_BYTES_MAX:
        return [Violation(at, f"{size} bytes", f"at most {PARAMS_SCHEMA_BYTES_MAX} bytes")]
    try:
        schema = from_json(text)
    except ValueError as error:
        return [Violation(at, _cut(text), f"{_SCHEMA} ({error})")]
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        return [Violation(at, _cut(to_json(schema)), _SCHEMA)]
    if deeper_than(schema, PARAMS_SCHEMA_DEPTH_MAX):
        return [Violation(at, "a schema", f"values nested at most {PARAMS_SCHEMA_DEPTH_MAX} deep")]
    try:
        Draft202012Validator.check_schema(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    except SchemaError as error:
        path = "".join(f".{part}" for part in error.absolute_path)
        return [Violation(at + path, _cut(to_json(error.instance)), f"{_SCHEMA}: {_cut(error.message)}")]
    return list(_patterns(schema, at)) or _references(schema, at) or list(_defaults(schema, at))


def known_params(text: str) -> frozenset[str] | None:
    """Names that a schema has, none for a DAG without one; None when the schema lets in any name, or is no schema."""
    try:
        schema = from_json(text or "{}")
    except ValueError:
        return None
    if not isinstance(schema, dict) or "patternProperties" in schema:
        return None
    if schema.get("additionalProperties", False) is not False:
        return None
    properties = schema.get("properties", {})
    return frozenset(properties) if isinstance(properties, dict) else None


def _patterns(schema: dict[str, Any], at: str) -> Iterator[Violation]:
    """Expressions that take more than linear time, and rules that would ask them of every name."""
    for path, pattern in patterns_in(schema):
        try:
            compile_pattern(pattern)
        except ValueError as error:
            yield Violation(at + path, _cut(repr(pattern)), f"an expression of RE2, without look-around ({error})")
    if any(path.endswith(".patternProperties") for path, _ in patterns_in(schema)) and _has(
        schema, "unevaluatedProperties"
    ):
        yield Violation(at, "unevaluatedProperties beside patternProperties", "additionalProperties instead")


def _has(schema: Any, key: str) -> bool:
    if isinstance(schema, Mapping):
        return key in schema or any(_has(value, key) for value in schema.values())
    return isinstance(schema, list) and any(_has(value, key) for value in schema)


def _references(schema: dict[str, Any], at: str) -> list[Violation]:
    """References are followed inside the schema only: what stands elsewhere may change, or be gone."""
    resolver = Registry().with_resource("", DRAFT202012.create_resource(schema)).resolver()
    found = []
    for reference in sorted(set(_named_references(schema))):
        try:
            resolver.lookup(reference)
        except (Unresolvable, ValueError):
            found.append(Violation(at, f"$ref {reference[:120]!r}", "a $ref to a place in the same schema"))
    try:
        ParamsValidator(schema, registry=Registry()).is_valid({})
    except Unresolvable:
        pass
    except RecursionError:
        found.append(Violation(at, "a $ref that comes back to itself", "references that end"))
    return found


def _named_references(schema: Any) -> Iterator[str]:
    stack = [schema]
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            if isinstance(reference := value.get("$ref"), str):
                yield reference
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)


def _defaults(schema: dict[str, Any], at: str) -> Iterator[Violation]:
    """Defaults that break their own schema, also those of properties inside objects."""
    validator = ParamsValidator(schema, registry=Registry())
    stack: list[tuple[str, Any]] = [(at, schema)]
    while stack:
        path, part = stack.pop()
        if not isinstance(part, dict):
            continue
        if "default" in part:
            for error in validator.evolve(schema=part).iter_errors(part["default"]):
                yield Violation(
                    f"{path}.default",
                    _cut(to_json(part["default"])),
                    f"a default that its own schema admits: {_cut(error.message)}",
                )
                break
        properties = part.get("properties", {})
        stack.extend((f"{path}.properties.{name}", each) for name, each in reversed(properties.items()))


def deeper_than(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for each in layer
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not layer:
            return False
    return True


def _cut(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."
