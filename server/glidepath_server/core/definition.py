"""A DAG as registered: immutable, every default resolved, tasks in topological order. What the engine and workers use.

What an author sends, with fields left open, is in draft.py; canonical.py turns a DagSpec into the text that is hashed
and stored, and back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .alerts import Route
from .approvals import ApprovalSpec
from .graph import TaskRole
from .retry import RetryPolicy
from .templates import TemplateSyntaxError, output_of, template_names
from .trigger_rules import TriggerRule

JSON = "application/json"
SHELL = "shell"
"""Handler of a command; its input "command" is that command."""
APPROVAL = "approval"
"""Handler in the canonical text of a task that asks people: no worker runs it, whatever it offers."""
PYTHON_PREFIX = "python:"
"""Handlers of Python functions, "python:module:function"; their version is the hash of a source bundle, or empty."""


WEIGHT_DEFAULT = 1.0
"""A DAG's share beside the other DAGs of a queue."""
WAIT_SECONDS_MAX = 366 * 86_400.0
"""The longest that a task may wait in all."""


class IsolationMode(StrEnum):
    PROCESS = "process"
    INLINE = "inline"


class LeaseMode(StrEnum):
    HOLD = "hold"
    EXCLUSIVE = "exclusive"


class MapMode(StrEnum):
    ZIP = "zip"
    PRODUCT = "product"


class MapEmpty(StrEnum):
    SKIP = "skip"
    SUCCEED = "succeed"


@dataclass(frozen=True, slots=True)
class Handler:
    """The code that runs. Version "" is any."""

    name: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: `data`, or a reference to it by `uri` with the value's size in bytes and SHA-256."""

    data: bytes = b""
    content_type: str = JSON
    uri: str = ""
    size_bytes: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    text: str


@dataclass(frozen=True, slots=True)
class OutputRef:
    """The output of an upstream task; key "" is the whole value. With an XCom key, what it pushed by that instead."""

    task_id: str
    key: str = ""
    xcom_key: str = ""


@dataclass(frozen=True, slots=True)
class Param:
    name: str


@dataclass(frozen=True, slots=True)
class InputList:
    items: tuple[Input, ...]


Input = Literal | Template | OutputRef | Param | InputList


@dataclass(frozen=True, slots=True)
class MapInput:
    """An argument that differs between the instances of a mapped task, and the list that its values come from."""

    name: str
    source: Input


@dataclass(frozen=True, slots=True)
class MapSpec:
    """Over what a task is mapped: see registry/v1/dag.proto. `active_max` None: the server's window."""

    inputs: tuple[MapInput, ...] = ()
    mode: MapMode = MapMode.ZIP
    active_max: int | None = None
    success_ratio_min: float = 1.0
    empty: MapEmpty = MapEmpty.SKIP
    name: str = ""


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """Results are kept and used again: see registry/v1/dag.proto. `expire_after_seconds` None: for ever."""

    expire_after_seconds: float | None = None
    ignore: tuple[str, ...] = ()
    key: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class ResolvedPolicy:
    """How a task is treated. Durations in seconds, None: no limit. The defaults are the server's."""

    owner: str = ""
    queue_name: str = "default"
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    execution_timeout_seconds: float | None = None
    pool_name: str | None = None
    pool_slots: int = 1
    priority: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    worker_selector: Mapping[str, str] = field(default_factory=dict)
    isolation: IsolationMode = IsolationMode.PROCESS
    lease_mode: LeaseMode = LeaseMode.HOLD
    memory_limit_mb: int | None = None
    cancel_grace_seconds: float = 10.0
    wait_timeout_seconds: float = 7 * 86_400.0
    limits: Mapping[str, int] = field(default_factory=dict)
    active_max: int | None = None
    cache: CachePolicy | None = None
    depends_on_past: bool = False


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """`upstream_task_ids` is sorted and holds the tasks whose outputs `inputs` name, too."""

    task_id: str
    handler: Handler
    description: str = ""
    group_id: str = ""
    upstream_task_ids: tuple[str, ...] = ()
    trigger_rule: TriggerRule = TriggerRule.ALL_SUCCESS
    inputs: Mapping[str, Input] = field(default_factory=dict)
    policy: ResolvedPolicy = field(default_factory=ResolvedPolicy)
    role: TaskRole = TaskRole.WORK
    map: MapSpec | None = None
    # Canonical JSON Schemas: of arguments by name, of the output ("": anything).
    input_schemas: Mapping[str, str] = field(default_factory=dict)
    output_schema: str = ""
    approval: ApprovalSpec | None = None


