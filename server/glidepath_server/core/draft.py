"""A DAG as its author sent it: what was left open is None, nothing is checked. `resolve` fills the defaults.

Enum fields hold the member, or the number that has no member. Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from .alerts import Route
from .approvals import ApprovalSpec
from .definition import (
    APPROVAL,
    WEIGHT_DEFAULT,
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
    ResolvedPolicy,
    TaskSpec,
    input_sources,
)
from .graph import TaskRole
from .json_text import normalised_json
from .retry import RetryPolicy
from .trigger_rules import TriggerRule


@dataclass(frozen=True, slots=True)
class RetryDraft:
    retries_max: int | None = None
    delay_seconds: float | None = None
    backoff: float | None = None
    delay_max_seconds: float | None = None
    delays_seconds: tuple[float, ...] | None = None
    losses_max: int | None = None
    reroute_queue: str | None = None
    reroute_after: int | None = None
    jitter: float | None = None
    only_on: tuple[str, ...] | None = None
    never_on: tuple[str, ...] | None = None
    preemptions_max: int | None = None


@dataclass(frozen=True, slots=True)
class PolicyDraft:
    """An empty pool name is no pool, whatever the defaults say."""

    owner: str | None = None
    queue_name: str | None = None
    retry: RetryDraft = field(default_factory=RetryDraft)
    execution_timeout_seconds: float | None = None
    pool_name: str | None = None
    pool_slots: int | None = None
    priority: int | None = None
    resources: Mapping[str, float] | None = None
    worker_selector: Mapping[str, str] | None = None
    isolation: IsolationMode | int | None = None
    lease_mode: LeaseMode | int | None = None
    memory_limit_mb: int | None = None
    cancel_grace_seconds: float | None = None
    wait_timeout_seconds: float | None = None
    limits: Mapping[str, int] | None = None
    active_max: int | None = None
    cache: CachePolicy | None = None
    depends_on_past: bool | None = None


@dataclass(frozen=True, slots=True)
class MapDraft:
    """`inputs` are (name, source); one without a source is None."""

    inputs: Sequence[tuple[str, Input | None]] = ()
    mode: MapMode | int = MapMode.ZIP
    active_max: int | None = None
    success_ratio_min: float = 1.0
    empty: MapEmpty | int = MapEmpty.SKIP
    name: str = ""


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """An input without a source is None."""

    task_id: str
    handler: Handler
    description: str = ""
    group_id: str = ""
    upstream_task_ids: Sequence[str] = ()
    trigger_rule: TriggerRule | int = TriggerRule.ALL_SUCCESS
    inputs: Mapping[str, Input | None] = field(default_factory=dict)
    policy: PolicyDraft = field(default_factory=PolicyDraft)
    role: TaskRole | int = TaskRole.WORK
    map: MapDraft | None = None
    input_schemas: Mapping[str, str] = field(default_factory=dict)
    output_schema: str = ""
    approval: ApprovalSpec | None = None


@dataclass(frozen=True, slots=True)
class DagDraft:
    dag_id: str
    tasks: Sequence[TaskDraft] = ()
    description: str = ""
    owner: str = ""
    tags: Sequence[str] = ()
    params_schema: str = ""
    defaults: PolicyDraft = field(default_factory=PolicyDraft)
    run_timeout_seconds: float | None = None
    runs_active_max: int | None = None
    tasks_active_max: int | None = None
    run_retries_max: int = 0
    run_retry_delay_seconds: float = 0.0
    fail_fast: bool = False
    param_defaults: Mapping[str, str] = field(default_factory=dict)
    run_tasks_active_max: int | None = None
    weight: float | None = None
    runs_in_order: bool = False
    alerts: Sequence[Route] = ()


Draft = TypeVar("Draft", RetryDraft, PolicyDraft)
# The fields in the order in which they are given. Kept: to ask for them takes longer than all that is done with them.
_NAMES: dict[type, tuple[str, ...]] = {
    kind: tuple(each.name for each in fields(kind)) for kind in (RetryDraft, PolicyDraft)
}


def resolve(draft: DagDraft, order: Sequence[str]) -> DagSpec:
    """The spec of a draft without violations; `order` is its topological order (see core/compile.py)."""
    by_id = {task.task_id: task for task in draft.tasks}
    return DagSpec(
        dag_id=draft.dag_id,
        tasks=tuple(_task(by_id[task_id], draft) for task_id in order),
        description=draft.description,
        owner=draft.owner,
        tags=tuple(sorted(set(draft.tags))),
        params_schema=normalised_json(draft.params_schema) if draft.params_schema else "",
        run_timeout_seconds=draft.run_timeout_seconds,
        runs_active_max=1 if draft.runs_in_order else draft.runs_active_max,
        tasks_active_max=draft.tasks_active_max,
        run_retries_max=draft.run_retries_max,
        run_retry_delay_seconds=draft.run_retry_delay_seconds,
        fail_fast=draft.fail_fast,
        param_defaults=dict(draft.param_defaults),
        run_tasks_active_max=draft.run_tasks_active_max,
        weight=WEIGHT_DEFAULT if draft.weight is None else draft.weight,
        runs_in_order=draft.runs_in_order,
        alerts=tuple(draft.alerts),
    )


def upstream_of(task: TaskDraft) -> set[str]:
    """The upstream tasks it names, by id or by their outputs."""
    return {*task.upstream_task_ids, *input_sources(given_inputs(task)), *input_sources(mapped_inputs(task))}


def given_inputs(task: TaskDraft) -> dict[str, Input]:
    return {name: each for name, each in task.inputs.items() if each is not None}


def mapped_inputs(task: TaskDraft) -> dict[str, Input]:
    """The lists that the task is mapped over, by argument."""
    return {name: each for name, each in task.map.inputs if each is not None} if task.map else {}


def resolve_policy(task: TaskDraft, draft: DagDraft) -> ResolvedPolicy:
    """The task's own fields, then the DAG's defaults, then the server's. No worker: only the owner."""
    if task.approval is not None:
        return ResolvedPolicy(owner=task.policy.owner or draft.defaults.owner or draft.owner)
    policy = _first_given(task.policy, draft.defaults)
    given = _given(policy)
    given["retry"] = _retry(task.policy.retry, draft.defaults.retry)
    given["pool_name"] = policy.pool_name or None
    given["owner"] = policy.owner or draft.owner
    if task.role is TaskRole.TEARDOWN:
        given.pop("depends_on_past", None)
    if not policy.pool_name:
        given.pop("pool_slots", None)
    return ResolvedPolicy(**given)


