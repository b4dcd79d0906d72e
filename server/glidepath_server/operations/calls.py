"""Child runs inside a step transaction: making them, telling their callers, ending these, telling child runs to end.

Four moments, each in the transaction of the fact that brings it:
- A report says that its attempt calls. `prepare_calls` finds the version and completes the params, before the fence; a
  call that cannot be made fails the attempt. Once the fence has accepted it, `begin_calls` moves the attempt's row to
  child_run and stores the run. So a report that comes twice makes one run.
- A child run ends. `tell_callers` writes what it gives as the output of the attempt that waits, and the fact into the
  caller's inbox. The caller's row is not touched: it may be held by another replica.
- The caller is stepped. `end_calls` takes the wait away and makes of the fact the end of the attempt. A fact that finds
  no wait (the run was run again by hand, and ended again) changes nothing.
- The attempt is told to end. `cancel_calls` tells the child run, by its inbox; the attempt has ended when that has.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from .. import clock
from ..core.calls import (
    CHILDREN_MAX,
    COMBINED_BYTES_MAX,
    DEPTH_MAX,
    JSON,
    ChildOutput,
    child_name,
    combined,
    end_of_caller,
    last_tasks,
    passed_on,
    refused,
)
from ..core.errors import NotFound
from ..core.events import AttemptKey, ChildEnded, Event, RunCancelled, event_to_json
from ..core.failure import Failure
from ..core.param_defaults import RunDates
from ..core.params import InvalidParams
from ..core.states import RUN_FINAL, AttemptState, RunState
from ..core.traces import attempt_traceparent
from ..store import calls as store
from ..store import engine as engine_store
from ..store import trigger
from ..store.calls import NewChild
from ..store.database import Connection
from ..store.trigger import Resolved, Selector
from .find_version import version_not_found
from .new_deadlines import write_new_deadlines
from .plans import Plan, Plans, RunFacts
from .step_types import Called, LockedRun, Output, Report, StepOutcome

REASON_CHARACTERS_MAX = 2_000


# ---- a report calls
async def prepare_calls(connection: Connection, plans: Plans, reports: Iterable[Report], now: datetime) -> None:
    """Make of each call the run to be stored, or of its report the failure that says why there is none."""
    calling = [report for report in reports if report.outcome is AttemptState.CALLED]
    if not calling:
        return
    callers = await plans.load_facts(connection, {report.key.dag_run_id for report in calling})
    for namespace in {facts.namespace for facts in callers.values()}:
        mine = [each for each in calling if callers[each.key.dag_run_id].namespace == namespace]
        await _Calls(connection, plans, namespace, callers, now).prepare(mine)


class _Calls:
    """The calls of one namespace."""

    def __init__(
        self, connection: Connection, plans: Plans, namespace: str, callers: Mapping[UUID, RunFacts], now: datetime
    ) -> None:
        self.connection, self.plans, self.namespace = connection, plans, namespace
        self.callers, self.now = callers, now

    async def prepare(self, reports: list[Report]) -> None:
        selectors = list(dict.fromkeys(_selector(report) for report in reports))
        resolved = await trigger.resolve(self.connection, self.namespace, selectors)
        found = dict(zip(selectors, resolved, strict=True))
        await self.plans.load(self.connection, {each.dag_version_id for each in resolved if each.dag_version_id})
        capped = await trigger.capped_limits(
            self.connection, {each.runs_limit_id for each in resolved if each.runs_limit_id is not None}
        )
        places = await store.callers(self.connection, {report.key.dag_run_id for report in reports})
        # Not those of the facts that are kept: a run may have been moved since, and the task may be new.
        await self.plans.load(self.connection, {version_id for _, _, version_id in places.values()})
        ids = clock.new_ids(self.now, len(reports))
        for child_id, report in zip(ids, reports, strict=True):
            depth, children, version_id = places[report.key.dag_run_id]
            selector = _selector(report)
            places[report.key.dag_run_id] = (depth, children + 1, version_id)
            problem = self._out_of_bounds(depth, children) or await self._not_there(selector, found[selector])
            made = problem or self._child(child_id, report, found[selector], capped)
            if isinstance(made, Failure):
                report.outcome, report.failure = AttemptState.FAILED, made
            else:
                caller = self.plans.versions[version_id]
                report.called = Called(made, depth + 1, caller.dag_id, caller.graph.task_ids[report.key.task])

    def _out_of_bounds(self, depth: int, children: int) -> Failure | None:
        if depth >= DEPTH_MAX:
            return refused(f"the run is {depth} calls deep; child runs may be nested {DEPTH_MAX} deep", "CallTooDeep")
        if children >= CHILDREN_MAX:
            return refused(f"the run has called {children} child runs, as many as a run may", "TooManyCalls")
        return None

    async def _not_there(self, selector: Selector, resolved: Resolved) -> Failure | None:
        if resolved.dag_version_id is not None:
            return None
        error: NotFound = await version_not_found(self.connection, self.namespace, "call", selector, resolved)
        return refused(f"{error} ({error.hint})" if error.hint else str(error))

    def _child(self, child_id: UUID, report: Report, resolved: Resolved, capped: set[int]) -> NewChild | Failure:
        key, call, version_id = report.key, report.call, resolved.dag_version_id
        assert call is not None and version_id is not None
        caller, plan = self.callers[key.dag_run_id], self.plans.versions[version_id]
        if call.output_task_id and call.output_task_id not in plan.graph.task_ids:
            version = f"DAG {plan.dag_id} version {plan.dag_version_number}"
            return refused(f"call.output_task_id: {version} has no task {call.output_task_id!r}")
        dates = RunDates(caller.logical_date, caller.data_interval_start, caller.data_interval_end)
        if call.logical_date is not None:
            dates = RunDates(*[call.logical_date] * 3)
        try:
            params = self.plans.schema(version_id).complete(call.params, dates=dates)
        except InvalidParams as error:
            return refused("; ".join(f"call.{each}" for each in error.violations[:5]))
        return NewChild(
            child_id,
            version_id,
            resolved.runs_limit_id not in capped,
            plan.graph.size,
            self.namespace,
            call.dag_id,
            f"called/{key.dag_run_id}/{key.task}/{key.map_index}/{key.attempt_number}",
            params,
            *dates,
            attempt_traceparent(key, caller.traceparent) if self.plans.traced else caller.traceparent,
            f"run {key.dag_run_id}",
            resolved.has_deadlines,
        )


def _selector(report: Report) -> Selector:
    assert report.call is not None
    return Selector(report.call.dag_id, report.call.number, report.call.alias)


async def begin_calls(
    connection: Connection, plans: Plans, accepted: Sequence[tuple[Report, engine_store.Row]], now: datetime
) -> None:
    """Store the runs that accepted reports call. One that was told to end before it called has ended instead."""
    begun = []
    for report, row in accepted:
        if report.outcome is not AttemptState.CALLED:
            continue
        if row["cancel_requested"] or row["timed_out"]:
            report.outcome, report.called, report.checkpoint = AttemptState.CANCELLED, None, b""
        else:
            begun.append((report, row))
    if not begun:
        return
    called = [report.called.run for report, _ in begun if report.called is not None]
    stored = await store.insert_runs(connection, called, now)
    watched = [run for run in stored if run.has_deadlines]
    for namespace in {run.namespace for run in watched}:
        mine = [run for run in watched if run.namespace == namespace]
        await write_new_deadlines(connection, plans, namespace, now, mine)
    await store.insert_calls(connection, [_call_row(report, row) for report, row in begun])


def _call_row(report: Report, row: engine_store.Row) -> tuple[object, ...]:
    call, called = report.call, report.called
    assert call is not None and called is not None
    return (
        *(*report.key, called.parent_dag_id, called.task_id, called.run.dag_run_id, called.run.dag_id),
        *(called.depth, call.output_task_id, call.resume),
        *(row["session_id"], row["tries"], row["losses"], row["redeliveries"]),
        *(row["queue_time"], row["start_time"], row["timeout_time"], row["deferrals"], row["waiting_since"]),
        row["preemptions"],
    )


def note_call(run: LockedRun, report: Report, outcome: StepOutcome) -> None:
    """What a call that was accepted leads to after the commit; and a word of it in the run's history."""
    called = report.called
    assert called is not None
    child, outcome.called = called.run, True
    run.notes.append(f"{called.task_id} calls {child_name(child.dag_run_id, child.dag_id)}")
    if child.admitted:
        outcome.created.append(child.dag_run_id)
    else:
        outcome.unadmitted = True


