"""A DAG as it is registered: what its author wrote (drafts), and the same with every default filled in.

A draft leaves unset what its author left unset (None). `resolve` takes unset fields from the DAG's defaults, then from
the server's; what comes out says everything, so two ways of writing the same thing become equal. Durations are seconds.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from .graph import TriggerRule
from .retry import RetryPolicy


# ---------------------------------------------------------------- inputs
@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; `data` is JSON text as bytes when the content type is application/json."""

    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Template:
    """Text with dotted names in double braces."""

    text: str


@dataclass(frozen=True, slots=True)
class OutputOf:
    """The output of an upstream task, or one key of it."""

    task_id: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Param:
    """One run param, with its type."""

    name: str


@dataclass(frozen=True, slots=True)
class Gather:
    """Several inputs as a list."""

    items: tuple[Input, ...]


Input = Literal | Template | OutputOf | Param | Gather


# ---------------------------------------------------------------- drafts
@dataclass(frozen=True, slots=True)
class DraftRetry:
    retries_max: int | None = None
    delay_seconds: float | None = None
    backoff: float | None = None
    delay_max_seconds: float | None = None
    delays_seconds: tuple[float, ...] = ()
    losses_max: int | None = None


@dataclass(frozen=True, slots=True)
class DraftPolicy:
    """How a task is treated, as far as its author said."""

    owner: str = ""
    queue_name: str = ""
    retry: DraftRetry = DraftRetry()
    execution_timeout_seconds: float | None = None
    pool_name: str | None = None
    pool_slots: int | None = None
    priority: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    worker_selector: Mapping[str, str] = field(default_factory=dict)
    isolation: str = ""
    lease_mode: str = ""
    memory_limit_mb: int | None = None
    cancel_grace_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class DraftTask:
    task_id: str
    handler_name: str
    handler_version: str = ""
    description: str = ""
    group_id: str = ""
    upstream_task_ids: tuple[str, ...] = ()
    # A name of TriggerRule, "" for the default; anything else is a violation.
    trigger_rule: str = ""
    inputs: Mapping[str, Input] = field(default_factory=dict)
    policy: DraftPolicy = DraftPolicy()


@dataclass(frozen=True, slots=True)
class DraftDag:
    dag_id: str
    tasks: tuple[DraftTask, ...]
    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    params_schema: str = ""
    defaults: DraftPolicy = DraftPolicy()
    run_timeout_seconds: float | None = None
    runs_active_max: int | None = None
    tasks_active_max: int | None = None


# ---------------------------------------------------------------- resolved
@dataclass(frozen=True, slots=True)
class Policy:
    """How a task is treated, complete."""

    owner: str
    queue_name: str
    retry: RetryPolicy
    execution_timeout_seconds: float | None
    pool_name: str | None
    pool_slots: int
    priority: int
    resources: Mapping[str, float]
    worker_selector: Mapping[str, str]
    isolation: str
    lease_mode: str
    memory_limit_mb: int | None
    cancel_grace_seconds: float


@dataclass(frozen=True, slots=True)
class TaskSpec:
    task_id: str
    handler_name: str
    handler_version: str
    description: str
    group_id: str
    # Sorted; tasks whose outputs the inputs name are among them.
    upstream_task_ids: tuple[str, ...]
    trigger_rule: TriggerRule
    inputs: Mapping[str, Input]
    policy: Policy


@dataclass(frozen=True, slots=True)
class DagSpec:
    """Canonical: tasks in topological order (ties by id), defaults in every task, sets sorted."""

    dag_id: str
    tasks: tuple[TaskSpec, ...]
    description: str
    owner: str
    tags: tuple[str, ...]
    params_schema: str
    run_timeout_seconds: float | None
    runs_active_max: int | None
    tasks_active_max: int | None


def outputs_in(value: Input) -> Iterator[str]:
    """Ids of the tasks whose outputs an input names."""
    if isinstance(value, OutputOf):
        yield value.task_id
    elif isinstance(value, Gather):
        for item in value.items:
            yield from outputs_in(item)
    elif isinstance(value, Template):
        yield from template_outputs(value.text)


def template_outputs(text: str) -> Iterator[str]:
    """Task ids in `{{ outputs.task.key }}`; a task id may have dots, so the longest known one wins (see resolve)."""
    for part in text.split("{{")[1:]:
        name = part.split("}}")[0].strip()
        if name.startswith("outputs."):
            yield name.removeprefix("outputs.")


def output_sources(task: TaskSpec) -> tuple[str, ...]:
    """Upstream tasks whose outputs the task's inputs name, sorted."""
    known = set(task.upstream_task_ids)
    named = {_known_prefix(name, known) for value in task.inputs.values() for name in outputs_in(value)}
    return tuple(sorted(name for name in named if name))