def _task(task: TaskDraft, draft: DagDraft) -> TaskSpec:
    assert isinstance(task.trigger_rule, TriggerRule) and isinstance(task.role, TaskRole)
    return TaskSpec(
        task_id=task.task_id,
        handler=task.handler if task.approval is None else Handler(APPROVAL),
        description=task.description,
        group_id=task.group_id,
        upstream_task_ids=tuple(sorted(upstream_of(task))),
        trigger_rule=task.trigger_rule,
        inputs={name: _normalised(each) for name, each in given_inputs(task).items()},
        policy=resolve_policy(task, draft),
        role=task.role,
        map=_map(task),
        input_schemas={name: normalised_json(schema) for name, schema in task.input_schemas.items()},
        output_schema=normalised_json(task.output_schema) if task.output_schema else "",
        approval=_approval(task.approval),
    )


def _approval(given: ApprovalSpec | None) -> ApprovalSpec | None:
    if given is None:
        return None
    form = normalised_json(given.form) if given.form else ""
    return replace(given, form=form, approvers=tuple(sorted(set(given.approvers))))


def _map(task: TaskDraft) -> MapSpec | None:
    given = task.map
    if given is None:
        return None
    assert isinstance(given.mode, MapMode) and isinstance(given.empty, MapEmpty)
    inputs = tuple(MapInput(name, _normalised(each)) for name, each in mapped_inputs(task).items())
    return MapSpec(inputs, given.mode, given.active_max, given.success_ratio_min, given.empty, given.name)


def _first_given(own: Draft, otherwise: Draft) -> Draft:
    values = ((getattr(own, name), getattr(otherwise, name)) for name in _NAMES[type(own)])
    return type(own)(*(other if value is None else value for value, other in values))


def _given(draft: PolicyDraft | RetryDraft) -> dict[str, Any]:
    return {name: value for name in _NAMES[type(draft)] if (value := getattr(draft, name)) is not None}


def _retry(own: RetryDraft, defaults: RetryDraft) -> RetryPolicy:
    """A task that gives delays of one kind takes no delays of the other kind from the defaults."""
    if own.delays_seconds is not None:
        defaults = replace(defaults, delay_seconds=None, backoff=None, delay_max_seconds=None)
    elif own.delay_seconds is not None or own.backoff is not None:
        defaults = replace(defaults, delays_seconds=None)
    merged = _first_given(own, defaults)
    if merged.delays_seconds is not None:
        merged = replace(merged, delay_seconds=None, backoff=None, delay_max_seconds=None)
    return RetryPolicy(**_given(merged))


def _normalised(source: Input) -> Input:
    if isinstance(source, InputList):
        return InputList(tuple(_normalised(each) for each in source.items))
    if isinstance(source, Literal) and source.content_type == Literal().content_type and not source.uri:
        return replace(source, data=normalised_json(source.data.decode()).encode())
    return source
