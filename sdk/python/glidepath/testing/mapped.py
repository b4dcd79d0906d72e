"""A mapped task in a run in this process: its items, its instances, and what their ends make of it.

As the server has it; a test of the two together keeps these equal to it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from glidepath import templates
from glidepath.authoring.maps import ACTIVE_MAX, INSTANCES_MAX
from glidepath.authoring.nodes import Node
from glidepath.errors import TemplateError
from glidepath.payloads import JSON, decode, encode
from glidepath.testing.results import TaskResult, TaskState
from glidepath.worker.context import ChildRun
from glidepath_proto.common.v1.payload_pb2 import Payload
from glidepath_proto.registry.v1.dag_pb2 import MAP_MODE_PRODUCT, Input, MapSpec

ITEMS_BYTES_MAX = 16 * 1024 * 1024
_INSTANCE = re.compile(r"(.*)\[(\d+)\]")
# Of shares that are worked out in floating point.
_EPSILON = 1e-9


class NoItems(Exception):
    """The lists make no instances: the text says why."""


@dataclass(eq=False)
class Lane:
    """What has attempts of its own: a task, or an instance of a mapped one."""

    node: Node
    result: TaskResult
    tries: int = 0
    checkpoint: bytes = b""
    attempts_before: int = 0
    payload: Payload | None = None
    # How the run ended that it called last, until an attempt fails.
    child: ChildRun | None = None

    @property
    def index(self) -> int:
        return self.result.map_index

    @property
    def names(self) -> tuple[str, ...]:
        """What a plan may call it, the most exact first."""
        return (self.result.name, self.node.task_id) if self.index >= 0 else (self.node.task_id,)

    def begin_anew(self) -> None:
        self.result.state, self.result.reason, self.result.output = "scheduled", "", None
        self.attempts_before = len(self.result.attempts)
        self.tries, self.checkpoint, self.payload, self.child = 0, b"", None, None


@dataclass
class MapRun:
    """The instances of a mapped task: those that wait to be released, and how many are out."""

    lanes: list[Lane]
    waiting: deque[Lane] = field(default_factory=deque)
    out: int = 0

    def release(self, active_max: int | None) -> list[Lane]:
        """The next instances that may go."""
        room = min(min(active_max or ACTIVE_MAX, ACTIVE_MAX) - self.out, len(self.waiting))
        going = [self.waiting.popleft() for _ in range(room)]
        self.out += len(going)
        return going

    def again(self) -> None:
        """Those that did not succeed run again, the others stay as they are."""
        for lane in self.lanes:
            if lane.result.state not in ("success", "skipped"):
                lane.begin_anew()
                self.waiting.append(lane)

    @property
    def states(self) -> list[TaskState]:
        return [lane.result.state for lane in self.lanes]


def make_lanes(node: Node, items: Sequence[Mapping[str, Any]], before: Sequence[Lane] = ()) -> MapRun:
    """Instances for these items. Attempts of an earlier generation stay theirs, and numbers go on."""
    title = node.options.get("map_name", "")
    run = MapRun([])
    for index, item in enumerate(items):
        result = TaskResult(node.task_id, map_index=index, map_item=item, map_name=_title(title, item))
        if index < len(before):
            result.attempts = before[index].result.attempts
        run.lanes.append(Lane(node, result, attempts_before=len(result.attempts)))
    run.waiting.extend(run.lanes)
    return run


def instance_of(name: str) -> tuple[str, int] | None:
    """Task id and map index of a name such as "train[3]"; None for one that is no instance's."""
    found = _INSTANCE.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def _title(template: str, item: Mapping[str, Any]) -> str:
    try:
        return templates.render(template, {"map_item": item})
    except TemplateError:
        return ""


def read_items(spec: MapSpec, params: Mapping[str, Any], outputs: Mapping[str, Payload]) -> list[dict[str, Any]]:
    """What each instance is given, by argument. NoItems says why there is nothing."""
    lists = {each.name: _list(each.name, _value(each.source, params, outputs)) for each in spec.inputs}
    lengths = {name: len(values) for name, values in lists.items()}
    if spec.mode != MAP_MODE_PRODUCT and len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise NoItems(f"the lists have different lengths: {said}; expected one length, or mode product")
    length = math.prod(lengths.values()) if spec.mode == MAP_MODE_PRODUCT else next(iter(lengths.values()))
    if length > INSTANCES_MAX:
        raise NoItems(f"mapped over {length} items, at most {INSTANCES_MAX} are taken")
    rows: Iterable[tuple[Any, ...]] = (
        product(*lists.values()) if spec.mode == MAP_MODE_PRODUCT else zip(*lists.values(), strict=True)
    )
    items = [dict(zip(lists, row, strict=True)) for row in rows]
    if len(json.dumps(items, separators=(",", ":"))) > ITEMS_BYTES_MAX:
        raise NoItems(f"the items have more than {ITEMS_BYTES_MAX} bytes of JSON together; map over references")
    return items


def _value(source: Input, params: Mapping[str, Any], outputs: Mapping[str, Payload]) -> Any:
    match source.WhichOneof("source"):
        case "literal":
            return decode(source.literal)
        case "param":
            return params.get(source.param)
    task_id, key = source.output.task_id, source.output.key
    if task_id not in outputs:
        raise NoItems(f"task {task_id} has no output")
    value: Any = decode(outputs[task_id])
    if not key:
        return value
    if not isinstance(value, dict) or key not in value:
        raise NoItems(f"the output of {task_id} has no key {key!r}")
    return value[key]


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        found = "nothing" if value is None else f"{type(value).__name__} {str(value)[:80]}"
        raise NoItems(f"{name} is mapped over {found}, expected a list")
    return value


def gather(lanes: Iterable[Lane]) -> Payload:
    """The outputs of the instances as one list, null where there is none; what is no JSON is told of by its size."""
    return encode([_element(lane) for lane in lanes])


def _element(lane: Lane) -> Any:
    payload = lane.payload
    if payload is None or lane.result.state != "success":
        return None
    if payload.content_type == JSON:
        return decode(payload)
    digest = hashlib.sha256(payload.data).hexdigest()
    return {"content_type": payload.content_type, "size_bytes": len(payload.data), "sha256": digest}


def map_end(states: Sequence[TaskState], ratio_min: float) -> TaskState:
    """What the ends of all instances make of the task."""
    if all(state == "skipped" for state in states):
        return "skipped"
    if not is_hopeless(states, ratio_min):
        return "success"
    return "failed" if "failed" in states else "cancelled"


def is_hopeless(states: Sequence[TaskState], ratio_min: float) -> bool:
    """Whether too many have failed already, whatever becomes of the rest."""
    tried = len(states) - states.count("skipped")
    return tried - states.count("failed") - states.count("cancelled") < ratio_min * tried - _EPSILON


def counts_as(state: TaskState, instances: Sequence[TaskState]) -> list[TaskState]:
    """How the end of a task counts for the trigger rules of its downstream: a map that failed, as its instances."""
    if state != "failed":
        return [state]
    return [state, *(each for each in ("success", "skipped") if each in instances)]
