"""Child runs: what an attempt asks for when it calls one, and what the end of that run means to the attempt.

An attempt that has called goes on as its child run: it gives its slot back and ends when the run ends. So a retry is a
new child run, a timeout or a cancel of the attempt is told to the child run, and while that winds down the attempt has
not ended either.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from .failure import Failure, FailureKind
from .graph import Graph
from .json_text import from_json
from .states import AttemptState, RunState

# A run that was triggered has depth 0, its child runs 1, and so on: a DAG that calls itself ends here.
DEPTH_MAX = 10
# Child runs that one run may call in all; a loop counts with each round.
CHILDREN_MAX = 20_000
# Of the outputs of a child run's last tasks, put together.
COMBINED_BYTES_MAX = 1024 * 1024
# Of the reason of a caller that a child run is told; each level of a tree adds to it.
REASON_CHARACTERS_MAX = 400
JSON = "application/json"


class Call(NamedTuple):
    """A child run that an attempt asks for. Neither number nor alias: the latest version. No date: the caller's."""

    dag_id: str
    number: int | None = None
    alias: str | None = None
    params: str = ""
    logical_date: datetime | None = None
    # Empty: the outputs of the last tasks, by id.
    output_task_id: str = ""
    # A further attempt follows, however the child run ends.
    resume: bool = False


class ChildOutput(NamedTuple):
    """The output of a task instance of a child run, as far as it is inline."""

    map_index: int
    content_type: str
    body: bytes | None
    uri: str | None
    size_bytes: int


def refused(message: str, error: str = "CallRefused") -> Failure:
    """A call that cannot be made; no retry mends that."""
    return Failure(FailureKind.BAD_INPUT, error, message)


def last_tasks(graph: Graph) -> tuple[int, ...]:
    """The tasks after which no other does work: what a run without a named output gives."""
    return tuple(
        task
        for task in range(graph.size)
        if task not in graph.teardowns and all(each in graph.teardowns for each in graph.downstream[task])
    )


def end_of_caller(
    state: RunState, *, resume: bool, cancelled: bool, child: str, reason: str, problem: str
) -> tuple[AttemptState, Failure | None]:
    """How an attempt ends whose child run has ended in `state`.

    `cancelled`: the attempt was told to end before. `problem`: why the child run's output cannot be the attempt's.
    """
    if resume:
        return (AttemptState.CANCELLED if cancelled else AttemptState.CALLED), None
    if state is RunState.SUCCESS:
        return (AttemptState.FAILED, refused(problem)) if problem else (AttemptState.SUCCESS, None)
    if cancelled:
        return AttemptState.CANCELLED, None
    because = f": {reason}" if reason else ""
    if state is RunState.CANCELLED:
        # Who cancels a child run does not want another one.
        return AttemptState.FAILED, Failure(
            FailureKind.APPLICATION, "ChildRunCancelled", f"{child} was cancelled{because}", retryable=False
        )
    return AttemptState.FAILED, Failure(FailureKind.APPLICATION, "ChildRunFailed", f"{child} failed{because}")


def combined(outputs: Mapping[str, Sequence[ChildOutput]]) -> bytes:
    """One JSON object of the outputs by task id; a mapped task's are a list, by map index.

    What is no JSON is {"content_type", "base64"}; what is by reference is {"content_type", "uri", "size_bytes"}.
    """
    values: dict[str, Any] = {}
    for task_id, found in outputs.items():
        each = [_value(output) for output in sorted(found)]
        values[task_id] = each[0] if len(found) == 1 and found[0].map_index < 0 else each
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def _value(output: ChildOutput) -> Any:
    if output.body is None:
        return {"content_type": output.content_type, "uri": output.uri, "size_bytes": output.size_bytes}
    if output.content_type == JSON:
        try:
            return from_json(output.body.decode())
        except ValueError:
            pass
    return {"content_type": output.content_type, "base64": base64.b64encode(output.body).decode()}


def child_name(dag_run_id: UUID, dag_id: str) -> str:
    """How a child run is named to people."""
    return f"run {dag_run_id} of DAG {dag_id}"


def passed_on(reason: str, caller: UUID, dag_id: str) -> str:
    """What a child run is told of why it ends: the caller is named, and what it was told itself."""
    return f"ended by its caller, run {caller} of DAG {dag_id}: {reason}"[:REASON_CHARACTERS_MAX]
