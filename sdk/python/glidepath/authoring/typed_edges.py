"""Whether what each edge of a DAG brings can be what its end takes, said without a server, by the server's rules."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from glidepath.authoring.hints import types_of
from glidepath.authoring.nodes import Node
from glidepath.authoring.value_types import ANY, TEXT, Comparer, Schema, at_key, keys_of, list_of, words
from glidepath.authoring.values import Constant, Items, Output, Param, Source, Template
from glidepath.errors import Violation


def edge_violations(nodes: Iterable[Node], params_schema: Mapping[str, Any]) -> Iterator[Violation]:
    """Each edge that cannot be, with both ends named."""
    edges = _Edges(params_schema.get("properties", {}))
    for node in nodes:
        takes = types_of(node.function)[0] if node.function is not None else {}
        for name, source in node.inputs.items():
            argument, dot, key = name.partition(".")
            if argument not in takes:
                continue
            wanted = at_key(takes[argument], key) if dot else takes[argument]
            wrong = (
                f"has the entry {key!r}, which {words(takes[argument])} does not have"
                if wanted is None
                else edges.wrong(source, wanted)
            )
            if wrong:
                yield Violation(f"tasks.{node.task_id}.inputs.{name}", wrong)
        for name, source in (node.map.inputs if node.map is not None else {}).items():
            if name in takes and (wrong := edges.wrong(source, {"type": "array", "items": takes[name]})):
                yield Violation(f"tasks.{node.task_id}.map.{name}", wrong)


class _Edges:
    def __init__(self, params: Mapping[str, Schema]) -> None:
        self._params = params
        self._comparer = Comparer()

    def wrong(self, source: Source, takes: Schema) -> str:
        """What is wrong with an edge; "" when nothing is."""
        if missing := next(self._missing(source), ""):
            return missing
        gives = self._gives(source)
        if not self._comparer.misfit(gives, takes):
            return ""
        return f"takes {words(takes)}, {_origin(source)} gives {words(gives)}"

    def _missing(self, source: Source) -> Iterator[str]:
        match source:
            case Output(node, key, "") if key and at_key(_output(node), key) is None:
                names = keys_of(_output(node))
                expected = f"its keys are {', '.join(names)}" if names else f"it gives {words(_output(node))}"
                yield f"takes key {key!r} of {node.task_id}, which has none of that name; {expected}"
            case Items(sources):
                for each in sources:
                    yield from self._missing(each)
            case _:
                pass

    def _gives(self, source: Source) -> Schema:
        match source:
            case Constant(value):
                return ANY if isinstance(value, bytes) else {"const": json.loads(json.dumps(value))}
            case Template():
                return TEXT
            case Param(name):
                return self._params.get(name, ANY)
            case Output(node, key, xcom_key):
                if xcom_key:
                    return ANY
                return (at_key(_output(node), key) or ANY) if key else _output(node)
            case Items(sources):
                return list_of([self._gives(each) for each in sources])


def _output(node: Node) -> Schema:
    item = types_of(node.function)[1] if node.function is not None else ANY
    return item if node.map is None else {"type": "array", "items": item}


def _origin(source: Source) -> str:
    match source:
        case Output(node, key):
            return f"{node.task_id}[{key!r}]" if key else node.task_id
        case Param(name):
            return f"param {name}"
        case Template():
            return "a template"
        case Items(sources):
            return f"a list of {', '.join(dict.fromkeys(map(_origin, sources)))}"[:200]
        case Constant():
            return "a constant"
