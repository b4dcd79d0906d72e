"""The canonical text of a DAG: the same meaning gives the same text, and the text gives the DAG back.

The text is what the store keeps and what is hashed. Values that say nothing (no description, no timeout) are left out;
defaults are written out, so that a later server with other defaults reads old versions as they were meant. Fields that
came later are said only where they are used, so that older DAGs keep their hashes: their defaults must never change.
Literals of JSON and the params schema stand in it as texts, not as values: they come back byte for byte.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from .alerts import Route
from .approvals import ApprovalSpec, Decision, OnReject
from .definition import (
    JSON,
    CachePolicy,
    DagSpec,
    Handler,
    Input,
    InputList,
    IsolationMode,
    LeaseMode,
    Literal,
    MapEmpty,
    MapInput,
    MapMode,
    MapSpec,
    OutputRef,
    Param,
    ResolvedPolicy,
    TaskSpec,
    Template,
)
from .graph import TaskRole
from .json_text import from_json, to_json
from .retry import RetryPolicy
from .trigger_rules import TriggerRule

_RETRY_TUPLES = ("delays_seconds", "only_on", "never_on")
_SAID_WHEN_USED = frozenset(
    {
        "approval",
        "depends_on_past",
        "fail_fast",
        "jitter",
        "map",
        "preemptions_max",
        "reroute_after",
        "role",
        "run_retries_max",
        "run_retry_delay_seconds",
        "runs_in_order",
        "wait_timeout_seconds",
        "weight",
    }
)
FORMAT = 1
"""Of the text; it changes when a reader of today could not read the text."""


def canonical_json(spec: DagSpec) -> str:
    """The one text of a DAG, ASCII."""
    return to_json(_dag_out(spec))


def content_hash(text: str) -> str:
    """SHA-256 of a canonical text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def from_canonical_json(text: str) -> DagSpec:
    """The DAG of a canonical text. Raises ValueError for a text of another format."""
    value = from_json(text)
    if value.pop("format") != FORMAT:
        raise ValueError(f"the stored DAG {value['dag_id']} has a format that this server does not read")
    alerts = tuple(Route(tuple(each["on"]), each["channel"]) for each in value.get("alerts", ()))
    tasks, tags = tuple(map(_task_in, value["tasks"])), tuple(value.get("tags", ()))
    return DagSpec(**{**value, "tasks": tasks, "tags": tags, "alerts": alerts})


# ---- out
def _dag_out(spec: DagSpec) -> dict[str, Any]:
    value = _said(spec)
    if spec.alerts:
        value["alerts"] = [route.to_json() for route in spec.alerts]
    return {**value, "format": FORMAT, "tasks": [_task_out(task) for task in spec.tasks]}


def _task_out(task: TaskSpec) -> dict[str, Any]:
    value = _said(task)
    if task.inputs:
        value["inputs"] = {name: _input_out(each) for name, each in task.inputs.items()}
    if task.map is not None:
        inputs = [{"name": each.name, "source": _input_out(each.source)} for each in task.map.inputs]
        value["map"] = {**_said(task.map), "inputs": inputs}
    if task.approval is not None:
        value["approval"] = _said(task.approval)
    return {
        **value,
        "handler": _said(task.handler),
        "policy": _policy_out(task.policy),
    }


def _policy_out(policy: ResolvedPolicy) -> dict[str, Any]:
    value = {**_said(policy), "retry": _said(policy.retry)}
    if policy.cache is not None:
        value["cache"] = _said(policy.cache)
    return value


def _said(thing: Any) -> dict[str, Any]:
    """Fields that say something. Durations and resources are floats whoever made them."""
    found = {}
    for each in fields(thing):
        value = getattr(thing, each.name)
        # A field that was not there when older texts were hashed says something only where it is used.
        if value is None or value in ("", (), {}) or (each.name in _SAID_WHEN_USED and value == each.default):
            continue
        if each.name.endswith("_seconds") or each.name in (
            "backoff",
            "jitter",
            "resources",
            "success_ratio_min",
            "weight",
        ):
            value = _floats(value)
        found[each.name] = value
    return found


def _floats(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _floats(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_floats(each) for each in value]
    return float(value) + 0.0  # no negative zero


def _input_out(source: Input) -> dict[str, Any]:
    match source:
        case Literal():
            return {"literal": _literal_out(source)}
        case Template(text):
            return {"template": text}
        case OutputRef():
            return {"output": _said(source)}
        case Param(name):
            return {"param": name}
        case InputList(items):
            return {"list": [_input_out(each) for each in items]}


def _literal_out(literal: Literal) -> dict[str, Any]:
    if literal.uri:
        said = _said(literal)
        said.pop("data", None)
        return said
    if literal.content_type == JSON:
        return {"json": literal.data.decode()}
    return {"content_type": literal.content_type, "data_base64": base64.b64encode(literal.data).decode()}


# ---- in
def _task_in(value: dict[str, Any]) -> TaskSpec:
    return TaskSpec(
        **{
            **value,
            "handler": Handler(**value["handler"]),
            "upstream_task_ids": tuple(value.get("upstream_task_ids", ())),
            "trigger_rule": TriggerRule(value["trigger_rule"]),
            "inputs": {name: _input_in(each) for name, each in value.get("inputs", {}).items()},
            "policy": _policy_in(value["policy"]),
            "role": TaskRole(value.get("role", TaskRole.WORK)),
            "map": _map_in(value["map"]) if "map" in value else None,
            "approval": _approval_in(value["approval"]) if "approval" in value else None,
        }
    )


def _approval_in(value: dict[str, Any]) -> ApprovalSpec:
    return ApprovalSpec(
        **{
            **value,
            "default": Decision(value["default"]) if "default" in value else None,
            "approvers": tuple(value.get("approvers", ())),
            "on_reject": OnReject(value["on_reject"]),
        }
    )


def _map_in(value: dict[str, Any]) -> MapSpec:
    inputs = tuple(MapInput(each["name"], _input_in(each["source"])) for each in value["inputs"])
    return MapSpec(**{**value, "inputs": inputs, "mode": MapMode(value["mode"]), "empty": MapEmpty(value["empty"])})


def _policy_in(value: dict[str, Any]) -> ResolvedPolicy:
    retry = {**value["retry"], **{name: tuple(value["retry"].get(name, ())) for name in _RETRY_TUPLES}}
    return ResolvedPolicy(
        **{
            **value,
            "retry": RetryPolicy(**retry),
            "isolation": IsolationMode(value["isolation"]),
            "lease_mode": LeaseMode(value["lease_mode"]),
            "cache": _cache_in(value["cache"]) if "cache" in value else None,
        }
    )


def _cache_in(value: dict[str, Any]) -> CachePolicy:
    return CachePolicy(**{**value, "ignore": tuple(value.get("ignore", ()))})


def _input_in(value: dict[str, Any]) -> Input:
    [(kind, content)] = value.items()
    return _INPUTS[kind](content)


def _literal_in(value: dict[str, Any]) -> Literal:
    if "json" in value:
        return Literal(value["json"].encode())
    if "data_base64" in value:
        return Literal(base64.b64decode(value["data_base64"]), value["content_type"])
    return Literal(**value)


_INPUTS: dict[str, Callable[[Any], Input]] = {
    "literal": _literal_in,
    "template": Template,
    "output": lambda value: OutputRef(**value),
    "param": Param,
    "list": lambda value: InputList(tuple(map(_input_in, value))),
}
