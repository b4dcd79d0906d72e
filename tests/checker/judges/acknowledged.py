"""I6, I7: what was acknowledged is there, and a repeated request id has one effect and one answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from uuid import UUID

from tests.checker.facts import Audit, ClientEntry, Facts
from tests.checker.machines import CANCELS
from tests.checker.report import Break, Verdict, judged

# Methods that take a request id, and what the audit trail calls them.
ACTIONS = {
    "TriggerDagRuns": "dag_run.trigger",
    "CancelDagRun": "dag_run.cancel",
    "CancelTaskInstances": "task_instance.cancel",
    "ClearTaskInstances": "task_instance.clear",
    "MarkTaskInstances": "task_instance.mark",
    "RerunDagRun": "dag_run.rerun",
    "RegisterDagVersion": "dag_version.register",
}
CRASHES = ("kill", "crash")
RETENTION_SECONDS = 7 * 86_400.0


# ---- I6
def judge_durability(facts: Facts) -> Verdict:
    """I6: what was acknowledged survives the crashes that came after it."""
    crashes = [fault.monotonic for fault in facts.faults if fault.what.startswith(CRASHES)]
    last_crash = max(crashes, default=0.0)
    acknowledged = [each for each in facts.client_entries if each.kind == "answered" and each.method in ACTIONS]
    accepted = [each for each in facts.worker_entries if each.kind == "verdict" and each.word == "ACCEPTED"]
    times = [each.monotonic for each in acknowledged] + [each.monotonic for each in accepted]
    survived = sum(time < last_crash for time in times)
    breaks = [each for entry in acknowledged for each in _lost(facts, entry)]
    ended = {attempt.key for attempt in facts.attempts}
    breaks += [
        Break.of("a result was accepted, and no end of its attempt is stored", entry)
        for entry in accepted
        if entry.key not in ended
    ]
    return judged("I6", "acknowledgements that a crash came after", survived, breaks)


def _lost(facts: Facts, entry: ClientEntry) -> Iterator[Break]:
    """`names` of an answer: run ids, or "<dag id>:<number>" of a version."""
    versions = {f"{version.dag_id}:{version.number}" for version in facts.versions}
    for name in entry.names:
        known = name in versions if entry.method == "RegisterDagVersion" else name in facts.runs
        if not known:
            yield Break.of(f"{name} was acknowledged, and is not there", entry)
        elif entry.method not in ("TriggerDagRuns", "RegisterDagVersion"):
            done = [audit.action for audit in facts.audits_by_run.get(name, ())]
            # A task that was cancelled with its run stays as it is: that cancel is the one on record.
            wanted = CANCELS if entry.method == "CancelTaskInstances" else {ACTIONS[entry.method]}
            if not wanted.intersection(done):
                yield Break.of(f"{entry.method} was acknowledged, and no such action is recorded", entry)


# ---- I7
def judge_requests(facts: Facts) -> Verdict:
    """I7: a request id has one effect and one answer; with another body, or too old, it is refused."""
    calls: dict[str, list[ClientEntry]] = defaultdict(list)
    answers: dict[str, list[ClientEntry]] = defaultdict(list)
    for entry in facts.client_entries:
        if entry.request_id:
            (calls if entry.kind == "sent" else answers)[entry.request_id].append(entry)
    repeated = sum(len(each) > 1 for each in calls.values())
    breaks = [each for request_id, told in answers.items() for each in _answers(request_id, told)]
    return judged("I7", "request ids that were sent again", repeated, [*breaks, *_effects(facts, answers)])


def _answers(request_id: str, told: list[ClientEntry]) -> Iterator[Break]:
    good = [entry for entry in told if entry.kind == "answered"]
    for other in good[1:]:
        if other.wall - good[0].wall > RETENTION_SECONDS:
            continue
        if other.body != good[0].body or other.method != good[0].method:
            yield Break.of("one request id was taken with two bodies", good[0], other)
        elif other.answer != good[0].answer:
            yield Break.of("a repeated request got another answer", good[0], other)
    made = _made_at(request_id)
    if good and made is not None and made < good[0].wall - RETENTION_SECONDS:
        yield Break.of("a request id older than answers are kept was taken", good[0])


def _made_at(request_id: str) -> float | None:
    """Seconds since 1970 of an id that tells its age (a UUID of version 7), else None."""
    try:
        made = UUID(request_id)
    except ValueError:
        return None
    return (made.int >> 80) / 1000 if made.version == 7 else None


def _effects(facts: Facts, answers: dict[str, list[ClientEntry]]) -> Iterator[Break]:
    """Each deed of a client that sends request ids was committed together with the one id that asked for it."""
    ids: dict[int, list[str]] = defaultdict(list)
    for request in facts.requests:
        ids[request.transaction].append(request.request_id)
    journalled = {entry.client for entry in facts.client_entries}
    filled = {run.run_id for run in facts.calendar.runs if run.kind == "backfill"}
    deeds: dict[str, list[Audit]] = defaultdict(list)
    for audit in facts.audits:
        if audit.action not in ACTIONS.values() or audit.actor not in journalled:
            continue
        if filled.issuperset(_run_ids(audit) or [""]):
            continue  # of a backfill, which goes on by itself in the name of who has asked for it
        found = ids.get(audit.transaction, [])
        if not found:
            yield Break.of("a deed was committed without the request id that asked for it", audit)
        for request_id in found:
            deeds[request_id].append(audit)
    for request_id, audits in deeds.items():
        if len(audits) > 1:
            yield Break.of(f"request id {request_id} had {len(audits)} effects", *audits)
    yield from _unkept(facts, answers)


def _run_ids(audit: Audit) -> list[str]:
    """Of the runs that were made."""
    found = audit.detail.get("dag_run_ids")
    return list(map(str, found)) if isinstance(found, list) else []


def _unkept(facts: Facts, answers: dict[str, list[ClientEntry]]) -> Iterator[Break]:
    """A run that was created for a request id was created in the transaction that keeps the id."""
    created = dict(facts.run_keys)
    kept = {request.request_id: request for request in facts.requests}
    for request_id, told in answers.items():
        for entry in told:
            request = kept.get(request_id)
            if entry.kind != "answered" or entry.method != "TriggerDagRuns" or request is None:
                continue
            later = [name for name in entry.names if created.get(name, 0) > request.transaction]
            if later:
                yield Break.of(f"run {later[0][-8:]} was created by a repetition", request, entry)
