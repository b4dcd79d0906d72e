"""I13: no claim commits over a limit, use is the sum of what is live, and what has ended gives its slots back.

Two kinds of proof, none of which trusts a clock. A moment is one snapshot: holders and live attempts are counted in it.
Between moments, a worker has an attempt in its hands from when it is assigned (after the claim's commit) until it sends
the report (before the end's commit), and a body runs inside that time; where such spans overlap on one host, their
slots were held at once.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from tests.checker.facts import (
    Attempt,
    AttemptKey,
    Audit,
    Facts,
    Holder,
    LedgerEntry,
    Limit,
    Moment,
    Version,
    WorkerEntry,
)
from tests.checker.judges.paces import judge_paces
from tests.checker.machines import RUN_FINAL
from tests.checker.report import Break, Verdict, judged

# While a cap is being set a holder may be left by what ended meanwhile, until it is swept.
SWEPT_WITHIN = timedelta(seconds=30)
# A version's registration notes its time before it locks the limit.
NOTED_EARLY = timedelta(seconds=5)
# How far apart a claim, its arrival at the worker and a change of capacity are told apart.
BLUR_SECONDS = 1.0


def judge_limits(facts: Facts) -> Verdict:
    """I13."""
    full = 0
    breaks: list[Break] = []
    for moment in facts.moments:
        full += _full(moment)
        breaks += _moment(facts, moment)
    for limit, spans in _spans(facts).items():
        reached, over = _sweep(facts, limit, spans)
        full += reached
        breaks += over
    for reached, over in (_too_fast(facts), judge_paces(facts)):
        full += reached
        breaks += over
    return judged("I13", "times that a limit was full", full, breaks)


# ---- what a task needs
def limit_of(moment: Moment, namespace: str, kind: str, name: str) -> Limit | None:
    return next(
        (each for each in moment.limits if (each.namespace, each.kind, each.name) == (namespace, kind, name)), None
    )


def needs_of(facts: Facts, moment: Moment, key: AttemptKey) -> dict[int, int]:
    """Slots of each limit that a task takes while it is live, by limit id."""
    version = facts.version_of(key.run_id)
    if version is None:
        return {}
    found = _needs(moment, version, key.task_id)
    of_run = limit_of(moment, version.namespace, "run", key.run_id) if version.run_tasks_active_max else None
    return found if of_run is None else {**found, of_run.limit_id: 1}


@lru_cache(maxsize=10_000)
def _needs(moment: Moment, version: Version, task_id: str) -> dict[int, int]:
    task, found = version.task(task_id), {}
    tasks = limit_of(moment, version.namespace, "dag_tasks", version.dag_id)
    if tasks is not None:
        found[tasks.limit_id] = 1
    pool = limit_of(moment, version.namespace, "pool", task.pool) if task.pool else None
    if pool is not None:
        found[pool.limit_id] = task.pool_slots
    for name, slots in task.limits:
        named = limit_of(moment, version.namespace, "named", name)
        if named is not None:
            found[named.limit_id] = slots
    own = limit_of(moment, version.namespace, "task", f"{version.dag_id}/{task_id}") if task.active_max else None
    if own is not None:
        found[own.limit_id] = 1
    return found


# ---- one moment
def _full(moment: Moment) -> int:
    used = _used(moment)
    parked = {row.parked_on for row in moment.queued}
    return sum(
        limit.limit_id in parked or (limit.room is not None and 0 < limit.room <= used.get(limit.limit_id, 0))
        for limit in moment.limits
    )


def _used(moment: Moment) -> dict[int, int]:
    used: dict[int, int] = defaultdict(int)
    for holder in moment.holders:
        used[holder.limit_id] += holder.slots
    return used


def _moment(facts: Facts, moment: Moment) -> Iterator[Break]:
    limits = {limit.limit_id: limit for limit in moment.limits}
    live = {attempt.key.instance: attempt for attempt in moment.live}
    held: dict[int, dict[tuple[str, str, int], Holder]] = defaultdict(dict)
    for holder in moment.holders:
        held[holder.limit_id][holder.instance] = holder
        limit = limits.get(holder.limit_id)
        if limit is None:
            yield Break.of("a limit is held that is not there", holder)
        elif holder.instance not in live and not _may_be_left(facts, moment, limit):
            yield Break.of("slots are held by what is not live", holder, limit)
    for attempt in moment.live:
        yield from _unheld(facts, moment, attempt, limits, held)
    for limit in moment.limits:
        yield from _over(facts, limit, [live[each] for each in held[limit.limit_id] if each in live], held)
        yield from _runs_over(facts, moment, limit)


def _may_be_left(facts: Facts, moment: Moment, limit: Limit) -> bool:
    changes = _changes(facts, limit)
    return limit.kind == "dag_tasks" and any(moment.now - audit.time < SWEPT_WITHIN for audit in changes)


def _unheld(
    facts: Facts,
    moment: Moment,
    attempt: Attempt,
    limits: dict[int, Limit],
    held: dict[int, dict[tuple[str, str, int], Holder]],
) -> Iterator[Break]:
    for limit_id, slots in needs_of(facts, moment, attempt.key).items():
        limit = limits[limit_id]
        holder = held[limit_id].get(attempt.key.instance)
        if holder is None and limit.room is not None:
            yield Break.of("live without a slot of its limit", attempt, limit)
        elif holder is not None and holder.slots != slots:
            yield Break.of(f"live with {holder.slots} slots of a limit of which it needs {slots}", attempt, holder)


def _over(
    facts: Facts, limit: Limit, live: list[Attempt], held: dict[int, dict[tuple[str, str, int], Holder]]
) -> Iterator[Break]:
    """Over the limit only as far as it was lowered: nothing was claimed since."""
    used = sum(holder.slots for holder in held[limit.limit_id].values())
    if limit.room is None or used <= limit.room or not live:
        return
    newest = max(live, key=lambda attempt: attempt.start_time)
    if newest.start_time > _last_change(facts, limit):
        yield Break.of(f"{used} slots are held", limit, *sorted(live, key=lambda a: a.start_time)[-limit.room - 1 :])


def _changes(facts: Facts, limit: Limit) -> list[Audit]:
    """When a limit may have got another capacity."""
    if limit.kind == "run":
        return []  # the version that the run is pinned to says it
    settable = {"pool": "pool", "named": "limit"}.get(limit.kind)
    target = f"{settable}/{limit.name}" if settable else f"dag/{limit.name.partition('/')[0]}"
    actions = {
        "pool": {"pool.set"},
        "named": {"limit.set"},
        "dag_tasks": {"dag.pause", "dag.unpause", "dag_version.register"},
    }
    named = actions.get(limit.kind, {"dag_version.register"})
    return [a for a in facts.audits if a.namespace == limit.namespace and a.target == target and a.action in named]


def _last_change(facts: Facts, limit: Limit) -> datetime:
    changes = _changes(facts, limit)
    if not changes:
        return datetime.min.replace(tzinfo=facts.moments[-1].now.tzinfo)
    return max(each.time + (NOTED_EARLY if each.action == "dag_version.register" else timedelta()) for each in changes)


def _runs_over(facts: Facts, moment: Moment, limit: Limit) -> Iterator[Break]:
    if limit.kind != "dag_runs" or limit.room is None:
        return
    mine = [run for run in moment.runs if (run.namespace, run.dag_id) == (limit.namespace, limit.name)]
    active = [run for run in mine if run.admitted and run.state not in RUN_FINAL]
    if len(active) > limit.room and max(run.create_time for run in active) > _last_change(facts, limit):
        yield Break.of(f"{len(active)} runs are active", limit, *active[-limit.room - 1 :])


# ---- between the moments
@dataclass(frozen=True, slots=True)
class _Span:
    """Slots that were held from `start` to `end`, in seconds of the host's monotonic clock."""

    start: float
    end: float
    slots: int
    wall: float
    entry: WorkerEntry | LedgerEntry


