"""Child runs of a run in this process: simulations of their own, which begin when they are called."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from glidepath.authoring import Dag
from glidepath.authoring.convert import called_dags
from glidepath.errors import GlidepathError
from glidepath.payloads import encode
from glidepath.testing.attempts import Ended
from glidepath.testing.results import FailureSeen, RunResult
from glidepath.worker import body
from glidepath.worker.context import ChildRun
from glidepath.worker.outcomes import Call
from glidepath_proto.common.v1.payload_pb2 import Payload

DEPTH_MAX = 10


@dataclass
class Children:
    """The DAGs that may be called, and how one is run."""

    dags: Mapping[str, Dag]
    run: Callable[..., RunResult]
    depth: int = 0

    def end(self, call: Call, run_key: str, dates: tuple[datetime, datetime, datetime], now: datetime) -> End:
        """The whole child run, from `now` on."""
        dag = call.dag if isinstance(call.dag, Dag) else self.dags.get(call.dag)
        if dag is None:
            known = ", ".join(sorted(self.dags)) or "none"
            return _refused(f"there is no DAG {call.dag_id!r} in this test; run_dag(dags=[...]) has: {known}")
        if self.depth >= DEPTH_MAX:
            return _refused(f"the run is {self.depth} calls deep; child runs may be nested {DEPTH_MAX} deep")
        if call.output and call.output not in {node.task_id for node in dag.nodes}:
            return _refused(f"call.output_task_id: DAG {call.dag_id} has no task {call.output!r}")
        if call.logical_date is not None:
            dates = (call.logical_date.astimezone(UTC),) * 3
        try:
            params = json.loads(body.encode(call.params)[1])
            result = self.run(dag, params, dates, run_key, now, replace(self, depth=self.depth + 1))
        except GlidepathError as error:  # what the server would say of params, it says of the call
            return _refused(str(error))
        return End(call, result, _output(dag, result, call.output))


@dataclass(frozen=True)
class End:
    """How a child run ended, or why there is none."""

    call: Call | None = None
    result: RunResult | None = None
    output: Payload | None = None
    refused: FailureSeen | None = None

    @property
    def lasted(self) -> timedelta:
        return self.result.end_time - self.result.start_time if self.result is not None else timedelta(0)

    def of_caller(self, ended: Ended) -> Ended:
        """How the attempt ends that has called it."""
        if self.refused is not None or self.call is None or self.result is None:
            refused = self.refused
            return Ended("failed", failure=refused, reason=refused.message if refused else "", link=ended.link)
        if self.call.resume:
            return replace(ended, child=self._seen())
        if self.result.state == "success":
            return Ended("success", output=self.output, link=ended.link)
        reason = f"a run of DAG {self.call.dag_id} failed: {_why(self.result)}"
        return Ended("failed", failure=FailureSeen("ChildRunFailed", reason), reason=reason, link=ended.link)

    def _seen(self) -> ChildRun:
        assert self.call is not None and self.result is not None
        payload, state = self.output or Payload(), self.result.state
        reason = "" if state == "success" else _why(self.result)
        return ChildRun("test-child", self.call.dag_id, state, reason, payload.content_type, payload.data)


def _refused(message: str) -> End:
    return End(refused=FailureSeen("CallRefused", message, bad_input=True, kind="bad_input"))


def _why(result: RunResult) -> str:
    return "; ".join(f"{task.task_id}: {task.reason}" for task in result.values() if task.state == "failed")


def _output(dag: Dag, result: RunResult, task_id: str) -> Payload | None:
    """What a run gives its caller, as the server makes it."""
    if result.state != "success":
        return None
    given = {name for name, task in result.items() if task.state == "success" and task.output is not None}
    if task_id:
        return encode(result[task_id].output) if task_id in given else None
    teardowns = {node.task_id for node in dag.nodes if node.options.get("role") == "teardown"}
    followed = {each for node in dag.nodes if node.task_id not in teardowns for each in node.upstream}
    last = [name for name in result if name in given and name not in followed | teardowns]
    return encode({name: result[name].output for name in last}) if last else None


def callable_dags(dag: Dag, dags: Sequence[Dag]) -> dict[str, Dag]:
    """The DAGs that a test may call: those it names, what these and the DAG itself call as objects, and itself."""
    found = {each.dag_id: each for root in (dag, *dags) for each in called_dags(root)}
    return found | {each.dag_id: each for each in (*dags, dag)}
