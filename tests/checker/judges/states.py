"""I5, I11: only published arrows, each with its cause; tasks start when their rule holds, runs end as tasks do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.checker.facts import Attempt, Facts, RunEvent
from tests.checker.judges.maps import broken_maps
from tests.checker.judges.reuses import reused, wrong_reuses
from tests.checker.machines import (
    ATTEMPT_ENDS,
    CLEARS,
    ENDS_BEHIND,
    MARK,
    RUN_FINAL,
    TASK_FINAL,
    run_may_go,
    task_may_go,
)
from tests.checker.replay import Arrow, Cancel, History, cancels, histories, marks, retries_run
from tests.checker.report import Break, Verdict, judged

FROM_RULES = frozenset({"released", "waiting", "skipped", "upstream_failed"})


# ---- I5
def judge_arrows(facts: Facts) -> Verdict:
    """I5: only arrows of the published machines, and final states are left by an operator's recorded action alone."""
    crossed = 0
    breaks: list[Break] = []
    ended = _ended_in(facts)
    for history in histories(facts).values():
        crossed += len(history.arrows)
        breaks += [*_unbroken(history), *_run_arrows(facts, history), *_task_arrows(facts, history)]
        breaks += [*_causes(facts, history, ended), *broken_maps(facts, history)]
    breaks += wrong_reuses(facts)
    breaks += [
        Break.of("an attempt has an end that does not exist", attempt)
        for attempt in facts.attempts
        if attempt.state not in ATTEMPT_ENDS
    ]
    return judged("I5", "arrows that tasks crossed", crossed, breaks)


def _ended_in(facts: Facts) -> dict[tuple[str, str], list[Attempt]]:
    found: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for attempt in facts.attempts:
        found[attempt.key.run_id, attempt.key.task_id].append(attempt)
    return found


def _unbroken(history: History) -> Iterator[Break]:
    """No revision is missing, and the board is what the events add up to."""
    revisions = [event.revision for event in history.events]
    if revisions != list(range(1, history.run.revision + 1)):
        yield Break.of(f"the run has events of revisions {_some(revisions)}", history.run)
    ids = [task.task_id for task in history.version.tasks]
    for task_id, stored in zip(ids, history.run.board, strict=False):
        if history.board[task_id] != stored and not history.run.quarantined:
            says = f"the board says that {task_id} is {stored}, its events {history.board[task_id]}"
            yield Break.of(says, history.run, *[a.event for a in history.arrows if a.task_id == task_id][-1:])
    if history.events and history.events[-1].run_state != history.run.state:
        yield Break.of("the run's state is not that of its last event", history.events[-1], history.run)


def _some(revisions: list[int]) -> str:
    return ", ".join(map(str, revisions[:8])) + (", ..." if len(revisions) > 8 else "") if revisions else "none"


def _run_arrows(facts: Facts, history: History) -> Iterator[Break]:
    was, before = "queued", None
    for event in history.events:
        shown = (before, event) if before else (event,)
        if not run_may_go(was, event.run_state):
            yield Break.of(f"no arrow leads a run from {was} to {event.run_state}", *shown)
        elif was in RUN_FINAL and event.run_state != was and not _operator(facts, event, CLEARS | {MARK}):
            yield Break.of(f"a run left {was} without an operator's action in that transaction", *shown)
        was, before = event.run_state, event


def _task_arrows(facts: Facts, history: History) -> Iterator[Break]:
    retries = 0
    for event in history.events:
        retries = 0 if _operator(facts, event, CLEARS) else retries + retries_run(history.version, event)
        if retries > history.version.run_retries_max:
            yield Break.of(f"a run was retried {retries} times, allowed are {history.version.run_retries_max}", event)
    for arrow in history.arrows:
        if not task_may_go(arrow.was, arrow.now):
            yield Break.of(f"no arrow leads {arrow.task_id} from {arrow.was} to {arrow.now}", arrow.event)
        elif arrow.now == "scheduled" and retries_run(history.version, arrow.event):
            continue
        elif arrow.was in TASK_FINAL and not _operator(facts, arrow.event, CLEARS | {MARK}, arrow.task_id):
            yield Break.of(f"{arrow.task_id} left {arrow.was} without an operator's action on it", arrow.event)


def _operator(facts: Facts, event: RunEvent, actions: frozenset[str], task_id: str = "") -> bool:
    """Whether an operator did one of these in the transaction of the event, to this task."""
    for audit in facts.audits_by_run.get(event.run_id, ()):
        if audit.transaction == event.transaction and audit.action in actions:
            named = audit.detail.get("task_ids", [])
            assert isinstance(named, list)
            # Of many tasks the audit trail names the first hundred.
            if not task_id or task_id in named or len(named) > 100:
                return True
    return False


