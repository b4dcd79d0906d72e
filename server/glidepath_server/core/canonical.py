"""The stored text of a definition, and the hash by which versions are told apart.

The text is JSON with sorted keys and no spaces. Literals and the params schema that are JSON are brought into the same
form, so spacing and the order of keys do not make a new version. `content_hash` is the SHA-256 of the text.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from .definition import DagSpec, Gather, Input, Literal, OutputOf, Param, Policy, TaskSpec, Template
from .graph import TriggerRule
from .retry import RetryPolicy

JSON_TYPE = "application/json"


def canonical_json(spec: DagSpec) -> str:
    """The text that is stored and hashed."""
    return _dump({
        "dag_id": spec.dag_id, "description": spec.description, "owner": spec.owner, "tags": list(spec.tags),
        "params_schema": _normal(spec.params_schema) if spec.params_schema else "",
        "run_timeout_seconds": spec.run_timeout_seconds, "runs_active_max": spec.runs_active_max,
        "tasks_active_max": spec.tasks_active_max, "tasks": [_task_to_json(task) for task in spec.tasks],
    })


def content_hash(text: str) -> str:
    """Lowercase hexadecimal SHA-256 of a canonical text."""
    return hashlib.sha256(text.encode()).hexdigest()


def from_canonical_json(text: str) -> DagSpec:
    """The inverse of canonical_json."""
    fields = json.loads(text)
    fields["tags"] = tuple(fields["tags"])
    fields["tasks"] = tuple(_task_from_json(task) for task in fields["tasks"])
    return DagSpec(**fields)


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _normal(text: str) -> str:
    """JSON text in the canonical form; text that is not JSON is returned as it is."""
    try:
        return _dump(json.loads(text))
    except ValueError:
        return text


def _task_to_json(task: TaskSpec) -> dict[str, Any]:
    policy = asdict(task.policy)
    return {
        "task_id": task.task_id, "handler_name": task.handler_name, "handler_version": task.handler_version,
        "description": task.description, "group_id": task.group_id,
        "upstream_task_ids": list(task.upstream_task_ids), "trigger_rule": task.trigger_rule.value,
        "inputs": {name: _input_to_json(value) for name, value in task.inputs.items()}, "policy": policy,
    }


def _task_from_json(fields: Mapping[str, Any]) -> TaskSpec:
    policy = dict(fields["policy"])
    retry = dict(policy.pop("retry"))
    retry["delays_seconds"] = tuple(retry["delays_seconds"])
    return TaskSpec(**{
        **fields,
        "upstream_task_ids": tuple(fields["upstream_task_ids"]),
        "trigger_rule": TriggerRule(fields["trigger_rule"]),
        "inputs": {name: _input_from_json(value) for name, value in fields["inputs"].items()},
        "policy": Policy(retry=RetryPolicy(**retry), **policy),
    })


def _input_to_json(value: Input) -> dict[str, Any]:
    match value:
        case Literal(content_type, data) if content_type in ("", JSON_TYPE):
            return {"json": _normal(data.decode())}
        case Literal(content_type, data):
            return {"content_type": content_type, "base64": base64.b64encode(data).decode()}
        case Template(text):
            return {"template": text}
        case OutputOf(task_id, key):
            return {"output": task_id, "key": key}
        case Param(name):
            return {"param": name}
        case Gather(items):
            return {"list": [_input_to_json(item) for item in items]}


def _input_from_json(fields: Mapping[str, Any]) -> Input:
    if "json" in fields:
        return Literal(JSON_TYPE, fields["json"].encode())
    if "base64" in fields:
        return Literal(fields["content_type"], base64.b64decode(fields["base64"]))
    if "template" in fields:
        return Template(fields["template"])
    if "output" in fields:
        return OutputOf(fields["output"], fields["key"])
    if "param" in fields:
        return Param(fields["param"])
    return Gather(tuple(_input_from_json(item) for item in fields["list"]))
