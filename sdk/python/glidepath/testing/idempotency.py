"""Whether a task does the same when it is run again: what a retry, a rerun and a lost worker count on."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from glidepath.authoring import Dag
from glidepath.authoring.convert import to_spec
from glidepath.authoring.nodes import Node, topological_order
from glidepath.authoring.options import DurationLike, parse_duration
from glidepath.authoring.params import dated_params, default_params
from glidepath.authoring.suggestions import suggestion
from glidepath.errors import GlidepathError
from glidepath.inputs import SHELL
from glidepath.payloads import decode, encode
from glidepath.testing.attempts import RunFacts
from glidepath.testing.differences import Difference, compare_artifacts, compare_outputs
from glidepath.testing.isolated import ArtifactSeen, DagFile, Done, Work, kept_at, run_isolated
from glidepath.testing.mapped import NoItems, instance_of, read_items
from glidepath.testing.results import AttemptState, FailureSeen
from glidepath.testing.scratch import FileSeen, Snapshot, compare_snapshots, take_snapshot
from glidepath_proto.common.v1.payload_pb2 import Payload

_BAD = ("failed", "timed_out")


class CannotVerify(GlidepathError, ValueError):
    """The arguments do not fit the DAG; `problems` has everything that is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


class UpstreamFailed(GlidepathError):
    """An upstream task whose output is needed did not give one; `log` is what it wrote."""

    def __init__(self, task_id: str, message: str, log: str) -> None:
        self.task_id, self.log = task_id, log
        super().__init__(message)


class NotIdempotent(GlidepathError, AssertionError):
    """`Verification.check()` found a task that failed, or that did not do the same each time."""


@dataclass(frozen=True)
class VerifiedAttempt:
    """One run of the task, and what lay in the scratch folder after it.

    `output` is the value that downstream tasks would get, `output_sha256` the digest of its content ("" for none).
    """

    attempt_number: int
    end: AttemptState
    duration_seconds: float
    output: object = None
    output_sha256: str = ""
    artifacts: tuple[ArtifactSeen, ...] = ()
    files: tuple[FileSeen, ...] = ()
    failure: FailureSeen | None = None
    reason: str = ""
    log: str = field(default="", repr=False)

    @property
    def failed(self) -> bool:
        return self.end in _BAD


@dataclass(frozen=True)
class Verification:
    """What was found. `upstreams` are the tasks that were run for their outputs, `notes` what was not looked at."""

    dag_id: str
    task_id: str
    attempts: tuple[VerifiedAttempt, ...]
    differences: tuple[Difference, ...]
    upstreams: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Literal["same", "differs", "failed"]:
        """A task whose first attempt failed has "failed"; one of which a later attempt did "differs"."""
        if self.attempts[0].failed:
            return "failed"
        return "differs" if self.differences else "same"

    @property
    def advice(self) -> list[str]:
        """What to do about the differences, each once."""
        return list(dict.fromkeys(each.advice for each in self.differences))

    def check(self) -> Verification:
        """This verification if the task did the same each time, else NotIdempotent."""
        if self.verdict == "same":
            return self
        what = "failed" if self.verdict == "failed" else "did not do the same each time"
        lines = [
            f"task '{self.task_id}' {what}",
            *map(str, self.differences),
            *(f"next: {each}" for each in self.advice),
        ]
        for each in self.attempts:
            if each.failed:
                trace = each.failure.stack_trace if each.failure else ""
                lines += [f"attempt {each.attempt_number}: {each.reason}", trace.rstrip(), each.log.rstrip()]
        raise NotIdempotent("\n".join(filter(None, lines)))


def verify_task(
    dag: Dag,
    task_id: str,
    params: Mapping[str, Any] | None = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    runs: int = 2,
    ignore: Sequence[str] = (),
    scratch: str | Path | None = None,
    logical_date: datetime | None = None,
    apart: DurationLike = "1.5s",
    fresh: bool = False,
) -> Verification:
    """Run a task several times as attempts of one task instance, and compare what each of them leaves.

    All attempts have the same idempotency key, dates, params and inputs; their numbers are 1, 2, ... Each is a process
    of its own that has the scratch folder as its current folder, HOME and TMPDIR, with what the attempt before left in
    it. Compared are ends, outputs, artifacts that were put, and the files of that folder; what a task does elsewhere,
    to a database say, is not seen. An attempt that fails is the last one.

    `inputs` gives outputs of upstream tasks by task id; upstream tasks that are not given are run once, in the same
    folder. `ignore` has dotted paths of the output that may differ: `rows.*.elapsed`. `scratch` is a folder to use and
    to keep, with what lies in it; else there is one that is removed. Attempts start at least `apart` from each other,
    so that seconds of the clock show.

    An attempt is a fork of this process. With `fresh` it is a new interpreter that loads the DAG's file anew, as on
    another worker: then it also shows when the file takes the time while it is imported, when a library's chance is
    seeded at its import, and when the order of a set counts.

    Of a mapped task one instance is verified: `verify_task(tuning, "train[3]")`.

    CannotVerify: the arguments do not fit the DAG. UpstreamFailed: there is no output to give to the task.
    """
    wait = parse_duration(apart, "apart")
    whole, index = instance_of(task_id) or (task_id, -1)
    problems = _problems(dag, whole, params or {}, inputs or {}, runs, ignore) or _map_problems(dag, whole, index)
    given, unfit = _encoded(inputs or {})
    if problems or unfit:
        raise CannotVerify([*problems, *unfit])
    now = logical_date or datetime.now(UTC)
    dates = dict.fromkeys(("logical_date", "data_interval_start", "data_interval_end"), now)
    computed = dated_params(dag.param_defaults, dag.params_schema, dates)
    complete = {**default_params(dag.params_schema), **computed, **(params or {})}
    facts = RunFacts(dag.dag_id, "verify-run", "verify", complete, now, now, now)
    with ExitStack() as folders:
        store = folders.enter_context(_temporary("store"))
        folder = Path(scratch or folders.enter_context(_temporary("scratch"))).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return _Verifier(dag, facts, given, folder, Path(store), fresh).verify(whole, index, runs, ignore, wait)


