"""I15: a run executes the version that it was pinned to, and nothing but an operator's move pins it to another one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from tests.checker.facts import Attempt, AttemptKey, Facts, Version
from tests.checker.report import Break, Verdict, judged


def judge_versions(facts: Facts) -> Verdict:
    """I15."""
    newer = _newer(facts)
    shown = {entry.key for entry in facts.worker_entries if entry.kind == "assigned"}
    shown |= {entry.key for entry in facts.ledger if entry.kind == "start" and entry.code}
    tried = sum(_superseded(facts, newer, facts.attempt_by_key[key]) for key in shown if key in facts.attempt_by_key)
    breaks = [*_assigned(facts), *_executed(facts), *_answered(facts), *_altered(facts)]
    return judged("I15", "attempts of runs whose DAG had a newer version", tried, breaks)


def _newer(facts: Facts) -> dict[tuple[str, str], list[Version]]:
    found: dict[tuple[str, str], list[Version]] = defaultdict(list)
    for version in facts.versions:
        found[version.namespace, version.dag_id].append(version)
    return found


def _superseded(facts: Facts, versions: dict[tuple[str, str], list[Version]], attempt: Attempt) -> bool:
    """Whether its DAG had a newer version when the attempt started."""
    mine = facts.version_of(attempt.key.run_id)
    if mine is None:
        return False
    since: datetime = attempt.start_time
    return any(each.number > mine.number and each.create_time < since for each in versions[mine.namespace, mine.dag_id])


def _pinned(facts: Facts, key: AttemptKey) -> Version | None:
    """The version that an attempt was released with."""
    attempt = facts.attempt_by_key.get(key)
    return facts.pinned_at(key.run_id, attempt.queue_time) if attempt else facts.version_of(key.run_id)


def _assigned(facts: Facts) -> Iterator[Break]:
    for entry in facts.worker_entries:
        version = _pinned(facts, entry.key) if entry.kind == "assigned" and entry.key else None
        if version is None or entry.key is None:
            continue
        if entry.dag_version_number and entry.dag_version_number != version.number:
            says = f"given out as version {entry.dag_version_number}, the run is pinned to {version.number}"
            yield Break.of(says, entry, facts.runs[entry.key.run_id])
        task = version.task(entry.key.task_id)
        wanted = f"{task.handler_name}@{task.handler_version}"
        if entry.handler and entry.handler != wanted:
            yield Break.of(f"given out with handler {entry.handler}, the pinned version says {wanted}", entry)


def _executed(facts: Facts) -> Iterator[Break]:
    seen: set[AttemptKey] = set()
    for entry in facts.ledger:
        version = _pinned(facts, entry.key)
        if version is None or not entry.code or entry.key in seen:
            continue
        if entry.code != version.number:
            seen.add(entry.key)
            says = f"code of version {entry.code} ran, the run is pinned to {version.number}"
            yield Break.of(says, entry, facts.runs[entry.key.run_id])


def _answered(facts: Facts) -> Iterator[Break]:
    """What the caller was told at the creation is what the run has; `answer` ends in "v<number>" for each run."""
    for entry in facts.client_entries:
        if entry.kind != "answered" or entry.method != "TriggerDagRuns":
            continue
        numbers = [word[1:] for word in entry.answer.split() if word.startswith("v")]
        for name, number in zip(entry.names, numbers, strict=False):
            version = facts.pinned_at(name, None)
            if version is not None and str(version.number) != number:
                yield Break.of(
                    f"created with version {number}, and pinned to {version.number}", entry, facts.runs[name]
                )


def _altered(facts: Facts) -> Iterator[Break]:
    for version in facts.versions:
        if version.content_hash != version.spec_hash:
            yield Break.of(f"version {version.number} of {version.dag_id} does not have the content of its hash")