# ---- a child run ends
async def tell_callers(connection: Connection, runs: Iterable[LockedRun], outcome: StepOutcome) -> None:
    """Tell those who wait for runs that this step has ended."""
    ended = {
        run.dag_run_id: run
        for run in runs
        if run.is_child and run.was not in RUN_FINAL and run.board.state in RUN_FINAL
    }
    waits = await store.waited_for(connection, list(ended)) if ended else []
    if not waits:
        return
    given = await _given(connection, waits, ended)
    await store.write_outputs(connection, [row for each in given.values() for row in each.rows])
    facts = []
    for wait in waits:
        run = ended[wait["child_run_id"]]
        fact = ChildEnded(
            run.dag_run_id, run.board.state, run.board.reason[:REASON_CHARACTERS_MAX], given[run.dag_run_id].problem
        )
        facts.append((wait["parent_run_id"], event_to_json(fact)))
    await engine_store.put_inbox(connection, facts)
    outcome.inboxes |= {run_id for run_id, _ in facts}


@dataclass(slots=True)
class _Given:
    """What a child run gives its caller: rows of outputs, or why there is none."""

    rows: list[tuple[object, ...]]
    problem: str = ""


async def _given(
    connection: Connection, waits: Sequence[store.Row], ended: Mapping[UUID, LockedRun]
) -> dict[UUID, _Given]:
    wanted = {
        wait["child_run_id"]: _wanted(ended[wait["child_run_id"]].plan, wait["output_task_id"])
        for wait in waits
        if ended[wait["child_run_id"]].board.state is RunState.SUCCESS
    }
    tasks = [(run_id, task) for run_id, each in wanted.items() for task in each]
    found: dict[UUID, list[store.Row]] = {}
    for row in await store.outputs(connection, tasks, COMBINED_BYTES_MAX) if tasks else ():
        found.setdefault(row["dag_run_id"], []).append(row)
    return {wait["child_run_id"]: _give(wait, ended, found.get(wait["child_run_id"], [])) for wait in waits}


