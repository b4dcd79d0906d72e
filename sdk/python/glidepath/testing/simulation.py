"""A run of a DAG in this process on a virtual clock: no server, no waiting."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from glidepath.authoring import Dag
from glidepath.authoring.convert import to_spec
from glidepath.authoring.nodes import Node
from glidepath.authoring.options import DurationLike, parse_duration
from glidepath.payloads import decode, encode
from glidepath.testing.answers import Answer, Answered, answer_of
from glidepath.testing.attempts import Ended, RunFacts, run_attempt
from glidepath.testing.caching import Cache, Kept, KeptResults
from glidepath.testing.children import Children, callable_dags
from glidepath.testing.mapped import (
    Lane,
    MapRun,
    NoItems,
    counts_as,
    gather,
    is_hopeless,
    make_lanes,
    map_end,
    read_items,
)
from glidepath.testing.plan_names import check_indexes, check_names, planned
from glidepath.testing.planned import FailPlan, planned_failure, raising
from glidepath.testing.results import AttemptResult, FailureSeen, RunResult, TaskResult, TaskState
from glidepath.testing.rules import Verdict, admit, resume_time, retry_delay
from glidepath.testing.steering import NoChoice, Steering
from glidepath.testing.values import KeptArtifacts, complete_params, keep_values, upstream_xcoms
from glidepath.worker.outcomes import Call
from glidepath_proto.common.v1.payload_pb2 import Payload

_BAD: tuple[TaskState, ...] = ("failed", "upstream_failed", "cancelled")
_OWN_BODY = object()
_FAILED_FAST = "the first failure ends a run of this DAG"


def run_dag(
    dag: Dag,
    params: Mapping[str, Any] | None = None,
    *,
    logical_date: datetime | None = None,
    data_interval: tuple[datetime, datetime] | None = None,
    run_key: str = "test",
    fail: Mapping[str, FailPlan] | None = None,
    replace: Mapping[str, Any] | None = None,
    takes: Mapping[str, DurationLike] | None = None,
    answers: Mapping[str, Answer] | None = None,
    start_time: datetime | None = None,
    dags: Sequence[Dag] = (),
    cache: Cache | None = None,
) -> RunResult:
    """Run a DAG here and now: order, trigger rules, retries and their delays as the server has them.

    `params` are checked by name and completed by their defaults. `logical_date` (and `start_time` of the virtual
    clock) is the present unless given; the data interval is empty at it. `fail` makes attempts fail (see `FailPlan`).
    `replace` gives tasks another body by task id: a function that is called with the task's arguments, or a value
    that is its output. `takes` says how long attempts of a task last on the virtual clock, 0 unless given; longer
    than the task's timeout is a timed out attempt. Tasks that are due at one instant start in the order of the DAG.
    In all three "train" is the task, and of a mapped one each of its instances, "train[3]" is one of these.
    `answers` are given to approvals by task id, at once; one that has none is answered by its timeout.
    A DAG that is called by its id must be among `dags`; DAGs that are called as objects need not. A child run goes from
    the instant of its call, with none of `fail`, `replace` and `takes`; `result["train"].child_runs` has its result.
    `cache` is a dict that the caller keeps between calls: with it, tasks with the option `cache` take the results of
    equal calls that it holds, by the virtual clock, and keep theirs in it; a call under way is not waited for.

    Bodies run in this process, one after the other, through the worker's own code: arguments and outputs go over the
    wire format, `current()` works, shell commands are run. AuthoringError and InvalidDag as at registration.
    """
    now = start_time or datetime.now(UTC)
    logical = logical_date or now
    start, end = data_interval or (logical, logical)
    facts = RunFacts(
        dag.dag_id, "test-run", run_key, complete_params(dag, params or {}, logical, start, end), logical, start, end
    )
    for name, given in (("fail", fail), ("replace", replace), ("takes", takes), ("answers", answers)):
        check_names(dag, name, given or ())
    durations = {task_id: parse_duration(each, f"takes['{task_id}']") for task_id, each in (takes or {}).items()}
    children = Children(callable_dags(dag, dags), partial(_child_run, cache))
    return _Simulation(dag, facts, fail or {}, replace or {}, durations, answers or {}, now, children, cache).run()


def _child_run(
    cache: Cache | None,
    dag: Dag,
    params: Mapping[str, Any],
    dates: tuple[datetime, datetime, datetime],
    run_key: str,
    now: datetime,
    children: Children,
) -> RunResult:
    facts = RunFacts(dag.dag_id, "test-child", run_key, complete_params(dag, params, *dates), *dates)
    return _Simulation(dag, facts, {}, {}, {}, {}, now, children, cache).run()


class _Simulation:
    def __init__(
        self,
        dag: Dag,
        facts: RunFacts,
        fail: Mapping[str, FailPlan],
        replace: Mapping[str, Any],
        takes: Mapping[str, timedelta],
        answers: Mapping[str, Answer],
        now: datetime,
        children: Children,
        cache: Cache | None,
    ) -> None:
        self._children, self._kept = children, KeptResults(cache)
        self._facts, self._fail, self._replace, self._takes = facts, fail, replace, takes
        self._answers, self._rejected = answers, False
        self._specs = {spec.task_id: spec for spec in to_spec(dag, None).tasks}
        self._nodes = {node.task_id: node for node in dag.nodes}
        self._options: dict[str, dict[str, Any]] = {
            node.task_id: {**dag.defaults, **node.options} for node in dag.nodes
        }
        self._steering = Steering(dag.nodes)
        self._fail_fast = dag.fail_fast
        self._run_retries, self._run_retry_delay = dag.run_retries, dag.run_retry_delay
        self._open = {node.task_id: len(node.upstream) for node in dag.nodes}
        self._ends: dict[str, Counter[TaskState]] = {task_id: Counter() for task_id in self._nodes}
        self._lanes = {task_id: Lane(node, TaskResult(task_id)) for task_id, node in self._nodes.items()}
        self._results = {task_id: lane.result for task_id, lane in self._lanes.items()}
        self._maps: dict[str, MapRun] = {}
        self._outputs: dict[str, Payload] = {}
        self._artifacts: dict[str, Path] = KeptArtifacts()
        self._xcoms: dict[str, dict[str, str]] = {}
        self._released: set[str] = set()
        self._started: list[str] = []
        self._agenda: list[tuple[datetime, int, int, Lane, Callable[[], None]]] = []
        self._position = {task_id: position for position, task_id in enumerate(self._nodes)}
        self._begin = self._now = now

    def run(self) -> RunResult:
        for node in self._nodes.values():
            self._judge(node)
        self._drain()
        for _ in range(self._run_retries):
            if self._rejected or not any(
                result.state == "failed" and not self._steering.is_teardown(each)
                for each, result in self._results.items()
            ):
                break
            self._run_again()
        failed = any(
            result.state in _BAD and not self._steering.is_teardown(task_id)
            for task_id, result in self._results.items()
        )
        return RunResult("failed" if failed else "success", self._results, self._started, self._begin, self._now)

    def _drain(self) -> None:
        while self._agenda:
            time, _, _, lane, action = heapq.heappop(self._agenda)
            if lane.result.state == "scheduled":  # else its run has failed fast meanwhile
                self._now = time
                action()

    def _run_again(self) -> None:
        """A retry of the run: what failed begins anew with all that follows from it."""
        self._now += self._run_retry_delay
        again = self._steering.run_again(self._states())
        for task_id in again:
            self._lanes[task_id].begin_anew()
            self._released.discard(task_id)
            self._outputs.pop(task_id, None)
            if task_id in self._maps and set(again).isdisjoint(self._nodes[task_id].upstream):
                self._maps[task_id].again()
            for name in upstream_xcoms(self._xcoms, (task_id,)):
                del self._xcoms[name]
        for task_id, node in self._nodes.items():
            ended = [each for each in node.upstream if self._results[each].state != "scheduled"]
            self._open[task_id] = len(node.upstream) - len(ended)
            self._ends[task_id] = Counter(state for each in ended for state in self._counts_as(each))
        for task_id in again:
            if self._judge(self._nodes[task_id]):
                self._spread(self._nodes[task_id])
        self._drain()

    def _at(self, time: datetime, lane: Lane, action: Callable[[], None]) -> None:
        """Do the next thing with a task at a time. It has one such thing at most, so its position decides ties."""
        heapq.heappush(self._agenda, (time, self._position[lane.node.task_id], lane.index, lane, action))

    def _end(self, node: Node, state: TaskState, reason: str = "") -> None:
        """End a task, and with it everything that its trigger rule ends."""
        self._set(node, state, reason)
        self._spread(node)

    def _spread(self, node: Node) -> None:
        ended = [node]
        while ended:
            upstream = ended.pop()
            for task_id in self._steering.downstream[upstream.task_id]:
                self._open[task_id] -= 1
                self._ends[task_id].update(self._counts_as(upstream.task_id))
                if self._judge(self._nodes[task_id]):
                    ended.append(self._nodes[task_id])
            far = (self._nodes[task_id] for task_id in self._steering.far(upstream.task_id))
            ended += [each for each in far if self._judge(each)]

    def _counts_as(self, task_id: str) -> list[TaskState]:
        instances = self._maps[task_id].states if task_id in self._maps else []
        return counts_as(self._results[task_id].state, instances)

    def _judge(self, node: Node) -> bool:
        """Ask the trigger rule of a task that has not been released; whether the task ended by it."""
        if node.task_id in self._released or self._results[node.task_id].state != "scheduled":
            return False
        rule = self._options[node.task_id].get("trigger_rule", "all_success")
        match self._verdict(node, rule):
            case "release":
                self._released.add(node.task_id)
                lane, begin = self._lanes[node.task_id], self._start if node.map is None else self._begin_map
                self._at(self._now, lane, lambda: begin(lane))
            case "skip":
                why = self._steering.why_skipped(node.task_id)
                self._set(node, "skipped", why or f"by its trigger rule {rule}")
                return True
            case "upstream_fail":
                self._set(node, "upstream_failed", f"by its trigger rule {rule}")
                return True
        return False

    def _verdict(self, node: Node, rule: str) -> Verdict | None:
        steered, verdict = self._steering.verdict(node.task_id, self._states())
        if steered:
            return verdict
        ends = self._ends[node.task_id]
        bad = sum(ends[state] for state in _BAD)
        return admit(rule, self._open[node.task_id], ends["success"], bad, ends["skipped"])

    def _states(self) -> dict[str, TaskState]:
        return {task_id: result.state for task_id, result in self._results.items()}

    def _set(self, node: Node, state: TaskState, reason: str) -> None:
        result = self._results[node.task_id]
        result.state, result.reason = state, reason

    # ---- maps
    def _begin_map(self, lane: Lane) -> None:
        """Read the lists of a mapped task that was admitted and let its first instances go."""
        node, task_id = lane.node, lane.node.task_id
        run = self._maps.get(task_id)
        if run is None or not run.waiting:  # else it runs again for the sake of some of its instances
            try:
                items = read_items(self._specs[task_id].map, self._facts.params, self._outputs)
            except NoItems as problem:
                self._give_up(lane, str(problem))
                return
            run = self._maps[task_id] = make_lanes(node, items, run.lanes if run else ())
            lane.result.instances = [each.result for each in run.lanes]
            for name, given in (("fail", self._fail), ("replace", self._replace), ("takes", self._takes)):
                check_indexes(name, given, task_id, len(items))
        if not run.lanes:
            self._gather(lane, run)
            empty: TaskState = "success" if node.options.get("map_empty") == "succeed" else "skipped"
            self._end(node, empty, "there was nothing to map over")
        self._release_instances(node, run)

    def _release_instances(self, node: Node, run: MapRun) -> None:
        for lane in run.release(node.options.get("map_active_max")):
            self._at(self._now, lane, lambda lane=lane: self._start(lane))  # type: ignore[misc]

    def _instance_ended(self, lane: Lane, state: TaskState, reason: str) -> None:
        """Note how an instance ended; the next one goes, or the task ends with the last."""
        whole, run = self._lanes[lane.node.task_id], self._maps[lane.node.task_id]
        lane.result.state, lane.result.reason = state, reason
        run.out -= 1
        ratio = lane.node.options.get("map_success_ratio_min", 1.0)
        if state == "failed" and self._fail_fast and is_hopeless(run.states, ratio):
            self._cancel_instances(run)
        self._release_instances(lane.node, run)
        if run.out or run.waiting:
            return
        self._gather(whole, run)
        end = map_end(run.states, ratio)
        if end == "success":
            self._end(lane.node, end)
        elif end == "failed":
            self._give_up(whole, f"{run.states.count('failed')} of {len(run.lanes)} instances failed")
        else:
            self._end(lane.node, end, "all its instances were skipped")

    def _cancel_instances(self, run: MapRun) -> None:
        for lane in run.lanes:
            if lane.result.state == "scheduled":
                lane.result.state, lane.result.reason = "cancelled", _FAILED_FAST
        run.waiting.clear()
        run.out = 0

    def _gather(self, lane: Lane, run: MapRun) -> None:
        self._outputs[lane.node.task_id] = gathered = gather(run.lanes)
        lane.result.output = decode(gathered)

    # ---- attempts
    def _start(self, lane: Lane) -> None:
        node, result = lane.node, lane.result
        if node.approval is not None:
            self._started.append(node.task_id)
            answered, asked = answer_of(node, self._answers), self._now
            self._at(asked + answered.after, lane, lambda: self._take_answer(lane, answered, asked))
            return
        number = len(result.attempts) + 1
        if number == lane.attempts_before + 1 and self._take_kept(lane):
            return
        if number == 1:
            self._started.append(result.name)
        ended = self._with_choice(
            node,
            run_attempt(
                node,
                self._specs[node.task_id],
                self._facts,
                number,
                self._outputs,
                lane.checkpoint,
                self._artifacts,
                self._body(lane, number),
                None if result.map_item is None else (lane.index, result.map_item),
                lane.child,
                upstream_xcoms(self._xcoms, node.upstream),
            ),
        )
        started = self._now
        duration = planned(self._takes, lane, timedelta(0))
        if ended.call is not None:
            ended, lasted = self._call(lane, ended.call, ended, number, started + duration)
            duration += lasted
        timeout = self._options[node.task_id].get("timeout")
        if timeout is not None and duration > timeout:
            late = FailureSeen("Timeout", f"not done after {timeout.total_seconds():g} s", kind="timeout")
            ended, duration = Ended("timed_out", failure=late, reason=late.message, link=ended.link), timeout
        self._at(started + duration, lane, lambda: self._finish(lane, ended, number, started))

    def _call(self, lane: Lane, call: Call, ended: Ended, number: int, now: datetime) -> tuple[Ended, timedelta]:
        """How an attempt ends that calls, and how long the child run lasted."""
        key = f"called/{self._facts.run_id}/{lane.result.name}/{number}"
        dates = (self._facts.logical_date, self._facts.data_interval_start, self._facts.data_interval_end)
        end = self._children.end(call, key, dates, now)
        if end.result is not None:
            lane.result.child_runs.append(end.result)
        return self._with_choice(lane.node, end.of_caller(ended)), end.lasted

    def _take_kept(self, lane: Lane) -> bool:
        """Whether the instance has succeeded with what an equal call has kept."""
        item = lane.result.map_item
        mapped = None if item is None else (lane.index, item)
        spec = self._specs[lane.node.task_id]
        kept = self._kept.take(lane.result.name, spec, self._facts, self._outputs, mapped, self._now)
        if kept is not None:
            self._succeed(lane, kept.output, f"cached: result of run {kept.run_key} of {kept.time.isoformat()}")
        return kept is not None

    def _take_answer(self, lane: Lane, answered: Answered, asked: datetime) -> None:
        node, result = lane.node, lane.result
        number = len(result.attempts) + 1
        result.attempts.append(AttemptResult(number, answered.state, asked, self._now, reason=answered.reason))
        if answered.state == "success":
            self._outputs[node.task_id] = encode(answered.output(self._now))
            result.output = decode(self._outputs[node.task_id])
            self._end(node, "success", answered.reason)
        elif answered.state == "skipped":
            self._end(node, "skipped", answered.reason)
        else:
            self._rejected = self._rejected or answered.by is not None
            self._give_up(lane, answered.reason)

    def _with_choice(self, node: Node, ended: Ended) -> Ended:
        """What became of the attempt once the output of a branch was looked at."""
        if ended.end != "success":
            return ended
        try:
            self._steering.left_out(node.task_id, None if ended.output is None else decode(ended.output))
        except NoChoice as error:
            seen = FailureSeen("NoChoice", str(error), bad_input=True)
            return Ended("failed", failure=seen, reason=seen.message, link=ended.link)
        return ended

    def _finish(self, lane: Lane, ended: Ended, number: int, started: datetime) -> None:
        lane.result.attempts.append(
            AttemptResult(
                number,
                ended.end,
                started,
                self._now,
                ended.failure,
                ended.reason,
                ended.link.percent,
                ended.link.note,
            )
        )
        if ended.link.checkpoint is not None:
            lane.checkpoint = ended.link.checkpoint
        if ended.end == "success":
            self._kept.keep(lane.result.name, Kept(ended.output, self._now, self._facts.run_key))
            keep_values(lane.result, self._xcoms, ended)
            self._succeed(lane, ended.output)
        elif ended.end == "skipped":
            self._end_lane(lane, "skipped", ended.reason)
        elif ended.end == "deferred":
            self._defer(lane, ended)
        elif ended.end == "called":
            lane.child = ended.child
            self._at(self._now, lane, lambda: self._start(lane))
        else:
            self._fail_or_retry(lane, ended)

    def _end_lane(self, lane: Lane, state: TaskState, reason: str = "") -> None:
        if lane.index >= 0:
            self._instance_ended(lane, state, reason)
        else:
            self._end(lane.node, state, reason)

    def _defer(self, lane: Lane, ended: Ended) -> None:
        attempts = lane.result.attempts[lane.attempts_before :]
        earlier = [each for each in attempts if each.state == "deferred"]
        options = self._options[lane.node.task_id]
        at = resume_time(options, self._now, ended.until, ended.after, earlier[0].end_time, len(earlier) - 1)
        if at is None:
            self._give_up(lane, "it has waited as long as its wait_timeout allows")
        else:
            self._at(at, lane, lambda: self._start(lane))

    def _succeed(self, lane: Lane, output: Payload | None, reason: str = "") -> None:
        node, task_id = lane.node, lane.node.task_id
        if output is not None:
            lane.payload = output
            lane.result.output = decode(output)
        if lane.index >= 0:
            self._instance_ended(lane, "success", reason)
            return
        if output is not None:
            self._outputs[task_id] = output
        left_out = self._steering.leave_out(task_id, lane.result.output)
        self._end(node, "success", reason)
        for each in left_out:
            if self._results[each].state == "scheduled" and each not in self._released:
                self._end(self._nodes[each], "skipped", self._steering.why_skipped(each))

    def _fail_or_retry(self, lane: Lane, ended: Ended) -> None:
        assert ended.failure is not None
        lane.tries += 1
        lane.child = None
        delay = retry_delay(self._options[lane.node.task_id], ended.failure, lane.tries)
        if delay is None:
            self._give_up(lane, ended.reason)
        else:
            self._at(self._now + delay, lane, lambda: self._start(lane))

    def _give_up(self, lane: Lane, reason: str) -> None:
        self._end_lane(lane, "failed", reason)
        if lane.index < 0 and self._fail_fast and not self._steering.is_teardown(lane.node.task_id):
            self._cancel_rest()

    def _cancel_rest(self) -> None:
        """Nothing new starts but teardowns; what the virtual clock has running ends now."""
        stays = self._steering.teardowns_to_come(self._states(), self._released)
        ended = [node for task_id, node in self._nodes.items() if self._results[task_id].state == "scheduled"]
        ended = [node for node in ended if node.task_id not in stays]
        for node in ended:
            self._set(node, "cancelled", _FAILED_FAST)
            if node.task_id in self._maps:
                self._cancel_instances(self._maps[node.task_id])
        for node in ended:
            self._spread(node)

    def _body(self, lane: Lane, attempt_number: int) -> Callable[..., Any] | None:
        """What runs instead of the task's own body, if anything."""
        error = planned_failure(planned(self._fail, lane, False), attempt_number)
        if error is not None:
            return raising(error)
        replacement = planned(self._replace, lane, _OWN_BODY)
        if replacement is _OWN_BODY:
            return None
        return replacement if callable(replacement) else lambda **arguments: replacement
