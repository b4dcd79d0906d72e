"""A DAG to the message that the server registers. Of authoring, this and `*_messages` know protobuf."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from glidepath.authoring.approvals import Approval
from glidepath.authoring.bundle import Bundle, bundle_source
from glidepath.authoring.dags import Dag
from glidepath.authoring.deadline_messages import deadline_message
from glidepath.authoring.deadlines import Deadline, of_task
from glidepath.authoring.hints import types_of
from glidepath.authoring.nodes import Node
from glidepath.authoring.schedule_messages import to_declaration
from glidepath.authoring.values import Constant, Items, Output, Param, Source, Template
from glidepath.errors import AuthoringError
from glidepath.payloads import encode
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.schedule.v1 import deadline_pb2, schedule_pb2

INPUT_BYTES_MAX = 64 * 1024
"""Largest constant of a task, encoded."""


@dataclass(frozen=True)
class Registration:
    """What registering a DAG sends. `bundle` is None when no task of it is Python of its source."""

    spec: dag_pb2.DagSpec
    bundle: Bundle | None
    deadlines: tuple[deadline_pb2.DeadlineDeclaration, ...] = ()
    schedules: tuple[schedule_pb2.ScheduleDeclaration, ...] = ()


def to_registration(dag: Dag) -> Registration:
    """The DAG's message and its source. AuthoringError or InvalidDag says everything that is wrong."""
    python = any(node.function is not None or node.condition is not None for node in dag.nodes)
    bundle = bundle_source(dag.source_file, dag.include) if python else None
    return Registration(
        to_spec(dag, bundle),
        bundle,
        tuple(map(deadline_message, deadlines_of(dag))),
        tuple(map(to_declaration, dag.schedules)),
    )


def deadlines_of(dag: Dag) -> list[Deadline]:
    """Those of the DAG, and then those of its tasks."""
    of_tasks = [of_task(each, node.task_id) for node in dag.nodes for each in node.options.get("deadline", ())]
    return [*dag.deadlines, *of_tasks]


def called_dags(dag: Dag) -> list[Dag]:
    """The DAGs that a DAG calls as objects, and those that they call, each once and after what it calls itself.

    AuthoringError for two of one id.
    """
    found: dict[str, Dag] = {}
    _collect(dag, found)
    del found[dag.dag_id]
    return list(found.values())


def _collect(dag: Dag, found: dict[str, Dag], above: tuple[str, ...] = ()) -> None:
    if dag.dag_id in above:
        return  # it calls itself, by whatever way: that ends where calls may be no deeper
    for node in dag.nodes:
        if node.called is not None:
            _collect(node.called, found, (*above, dag.dag_id))
    if found.setdefault(dag.dag_id, dag) is not dag:
        raise AuthoringError(f"two DAGs with the id '{dag.dag_id}' are called; every dag_id must be one DAG's")


def to_spec(dag: Dag, bundle: Bundle | None) -> dag_pb2.DagSpec:
    """The DAG's message. Without a bundle its Python handlers have no version and may be functions of any place."""
    return dag_pb2.DagSpec(
        dag_id=dag.dag_id,
        description=dag.description,
        owner=dag.owner,
        tags=dag.tags,
        params_schema=json.dumps(dag.params_schema) if dag.params_schema else "",
        defaults=_policy(dag.defaults),
        tasks=[_task(node, bundle) for node in dag.nodes],
        run_timeout=_duration(dag.run_timeout),
        runs_active_max=dag.runs_active_max,
        tasks_active_max=dag.tasks_active_max,
        fail_fast=dag.fail_fast,
        run_retries_max=dag.run_retries,
        run_retry_delay=_duration(dag.run_retry_delay or None),
        param_defaults=dag.param_defaults,
        run_tasks_active_max=dag.run_tasks_active_max,
        weight=dag.weight,
        runs_in_order=dag.runs_in_order,
        alerts=[dag_pb2.AlertRoute(on=each["on"], channel=each["channel"]) for each in dag.alerts],
    )


def _task(node: Node, bundle: Bundle | None) -> dag_pb2.TaskSpec:
    return dag_pb2.TaskSpec(
        task_id=node.task_id,
        description=node.description,
        group_id=node.group_id,
        handler=_handler(node, bundle),
        upstream_task_ids=list(node.upstream),
        trigger_rule=_enum(dag_pb2.TriggerRule, "TRIGGER_RULE", node.options.get("trigger_rule")),
        inputs={name: _input(source, node, name) for name, source in _inputs(node, bundle).items()},
        policy=_policy(node.options),
        role=_enum(dag_pb2.TaskRole, "TASK_ROLE", node.options.get("role")),
        map=_map(node),
        **_types(node),
        approval=_approval(node.approval) if node.approval is not None else None,
    )


def _map(node: Node) -> dag_pb2.MapSpec | None:
    if node.map is None:
        return None
    options = node.options
    return dag_pb2.MapSpec(
        inputs=[
            dag_pb2.MapInput(name=name, source=_input(source, node, name)) for name, source in node.map.inputs.items()
        ],
        mode=_enum(dag_pb2.MapMode, "MAP_MODE", node.map.mode),
        active_max=options.get("map_active_max"),
        success_ratio_min=options.get("map_success_ratio_min"),
        empty=_enum(dag_pb2.MapEmpty, "MAP_EMPTY", options.get("map_empty")),
        name=options.get("map_name", ""),
    )


