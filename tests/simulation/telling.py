"""A life as a person reads it: the scenario in a few lines, then one line per action with what followed from it."""

from __future__ import annotations

from collections.abc import Iterator

from .life import Life, replay
from .scenario import Plan, Scenario, plan_of


def told(life: Life) -> Iterator[str]:
    """All lines of a history. The failure, if there is one, is the last."""
    yield from described(life.scenario)
    lines: list[str] = []
    replay(life.scenario, life.actions, lines.append)
    yield from lines
    yield f"broken: {life.failure!r}" if life.failure is not None else "every promise was kept"


def described(scenario: Scenario) -> Iterator[str]:
    for number, draft in enumerate(scenario.dags):
        spec = plan_of(number, draft).spec
        bounds = {
            "run timeout": spec.run_timeout_seconds,
            "runs": spec.runs_active_max,
            "tasks": spec.tasks_active_max,
        }
        said = ", ".join(f"{name} {value:g}" for name, value in bounds.items() if value is not None)
        yield f"{spec.dag_id}{f' ({said})' if said else ''}"
        yield from (f"  {line}" for line in _tasks(plan_of(number, draft)))
    yield f"runs: {', '.join(f'{run} of {dag_id}' for run, dag_id in scenario.runs)}"
    for worker in scenario.workers:
        labels = "".join(f", {name} {value}" for name, value in worker.offer.labels.items())
        yield f"{worker.name}: {worker.slots} slots, queues {', '.join(sorted(worker.offer.queue_names))}{labels}"
    yield f"pool of {scenario.pool_slots} slots"


def _tasks(plan: Plan) -> Iterator[str]:
    for task in plan.spec.tasks:
        policy = task.policy
        words = (
            [f"after {', '.join(task.upstream_task_ids)} ({task.trigger_rule.value})"] if task.upstream_task_ids else []
        )
        words.append(f"{policy.retry.retries_max} retries, {policy.retry.losses_max} losses")
        if policy.execution_timeout_seconds is not None:
            words.append(f"timeout {policy.execution_timeout_seconds:g} s")
        if policy.pool_name:
            words.append(f"{policy.pool_slots} slots of the pool")
        words += [f"{name} {value}" for name, value in policy.worker_selector.items()]
        words += [f"queue {policy.queue_name}"] if policy.queue_name != "default" else []
        yield f"{task.task_id}: {'; '.join(words)}"