def _spans(facts: Facts) -> dict[Limit, list[_Span]]:
    """Of each pool and named limit, and of each cap of a DAG or a run that never changed."""
    found: dict[Limit, list[_Span]] = defaultdict(list)
    last = facts.last
    if last is None:
        return found
    by_id = {limit.limit_id: limit for limit in last.limits}
    for key, (start, end, entry) in _in_hand(facts).items():
        stored = facts.attempt_by_key.get(key)
        if stored is None or stored.state in ("lost", "returned"):
            continue  # its slot was given back without its worker's word
        for limit_id, slots in needs_of(facts, last, key).items():
            limit = by_id[limit_id]
            if limit.kind in ("pool", "named") or (limit.room is not None and len(_changes(facts, limit)) <= 1):
                found[limit].append(_Span(start, end, slots, entry.wall, entry))
    return found


def _in_hand(facts: Facts) -> dict[AttemptKey, tuple[float, float, WorkerEntry | LedgerEntry]]:
    first: dict[AttemptKey, WorkerEntry | LedgerEntry] = {}
    until: dict[AttemptKey, float] = {}
    for entry in facts.worker_entries:
        if entry.key is not None and entry.kind == "assigned":
            first.setdefault(entry.key, entry)
        elif entry.key is not None and entry.kind == "reported":
            until.setdefault(entry.key, entry.monotonic)
    told = set(first)
    for line in facts.ledger:
        if line.key in told:
            continue
        if line.kind == "start":
            first.setdefault(line.key, line)
        until[line.key] = max(line.monotonic, until.get(line.key, line.monotonic))
    return {key: (entry.monotonic, until[key], entry) for key, entry in first.items() if key in until}