def _temporary(name: str) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=f"glidepath-{name}-", ignore_cleanup_errors=True)


class _Verifier:
    def __init__(
        self, dag: Dag, facts: RunFacts, given: dict[str, Payload], scratch: Path, store: Path, fresh: bool
    ) -> None:
        self._dag, self._facts, self._outputs, self._fresh = dag, facts, given, fresh
        self._scratch, self._store = scratch, store
        self._artifacts: dict[str, Path] = {}

    def verify(self, task_id: str, map_index: int, runs: int, ignore: Sequence[str], wait: timedelta) -> Verification:
        upstreams = _upstreams_to_run(self._dag, task_id, self._outputs)
        for each in upstreams:
            self._run_upstream(each)
        node = _node(self._dag, task_id)
        mapped = None if node.map is None else (map_index, self._item(node, map_index))
        attempts: list[VerifiedAttempt] = []
        differences: list[Difference] = []
        notes: list[str] = []
        snapshots: list[Snapshot] = []
        for number in range(1, runs + 1):
            started = time.monotonic()
            done = self._run(node, number, mapped)
            snapshots.append(take_snapshot(self._scratch))
            attempts.append(_attempt(number, done, snapshots[-1]))
            notes += snapshots[-1].notes
            if number > 1:
                differences += _compare(attempts[-2], attempts[-1], ignore)
                differences += compare_snapshots(number, snapshots[-2], snapshots[-1], self._scratch)
            if attempts[-1].failed:
                break
            if number < runs:
                time.sleep(max(0.0, started + wait.total_seconds() - time.monotonic()))
        if any(each.end == "deferred" for each in attempts):
            notes.append(f"'{task_id}' deferred: what it does when it is called again was not run")
        if any(each.end == "called" for each in attempts):
            notes.append(f"'{task_id}' calls a DAG: no run of that was made")
        unique = tuple(dict.fromkeys(notes))
        name = task_id if mapped is None else f"{task_id}[{map_index}]"
        return Verification(self._dag.dag_id, name, tuple(attempts), tuple(differences), tuple(upstreams), unique)

    def _item(self, node: Node, map_index: int) -> Mapping[str, Any]:
        """What the instance is given. CannotVerify when the lists, which are known by now, have none for it."""
        spec = next(each for each in to_spec(self._dag, None).tasks if each.task_id == node.task_id)
        try:
            items = read_items(spec.map, self._facts.params, self._outputs)
        except NoItems as problem:
            raise CannotVerify([f"task '{node.task_id}': {problem}"]) from None
        if map_index >= len(items):
            raise CannotVerify([f"task '{node.task_id}' has no instance {map_index}: its map has {len(items)}"])
        return items[map_index]

    def _run_upstream(self, task_id: str) -> None:
        done = self._run(_node(self._dag, task_id), 1)
        if done.end not in ("success", "skipped"):
            unheard = {
                "deferred": "it deferred, and nothing waits here",
                "called": "it calls a DAG, which is not run here",
            }
            why = unheard.get(done.end, done.reason)
            raise UpstreamFailed(task_id, f"upstream task '{task_id}' gave no output: {why}", done.log)
        if done.output is not None:
            self._outputs[task_id] = done.output

    def _run(self, node: Node, number: int, mapped: tuple[int, Mapping[str, Any]] | None = None) -> Done:
        dag = DagFile(self._dag.file, self._dag.dag_id) if self._fresh else self._dag
        artifacts, folders = self._artifacts, (self._scratch, self._store)
        work = Work(dag, node.task_id, self._facts, number, self._outputs, artifacts, *folders, mapped)
        timeout = {**self._dag.defaults, **node.options}.get("timeout")
        done = run_isolated(work, fresh=self._fresh, timeout=timeout if isinstance(timeout, timedelta) else None)
        self._artifacts |= {each.uri: kept_at(self._store, each) for each in done.put}
        return done


