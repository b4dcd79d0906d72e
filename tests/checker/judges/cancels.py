"""I19: after a cancel or a timeout nothing new starts, and what runs ends within its grace and 5 s."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from tests.checker.facts import Attempt, Facts, LedgerEntry
from tests.checker.replay import Cancel, History, cancels, histories
from tests.checker.report import Break, Verdict, judged

SLACK_SECONDS = 5.0


def judge_cancels(facts: Facts) -> Verdict:
    """I19."""
    tried = 0
    breaks: list[Break] = []
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in facts.all_attempts:
        attempts[attempt.key.run_id].append(attempt)
    for run_id, history in histories(facts).items():
        for cancel in cancels(facts, history):
            tried += bool(cancel.out)
            covered = [each for each in attempts[run_id] if cancel.covers(each.key.task_id)]
            breaks += [*_started(facts, history, cancel, covered), *_ran_on(facts, history, cancel, covered)]
    breaks += _over_time(facts)
    return judged("I19", "cancels and timeouts of runs with released tasks", tried, breaks)


def _started(facts: Facts, history: History, cancel: Cancel, attempts: list[Attempt]) -> Iterator[Break]:
    """Nothing was released in or after the step of the cancel, nor claimed after the caller had his answer."""
    answered = _answered(facts, history, cancel)
    for attempt in attempts:
        released = history.release_of(attempt)
        if released is None or (cancel.until and released >= cancel.until):
            continue
        if released >= cancel.event.revision:
            yield Break.of("an attempt was released after the cancel", *_shown(cancel), attempt)
        elif answered is not None and attempt.start_time.timestamp() > answered:
            yield Break.of("an attempt was claimed after the cancel had been acknowledged", *_shown(cancel), attempt)


def _shown(cancel: Cancel) -> tuple[object, ...]:
    return (cancel.cause,)


def _answered(facts: Facts, history: History, cancel: Cancel) -> float | None:
    """When the last caller who may have asked for this cancel had the answer, by the wall clock of this host."""
    if facts.clock_shift_seconds:
        return None
    times = [
        entry.wall
        for entry in facts.client_entries
        if entry.kind == "answered" and entry.method.startswith("Cancel") and history.run.run_id in entry.names
    ]
    return max(times, default=None) if len(times) == 1 else None


def _ran_on(facts: Facts, history: History, cancel: Cancel, attempts: list[Attempt]) -> Iterator[Break]:
    """What was live has ended in time, its body included, unless its worker was cut off or a fault came between."""
    for attempt in attempts:
        released = history.release_of(attempt)
        if released is None or released >= cancel.event.revision or not _outlived(history, cancel, attempt):
            continue
        grace = history.version.task(attempt.key.task_id).grace_seconds + SLACK_SECONDS
        latest = cancel.event.time + timedelta(seconds=grace)
        ended = attempt.end_time or (facts.last.now if facts.last else latest)
        if attempt.state != "lost" and ended > latest and not _excused(facts, attempt, cancel.event.time, ended):
            yield Break.of(f"went on for more than {grace:g} s after the cancel", *_shown(cancel), attempt)
        yield from _bodies(facts, attempt, cancel, latest)


def _outlived(history: History, cancel: Cancel, attempt: Attempt) -> bool:
    """Whether it had not ended by the step of the cancel."""
    ended = history.event_in.get(attempt.transaction)
    if attempt.end_time is None:
        return True
    return ended.revision > cancel.event.revision if ended else attempt.end_time > cancel.event.time


def _excused(facts: Facts, attempt: Attempt, since: datetime, until: datetime) -> bool:
    """Whether its worker may not have heard of it in that time: a fault, a cut, or a session that ended."""
    start, end = since.timestamp(), until.timestamp()
    if any(start - SLACK_SECONDS <= fault.wall <= end for fault in facts.faults):
        return True
    cuts = (e.wall for e in facts.worker_entries if e.kind == "cut" and e.session_id == attempt.session_id)
    if any(start - SLACK_SECONDS <= wall <= end for wall in cuts):
        return True
    session = next((each for each in facts.sessions if each.session_id == attempt.session_id), None)
    return session is None or (session.end_time is not None and session.end_time <= until)


def _bodies(facts: Facts, attempt: Attempt, cancel: Cancel, latest: datetime) -> Iterator[Break]:
    if facts.clock_shift_seconds:
        return
    lines = [line for line in facts.ledger_by_key.get(attempt.key, ()) if line.wall > latest.timestamp()]
    if lines:
        seen = datetime.fromtimestamp(lines[0].wall, tz=latest.tzinfo)
        if not _excused(facts, attempt, cancel.event.time, seen):
            yield Break.of("its body was alive after the cancel's grace", *_shown(cancel), attempt, lines[0])


def _over_time(facts: Facts) -> Iterator[Break]:
    """A body that has a timeout is gone within it, the grace and 5 s."""
    begun: dict[object, LedgerEntry] = {}
    for line in facts.ledger:
        if line.kind == "start":
            begun.setdefault(line.key, line)
        version = facts.version_of(line.key.run_id)
        first = begun.get(line.key)
        if version is None or first is None or first.pid != line.pid:
            continue
        task = version.task(line.key.task_id)
        if task.timeout_seconds is None:
            continue
        if line.monotonic - first.monotonic > task.timeout_seconds + task.grace_seconds + SLACK_SECONDS:
            yield Break.of(f"a body outlived its timeout of {task.timeout_seconds:g} s", first, line)