def _wanted(plan: Plan, output_task_id: str) -> tuple[int, ...]:
    return (plan.graph.task_ids.index(output_task_id),) if output_task_id else last_tasks(plan.graph)


def _give(wait: store.Row, ended: Mapping[UUID, LockedRun], rows: Sequence[store.Row]) -> _Given:
    """One output as it is, when it was asked for by name; else all of them in one object."""
    if not rows:
        return _Given([])
    key = AttemptKey(wait["parent_run_id"], wait["task_index"], wait["map_index"], wait["attempt_number"])
    first = rows[0]
    if first["bytes"] > COMBINED_BYTES_MAX:
        name = child_name(wait["child_run_id"], wait["child_dag_id"])
        return _Given(
            [],
            f"the outputs of {name} have {first['bytes']} bytes together, and {COMBINED_BYTES_MAX} may be given on: "
            "name one task as the output of the call, or return references",
        )
    if wait["output_task_id"] and first["map_index"] < 0:
        content = (first["content_type"], first["body"], first["uri"], first["size_bytes"], first["sha256"])
        return _Given([(*key, *content)])
    names = ended[wait["child_run_id"]].plan.graph.task_ids
    by_task: dict[str, list[ChildOutput]] = {}
    for row in rows:
        each = ChildOutput(row["map_index"], row["content_type"], row["body"], row["uri"], row["size_bytes"])
        by_task.setdefault(names[row["task_index"]], []).append(each)
    body = combined(by_task)
    if wait["output_task_id"]:
        body = json.dumps(json.loads(body)[wait["output_task_id"]]).encode()
    return _Given([(*key, JSON, body, None, len(body), "")])


