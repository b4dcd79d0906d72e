"""I19: after a cancel or a timeout nothing new starts, and what runs ends within its grace and 5 s."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache

from tests.checker.facts import Attempt, Facts, LedgerEntry
from tests.checker.judges.child_runs import outliving
from tests.checker.replay import Cancel, History, cancels, histories
from tests.checker.report import Break, Verdict, judged

SLACK_SECONDS = 5.0
# After a fault: until a server is up, workers are back, and leases that ended meanwhile are judged.
RECOVERY_SECONDS = 15.0


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
            covered = [each for each in attempts[run_id] if _must_end(history, cancel, each)]
            breaks += [*_started(facts, history, cancel, covered), *_ran_on(facts, history, cancel, covered)]
    breaks += [*_over_time(facts), *outliving(facts)]
    return judged("I19", "cancels and timeouts of runs with released tasks", tried, breaks)


def _must_end(history: History, cancel: Cancel, attempt: Attempt) -> bool:
    """Teardowns outlive the end of their run; one that is told to end itself does not."""
    named = bool(cancel.tasks)
    return cancel.covers(attempt.key.task_id) and (
        named or history.version.task(attempt.key.task_id).role != "teardown"
    )


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
    """What was live has ended in time, its body included; what kept its worker from hearing of it begins it anew.

    An attempt that goes on as a child run has the time of what runs there, which is judged itself.
    """
    called = {call.key for call in facts.call_of_child.values()}
    for attempt in (each for each in attempts if each.key not in called):
        released = history.release_of(attempt)
        if released is None or released >= cancel.event.revision or not _outlived(history, cancel, attempt):
            continue
        grace = history.version.task(attempt.key.task_id).grace_seconds + SLACK_SECONDS
        latest = _latest(facts, attempt, cancel.event.time.timestamp(), grace)
        ended = attempt.end_time or (facts.last.now if facts.last else cancel.event.time)
        if attempt.state != "lost" and ended.timestamp() > latest:
            yield Break.of(f"went on for more than {grace:g} s after the cancel", *_shown(cancel), attempt)
        if not facts.clock_shift_seconds:
            lines = [line for line in facts.ledger_by_key.get(attempt.key, ()) if line.wall > latest]
            if lines:
                yield Break.of("its body was alive after the cancel's grace", *_shown(cancel), attempt, lines[0])


def _outlived(history: History, cancel: Cancel, attempt: Attempt) -> bool:
    """Whether it had not ended by the step of the cancel."""
    ended = history.event_in.get(attempt.transaction)
    if attempt.end_time is None:
        return True
    return ended.revision > cancel.event.revision if ended else attempt.end_time > cancel.event.time


def _latest(facts: Facts, attempt: Attempt, since: float, grace: float) -> float:
    """Until when an attempt may go on, in seconds since 1970."""
    latest = since + grace
    for start, end in sorted([*_faults(facts), *_cuts(facts, attempt)]):
        if since - SLACK_SECONDS <= end and start <= latest:
            latest = max(latest, end + RECOVERY_SECONDS + grace)
    return latest


def _cuts(facts: Facts, attempt: Attempt) -> Iterator[tuple[float, float]]:
    """When the attempt's worker had no stream: from the end of one, or of the session."""
    for entry in facts.worker_entries:
        if entry.kind == "cut" and entry.session_id == attempt.session_id:
            yield entry.wall, entry.wall
    for session in facts.sessions:
        if session.session_id == attempt.session_id and session.end_time is not None:
            yield session.end_time.timestamp(), session.end_time.timestamp()


@lru_cache(maxsize=2)
def _faults(facts: Facts) -> list[tuple[float, float]]:
    """From when to when: what was stopped stands still until it is told to continue."""
    found, stopped = [], dict[str, float]()
    for fault in facts.faults:
        verb, _, whom = fault.what.partition(" ")
        if verb == "stop":
            stopped[whom] = fault.wall
        found.append((stopped.pop(whom, fault.wall) if verb == "continue" else fault.wall, fault.wall))
    return found


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