def _types(node: Node) -> dict[str, Any]:
    if node.function is None:
        return {}
    arguments, output = types_of(node.function)
    return {
        "input_schemas": {name: json.dumps(schema) for name, schema in arguments.items()},
        "output_schema": json.dumps(output) if output else "",
    }


def _inputs(node: Node, bundle: Bundle | None) -> dict[str, Source]:
    if node.condition is None:
        return node.inputs
    function = node.condition
    name = bundle.handler(function) if bundle else f"python:{function.__module__}:{function.__qualname__}"
    return {**node.inputs, "until": Constant(name)}


def _approval(asks: Approval) -> dag_pb2.ApprovalSpec:
    return dag_pb2.ApprovalSpec(
        message=asks.message,
        form=json.dumps(asks.form) if asks.form else "",
        timeout=_duration(asks.timeout),
        default=_enum(dag_pb2.ApprovalAnswer, "APPROVAL_ANSWER", asks.default),
        approvers=asks.approvers,
        on_reject=_enum(dag_pb2.ApprovalReject, "APPROVAL_REJECT", asks.on_reject),
    )


def _handler(node: Node, bundle: Bundle | None) -> dag_pb2.Handler | None:
    if node.approval is not None:
        return None
    if node.condition is not None:
        return dag_pb2.Handler(name=node.handler, version=bundle.content_hash if bundle is not None else "")
    if node.function is None:
        return dag_pb2.Handler(name=node.handler, version=node.handler_version)
    if bundle is None:
        return dag_pb2.Handler(name=f"python:{node.function.__module__}:{node.function.__qualname__}")
    return dag_pb2.Handler(name=bundle.handler(node.function), version=bundle.content_hash)


def _input(source: Source, node: Node, name: str) -> dag_pb2.Input:
    match source:
        case Constant(value):
            payload = encode(value)
            if len(payload.data) > INPUT_BYTES_MAX:
                raise AuthoringError(
                    f"task '{node.task_id}', argument {name!r} is {len(payload.data)} bytes, over the limit of "
                    f"{INPUT_BYTES_MAX}; put it into a file of the bundle or into storage"
                )
            return dag_pb2.Input(literal=payload)
        case Template(text):
            return dag_pb2.Input(template=text)
        case Output(upstream, key, xcom_key):
            return dag_pb2.Input(output=dag_pb2.OutputRef(task_id=upstream.task_id, key=key, xcom_key=xcom_key))
        case Param(param):
            return dag_pb2.Input(param=param)
        case Items(sources):
            return dag_pb2.Input(list=dag_pb2.InputList(items=[_input(each, node, name) for each in sources]))


def _policy(options: Mapping[str, Any]) -> dag_pb2.TaskPolicy | None:
    """None when nothing is set, so that a DAG that says nothing sends nothing."""
    policy = dag_pb2.TaskPolicy(
        owner=options.get("owner"),
        queue_name=options.get("queue"),
        execution_timeout=_duration(options.get("timeout")),
        pool_name=options.get("pool"),
        pool_slots=options.get("pool_slots"),
        priority=options.get("priority"),
        resources=options.get("resources"),
        worker_selector=options.get("worker_selector"),
        isolation=_enum(dag_pb2.IsolationMode, "ISOLATION_MODE", options.get("isolation")),
        lease_mode=_enum(dag_pb2.LeaseMode, "LEASE_MODE", options.get("lease_mode")),
        memory_limit_mb=options.get("memory_limit_mb"),
        cancel_grace=_duration(options.get("cancel_grace")),
        wait_timeout=_duration(options.get("wait_timeout")),
        limits=options.get("limits"),
        active_max=options.get("active_max"),
        retry=_retry(options),
        cache=_cache(options),
    )
    if "depends_on_past" in options:
        policy.depends_on_past = options["depends_on_past"]
    return policy if policy.ByteSize() else None


def _cache(options: Mapping[str, Any]) -> dag_pb2.CachePolicy | None:
    """A task without `cache` has none; a duration that is not there is for ever."""
    if "cache" not in options:
        return None
    return dag_pb2.CachePolicy(
        expire_after=_duration(options["cache"]),
        ignore=options.get("cache_ignore"),
        key=options.get("cache_key"),
        version=options.get("cache_version"),
    )


def _retry(options: Mapping[str, Any]) -> dag_pb2.RetryPolicy | None:
    delay = options.get("retry_delay")
    retry = dag_pb2.RetryPolicy(
        retries_max=options.get("retries"),
        delay=_duration(delay),
        delays=[_proto_duration(each) for each in delay] if isinstance(delay, tuple) else None,
        backoff=options.get("retry_backoff"),
        delay_max=_duration(options.get("retry_delay_max")),
        losses_max=options.get("losses_max"),
        preemptions_max=options.get("preemptions_max"),
        reroute_queue=options.get("reroute_queue"),
        reroute_after=options.get("reroute_after"),
        jitter=options.get("retry_jitter"),
        only_on=options.get("retry_only_on"),
        never_on=options.get("retry_never_on"),
    )
    return retry if retry.ByteSize() else None


def _duration(value: object) -> Duration | None:
    return _proto_duration(value) if isinstance(value, timedelta) else None


def _proto_duration(value: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(value)
    return duration


def _enum(kind: Any, prefix: str, value: str | None) -> Any:
    return kind.Value(f"{prefix}_{value.upper()}") if value else None
