"""Successes without an attempt: each has the result of another task instance, and says whose (I5, I12)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.checker.facts import Attempt, Call, Facts, Moment, Queued, Reuse
from tests.checker.replay import Arrow
from tests.checker.report import Break

WAITS_FOR_A_CALL = -2


def reused(facts: Facts, arrow: Arrow) -> bool:
    """Whether a success stands on a result that was taken in its transaction."""
    return arrow.now == "success" and any(
        reuse.transaction == arrow.event.transaction and reuse.key.task_id == arrow.task_id
        for reuse in facts.reuses_by_run.get(arrow.event.run_id, ())
    )


def wrong_reuses(facts: Facts) -> Iterator[Break]:
    """What was taken was made by an attempt that had succeeded before, for a task that is cached, and is the same."""
    for reuse in facts.reuses:
        version = facts.version_of(reuse.key.run_id)
        if version is not None and not version.task(reuse.key.task_id).cached:
            yield Break.of("a task that is not cached has the result of another", reuse)
        if reuse.key in facts.attempt_by_key:
            yield Break.of(
                "an attempt has the number of a result that was taken", reuse, facts.attempt_by_key[reuse.key]
            )
        if reuse.source_run in facts.runs:
            yield from _source(facts, reuse)


def _source(facts: Facts, reuse: Reuse) -> Iterator[Break]:
    made = [attempt for attempt in facts.attempts if _made(attempt, reuse)]
    if not made:
        yield Break.of("a result was taken that no attempt had made by then", reuse)
    elif reuse.digest not in {attempt.digest for attempt in made}:
        yield Break.of("the output that was taken is not what was made", reuse, *made)


def _made(attempt: Attempt, reuse: Reuse) -> bool:
    instance = (reuse.source_run, reuse.source_task, reuse.source_map_index)
    ended = attempt.end_time is not None and attempt.end_time <= reuse.source_time
    return attempt.key.instance == instance and attempt.state == "success" and ended


def waits_for_nothing(moment: Moment, row: Queued) -> Iterator[Break]:
    """Who waits for an equal call that nobody is at, and whom no event will wake."""
    calls = {call.instance: call for call in moment.calls}
    own = calls.get(row.key.instance)
    if own is None:
        yield Break.of("parked for an equal call, and no call of it is known", row)
        return
    woken = {run_id for run_id, _ in moment.waiting_events}
    aside = {run.run_id for run in moment.runs if run.quarantined}
    same = [call for call in moment.calls if call.key == own.key]
    if not any(_moves(call, woken, aside) for call in same):
        yield Break.of("waits for an equal call that nobody is at", row)


def _moves(call: Call, woken: set[str], aside: set[str]) -> bool:
    """Whether something will come of a call, or of its waiting; what is set aside is looked after within seconds."""
    return not call.waits or call.instance[0] in woken or call.instance[0] in aside