def _sweep(facts: Facts, limit: Limit, spans: list[_Span]) -> tuple[int, list[Break]]:
    """How often the limit was reached, and each start that went over it."""
    reached, over = 0, []
    held: list[tuple[float, int, _Span]] = []
    used = 0
    for number, span in enumerate(sorted(spans, key=lambda each: each.start)):
        while held and held[0][0] <= span.start:
            used -= heapq.heappop(held)[2].slots
        heapq.heappush(held, (span.end, number, span))
        used += span.slots
        room = _room_at(facts, limit, span.wall)
        reached += room is not None and used == room
        if room is not None and used > room:
            over.append(Break.of(f"{used} slots of {room} were held at once", limit, *(each[2].entry for each in held)))
    return reached, over


def _room_at(facts: Facts, limit: Limit, wall: float) -> int | None:
    """The largest capacity of about that time; None when it is not known."""
    if limit.kind not in ("pool", "named"):
        return limit.room
    sets = sorted(_changes(facts, limit), key=lambda audit: audit.transaction)
    if not sets:
        return limit.room
    if any(_slots(audit) is None for audit in sets):
        return None  # at times there was no cap
    if facts.clock_shift_seconds:
        return max(_slots(audit) or 0 for audit in sets)
    current = [_slots(audit) for audit in sets if audit.time.timestamp() <= wall - BLUR_SECONDS][-1:]
    near = [_slots(audit) for audit in sets if abs(audit.time.timestamp() - wall) < BLUR_SECONDS]
    return max((slots for slots in [*current, *near] if slots is not None), default=None)


def _slots(audit: Audit) -> int | None:
    slots = audit.detail["slots" if audit.action == "pool.set" else "capacity"]
    assert slots is None or isinstance(slots, int)
    return slots


# ---- rates
def _too_fast(facts: Facts) -> tuple[int, list[Break]]:
    """How often a rate was used up, and starts that went over it: of limits whose rate never changed, by the times at
    which the claims say that the attempts started."""
    reached, breaks = 0, []
    last = facts.last
    rated = [limit for limit in last.limits if limit.rate_starts is not None] if last is not None else []
    if last is None or not rated or facts.clock_shift_seconds:
        return 0, []
    needs = [(attempt, needs_of(facts, last, attempt.key)) for attempt in [*facts.attempts, *last.live]]
    for limit in rated:
        rate, span = limit.rate_starts or 0, timedelta(seconds=limit.rate_seconds)
        mine = [attempt for attempt, limits in needs if limit.limit_id in limits]
        starts = sorted(mine, key=lambda attempt: attempt.start_time) if len(_changes(facts, limit)) <= 1 else []
        for early, full, late in zip(starts, starts[rate - 1 :], [*starts[rate:], None], strict=False):
            reached += full.start_time - early.start_time < span
            if late is not None and late.start_time - early.start_time < span:
                breaks.append(Break.of(f"{rate + 1} starts in less than {limit.rate_seconds:g} s", limit, early, late))
    return reached, breaks