def _causes(facts: Facts, history: History, ended: dict[tuple[str, str], list[Attempt]]) -> Iterator[Break]:
    """Behind each end of a released task stands that of an attempt, a cancel or a reuse; of the same transaction."""
    told = cancels(facts, history)
    for arrow in history.arrows:
        if arrow.now not in TASK_FINAL or arrow.was in TASK_FINAL:
            continue
        if arrow.now == "cancelled" and any(_told(each, arrow) for each in told):
            continue
        if marks(facts, history, arrow) or reused(facts, arrow):
            continue
        if arrow.was == "scheduled" and arrow.now != "cancelled":
            continue  # by its trigger rule, see I11
        if arrow.was != "scheduled" and history.version.task(arrow.task_id).map is not None:
            continue  # by its instances, see maps.py
        attempts = ended.get((history.run.run_id, arrow.task_id), [])
        if not any(_stands_behind(facts, attempt, arrow) for attempt in attempts):
            near = [each for each in attempts if each.transaction == arrow.event.transaction]
            yield Break.of(f"{arrow.task_id} became {arrow.now}, and nothing stands behind it", arrow.event, *near)


def _told(cancel: Cancel, arrow: Arrow) -> bool:
    return cancel.covers(arrow.task_id) and cancel.holds_at(arrow.event.revision)


def _stands_behind(facts: Facts, attempt: Attempt, arrow: Arrow) -> bool:
    if attempt.state not in ENDS_BEHIND.get(arrow.now, ()):
        return False
    if arrow.now == "cancelled" and attempt.state != "cancelled":
        return False  # only a cancel makes one of another end
    # What came for a run that had been set aside was stepped when it was let go.
    aside = arrow.event.run_id in facts.quarantined and attempt.transaction <= arrow.event.transaction
    return attempt.transaction == arrow.event.transaction or aside


# ---- I11
def judge_rules(facts: Facts) -> Verdict:
    """I11: a task starts only when its trigger rule holds, and a run's state is a function of its tasks' states."""
    judgements = 0
    breaks: list[Break] = []
    for history in histories(facts).values():
        with_upstream = {task.task_id for task in history.version.tasks if task.upstream}
        judgements += sum(a.was == "scheduled" and a.task_id in with_upstream for a in history.arrows)
        breaks += [*_against_rules(facts, history), *_run_states(facts, history)]
    breaks += _never_released(facts)
    return judged("I11", "decisions of a trigger rule over upstreams", judgements, breaks)


def _against_rules(facts: Facts, history: History) -> Iterator[Break]:
    tasks = {task.task_id: task for task in history.version.tasks}
    last: dict[str, RunEvent] = {}
    for arrow in history.arrows:
        by_rule = arrow.was == "scheduled" and arrow.now in FROM_RULES
        # What asks people was admitted as what is released was.
        now = "released" if arrow.now == "waiting" else arrow.now
        if by_rule and now != arrow.said and not marks(facts, history, arrow):
            task = tasks[arrow.task_id]
            ups = [last[each] for each in task.upstream if each in last]
            says = f"{arrow.task_id} ({task.rule}) became {arrow.now}; by its rule it is {arrow.said}"
            yield Break.of(says, *dict.fromkeys([*ups[-2:], arrow.event]))
        last[arrow.task_id] = arrow.event


def _run_states(facts: Facts, history: History) -> Iterator[Break]:
    told = cancels(facts, history)
    for event in history.events:
        still_open, bad = history.open_after[event.revision], history.bad_after[event.revision]
        if event.run_state in RUN_FINAL and still_open:
            yield Break.of(f"the run is {event.run_state} while {still_open} tasks have not ended", event)
        elif event.run_state not in RUN_FINAL and not still_open:
            yield Break.of(f"all tasks have ended, and the run is {event.run_state}", event)
        elif event.run_state in RUN_FINAL and event.run_state not in _ends(history, event, bad, told):
            yield Break.of(f"the run is {event.run_state}, {'some' if bad else 'no'} task ended badly", event)


def _ends(history: History, event: RunEvent, bad: bool, told: list[Cancel]) -> set[str]:
    """The states that a run may end in: what it was told first counts before how its tasks ended."""
    whole = sorted((each for each in told if not each.tasks and each.holds_at(event.revision)), key=_revision)
    if whole:
        return {"failed"} if isinstance(whole[0].cause, RunEvent) else {"cancelled"}
    return {"failed"} if bad else {"success"}


def _revision(cancel: Cancel) -> int:
    return cancel.event.revision


def _never_released(facts: Facts) -> Iterator[Break]:
    """Each attempt goes back to a step in which its task was released, or one of its attempts had ended."""
    for attempt in facts.all_attempts:
        history = histories(facts).get(attempt.key.run_id)
        if history is not None and history.release_of(attempt) is None:
            yield Break.of("an attempt started that no step released", attempt)