# ---- the caller is stepped
async def end_calls(
    connection: Connection, ends: Sequence[tuple[UUID, ChildEnded]], now: datetime
) -> list[tuple[Report, store.Row]]:
    """The ends of the attempts that wait for these child runs, as reports with what their rows said.

    The output that a child run has given is stored already; it comes along for branches, which are read by theirs.
    """
    first = {end.child_run_id: (run_id, end) for run_id, end in reversed(ends)}
    facts = [(run_id, child_id, end.state.value, end.reason) for child_id, (run_id, end) in first.items()]
    found = []
    for row in await store.end_waits(connection, facts):
        _, end = first[row["child_run_id"]]
        key = AttemptKey(row["parent_run_id"], row["task_index"], row["map_index"], row["attempt_number"])
        outcome, failure = end_of_caller(
            end.state,
            resume=row["resume"],
            cancelled=row["cancel_requested"],
            child=child_name(end.child_run_id, row["child_dag_id"]),
            reason=end.reason,
            problem=end.problem,
        )
        reason = (row["cancel_reason"] or "") if outcome is AttemptState.CANCELLED else ""
        found.append((Report(key, outcome, failure, reason=reason), row))
    await _read_outputs(connection, [report for report, _ in found if report.outcome is AttemptState.SUCCESS])
    return found


async def _read_outputs(connection: Connection, reports: Sequence[Report]) -> None:
    rows = await store.outputs_of_calls(connection, [report.key for report in reports]) if reports else ()
    outputs = {
        (row["dag_run_id"], row["task_index"], row["map_index"]): Output(
            row["content_type"], row["body"], row["uri"], row["size_bytes"], row["sha256"]
        )
        for row in rows
    }
    for report in reports:
        report.output = outputs.get(report.key[:3])


async def write_ends(connection: Connection, ended: Sequence[tuple[Report, store.Row]], now: datetime) -> None:
    """Append these attempts to the history, as they were judged."""
    rows = []
    for report, row in ended:
        state = report.outcome
        if state is AttemptState.CANCELLED and row["timed_out"]:
            state = AttemptState.TIMED_OUT
        failure = json.dumps(report.failure.to_json()) if report.failure is not None else None
        rows.append((row["child_run_id"], state.value, failure, report.reason[:REASON_CHARACTERS_MAX]))
    await store.end_attempts(connection, rows, now)


# ---- the attempt is told to end
async def cancel_calls(
    connection: Connection, runs: Mapping[UUID, LockedRun], asked: Iterable[engine_store.Row]
) -> set[UUID]:
    """Tell child runs to end whose callers were asked to. Returns the runs that were told; once more does no harm."""
    facts: list[tuple[UUID, Event]] = []
    for row in asked:
        caller = runs[row["dag_run_id"]]
        why = passed_on(row["cancel_reason"], caller.dag_run_id, caller.plan.dag_id)
        facts.append((row["child_run_id"], RunCancelled(why)))
    await engine_store.put_inbox(connection, [(run_id, event_to_json(event)) for run_id, event in facts])
    return {run_id for run_id, _ in facts}


async def cancel_overdue(connection: Connection, rows_max: int) -> list[UUID]:
    """Tell child runs to end whose callers' timeouts have passed. Returns the runs that were told."""
    rows = await store.overdue(connection, rows_max)
    facts = []
    for row in rows:
        why = passed_on(row["cancel_reason"], row["parent_run_id"], row["parent_dag_id"])
        facts.append((row["child_run_id"], event_to_json(RunCancelled(why))))
    await engine_store.put_inbox(connection, facts)
    return [run_id for run_id, _ in facts]
