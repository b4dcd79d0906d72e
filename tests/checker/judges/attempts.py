"""I3, I4, I8: attempts come one after the other, older ones change nothing, and there are not too many of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.checker.facts import LIVE, Attempt, AttemptKey, Facts, LedgerEntry, WorkerEntry
from tests.checker.machines import REDELIVERIES_MAX
from tests.checker.replay import History, histories
from tests.checker.report import Break, Verdict, judged


# ---- I3
def judge_one_at_a_time(facts: Facts) -> Verdict:
    """I3: at most one live attempt of a task instance, and numbers that strictly increase."""
    instances = _by_instance(facts)
    again = sum(len(attempts) > 1 for attempts in instances.values())
    breaks = [each for attempts in instances.values() for each in _overlaps(facts, attempts)]
    return judged(
        "I3", "task instances with a second attempt", again, [*breaks, *_queued_behind(facts), *_twice(facts)]
    )


def _by_instance(facts: Facts) -> dict[tuple[str, str, int], list[Attempt]]:
    found: dict[tuple[str, str, int], list[Attempt]] = defaultdict(list)
    for attempt in facts.all_attempts:
        found[attempt.key.instance].append(attempt)
    return found


def _overlaps(facts: Facts, attempts: list[Attempt]) -> Iterator[Break]:
    """In the order in which they were released, each has ended before the next was, and has a smaller number."""
    for number, count in Counter(attempt.key.number for attempt in attempts).items():
        if count > 1:
            yield Break.of(f"attempt number {number} was given twice", *(a for a in attempts if a.key.number == number))
    history = histories(facts).get(attempts[0].key.run_id)
    ordered = sorted(attempts, key=lambda attempt: (attempt.queue_time, attempt.key.number))
    for earlier, later in pairwise(ordered):
        if later.key.number < earlier.key.number:
            yield Break.of("the number of a later attempt is smaller", earlier, later)
        elif not _ended_before(history, earlier, later):
            yield Break.of("released again before its attempt had ended", earlier, later)


def _ended_before(history: History | None, earlier: Attempt, later: Attempt) -> bool:
    """Whether the step that released `later` is that which ended `earlier`, or one behind it."""
    if earlier.end_time is None:
        return False
    ended = history.event_in.get(earlier.transaction) if history else None
    released = history.release_of(later) if history else None
    if ended is None or released is None:  # what a run that was set aside missed is stepped in no step of its own
        return earlier.end_time <= later.queue_time
    return ended.revision <= released


def _queued_behind(facts: Facts) -> Iterator[Break]:
    """What waits in the queue has a number of its own, above all before it, and nothing of it is live."""
    highest: dict[tuple[str, str, int], Attempt] = {}
    for attempt in facts.all_attempts:
        known = highest.get(attempt.key.instance)
        if known is None or attempt.key.number > known.key.number:
            highest[attempt.key.instance] = attempt
    for row in facts.last.queued if facts.last else ():
        before = highest.get(row.key.instance)
        if before is not None and row.key.number <= before.key.number:
            yield Break.of("the number of what is queued has been used", before, row)


def _twice(facts: Facts) -> Iterator[Break]:
    """One attempt is put into the hands of one session. A hand-over to a later session of that worker is a re-bind."""
    hands: dict[AttemptKey, WorkerEntry] = {}
    for entry in facts.worker_entries:
        if entry.kind == "assigned" and entry.key is not None:
            first = hands.setdefault(entry.key, entry)
            if first.worker != entry.worker:
                yield Break.of("two workers were given the same attempt", first, entry)


# ---- I4
def judge_fence(facts: Facts) -> Verdict:
    """I4: the word of an attempt that is not live changes nothing, and is answered so."""
    reports = [entry for entry in facts.worker_entries if entry.kind == "reported" and entry.key]
    answers = [entry for entry in facts.worker_entries if entry.kind == "verdict" and entry.key]
    late = sum(entry.word in ("FENCED", "DUPLICATE") for entry in answers)
    said: dict[AttemptKey, list[WorkerEntry]] = defaultdict(list)
    for entry in reports:
        said[entry.key].append(entry)  # type: ignore[index]
    breaks = [
        *_wrong_answers(facts, said, answers),
        *_accepted_twice(answers),
        *_unspoken_ends(facts, said),
        *_stray_outputs(facts),
    ]
    return judged("I4", "reports of attempts that were not live", late, breaks)


def _wrong_answers(
    facts: Facts, said: dict[AttemptKey, list[WorkerEntry]], answers: list[WorkerEntry]
) -> Iterator[Break]:
    for answer in answers:
        assert answer.key is not None
        stored = facts.attempt_by_key.get(answer.key)
        reports = said.get(answer.key, [])
        if answer.word in ("ACCEPTED", "DUPLICATE"):
            if stored is None or not any(_means(report.word, stored) for report in reports):
                says = f"{answer.word} was answered, and something else is stored"
                yield Break.of(says, *reports[:1], answer, *_if(stored))
        elif answer.word == "FENCED" and stored is not None and stored.state == LIVE:
            yield Break.of("FENCED was answered of an attempt that is live", answer, stored)


def _means(reported: str, stored: Attempt) -> bool:
    """Whether a stored end is what was reported.

    The end of a cancel for a timeout is stored as that, the success of a branch that chose nothing there is as failed.
    """
    if stored.without_choice and reported == "success":
        return stored.state == "failed"
    return stored.state == reported or (reported, stored.state) == ("cancelled", "timed_out")


def _if(attempt: Attempt | None) -> tuple[object, ...]:
    return (attempt,) if attempt is not None else ("no such attempt is stored",)


def _accepted_twice(answers: list[WorkerEntry]) -> Iterator[Break]:
    first: dict[AttemptKey, WorkerEntry] = {}
    for answer in answers:
        if answer.word == "ACCEPTED" and answer.key is not None:
            known = first.setdefault(answer.key, answer)
            if known is not answer:
                yield Break.of("two results of one attempt were accepted", known, answer)


def _unspoken_ends(facts: Facts, said: dict[AttemptKey, list[WorkerEntry]]) -> Iterator[Break]:
    """What a worker that keeps a journal had in its hands ends by a word of its own, or by the server's verdict."""
    assigned = {entry.key: entry for entry in facts.worker_entries if entry.kind == "assigned"}
    for attempt in facts.attempts:
        hand = assigned.get(attempt.key)
        if hand is None or attempt.state in ("lost", "returned"):
            continue
        if not any(_means(report.word, attempt) for report in said.get(attempt.key, ())):
            yield Break.of("an attempt has an end that its worker never reported", hand, attempt)