def _attempt(number: int, done: Done, snapshot: Snapshot) -> VerifiedAttempt:
    output = None if done.output is None else decode(done.output)
    return VerifiedAttempt(
        attempt_number=number,
        end=done.end,
        duration_seconds=done.duration_seconds,
        output=output,
        output_sha256="" if output is None else _digest(output),
        artifacts=tuple(done.put),
        files=tuple(snapshot.files.values()),
        failure=done.failure,
        reason=done.reason,
        log=done.log,
    )


def _digest(output: object) -> str:
    """Of what the value is: the order of keys does not count, as it does not for the comparison."""
    content = output if isinstance(output, bytes) else json.dumps(output, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def _compare(before: VerifiedAttempt, after: VerifiedAttempt, ignore: Sequence[str]) -> list[Difference]:
    number = after.attempt_number
    if before.end != after.end:
        ends = [f"{each.end}: {each.reason}" if each.reason else each.end for each in (before, after)]
        found = [Difference(number, "end", "", "changed", *ends)]
    else:
        found = compare_outputs(number, before.output, after.output, ignore)
    return found if after.failed else [*found, *compare_artifacts(number, before.artifacts, after.artifacts)]


# ---- What must fit before anything is run ------------------------------------------------------------------------


def _problems(
    dag: Dag, task_id: str, params: Mapping[str, Any], inputs: Mapping[str, Any], runs: int, ignore: Sequence[str]
) -> list[str]:
    known = [node.task_id for node in dag.nodes]
    if task_id not in known:
        return [f"DAG '{dag.dag_id}' has no task {task_id!r}; {suggestion(task_id, known, 'tasks')}"]
    problems = _param_problems(dag, params)
    above = [each for each in topological_order(dag.nodes) if each in _above(_node(dag, task_id), stop=())]
    for each in inputs:
        if each not in above:
            problems.append(
                f"input {each!r}: '{task_id}' does not come after it; {suggestion(each, above, 'upstreams')}"
            )
    for node in (_node(dag, each) for each in [*_upstreams_to_run(dag, task_id, inputs), task_id]):
        if node.map is not None and node.task_id != task_id:
            problems.append(f"task '{node.task_id}' is mapped, and runs whole nowhere here; give its output, a list")
        if node.function is None and node.handler != SHELL:
            what = "only Python and shell tasks can be verified"
            if node.task_id != task_id:
                what = f"give its output: the input '{node.task_id}'"
            problems.append(f"task '{node.task_id}' has the handler '{node.handler}', which no code here runs; {what}")
    if runs < 2:
        problems.append(f"runs is {runs}; expected 2 or more, to have something to compare")
    problems += [f"ignore: {each!r} is no path; expected keys joined by dots" for each in ignore if not each.strip(".")]
    return problems


def _map_problems(dag: Dag, task_id: str, map_index: int) -> list[str]:
    if _node(dag, task_id).map is not None and map_index < 0:
        return [f"task '{task_id}' is mapped; name one of its instances, such as '{task_id}[0]'"]
    if _node(dag, task_id).map is None and map_index >= 0:
        return [f"task '{task_id}' is not mapped, so it has no instance {map_index}"]
    return []


def _param_problems(dag: Dag, params: Mapping[str, Any]) -> list[str]:
    """Names are checked; types are the server's to check."""
    schema = dag.params_schema
    known = list(schema.get("properties", {}))
    closed = not schema or schema.get("additionalProperties") is False
    problems = [
        f"DAG '{dag.dag_id}' has no param {each!r}; {suggestion(each, known, 'params')}"
        for each in params
        if closed and each not in known
    ]
    if missing := [each for each in schema.get("required", ()) if each not in {**default_params(schema), **params}]:
        problems.append(f"DAG '{dag.dag_id}' needs the params {missing}, which are not given")
    return problems


def _encoded(inputs: Mapping[str, Any]) -> tuple[dict[str, Payload], list[str]]:
    found, problems = {}, []
    for name, value in inputs.items():
        try:
            found[name] = encode(value)
        except (TypeError, ValueError) as error:
            problems.append(f"input {name!r}: cannot be an output: {error}")
    return found, problems


def _node(dag: Dag, task_id: str) -> Node:
    return next(node for node in dag.nodes if node.task_id == task_id)


def _upstreams_to_run(dag: Dag, task_id: str, given: Iterable[str]) -> list[str]:
    """In the order that they need; what is above a given task only is not needed."""
    needed = _above(_node(dag, task_id), stop=set(given)) - set(given)
    return [each for each in topological_order(dag.nodes) if each in needed]


def _above(node: Node, stop: Iterable[str]) -> set[str]:
    """Ids of the tasks that a task comes after. Those of `stop` are among them, what is above them is not."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        for each in waiting.pop().upstream.values():
            if each.task_id not in found:
                found.add(each.task_id)
                if each.task_id not in stop:
                    waiting.append(each)
    return found
