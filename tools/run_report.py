"""Saying in lines of text how a run goes and how it went."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from glidepath.client import Client
from glidepath.errors import NotFound
from glidepath_proto.run.v1.run_pb2 import RunState, TaskInstance, TaskState
from glidepath_proto.run.v1.run_service_pb2 import WatchDagRunResponse

_UNTOLD = {"scheduled", "queued"}


def say(text: str) -> None:
    print(f"demo: {text}", flush=True)


class Progress:
    """Prints a line for each task instance that a watched run reports in a new state."""

    def __init__(self, begin: float) -> None:
        self._begin = begin
        self._attempts: dict[str, int] = {}
        self._told: dict[str, tuple[str, int]] = {}
        self._running: dict[str, str] = {}

    def attempts(self, task_id: str) -> int:
        """How many attempts of a task have begun, as far as the run has said."""
        return self._attempts.get(task_id, 0)

    def worker_of(self, prefix: str) -> str | None:
        """The worker of a running task whose id begins so, None for no such task."""
        return next((worker for task_id, worker in self._running.items() if task_id.startswith(prefix)), None)

    def show(self, message: WatchDagRunResponse) -> str:
        """Print what changed; the run's state."""
        for instance in message.task_instances:
            self._attempts[instance.task_id] = instance.attempt_number
            state = _task_state(instance)
            self._running.pop(instance.task_id, None)
            if state == "running":
                self._running[instance.task_id] = instance.worker_identity
            if state not in _UNTOLD and self._told.get(instance.task_id) != (state, instance.attempt_number):
                self._told[instance.task_id] = state, instance.attempt_number
                print(
                    f"{time.monotonic() - self._begin:6.1f} s  {instance.task_id:28} {_said(instance, state)}",
                    flush=True,
                )
        return RunState.Name(message.dag_run.state).removeprefix("RUN_STATE_").lower()


def print_report(client: Client, run_id: str) -> None:
    """The run's tasks with states and times, the metrics of its models, what went on, and its critical path."""
    run = client.get_dag_run(run_id)
    instances = list(client.list_task_instances(run_id))
    begin = run.start_time.ToNanoseconds()
    _print_table(
        f"\nThe run {run.run_key} took {(run.end_time.ToNanoseconds() - begin) / 1e9:.1f} s",
        ("task", "state", "attempts", "began", "took", "on"),
        [_row(instance, begin) for instance in instances],
    )
    models = [instance.task_id for instance in instances if instance.task_id.startswith("models.")]
    _print_table("\nThe models", ("model", "accuracy", "ROC AUC"), [_metrics(client, run_id, each) for each in models])
    print(f"\n{_verdict(client, run_id)}")
    _print_table(
        "\nThe critical path: what the run's length came from",
        ("task", "waited", "worked"),
        [
            (
                step.task_id,
                f"{step.waited.ToMilliseconds() / 1000:.2f} s",
                f"{step.worked.ToMilliseconds() / 1000:.2f} s",
            )
            for step in client.explain_dag_run(run_id).critical_path
        ],
    )


def _row(instance: TaskInstance, begin: int) -> tuple[str, ...]:
    """A task that never began has no times."""
    name = instance.task_id
    if not instance.HasField("start_time"):
        return name, _task_state(instance), "", "", "", instance.reason
    start, end = instance.start_time.ToNanoseconds(), instance.end_time.ToNanoseconds()
    times = f"{(start - begin) / 1e9:.2f} s", f"{(end - start) / 1e9:.2f} s"
    return name, _task_state(instance), str(instance.attempt_number), *times, instance.worker_identity


def _metrics(client: Client, run_id: str, task_id: str) -> tuple[str, ...]:
    output = _output(client, run_id, task_id)
    return (task_id, f"{output['accuracy']:.4f}", f"{output['roc_auc']:.4f}") if output else (task_id, "none", "none")


def _verdict(client: Client, run_id: str) -> str:
    output = _output(client, run_id, "evaluate")
    if not output:
        return "No verdict: the models were not evaluated"
    return f"{'Deployed' if output['deploy'] else 'Not deployed'}: {output['reason']}"


def _output(client: Client, run_id: str, task_id: str) -> Any:
    try:
        return client.output(run_id, task_id)
    except NotFound:
        return None


def _task_state(instance: TaskInstance) -> str:
    return TaskState.Name(instance.state).removeprefix("TASK_STATE_").lower()


def _said(instance: TaskInstance, state: str) -> str:
    if state == "running":
        return f"running, attempt {instance.attempt_number} on {instance.worker_identity}"
    return f"{state}: {instance.reason}" if instance.reason and state != "success" else state


def _print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
    print(title)
    for line in [head, *rows]:
        print(
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), flush=True
        )