def _stray_outputs(facts: Facts) -> Iterator[Break]:
    # What a child run gives its caller is stored before that is told, and may have been told to end meanwhile.
    called = {call.key for call in facts.last.child_calls} if facts.last else set()
    for attempt in facts.all_attempts:
        if attempt.has_output and attempt.state != "success" and attempt.key not in called:
            yield Break.of("an output is stored for an attempt that did not succeed", attempt)


# ---- I8
def judge_starts(facts: Facts) -> Verdict:
    """I8: starts stay within the budgets, and each is recorded before user code runs."""
    used = 0
    breaks: list[Break] = []
    for (run_id, _, _), attempts in _by_instance(facts).items():
        history = histories(facts).get(run_id)
        if history is None:
            continue
        for generation in _generations(history, attempts):
            used += len(generation) > 1 or generation[0].state in ("failed", "timed_out", "lost", "returned")
            breaks += _over_budget(history, generation)
    breaks += _unrecorded(facts)
    return judged("I8", "task instances of which an attempt used a budget", used, breaks)


def _generations(history: History, attempts: list[Attempt]) -> list[list[Attempt]]:
    found: dict[int, list[Attempt]] = defaultdict(list)
    for attempt in sorted(attempts, key=lambda attempt: attempt.key.number):
        generation = history.generation_of(attempt)
        if generation is not None:
            found[generation].append(attempt)
    return list(found.values())


def _over_budget(history: History, attempts: list[Attempt]) -> Iterator[Break]:
    """Before each start no budget was used up, and nothing had ended for good."""
    task = history.version.task(attempts[0].key.task_id)
    budgets = {"own": task.retries_max, "lost": task.losses_max, "returned": REDELIVERIES_MAX}
    budgets["preempted"] = task.preemptions_max
    spent: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        for cause, allowed in budgets.items():
            if len(spent[cause]) > allowed:
                says = (
                    f"started again after {len(spent[cause])} attempts ended ({cause}), of which {allowed} are allowed"
                )
                yield Break.of(says, *spent[cause], attempt)
        if spent["final"]:
            yield Break.of("started again after it had ended, without a clear", spent["final"][0], attempt)
        spent[_cause(attempt)].append(attempt)


def _cause(attempt: Attempt) -> str:
    if attempt.preempted:
        return "preempted"
    if attempt.state in ("failed", "timed_out"):
        return "own"
    # A deferral uses no budget: what bounds it is time.
    return attempt.state if attempt.state in ("lost", "returned", "deferred", "called") else "final"


def _unrecorded(facts: Facts) -> Iterator[Break]:
    """Each body that ran had its attempt recorded, and ran once for it."""
    begun: dict[AttemptKey, LedgerEntry] = {}
    for entry in facts.ledger:
        if entry.kind != "start":
            continue
        first = begun.setdefault(entry.key, entry)
        if first is not entry:
            yield Break.of("the body of one attempt ran twice", first, entry)
        stored = facts.attempt_by_key.get(entry.key)
        if stored is None and entry.key.run_id in facts.runs:
            yield Break.of("a body ran of which no attempt is recorded", entry)
        elif stored is not None and not facts.clock_shift_seconds and entry.wall < stored.start_time.timestamp():
            yield Break.of("a body ran before its start was recorded", entry, stored)
    for worker_entry in facts.worker_entries:
        key = worker_entry.key
        if worker_entry.kind == "assigned" and key and key not in facts.attempt_by_key and key.run_id in facts.runs:
            yield Break.of("an attempt was given out that is recorded nowhere", worker_entry)
