"""What reports are to the store and to the run: which of them count, their rows, their answers, the events they mean.

Used by whatever accepts reports: the step, and the quarantine of a run whose step cannot be done.
"""

from __future__ import annotations

import json
from datetime import datetime

from ..core.branching import CHOICE_BYTES_MAX, NoChoice, choice_of
from ..core.events import AttemptEnded, AttemptKey
from ..core.failure import Failure, FailureKind
from ..core.states import AttemptState
from ..store import engine as store
from ..store.database import Connection
from .calls import begin_calls, prepare_calls
from .plans import Plan, Plans
from .step_types import Report, Verdict
from .values import write_values


def read_choice(plan: Plan, report: Report) -> None:
    """What a branch's output says. A branch that says nothing sensible has failed, and no retry mends that."""
    task = report.key.task
    if report.outcome is not AttemptState.SUCCESS or task not in plan.graph.gated:
        return
    try:
        # What is too large to travel inline is too large to choose by, and true for a short circuit.
        body = report.output.body if report.output is not None else None
        too_large = report.output is not None and body is None
        report.choice = choice_of(plan.spec, plan.graph, task, b" " * (CHOICE_BYTES_MAX + 1) if too_large else body)
    except NoChoice as error:
        report.outcome, report.output, report.values = AttemptState.FAILED, None, None
        report.failure = Failure(FailureKind.BAD_INPUT, "NoChoice", str(error))


async def accept_reports(
    connection: Connection, plans: Plans, reports: list[Report], now: datetime
) -> tuple[list[tuple[Report, store.Row]], list[tuple[Report, Verdict]]]:
    """End the attempts that the fence lets these reports end, store what they left, and begin the runs that they call.

    Returns the accepted ones with the live rows that they deleted, and whom to tell what after the commit.
    """
    first, repeated = deduplicated(reports)
    await prepare_calls(connection, plans, first, now)
    rows = {row["ord"]: row for row in await store.accept(connection, report_columns(first), now)}
    accepted = [(first[ordinal - 1], rows[ordinal]) for ordinal in sorted(rows)]
    refused = [report for ordinal, report in enumerate(first, 1) if ordinal not in rows] + repeated
    ended = [report for report, _ in accepted]
    acks = [(report, Verdict.ACCEPTED) for report in ended]
    if refused:
        acks += await answer_refused(connection, refused)
    await begin_calls(connection, plans, accepted, now)
    await write_outputs(connection, ended)
    await write_checkpoints(connection, ended, now)
    await write_values(connection, ended, now)
    return accepted, acks


async def answer_refused(connection: Connection, refused: list[Report]) -> list[tuple[Report, Verdict]]:
    """An attempt that is not live: the same result stored before is a duplicate, anything else is fenced."""
    told = [report for report in refused if report.origin is not None]
    if not told:
        return []
    stored = await store.ended_before(connection, _keys(told))
    return [
        (report, Verdict.DUPLICATE if stored.get(ordinal) == report.outcome.value else Verdict.FENCED)
        for ordinal, report in enumerate(told, 1)
    ]


async def write_outputs(connection: Connection, reports: list[Report]) -> None:
    """Store the outputs of accepted reports."""
    rows = [(*report.key, *report.output) for report in reports if report.output is not None]
    if rows:
        await store.write_outputs(connection, list(zip(*rows, strict=True)))


async def write_checkpoints(connection: Connection, reports: list[Report], now: datetime) -> None:
    """Store what attempts that have ended leave to the next ones, of those whose report brought it."""
    rows = [(*report.key, report.checkpoint) for report in reports if report.checkpoint]
    if rows:
        await store.write_checkpoints(connection, list(zip(*rows, strict=True)), now)


def ended_event(report: Report, row: store.Row) -> AttemptEnded:
    """What a report that the fence accepted means to its run; `row` is the live row that it deleted."""
    outcome, failure = report.outcome, report.failure
    if outcome is AttemptState.CANCELLED and row["timed_out"]:  # as in the statement `accept`
        outcome = AttemptState.TIMED_OUT
    if outcome is AttemptState.TIMED_OUT and failure is None:
        failure = Failure(FailureKind.TIMEOUT, message="execution timeout")
    return AttemptEnded(
        report.key.task,
        report.key.map_index,
        report.key.attempt_number,
        outcome,
        row["tries"],
        row["losses"],
        row["redeliveries"],
        failure,
        report.reason,
        row["cancel_requested"] and not row["timed_out"],
        report.choice,
        report.deferral,
        row["deferrals"],
        row["waiting_since"],
        preemptions=row["preemptions"],
    )


def deduplicated(reports: list[Report]) -> tuple[list[Report], list[Report]]:
    """One report per attempt, a worker's word before a verdict; and the others."""
    first: dict[AttemptKey, Report] = {}
    others: list[Report] = []
    for report in reports:
        known = first.setdefault(report.key, report)
        if known is report:
            continue
        if known.judged is not None and report.judged is None:
            first[report.key] = report
            others.append(known)
        else:
            others.append(report)
    return list(first.values()), others


def _keys(reports: list[Report]) -> list[list[object]]:
    return [
        [report.key.dag_run_id for report in reports],
        [report.key.task for report in reports],
        [report.key.map_index for report in reports],
        [report.key.attempt_number for report in reports],
    ]


def report_columns(reports: list[Report]) -> list[list[object]]:
    return [
        *_keys(reports),
        [report.judged for report in reports],
        [report.judged_generation for report in reports],
        [report.outcome.value for report in reports],
        [json.dumps(report.failure.to_json()) if report.failure is not None else None for report in reports],
        [report.reason[:2000] for report in reports],
    ]
