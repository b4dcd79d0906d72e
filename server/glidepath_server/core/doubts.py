"""What is allowed in a DAG, and seldom meant."""

from __future__ import annotations

from collections.abc import Iterator

from .definition import PYTHON_PREFIX, DagSpec, TaskSpec, output_sources
from .graph import TaskRole
from .trigger_rules import TriggerRule


def warnings(spec: DagSpec) -> list[str]:
    """What is allowed in a DAG, and seldom meant; for a person."""
    return [f"task {task.task_id}: {text}" for task in spec.tasks for text in _doubts(task, spec)]


def _doubts(task: TaskSpec, spec: DagSpec) -> Iterator[str]:
    timeout = task.policy.execution_timeout_seconds
    if timeout is not None and spec.run_timeout_seconds is not None and timeout > spec.run_timeout_seconds:
        yield (
            f"execution_timeout {timeout:g} s is never reached: the run ends after its run_timeout of "
            f"{spec.run_timeout_seconds:g} s"
        )
    if task.trigger_rule is not TriggerRule.ALL_SUCCESS and (needed := output_sources(task)):
        yield (
            f"its trigger rule {task.trigger_rule.value} may start it without the output of {needed[0]}, which it needs"
        )
    elif task.trigger_rule is TriggerRule.ALWAYS and task.upstream_task_ids:
        yield "its trigger rule always starts it with the run, it does not wait for its upstream tasks"
    if task.role in (TaskRole.BRANCH, TaskRole.SHORT_CIRCUIT) and not _has_downstream(task, spec):
        yield f"it is a {task.role.value}, and no task comes after it"
    if task.role is TaskRole.TEARDOWN and not _has_setup(task, spec):
        yield "no setup is directly before it, so it runs whatever was set up"
    if task.handler.name.startswith(PYTHON_PREFIX) and not task.handler.version:
        yield "its handler has no version, a worker runs whatever source it has"


def _has_downstream(task: TaskSpec, spec: DagSpec) -> bool:
    return any(task.task_id in each.upstream_task_ids for each in spec.tasks)


def _has_setup(task: TaskSpec, spec: DagSpec) -> bool:
    return any(each.role is TaskRole.SETUP for each in spec.tasks if each.task_id in task.upstream_task_ids)
