"""When two calls of a task are equal: the key by which a result is kept and found again.

The key is a SHA-256 over the namespace, the handler with its version, the author's cache version, and what counts of
the inputs (or the author's own key): each source as it was written, with the values that it names. Names are looked up
in JSON and dates; no template is evaluated. Whatever may differ without changing the work is not in it: the names of
DAG, task and run (unless a template names them), retries, queue, resources.

The version of a Python handler is the hash of its source bundle. It changes with anything in the DAG's folder, so a
result is never older than the code beside it; what is kept is made again after a change that did not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from .definition import (
    JSON,
    CachePolicy,
    Input,
    InputList,
    Literal,
    OutputRef,
    Param,
    TaskSpec,
    Template,
    input_sources,
    outputs_named,
)
from .json_text import from_json, to_json
from .templates import output_of, template_names

# Of what is hashed: it changes when the same call must get another key.
KEY_FORMAT = 1
_SHORTHANDS = frozenset({"ds", "ds_nodash", "ts", "ts_nodash"})
_DATES = ("logical_date", "data_interval_start", "data_interval_end")
_DATE_FORMATS: Mapping[str, Callable[[datetime], str]] = {
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


class OutputFacts(NamedTuple):
    """An upstream task's output: inline bytes, or a reference with its digest."""

    content_type: str
    body: bytes | None
    uri: str | None
    sha256: str


@dataclass(frozen=True, slots=True)
class Named:
    """What the sources of a call may name. `outputs` holds, by task id, those of its instances in their order.

    `item` is the canonical JSON of a mapped instance's item, empty for a task that is not mapped.
    """

    namespace: str
    dag_id: str
    task_id: str
    run_id: str
    run_key: str
    attempt_number: int
    logical_date: datetime
    data_interval_start: datetime
    data_interval_end: datetime
    params: Any = field(default_factory=dict)
    outputs: Mapping[str, Sequence[OutputFacts]] = field(default_factory=dict)
    item: str = ""


def call_key(task: TaskSpec, named: Named) -> bytes:
    """The key of a call. Equal texts with equal values give equal keys, whatever the order of keys in objects."""
    cache = task.policy.cache
    assert cache is not None, "only tasks that are cached have a key"
    upstream = frozenset(task.upstream_task_ids)
    counted: Any = {"item": named.item} if named.item else {}
    if cache.key:
        counted = {"key": _source(Template(cache.key), named, upstream)}
    else:
        counted["inputs"] = {name: _source(each, named, upstream) for name, each in _counted(task, cache).items()}
    call = [KEY_FORMAT, named.namespace, task.handler.name, task.handler.version, cache.version, counted]
    return hashlib.sha256(to_json(call).encode()).digest()


def sources_of_key(task: TaskSpec) -> tuple[str, ...]:
    """Sorted ids of the upstream tasks whose outputs the key takes."""
    cache = task.policy.cache
    if cache is None:
        return ()
    inputs = {"": Template(cache.key)} if cache.key else _counted(task, cache)
    return tuple(sorted(input_sources(inputs) | outputs_named(inputs, frozenset(task.upstream_task_ids))))


def _counted(task: TaskSpec, cache: CachePolicy) -> dict[str, Input]:
    """The inputs that count. An argument that is left out takes its entries ("env.DAY" of "env") along."""
    left_out = set(cache.ignore)
    return {
        name: each
        for name, each in task.inputs.items()
        if name not in left_out and name.partition(".")[0] not in left_out
    }


def _source(source: Input, named: Named, upstream: frozenset[str]) -> Any:
    """A source as it was written, with the values that it names."""
    match source:
        case Literal():
            return {"literal": _literal(source)}
        case Template(text):
            return {"template": text, "values": {name: _value(name, named, upstream) for name in template_names(text)}}
        case OutputRef(task_id, key):
            return {"output": _output(named.outputs.get(task_id, ()), [key] if key else [])}
        case Param(name):
            return {"param": _at(named.params, [name])}
        case InputList(items):
            return {"list": [_source(each, named, upstream) for each in items]}


def _literal(literal: Literal) -> Any:
    if literal.uri:
        return {"sha256": literal.sha256} if literal.sha256 else {"uri": literal.uri}
    return _content(literal.content_type, literal.data, [])


def _value(name: str, named: Named, upstream: frozenset[str]) -> Any:
    head, *rest = name.split(".")
    if head in _SHORTHANDS:
        return _DATE_FORMATS[head](named.logical_date)
    if head in _DATES:
        date: datetime = getattr(named, head)
        return _DATE_FORMATS[rest[0]](date) if rest else date.isoformat()
    if head == "params":
        return _at(named.params, rest)
    if head == "map_item":
        return _at(from_json(named.item), rest) if named.item else None
    if head == "outputs":
        task_id = output_of(name, upstream)
        if task_id is None:
            return None  # such a text does not pass registration
        path = name.removeprefix(f"outputs.{task_id}").split(".")[1:]
        return _output(named.outputs.get(task_id, ()), path)
    return getattr(named, head)


def _output(instances: Sequence[OutputFacts], path: Sequence[str]) -> list[Any]:
    """Each instance's: inline JSON by the value at the path, anything else by its digest."""
    return [_output_of_one(each, path) for each in instances]


def _output_of_one(output: OutputFacts, path: Sequence[str]) -> Any:
    if output.body is None:
        return {"sha256": output.sha256} if output.sha256 else {"uri": output.uri}
    return _content(output.content_type, output.body, path)


def _content(content_type: str, data: bytes, path: Sequence[str]) -> Any:
    if content_type.partition(";")[0].strip().lower() == JSON:
        try:
            return _at(_parsed(data), path)
        except ValueError:
            pass  # no JSON, whatever it says of itself
    return {"content_type": content_type, "sha256": hashlib.sha256(data).hexdigest()}


@lru_cache(maxsize=16)
def _parsed(data: bytes) -> Any:
    """The value of a JSON text, read only: the tasks after a wide fan-out all name the same output."""
    return from_json(data.decode())


def _at(value: Any, path: Sequence[str]) -> Any:
    """What stands at a path of keys, in a box that tells nothing there from null."""
    for key in path:
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return {"nothing": True}
    return {"value": value}
