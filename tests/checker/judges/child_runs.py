"""Of child runs: each has one caller, whose attempt ends once and as it did; none outlives what its caller was told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from tests.checker.facts import Attempt, ChildCall, Facts, Moment
from tests.checker.machines import CLEARS, RUN_FINAL
from tests.checker.report import Break

# What a loop of the server does by itself is done within this time.
GRACE = timedelta(seconds=30)
# Which ends of an attempt may follow which end of its child run; of one that is called again, whatever that was.
ENDS_AFTER = {
    "success": {"success", "failed"},
    "failed": {"failed", "cancelled", "timed_out"},
    "cancelled": {"failed", "cancelled", "timed_out"},
}
RESUMED = {"called", "cancelled", "timed_out"}


def broken_calls(facts: Facts) -> Iterator[Break]:
    """For I12: both runs are there, an end leads to one end of the caller, and somebody is told."""
    if facts.last is None:
        return
    ended = {attempt.key: attempt for attempt in facts.attempts}
    for call in facts.last.child_calls:
        if call.child_id not in facts.runs or call.key.run_id not in facts.runs:
            yield Break.of("a call of which one run is not there", call)
        elif call.waiting:
            if call.key in ended:
                yield Break.of("an attempt has ended, and waits for a child run", call, ended[call.key])
            yield from _untold(facts, call)
        else:
            yield from _end(call, ended.get(call.key))


def _end(call: ChildCall, attempt: Attempt | None) -> Iterator[Break]:
    if attempt is None:
        yield Break.of("a child run has ended, and its caller's attempt has no end", call)
    elif attempt.state not in (RESUMED if call.resume else ENDS_AFTER.get(call.state or "", set())):
        yield Break.of("an attempt has an end that is not that of its child run", call, attempt)


def _untold(facts: Facts, call: ChildCall) -> Iterator[Break]:
    """A child run has ended long ago, and no event waits for its caller, which nobody has set aside."""
    assert facts.last is not None
    run, caller = facts.runs[call.child_id], facts.runs[call.key.run_id]
    told = {run_id for run_id, _ in facts.last.waiting_events}
    since = _end_time(facts, call.child_id)
    is_late = run.state in RUN_FINAL and since is not None and since <= facts.last.now - GRACE
    if is_late and caller.run_id not in told and not caller.quarantined:
        yield Break.of("a child run has ended, and its caller was not told", call, run)


def _end_time(facts: Facts, run_id: str) -> datetime | None:
    return max((event.time for event in facts.events if event.run_id == run_id), default=None)


def outliving(facts: Facts) -> Iterator[Break]:
    """For I19: what was told to end has told its child run, and has ended only when that had."""
    if facts.last is None:
        return
    for call in facts.last.child_calls:
        run = facts.runs.get(call.child_id)
        if run is None or run.state in RUN_FINAL or run.quarantined or _began_again(facts, call.child_id):
            continue
        if not call.waiting:
            yield Break.of("a child run goes on after its caller's attempt has ended", call, run)
        elif run.intent == "run" and _told_long_ago(facts.last, call):
            yield Break.of("a caller was told to end, and its child run was not", call, run)


def _told_long_ago(moment: Moment, call: ChildCall) -> bool:
    return call.cancel_requested_time is not None and call.cancel_requested_time <= moment.now - GRACE


def _began_again(facts: Facts, run_id: str) -> bool:
    """Whether somebody has had it run again by hand."""
    return any(audit.action in CLEARS for audit in facts.audits_by_run.get(run_id, ()))
