"""Running one attempt in process, by the worker's own code: inputs resolved from messages, outputs encoded and back."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from glidepath.authoring.nodes import Node
from glidepath.errors import GlidepathError, InputError
from glidepath.inputs import SHELL, resolve_inputs
from glidepath.payloads import encode
from glidepath.testing.call_bodies import Asked, body_of, heard
from glidepath.testing.results import AttemptState, FailureSeen
from glidepath.worker import body, failures
from glidepath.worker.context import ChildRun, TaskContext, WorkerRefused, running
from glidepath.worker.outcomes import Call
from glidepath_proto.common.v1.failure_pb2 import FailureKind
from glidepath_proto.common.v1.payload_pb2 import Payload
from glidepath_proto.registry.v1.dag_pb2 import TaskSpec
from glidepath_proto.worker.v1.task_pb2 import Assignment

_EVERYTHING_INLINE = body.OutputLimits(inline_bytes_max=body.OutputLimits.artifact_bytes_max)


@dataclass(frozen=True)
class RunFacts:
    """What all attempts of the run share."""

    dag_id: str
    run_id: str
    run_key: str
    params: Mapping[str, Any]
    logical_date: datetime
    data_interval_start: datetime
    data_interval_end: datetime


@dataclass
class Ended:
    """How an attempt ended. `output` is set for a success that returned something."""

    end: AttemptState
    output: Payload | None = None
    failure: FailureSeen | None = None
    reason: str = ""
    until: datetime | None = None
    after: timedelta = timedelta(0)
    call: Call | None = None
    # The end of the run that was called, of an attempt that another one follows.
    child: ChildRun | None = None
    link: MemoryLink = field(default_factory=lambda: MemoryLink({}))
    xcoms: Mapping[str, str] = field(default_factory=dict)
    artifacts: Sequence[Mapping[str, Any]] = ()


class MemoryLink:
    """A context's way to its worker, which here is a few fields and a dict of artifacts that the run's tasks share."""

    def __init__(self, artifacts: dict[str, Path], xcoms: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self.percent = 0.0
        self.xcoms = xcoms or {}
        self.note = ""
        self.checkpoint: bytes | None = None
        self._artifacts = artifacts

    def tell(self, kind: str, message: Mapping[str, Any]) -> None:
        if kind == "progress":
            self.percent, self.note = message["percent"], message["note"]
            if "checkpoint" in message:
                self.checkpoint = base64.b64decode(message["checkpoint"])

    def ask(self, kind: str, message: Mapping[str, Any]) -> dict[str, Any]:
        if kind == "put_artifact":
            path = Path(message["path"])
            uri = f"artifact:{hashlib.sha256(path.read_bytes()).hexdigest()}"
            self._artifacts[uri] = path
            return {"uri": uri}
        if kind == "get_artifact" and message["uri"] in self._artifacts:
            return {"path": str(self._artifacts[message["uri"]])}
        if kind == "get_xcom":
            index = message.get("map_index")
            return self._pull(message["task_id"] + ("" if index is None else f"[{index}]"), message["key"])
        raise WorkerRefused(f"{kind} {message.get('uri', '')}: there is no such artifact in this run")

    def _pull(self, name: str, key: str) -> dict[str, Any]:
        if name not in self.xcoms:
            raise WorkerRefused(f"pulling {key} of {name}: it is no task upstream that has succeeded")
        if key not in self.xcoms[name]:
            raise WorkerRefused(f"pulling {key} of {name}: task '{name}' pushed no '{key}'")
        return {"value": self.xcoms[name][key]}


def run_attempt(
    node: Node,
    spec: TaskSpec,
    facts: RunFacts,
    attempt_number: int,
    outputs: Mapping[str, Payload],
    checkpoint: bytes,
    artifacts: dict[str, Path],
    handler: Callable[..., Any] | None,
    mapped: tuple[int, Mapping[str, Any]] | None = None,
    child: ChildRun | None = None,
    xcoms: Mapping[str, Mapping[str, str]] | None = None,
) -> Ended:
    """Run one attempt to its end. `handler` stands in for the node's own body; `mapped` are an instance's index and
    item, `xcoms` what tasks that succeeded have pushed."""
    link = MemoryLink(artifacts, xcoms)
    try:
        assignment = assignment_of(spec, facts, attempt_number, outputs, mapped)
        _add_xcoms(assignment, spec, link.xcoms)
        arguments = resolve_inputs(assignment)
    except InputError as error:
        return _ended({"end": "failed", "failure": failures.describe(error)}, b"", link)
    context = TaskContext(
        namespace="test",
        dag_id=facts.dag_id,
        dag_version_number=1,
        run_id=facts.run_id,
        run_key=facts.run_key,
        task_id=node.task_id,
        map_index=mapped[0] if mapped else None,
        attempt_number=attempt_number,
        idempotency_key=f"{facts.run_id}/{node.task_id}{f'/{mapped[0]}' if mapped else ''}",
        params=facts.params,
        logical_date=facts.logical_date,
        data_interval_start=facts.data_interval_start,
        data_interval_end=facts.data_interval_end,
        checkpoint=checkpoint,
        map_item=mapped[1] if mapped else None,
        child=child,
        link=link,
    )
    function = handler or node.function or (_run_shell if node.handler == SHELL else body_of(node))
    if function is None:
        raise GlidepathError(
            f"task '{node.task_id}' has the handler '{node.handler}', which no code here runs; "
            f"give run_dag(replace={{'{node.task_id}': ...}}) a function or a value for it"
        )
    asked = Asked()
    with running(context):
        try:
            ended = _ended(
                *body.call(heard(function, asked), arguments, _EVERYTHING_INLINE, holds_artifacts=True), link
            )
            ended.call = asked.call if ended.end == "called" else None
            return ended
        except SystemExit as leave:
            failure = failures.describe(ExitStatus(f"the task left its process with {leave.code!r}"))
            return _ended({"end": "failed", "failure": failure}, b"", link)


def assignment_of(
    spec: TaskSpec,
    facts: RunFacts,
    attempt_number: int,
    outputs: Mapping[str, Payload],
    mapped: tuple[int, Mapping[str, Any]] | None,
) -> Assignment:
    """What a worker would be given for this attempt."""
    assignment = Assignment(handler=spec.handler, inputs=spec.inputs, params=_json(facts.params), run_key=facts.run_key)
    assignment.attempt.dag_run_id = facts.run_id
    assignment.attempt.task_id = spec.task_id
    assignment.attempt.map_index = mapped[0] if mapped else -1
    if mapped:
        assignment.map_item = json.dumps(mapped[1])
        for name, value in mapped[1].items():
            assignment.inputs[name].literal.CopyFrom(encode(value))
    assignment.attempt.attempt_number = attempt_number
    assignment.dag_version.dag_id = facts.dag_id
    assignment.dag_version.dag_version_number = 1
    for task_id in spec.upstream_task_ids:
        if task_id in outputs and (mapped is None or _takes(spec, task_id)):
            assignment.upstream_outputs[task_id].CopyFrom(outputs[task_id])
    for name in ("logical_date", "data_interval_start", "data_interval_end"):
        getattr(assignment, name).FromDatetime(getattr(facts, name))
    return assignment


def _takes(spec: TaskSpec, task_id: str) -> bool:
    """Whether the arguments that all instances share need this output: each instance would read all of its list."""
    sources = [leaf for source in spec.inputs.values() for leaf in (source, *source.list.items)]
    return any(each.output.task_id == task_id or f"outputs.{task_id}" in each.template for each in sources)


def _add_xcoms(assignment: Assignment, spec: TaskSpec, xcoms: Mapping[str, Mapping[str, str]]) -> None:
    sources = list(spec.inputs.values())
    while sources:
        source = sources.pop()
        sources += source.list.items
        ref = source.output
        if ref.xcom_key and ref.task_id in xcoms:
            found = assignment.xcoms.add(task_id=ref.task_id, key=ref.xcom_key)
            if ref.xcom_key in xcoms[ref.task_id]:
                found.value.MergeFrom(Payload(data=xcoms[ref.task_id][ref.xcom_key].encode()))


def _json(params: Mapping[str, Any]) -> str:
    return body.encode(dict(params))[1].decode()


def _ended(end: Mapping[str, Any], data: bytes, link: MemoryLink) -> Ended:
    ended = Ended(end["end"], reason=end.get("reason", ""), link=link)
    ended.xcoms, ended.artifacts = end.get("xcoms", {}), end.get("artifacts", ())
    if "content_type" in end:
        ended.output = Payload(content_type=end["content_type"], data=data)
    if "failure" in end:
        ended.failure = _failure(end["failure"])
        ended.reason = f"{ended.failure.type}: {ended.failure.message}"
    if end["end"] == "deferred":
        ended.until = None if end["until"] is None else datetime.fromtimestamp(end["until"], UTC)
        ended.after = timedelta(seconds=end["after"])
        link.checkpoint = base64.b64decode(end["checkpoint"]) or link.checkpoint
    if end["end"] == "called":
        link.checkpoint = base64.b64decode(end["call"]["checkpoint"]) or link.checkpoint
    return ended


def _failure(fields: Mapping[str, Any]) -> FailureSeen:
    return FailureSeen(
        type=fields["type"],
        message=fields["message"],
        stack_trace=fields.get("stack_trace", ""),
        retryable=fields.get("retryable"),
        retry_after=timedelta(seconds=fields.get("retry_after", 0)),
        bad_input=fields["kind"] == failures.BAD_INPUT,
        base_types=tuple(fields.get("base_types", ())),
        kind=FailureKind.Name(fields["kind"]).removeprefix("FAILURE_KIND_").lower(),
    )


class ExitStatus(GlidepathError):
    """A shell command did not end with status 0."""


def _run_shell(command: str, env: Mapping[str, str] | None = None, output: str = "none", **values: Any) -> Any:
    """The command line, run for real; with output "json" its last line is the value.

    `values` of a mapped one stand in the command already.
    """
    done = subprocess.run(
        ["/bin/sh", "-c", command], env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, text=True, check=False
    )
    print(done.stdout, end="")
    if done.returncode:
        raise ExitStatus(f"exit status {done.returncode}")
    line = next((each for each in reversed(done.stdout.split("\n")) if each.strip()), "")
    return json.loads(body.printed(line, line)) if output == "json" else None
