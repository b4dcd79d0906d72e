"""Whether a value of one type can be one of another: what is asked of each edge of a DAG before it is registered.

Types are JSON Schemas of which `type`, `enum`, `const`, `anyOf`, `items`, `properties`, `required` and
`additionalProperties` are understood. The rules are wide: a type that says anything else, or nothing, may be anything;
an integer is a number; of several alternatives one that fits is enough. But null is let in only where the target names
it, and what a list, a mapping or a key holds must fit by itself.

The server and the SDK each have this module, word for word: the one decides, the other says so without a server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Any
COMPARISONS_MAX = 1_000_000
"""For all edges of a DAG together. What is beyond counts as fitting, so that a check takes seconds and not hours."""
ANY: Mapping[str, Any] = {}
NULL: Mapping[str, Any] = {"type": "null"}
TEXT: Mapping[str, Any] = {"type": "string"}
ARTIFACT = "glidepath.artifact"
"""The key that says of an object that it is an artifact, and of which type."""
_UNDERSTOOD = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
# Keywords that combine schemas in ways that are not looked into.
_UNKNOWN = ("$ref", "$dynamicRef", "allOf", "oneOf", "not", "if")
_WORDS = {
    "null": "null",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "array": "a list",
    "object": "an object",
}
_MANY = {"boolean": "booleans", "integer": "integers", "number": "numbers", "string": "strings"}
_SHOWN_MAX = 4


class Comparer:
    """Compares types, `left` pairs of them at most."""

    def __init__(self, left: int = COMPARISONS_MAX) -> None:
        self.left = left

    def misfit(self, source: Schema, target: Schema) -> bool:
        """Whether a value of the source cannot be one of the target."""
        gives, takes = _alternatives(source), _alternatives(target)
        if ANY in gives or ANY in takes:
            return False
        nullable = any(_kind(each) == "null" for each in takes)
        if not nullable and any(_kind(each) == "null" for each in gives):
            return True
        values = [each for each in gives if _kind(each) != "null"]
        return bool(values) and not any(self._meets(one, other) for one in values for other in takes)

    def _meets(self, source: Schema, target: Schema) -> bool:
        self.left -= 1
        if self.left < 0:
            return True
        if "const" in source and "const" in target:
            return _same(source["const"], target["const"])
        if "const" in target:
            return _kind(source) in (_kind(target), "number" if _kind(target) == "integer" else "")
        kinds = (_kind(source), _kind(target))
        if kinds == ("array", "array"):
            return not any(self.misfit(each, target.get("items", ANY)) for each in _items(source))
        if kinds == ("object", "object"):
            return self._objects_meet(_opened(source), target)
        return kinds[0] == kinds[1] or kinds == ("integer", "number")

    def _objects_meet(self, source: Schema, target: Schema) -> bool:
        has, others = source.get("properties", {}), source.get("additionalProperties", ANY)
        wanted, rest = target.get("properties", {}), target.get("additionalProperties", ANY)
        sure = set(source.get("required", ()))
        for name, schema in has.items():
            takes = wanted.get(name, rest)
            if takes is False and name not in sure:
                continue
            if self.misfit(schema, takes):
                return False
        for name in target.get("required", ()):
            if name not in has and (others is False or self.misfit(others, wanted.get(name, rest))):
                return False
        return others is False or rest is False or not self.misfit(others, rest)


def at_key(schema: Schema, key: str) -> Schema | None:
    """The type of one key of an output; None when no such output has it."""
    found: list[Schema] = []
    for each in _alternatives(schema):
        match _kind(each):
            case "":
                return ANY
            case "null":
                found.append(NULL)  # a task without an output gives none for each key of it
            case "object":
                held = _opened(each)
                value = held.get("properties", {}).get(key, held.get("additionalProperties", ANY))
                if value is not False:
                    found.append(value)
            case _:
                pass
    if all(each is NULL for each in found):
        return None
    return found[0] if len(found) == 1 else {"anyOf": found}


def keys_of(schema: Schema) -> list[str]:
    """The keys that a type names."""
    return sorted({name for each in _alternatives(schema) for name in _opened(each).get("properties", {})})


def list_of(schemas: list[Schema]) -> Schema:
    """The type of a list whose items have these types, in order."""
    return {"type": "array", "prefixItems": schemas, "items": False}


def words(schema: Schema) -> str:
    """A type as a person says it."""
    said = list(dict.fromkeys(map(_word, _alternatives(schema))))
    more = f" or {len(said) - _SHOWN_MAX} more" if len(said) > _SHOWN_MAX else ""
    return " or ".join(said[:_SHOWN_MAX]) + more if said else "nothing"


def _word(schema: Schema) -> str:
    if "const" in schema:
        text = json.dumps(schema["const"], ensure_ascii=True)
        return text if len(text) <= 60 else text[:57] + "..."
    kind = _kind(schema)
    if kind == "array" and (many := _many(_items(schema))):
        return f"a list of {many}"
    if kind == "object":
        names = sorted(schema.get("properties", {}))
        if names == [ARTIFACT]:
            return f"an artifact ({schema['properties'][ARTIFACT].get('const', 'of any type')})"
        if names:
            return f"an object with {', '.join(names[:_SHOWN_MAX])}{', ...' if len(names) > _SHOWN_MAX else ''}"
        if many := _many([schema.get("additionalProperties", ANY)]):
            return f"an object of {many}"
    return _WORDS.get(kind, "a value")


def _many(schemas: list[Schema]) -> str:
    """What is held, where all of it has plain types."""
    kinds = dict.fromkeys(_kind(each) for schema in schemas for each in _alternatives(schema))
    return " and ".join(map(_MANY.__getitem__, kinds)) if kinds.keys() <= _MANY.keys() else ""


def _alternatives(schema: Schema) -> list[Schema]:
    """The types that a type stands for: each has one `type`, or is a constant, or is ANY."""
    if schema is False:
        return []
    if not isinstance(schema, Mapping) or any(each in schema for each in _UNKNOWN):
        return [ANY]
    if "const" in schema:
        return [{"const": schema["const"]}]
    if isinstance(schema.get("enum"), list):
        return [{"const": each} for each in schema["enum"]]
    if isinstance(schema.get("anyOf"), list):
        if "type" in schema or "properties" in schema:
            return [ANY]
        return [each for inner in schema["anyOf"] for each in _alternatives(inner)]
    return list(_by_kind(schema))


def _by_kind(schema: Schema) -> Iterator[Schema]:
    kinds = schema.get("type")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if not isinstance(kind, str) or kind not in _UNDERSTOOD:
            yield ANY
        else:
            yield schema if kinds == kind else {**schema, "type": kind}


def _kind(schema: Schema) -> str:
    """The name of an alternative's type; "" for ANY."""
    if "const" not in schema:
        return str(schema.get("type", ""))
    value = schema["const"]
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if value == int(value) else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _items(schema: Schema) -> list[Schema]:
    """The types of what a list holds."""
    if "const" in schema:
        return [{"const": each} for each in schema["const"]]
    if schema.get("items") is False:
        return list(schema.get("prefixItems", ()))
    return [*schema.get("prefixItems", ()), schema.get("items", ANY)]


def _opened(schema: Schema) -> Schema:
    """A constant object as the type that it alone has."""
    value = schema.get("const") if isinstance(schema, Mapping) else None
    if not isinstance(value, Mapping):
        return schema
    properties = {name: {"const": each} for name, each in value.items()}
    return {"type": "object", "properties": properties, "required": list(value), "additionalProperties": False}


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is no 1."""
    return bool(one == other) and json.dumps(_plain(one), sort_keys=True) == json.dumps(_plain(other), sort_keys=True)


def _plain(value: Any) -> Any:
    """Numbers in one form, so that 1 and 1.0 are the same."""
    if isinstance(value, float) and value == int(value):
        return int(value)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
