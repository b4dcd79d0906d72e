"""Kept results of tasks in `run_dag(cache=...)`: what equal calls of a test take, on its virtual clock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from glidepath.errors import InputError
from glidepath.inputs import resolve_inputs
from glidepath.payloads import encode
from glidepath.testing.attempts import RunFacts, assignment_of
from glidepath_proto.common.v1.payload_pb2 import Payload
from glidepath_proto.registry.v1.dag_pb2 import Input, TaskSpec


@dataclass(frozen=True)
class Kept:
    """The result of a call: its output, when it was made, and the run key of the run that made it."""

    output: Payload | None
    time: datetime
    run_key: str


Cache = dict[str, Kept]
"""Kept between calls of run_dag; what the keys are made of is the kit's own affair."""


def call_key(
    spec: TaskSpec, facts: RunFacts, outputs: Mapping[str, Payload], mapped: tuple[int, Mapping[str, Any]] | None
) -> str | None:
    """What tells the call from others; None for a task that is not cached, or whose inputs cannot be resolved.

    As on the server: the handler, the cache version, and of what counts each template's text and all values. Code is
    told by its function's name here, not by the hash of its source. Of a mapped task's instance the item counts, too.
    """
    if not spec.policy.HasField("cache"):
        return None
    cache = spec.policy.cache
    sources = {"": Input(template=cache.key)} if cache.key else _counted(spec.inputs, cache.ignore)
    assignment = assignment_of(spec, facts, 1, outputs, mapped)
    assignment.inputs.clear()
    for name, source in sources.items():
        assignment.inputs[name].CopyFrom(source)
    try:
        values = resolve_inputs(assignment)
    except InputError:
        return None
    texts = {name: source.template for name, source in sources.items() if source.WhichOneof("source") == "template"}
    written = sorted(map(_written, values.items()))
    call = [spec.handler.name, cache.version, sorted(texts.items()), written, assignment.map_item]
    return hashlib.sha256(json.dumps(call).encode()).hexdigest()


class KeptResults:
    """What one run takes from a cache and keeps in it; nothing when there is none."""

    def __init__(self, cache: Cache | None) -> None:
        self._cache = cache
        self._keys: dict[str, str | None] = {}

    def take(
        self,
        name: str,
        spec: TaskSpec,
        facts: RunFacts,
        outputs: Mapping[str, Payload],
        mapped: tuple[int, Mapping[str, Any]] | None,
        now: datetime,
    ) -> Kept | None:
        """What is kept of an equal call, if it is young enough; from here on the call of `name` is known."""
        if self._cache is None:
            return None
        key = self._keys[name] = call_key(spec, facts, outputs, mapped)
        kept, policy = self._cache.get(key or ""), spec.policy.cache
        if (
            kept is not None
            and policy.HasField("expire_after")
            and now >= kept.time + policy.expire_after.ToTimedelta()
        ):
            return None
        return kept

    def keep(self, name: str, result: Kept) -> None:
        """Keep the result of an instance that is cached."""
        if self._cache is not None and (key := self._keys.get(name)):
            self._cache[key] = result


def _counted(inputs: Mapping[str, Input], ignored: Iterable[str]) -> dict[str, Input]:
    left_out = set(ignored)
    return {
        name: each for name, each in inputs.items() if name not in left_out and name.partition(".")[0] not in left_out
    }


def _written(argument: tuple[str, Any]) -> tuple[str, str]:
    """An argument as it is compared: objects without an order; what is no JSON as Python shows it."""
    name, value = argument
    try:
        payload = encode(value)
        return name, json.dumps(json.loads(payload.data), sort_keys=True)
    except (TypeError, ValueError):
        return name, repr(value)