@dataclass(frozen=True, slots=True)
class DagSpec:
    """`params_schema` is canonical JSON, "" for a DAG that takes no params; `tags` are sorted; `param_defaults` are
    those computed for each run (core/param_defaults.py)."""

    dag_id: str
    tasks: tuple[TaskSpec, ...]
    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    params_schema: str = ""
    run_timeout_seconds: float | None = None
    runs_active_max: int | None = None
    tasks_active_max: int | None = None
    run_retries_max: int = 0
    run_retry_delay_seconds: float = 0.0
    fail_fast: bool = False
    param_defaults: Mapping[str, str] = field(default_factory=dict)
    run_tasks_active_max: int | None = None
    weight: float = WEIGHT_DEFAULT
    # Then runs_active_max is 1.
    runs_in_order: bool = False
    # What of its runs goes to which alert channels.
    alerts: tuple[Route, ...] = ()


def leaves(source: Input) -> Iterator[Input]:
    """The input itself, or what its lists hold in the end, in order."""
    stack = [source]
    while stack:
        each = stack.pop()
        if isinstance(each, InputList):
            stack.extend(reversed(each.items))
        else:
            yield each


def input_sources(inputs: Mapping[str, Input]) -> set[str]:
    """Ids of the tasks whose outputs are inputs; what templates name is not among them."""
    return {leaf.task_id for each in inputs.values() for leaf in leaves(each) if isinstance(leaf, OutputRef)}


def output_sources(task: TaskSpec) -> tuple[str, ...]:
    """Sorted ids of the upstream tasks whose outputs an attempt of the task needs, in inputs or templates."""
    found = outputs_named(task.inputs, frozenset(task.upstream_task_ids))
    refs = (leaf for leaf in _leaves_of(task) if isinstance(leaf, OutputRef) and not leaf.xcom_key)
    return tuple(sorted({*found, *(leaf.task_id for leaf in refs)}))


def outputs_named(inputs: Mapping[str, Input], upstream: frozenset[str]) -> set[str]:
    """Ids of the upstream tasks whose outputs are named by templates."""
    found: set[str] = set()
    for each in inputs.values():
        for leaf in leaves(each):
            if isinstance(leaf, Template):
                found |= _named_in(leaf.text, upstream)
    return found


def sources(task: TaskSpec) -> set[str]:
    """Ids of the tasks of whose outputs, or of values beside them, the task is made: its inputs and what it is mapped
    over."""
    mapped = [leaf for each in task.map.inputs for leaf in leaves(each.source)] if task.map else []
    refs = {leaf.task_id for leaf in (*_leaves_of(task), *mapped) if isinstance(leaf, OutputRef)}
    return {*output_sources(task), *refs}


def xcom_sources(task: TaskSpec) -> tuple[tuple[str, str], ...]:
    """Sorted (task, key) of the XComs that an attempt of the task needs."""
    refs = {leaf for leaf in _leaves_of(task) if isinstance(leaf, OutputRef) and leaf.xcom_key}
    return tuple(sorted((each.task_id, each.xcom_key) for each in refs))


def _leaves_of(task: TaskSpec) -> Iterator[Input]:
    for each in task.inputs.values():
        yield from leaves(each)


def _named_in(text: str, upstream: frozenset[str]) -> set[str]:
    try:
        named = {output_of(name, upstream) for name in template_names(text)}
    except TemplateSyntaxError:
        return set()  # such a text does not pass registration
    return {task_id for task_id in named if task_id is not None}
