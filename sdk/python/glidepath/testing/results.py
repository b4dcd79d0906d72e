"""What a run in process gave: states, outputs, attempts with their times on the virtual clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from glidepath.errors import GlidepathError

TaskState = Literal["scheduled", "success", "failed", "upstream_failed", "skipped", "cancelled"]
AttemptState = Literal["success", "failed", "timed_out", "skipped", "deferred", "called"]


INSTANCES_TOLD_MAX = 6


class RunFailed(GlidepathError, AssertionError):
    """`RunResult.check()` found a run that did not succeed; the message says which tasks failed and why."""


@dataclass(frozen=True)
class FailureSeen:
    """Why an attempt failed, as the server would be told."""

    type: str
    message: str
    stack_trace: str = ""
    retryable: bool | None = None
    retry_after: timedelta = timedelta(0)
    bad_input: bool = False
    kind: str = "application"
    base_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class AttemptResult:
    """One try of a task."""

    attempt_number: int
    state: AttemptState
    start_time: datetime
    end_time: datetime
    failure: FailureSeen | None = None
    reason: str = ""
    progress_percent: float = 0.0
    progress_note: str = ""


@dataclass
class TaskResult:
    """One task of the run, or an instance of a mapped one. `output` is what downstream tasks got: the value as it came
    back from the wire, of a mapped task the list of its `instances`'. `map_index` is -1 for a task as a whole."""

    task_id: str
    state: TaskState = "scheduled"
    output: object = None
    reason: str = ""
    attempts: list[AttemptResult] = field(default_factory=list)
    xcoms: dict[str, object] = field(default_factory=dict)
    """What the attempt that succeeded pushed."""
    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    """URIs of the artifacts that it read and wrote."""
    map_index: int = -1
    map_item: Mapping[str, Any] | None = None
    map_name: str = ""
    instances: list[TaskResult] = field(default_factory=list)
    child_runs: list[RunResult] = field(default_factory=list)
    """The runs that it has called, in order."""

    @property
    def name(self) -> str:
        """ "train", and of an instance "train[3]"."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @property
    def failure(self) -> FailureSeen | None:
        """Of the last attempt."""
        return self.attempts[-1].failure if self.attempts else None


@dataclass
class RunResult(Mapping[str, TaskResult]):
    """The run: `result["train"].output`, `result.states`, `result.check()`."""

    state: Literal["success", "failed"]
    tasks: dict[str, TaskResult]
    started: list[str]
    """Tasks, and instances of mapped ones ("train[3]"), in the order of their first attempts."""
    start_time: datetime
    end_time: datetime

    @property
    def states(self) -> dict[str, TaskState]:
        return {task_id: task.state for task_id, task in self.tasks.items()}

    @property
    def outputs(self) -> dict[str, object]:
        """Of the tasks that succeeded."""
        return {task_id: task.output for task_id, task in self.tasks.items() if task.state == "success"}

    def check(self) -> RunResult:
        """This result if the run succeeded, else RunFailed."""
        if self.state == "success":
            return self
        parts = []
        for task in self.tasks.values():
            failed = [each for each in (task, *task.instances) if each.state == "failed"]
            for each in failed[:INSTANCES_TOLD_MAX]:
                trace = each.failure.stack_trace if each.failure else ""
                parts.append(f"{each.name}: {each.reason}\n{trace}".rstrip())
        raise RunFailed("the run failed\n" + "\n".join(parts))

    def __getitem__(self, task_id: str) -> TaskResult:
        return self.tasks[task_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)