def _known_prefix(name: str, known: set[str]) -> str:
    """The longest dotted prefix of `name` that is a task id, "" when there is none."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


# ---------------------------------------------------------------- resolving
def resolve(draft: DraftDag) -> DagSpec:
    """Fill in all defaults and bring tasks into canonical order. The draft must have been validated."""
    ids = {task.task_id for task in draft.tasks}
    tasks = {task.task_id: _resolve_task(task, draft, ids) for task in draft.tasks}
    return DagSpec(
        dag_id=draft.dag_id,
        tasks=tuple(tasks[task_id] for task_id in topological({t.task_id: t.upstream_task_ids for t in tasks.values()})),
        description=draft.description,
        owner=draft.owner,
        tags=tuple(sorted(set(draft.tags))),
        params_schema=draft.params_schema,
        run_timeout_seconds=draft.run_timeout_seconds,
        runs_active_max=draft.runs_active_max,
        tasks_active_max=draft.tasks_active_max,
    )


def upstream_of(task: DraftTask, ids: set[str]) -> tuple[str, ...]:
    """Declared upstreams and those whose outputs the inputs name, sorted."""
    named = {name for value in task.inputs.values() for name in outputs_in(value)}
    return tuple(sorted(set(task.upstream_task_ids) | {_known_prefix(name, ids) or name for name in named}))


def _resolve_task(task: DraftTask, draft: DraftDag, ids: set[str]) -> TaskSpec:
    return TaskSpec(
        task_id=task.task_id,
        handler_name=task.handler_name,
        handler_version=task.handler_version,
        description=task.description,
        group_id=task.group_id,
        upstream_task_ids=upstream_of(task, ids),
        trigger_rule=TriggerRule(task.trigger_rule or TriggerRule.ALL_SUCCESS),
        inputs=dict(sorted(task.inputs.items())),
        policy=resolve_policy(task.policy, draft.defaults, draft.owner),
    )


def resolve_policy(own: DraftPolicy, defaults: DraftPolicy, owner: str) -> Policy:
    """Own words, then the DAG's defaults, then the server's."""
    pool = _first(own.pool_name, defaults.pool_name)
    return Policy(
        owner=own.owner or defaults.owner or owner,
        queue_name=own.queue_name or defaults.queue_name or "default",
        retry=_resolve_retry(own.retry, defaults.retry),
        execution_timeout_seconds=_first(own.execution_timeout_seconds, defaults.execution_timeout_seconds),
        pool_name=pool or None,
        pool_slots=(_first(own.pool_slots, defaults.pool_slots, 1) if pool else 0),
        priority=_first(own.priority, defaults.priority, 0),
        resources=dict(sorted((own.resources or defaults.resources).items())),
        worker_selector=dict(sorted((own.worker_selector or defaults.worker_selector).items())),
        isolation=own.isolation or defaults.isolation or "process",
        lease_mode=own.lease_mode or defaults.lease_mode or "hold",
        memory_limit_mb=_first(own.memory_limit_mb, defaults.memory_limit_mb),
        cancel_grace_seconds=_first(own.cancel_grace_seconds, defaults.cancel_grace_seconds, 10.0),
    )


def _resolve_retry(own: DraftRetry, defaults: DraftRetry) -> RetryPolicy:
    """A task's own way of delaying (one delay or a list) replaces the whole way of the defaults."""
    base = RetryPolicy()
    way = own if own.delays_seconds or own.delay_seconds is not None or own.backoff is not None else defaults
    return RetryPolicy(
        retries_max=_first(own.retries_max, defaults.retries_max, base.retries_max),
        delay_seconds=0.0 if way.delays_seconds else _first(way.delay_seconds, base.delay_seconds),
        backoff=1.0 if way.delays_seconds else _first(way.backoff, base.backoff),
        delay_max_seconds=_first(own.delay_max_seconds, defaults.delay_max_seconds, base.delay_max_seconds),
        delays_seconds=way.delays_seconds,
        losses_max=_first(own.losses_max, defaults.losses_max, base.losses_max),
    )


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def topological(upstream: Mapping[str, Sequence[str]]) -> list[str]:
    """Ids in an order in which upstreams come first, ties by id (Kahn 1962). Ids on a cycle are left out."""
    missing = {task_id: sum(1 for each in set(names) if each in upstream) for task_id, names in upstream.items()}
    downstream: dict[str, list[str]] = {task_id: [] for task_id in upstream}
    for task_id, names in upstream.items():
        for each in set(names):
            if each in downstream:
                downstream[each].append(task_id)
    ready = [task_id for task_id, count in missing.items() if count == 0]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        task_id = heapq.heappop(ready)
        order.append(task_id)
        for follower in downstream[task_id]:
            missing[follower] -= 1
            if missing[follower] == 0:
                heapq.heappush(ready, follower)
    return order


def field_names(kind: type) -> list[str]:
    """Names of a definition's fields, in order."""
    return [each.name for each in fields(kind)]
