"""DAGs between wire and core. Reading keeps what was left open; what is wrong is found in core/validation.py."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration

from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.registry.v1 import registry_service_pb2 as pb

from ..core.alerts import Route
from ..core.approvals import ApprovalSpec, Decision, OnReject
from ..core.canonical import from_canonical_json
from ..core.definition import (
    JSON,
    WEIGHT_DEFAULT,
    CachePolicy,
    DagSpec,
    Handler,
    Input,
    InputList,
    Literal,
    MapEmpty,
    MapMode,
    MapSpec,
    OutputRef,
    Param,
    ResolvedPolicy,
    TaskSpec,
    Template,
)
from ..core.diff import Change, Difference
from ..core.draft import DagDraft, MapDraft, PolicyDraft, RetryDraft, TaskDraft
from ..core.graph import TaskRole
from ..core.retry import RetryPolicy
from ..core.trigger_rules import TriggerRule
from ..operations.register_dag_version import Registered
from ..store.registry import Dag, Version
from .convert_common import to_timestamp
from .convert_tasks import ISOLATION_TO_WIRE, LEASE_MODE_TO_WIRE, handler_to_wire, input_to_wire, inputs_to_wire

RULE_TO_WIRE: dict[TriggerRule, Any] = {
    rule: dag_pb2.TriggerRule.Value(f"TRIGGER_RULE_{rule.name}") for rule in TriggerRule
}
_CHANGE_TO_WIRE: dict[Change, Any] = {
    change: pb.DagDifference.Change.Value(f"CHANGE_{change.name}") for change in Change
}
ROLE_TO_WIRE: dict[TaskRole, Any] = {role: dag_pb2.TaskRole.Value(f"TASK_ROLE_{role.name}") for role in TaskRole}
_ROLES = {0: TaskRole.WORK, **{number: role for role, number in ROLE_TO_WIRE.items()}}
_RULES = {0: TriggerRule.ALL_SUCCESS, **{number: rule for rule, number in RULE_TO_WIRE.items()}}
_ISOLATIONS = {int(number): mode for mode, number in ISOLATION_TO_WIRE.items()}
_LEASE_MODES = {int(number): mode for mode, number in LEASE_MODE_TO_WIRE.items()}
MAP_MODE_TO_WIRE: dict[MapMode, Any] = {mode: dag_pb2.MapMode.Value(f"MAP_MODE_{mode.name}") for mode in MapMode}
MAP_EMPTY_TO_WIRE: dict[MapEmpty, Any] = {
    empty: dag_pb2.MapEmpty.Value(f"MAP_EMPTY_{empty.name}") for empty in MapEmpty
}
_MAP_MODES = {0: MapMode.ZIP, **{number: mode for mode, number in MAP_MODE_TO_WIRE.items()}}
_MAP_EMPTIES = {0: MapEmpty.SKIP, **{number: empty for empty, number in MAP_EMPTY_TO_WIRE.items()}}
DECISION_TO_WIRE: dict[Decision | int | None, Any] = {
    None: dag_pb2.APPROVAL_ANSWER_UNSPECIFIED,
    Decision.APPROVE: dag_pb2.APPROVAL_ANSWER_APPROVE,
    Decision.REJECT: dag_pb2.APPROVAL_ANSWER_REJECT,
}
DECISIONS: dict[int, Decision | None] = {number: decision for decision, number in DECISION_TO_WIRE.items()}  # type: ignore[misc]
_ON_REJECT_TO_WIRE: dict[OnReject | int, Any] = {
    OnReject.FAIL: dag_pb2.APPROVAL_REJECT_FAIL,
    OnReject.SKIP: dag_pb2.APPROVAL_REJECT_SKIP,
}
_ON_REJECT = {0: OnReject.FAIL, **{number: each for each, number in _ON_REJECT_TO_WIRE.items()}}
Mode = TypeVar("Mode", bound=StrEnum)


# ---- in
def draft_in(spec: dag_pb2.DagSpec) -> DagDraft:
    """A DAG as it was sent."""
    return DagDraft(
        dag_id=spec.dag_id,
        tasks=[_task_in(task) for task in spec.tasks],
        description=spec.description,
        owner=spec.owner,
        tags=list(spec.tags),
        params_schema=spec.params_schema,
        defaults=_policy_in(spec.defaults),
        run_timeout_seconds=_seconds(spec, "run_timeout"),
        runs_active_max=_given(spec, "runs_active_max"),
        tasks_active_max=_given(spec, "tasks_active_max"),
        run_retries_max=spec.run_retries_max,
        run_retry_delay_seconds=_seconds(spec, "run_retry_delay") or 0.0,
        fail_fast=spec.fail_fast,
        param_defaults=dict(spec.param_defaults),
        run_tasks_active_max=_given(spec, "run_tasks_active_max"),
        weight=_given(spec, "weight"),
        runs_in_order=spec.runs_in_order,
        alerts=[Route(tuple(each.on), each.channel) for each in spec.alerts],
    )


def _task_in(task: dag_pb2.TaskSpec) -> TaskDraft:
    return TaskDraft(
        task_id=task.task_id,
        handler=Handler(task.handler.name, task.handler.version),
        description=task.description,
        group_id=task.group_id,
        upstream_task_ids=list(task.upstream_task_ids),
        trigger_rule=_RULES.get(task.trigger_rule, int(task.trigger_rule)),
        inputs={name: _input_in(each) for name, each in task.inputs.items()},
        policy=_policy_in(task.policy),
        role=_ROLES.get(task.role, int(task.role)),
        map=_map_in(task.map) if task.HasField("map") else None,
        input_schemas=dict(task.input_schemas),
        output_schema=task.output_schema,
        approval=_approval_in(task.approval) if task.HasField("approval") else None,
    )


def _approval_in(spec: dag_pb2.ApprovalSpec) -> ApprovalSpec:
    return ApprovalSpec(
        message=spec.message,
        form=spec.form,
        timeout_seconds=_seconds(spec, "timeout"),
        default=DECISIONS.get(spec.default, int(spec.default)),
        approvers=tuple(spec.approvers),
        on_reject=_ON_REJECT.get(spec.on_reject, int(spec.on_reject)),
    )


def _map_in(spec: dag_pb2.MapSpec) -> MapDraft:
    return MapDraft(
        inputs=[(each.name, _input_in(each.source)) for each in spec.inputs],
        mode=_MAP_MODES.get(spec.mode, int(spec.mode)),
        active_max=_given(spec, "active_max"),
        success_ratio_min=spec.success_ratio_min if spec.HasField("success_ratio_min") else 1.0,
        empty=_MAP_EMPTIES.get(spec.empty, int(spec.empty)),
        name=spec.name,
    )


def _input_in(source: dag_pb2.Input) -> Input | None:
    match source.WhichOneof("source"):
        case "literal":
            payload = source.literal
            return Literal(payload.data, payload.content_type or JSON, payload.uri, payload.size_bytes, payload.sha256)
        case "template":
            return Template(source.template)
        case "output":
            return OutputRef(source.output.task_id, source.output.key, source.output.xcom_key)
        case "param":
            return Param(source.param)
        case "list":
            # An item without a source stays None until validation refuses it.
            return InputList(tuple(map(_input_in, source.list.items)))  # type: ignore[arg-type]
        case _:
            return None


def _policy_in(policy: dag_pb2.TaskPolicy) -> PolicyDraft:
    return PolicyDraft(
        owner=policy.owner or None,
        queue_name=policy.queue_name or None,
        retry=_retry_in(policy.retry),
        execution_timeout_seconds=_seconds(policy, "execution_timeout"),
        pool_name=_given(policy, "pool_name"),
        pool_slots=_given(policy, "pool_slots"),
        priority=_given(policy, "priority"),
        resources=dict(policy.resources) or None,
        worker_selector=dict(policy.worker_selector) or None,
        isolation=_mode(_ISOLATIONS, policy.isolation),
        lease_mode=_mode(_LEASE_MODES, policy.lease_mode),
        memory_limit_mb=_given(policy, "memory_limit_mb"),
        cancel_grace_seconds=_seconds(policy, "cancel_grace"),
        wait_timeout_seconds=_seconds(policy, "wait_timeout"),
        limits=dict(policy.limits) or None,
        active_max=_given(policy, "active_max"),
        cache=_cache_in(policy.cache) if policy.HasField("cache") else None,
        depends_on_past=_given(policy, "depends_on_past"),
    )


def _cache_in(cache: dag_pb2.CachePolicy) -> CachePolicy:
    # In one order, and once each: it says the same then.
    ignore = tuple(sorted(set(cache.ignore)))
    return CachePolicy(_seconds(cache, "expire_after"), ignore, cache.key, cache.version)


def _retry_in(retry: dag_pb2.RetryPolicy) -> RetryDraft:
    return RetryDraft(
        retries_max=_given(retry, "retries_max"),
        delay_seconds=_seconds(retry, "delay"),
        backoff=_given(retry, "backoff"),
        delay_max_seconds=_seconds(retry, "delay_max"),
        delays_seconds=tuple(map(_seconds_of, retry.delays)) or None,
        losses_max=_given(retry, "losses_max"),
        preemptions_max=_given(retry, "preemptions_max"),
        reroute_queue=_given(retry, "reroute_queue"),
        reroute_after=_given(retry, "reroute_after"),
        jitter=_given(retry, "jitter"),
        only_on=tuple(retry.only_on) or None,
        never_on=tuple(retry.never_on) or None,
    )


def _mode(known: dict[int, Mode], number: int) -> Mode | int | None:
    return known.get(number, number) if number else None


def _given(message: Any, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None


def _seconds(message: Any, field: str) -> float | None:
    return _seconds_of(getattr(message, field)) if message.HasField(field) else None


def _seconds_of(duration: Duration) -> float:
    """60 s, 59 s and 10^9 ns: one number, so that they hash the same."""
    return float(round(duration.seconds + duration.nanos / 1e9, 9))


# ---- out
def version_out(version: Version) -> pb.DagVersion:
    """A version, with its content when that was read."""
    return pb.DagVersion(
        dag_id=version.dag_id,
        dag_version_number=version.dag_version_number,
        content_hash=version.content_hash,
        create_time=to_timestamp(version.create_time),
        created_by=version.created_by,
        task_count=version.task_count,
        spec=spec_out(from_canonical_json(version.text)) if version.text else None,
    )


def registered_out(registered: Registered) -> bytes:
    return pb.RegisterDagVersionResponse(
        dag_version=version_out(registered.version),
        created=registered.created,
        warnings=registered.warnings,
    ).SerializeToString()


def dag_out(dag: Dag) -> pb.Dag:
    return pb.Dag(
        namespace=dag.namespace,
        dag_id=dag.dag_id,
        description=dag.description,
        owner=dag.owner,
        tags=dag.tags,
        latest_version_number=dag.latest_version_number,
        paused=dag.paused,
        aliases=dag.aliases,
        create_time=to_timestamp(dag.create_time),
    )


def difference_out(difference: Difference) -> pb.DagDifference:
    return pb.DagDifference(
        change=_CHANGE_TO_WIRE[difference.change],
        path=difference.path,
        before=difference.before,
        after=difference.after,
    )


def spec_out(spec: DagSpec) -> dag_pb2.DagSpec:
    """A registered DAG: every default stands on each task."""
    return dag_pb2.DagSpec(
        dag_id=spec.dag_id,
        description=spec.description,
        owner=spec.owner,
        tags=spec.tags,
        params_schema=spec.params_schema,
        tasks=[_task_out(task) for task in spec.tasks],
        run_timeout=_duration(spec.run_timeout_seconds),
        runs_active_max=spec.runs_active_max,
        tasks_active_max=spec.tasks_active_max,
        run_retries_max=spec.run_retries_max,
        run_retry_delay=_duration(spec.run_retry_delay_seconds or None),
        fail_fast=spec.fail_fast,
        param_defaults=spec.param_defaults,
        run_tasks_active_max=spec.run_tasks_active_max,
        weight=spec.weight if spec.weight != WEIGHT_DEFAULT else None,
        runs_in_order=spec.runs_in_order,
        alerts=[dag_pb2.AlertRoute(on=each.kinds, channel=each.channel_name) for each in spec.alerts],
    )


def _task_out(task: TaskSpec) -> dag_pb2.TaskSpec:
    return dag_pb2.TaskSpec(
        task_id=task.task_id,
        description=task.description,
        group_id=task.group_id,
        handler=handler_to_wire(task) if task.approval is None else None,
        upstream_task_ids=task.upstream_task_ids,
        trigger_rule=RULE_TO_WIRE[task.trigger_rule],
        inputs=inputs_to_wire(task),
        policy=_policy_out(task.policy) if task.approval is None else dag_pb2.TaskPolicy(owner=task.policy.owner),
        role=ROLE_TO_WIRE[task.role],
        map=_map_out(task.map) if task.map is not None else None,
        input_schemas=task.input_schemas,
        output_schema=task.output_schema,
        approval=_approval_out(task.approval) if task.approval is not None else None,
    )


def _approval_out(spec: ApprovalSpec) -> dag_pb2.ApprovalSpec:
    return dag_pb2.ApprovalSpec(
        message=spec.message,
        form=spec.form,
        timeout=_duration(spec.timeout_seconds),
        default=DECISION_TO_WIRE[spec.default],
        approvers=spec.approvers,
        on_reject=_ON_REJECT_TO_WIRE[spec.on_reject],
    )


def _map_out(spec: MapSpec) -> dag_pb2.MapSpec:
    return dag_pb2.MapSpec(
        inputs=[dag_pb2.MapInput(name=each.name, source=input_to_wire(each.source)) for each in spec.inputs],
        mode=MAP_MODE_TO_WIRE[spec.mode],
        active_max=spec.active_max,
        success_ratio_min=spec.success_ratio_min,
        empty=MAP_EMPTY_TO_WIRE[spec.empty],
        name=spec.name,
    )


def _policy_out(policy: ResolvedPolicy) -> dag_pb2.TaskPolicy:
    return dag_pb2.TaskPolicy(
        owner=policy.owner,
        queue_name=policy.queue_name,
        retry=_retry_out(policy.retry),
        execution_timeout=_duration(policy.execution_timeout_seconds),
        pool_name=policy.pool_name,
        pool_slots=policy.pool_slots if policy.pool_name is not None else None,
        priority=policy.priority,
        resources=policy.resources,
        worker_selector=policy.worker_selector,
        isolation=ISOLATION_TO_WIRE[policy.isolation],
        lease_mode=LEASE_MODE_TO_WIRE[policy.lease_mode],
        memory_limit_mb=policy.memory_limit_mb,
        cancel_grace=_duration(policy.cancel_grace_seconds),
        wait_timeout=_duration(policy.wait_timeout_seconds),
        limits=policy.limits,
        active_max=policy.active_max,
        cache=_cache_out(policy.cache),
        depends_on_past=policy.depends_on_past,
    )


def _cache_out(cache: CachePolicy | None) -> dag_pb2.CachePolicy | None:
    if cache is None:
        return None
    expire_after = _duration(cache.expire_after_seconds)
    return dag_pb2.CachePolicy(expire_after=expire_after, ignore=cache.ignore, key=cache.key, version=cache.version)


def _retry_out(retry: RetryPolicy) -> dag_pb2.RetryPolicy:
    """What may be registered again: a list of delays, or a delay with its backoff."""
    message = dag_pb2.RetryPolicy(
        retries_max=retry.retries_max,
        losses_max=retry.losses_max,
        preemptions_max=retry.preemptions_max,
        reroute_queue=retry.reroute_queue or None,
        reroute_after=retry.reroute_after if retry.reroute_queue else None,
        jitter=retry.jitter or None,
        only_on=retry.only_on,
        never_on=retry.never_on,
    )
    if retry.delays_seconds:
        message.delays.extend(Duration(**_parts(seconds)) for seconds in retry.delays_seconds)
        return message
    message.MergeFrom(
        dag_pb2.RetryPolicy(
            delay=_duration(retry.delay_seconds), backoff=retry.backoff, delay_max=_duration(retry.delay_max_seconds)
        )
    )
    return message


def _duration(seconds: float | None) -> Duration | None:
    return None if seconds is None else Duration(**_parts(seconds))


def _parts(seconds: float) -> dict[str, int]:
    whole, nanos = divmod(round(seconds * 1e9), 1_000_000_000)
    return {"seconds": whole, "nanos": nanos}
