"""The end of a life: nothing goes wrong any more, and every run must become final, or say what blocks it (I12)."""

from __future__ import annotations

from datetime import timedelta

from glidepath_server.core.board import Board
from glidepath_server.core.explain import Explanation, Facts, LimitFacts, RunFacts, SessionFacts, Wait, explain
from glidepath_server.core.run_view import LiveRow, RunRows, WaitingRow, task_instance_views
from glidepath_server.core.states import RunState

from .judge import FINAL, RUN_FINAL, can_run, must
from .rows import Key, QueueRow, SessionRow
from .scenario import POOL_LIMIT
from .step import is_active
from .world import LEASE_SECONDS, TIMEOUT_SLACK_SECONDS, Action, World

LOOPS = ("due", "late_runs", "overdue", "leases", "admission")
BLOCKED = {Wait.PAUSED, Wait.LIMIT, Wait.WORKER}
ROUNDS_MAX = 600


def heal(world: World) -> None:
    """Let everything arrive and every process live until nothing moves. Raises Broken when it never comes to rest."""
    for action in _mending(world):
        world.do(action)
    for _ in range(ROUNDS_MAX):
        if not _round(world) and not _wait(world):
            break
    else:
        must(False, "I12", f"after {ROUNDS_MAX} rounds without faults things still move")
    check_rest(world)


def _mending(world: World) -> list[Action]:
    if not world.scenario.mended:
        return []
    pauses: list[Action] = [("unpause", dag_id) for dag_id in world.rules.plans]
    return [*pauses, ("pool", str(max(world.scenario.pool_slots, 2)))]


def _round(world: World) -> bool:
    """One turn of everybody; whether anything happened that matters."""
    before = world.db.snapshot()
    for name, holder in world.workers.items():
        if holder.alive or world.scenario.returns:
            world.do(("hello", name))
        world.do(("resend", name))
        world.do(("beat", name))
    _deliver_all(world)
    for loop in LOOPS:
        world.do(("look", "A", loop))
    for replica in world.replicas:
        world.do(("step", replica, "commit"))
    _deliver_all(world)
    worked = [
        world.do(("work", name, str(each))) for name, holder in world.workers.items() for each in list(holder.hands)
    ]
    busy = any(holder.hands or (holder.alive and not holder.session) for holder in world.workers.values())
    changed = any(
        getattr(before, table) != getattr(world.db, table) for table in ("runs", "queue", "live", "ended", "inbox")
    )
    return any(worked) or busy or changed


def _deliver_all(world: World) -> None:
    for text in sorted(world.network.bag):
        while text in world.network.bag:
            world.do(("deliver", text, "A"))


def _wait(world: World) -> bool:
    """Nothing moves: let time pass to what comes next. False when nothing comes."""
    db, now = world.db, world.now
    due = [row.available_time for row in db.queue.values() if not row.due]
    due += [row.timeout_time for row in db.runs.values() if row.timeout_time and row.state is RunState.RUNNING]
    slack = timedelta(seconds=TIMEOUT_SLACK_SECONDS + 1)
    due += [row.timeout_time + slack for row in db.live.values() if row.timeout_time]
    if db.live:
        due.append(now + timedelta(seconds=LEASE_SECONDS / 5))
    later = [each for each in due if each > now]
    if later:
        world.do(("pass", f"{(min(later) - now).total_seconds():g}"))
    return bool(later)


def check_rest(world: World) -> None:
    """At rest nothing is live, and what is not final is blocked by something that is really so, and explained."""
    must(not world.db.live, "I12", f"at rest, live for ever: {sorted(world.db.live)}")
    for name, run in world.db.runs.items():
        if run.state not in RUN_FINAL:
            found = explain_run(world, name)
            for each in found:
                _check_reason(world, name, each)
            blocked = [each for each in found if each.wait in BLOCKED]
            must(bool(blocked), "I12", f"{name} is {run.state} and blocked by nothing: {[e.message for e in found]}")


def _check_reason(world: World, name: str, told: Explanation) -> None:
    row = world.db.queue.get((name, told.task))
    must(bool(told.message), "I12", f"{name}: no reason for task {told.task}")
    if row is not None:
        expected = _blocked_by(world, (name, told.task), row)
        must(told.wait is expected, "I12", f"{name}: {told.message}; but it waits for {expected}")
    elif world.db.runs[name].state is RunState.QUEUED:
        must(told.wait in (Wait.LIMIT, Wait.PAUSED), "I12", f"{name}: {told.message}")
    elif told.wait is not Wait.NONE:
        must(told.wait is Wait.UPSTREAM, "I12", f"{name}: {told.message}")


def _blocked_by(world: World, key: Key, row: QueueRow) -> Wait | None:
    """The reason by looking at limits and workers oneself; None: it should have been claimed."""
    plan = world.plan(key[0])
    policy = plan.spec.tasks[key[1]].policy
    if world.db.limits[plan.tasks_limit].paused:
        return Wait.PAUSED
    pool = world.db.limits[POOL_LIMIT].capacity
    if policy.pool_name and pool is not None and pool < policy.pool_slots:
        return Wait.LIMIT
    able = any(can_run(world.rules.seats[each.worker][1], plan, key[1]) for each in _open_sessions(world))
    return None if able else Wait.WORKER


# ---- explain, from the rows
def explain_run(world: World, name: str) -> list[Explanation]:
    """What `core` says of every task instance of a run."""
    run, plan = world.db.runs[name], world.plan(name)
    states, rows = run.board[: plan.graph.size], _rows(world, name)
    active = sum(is_active(each, run.dag_id) for each in world.db.runs.values())
    paused = world.db.limits[plan.tasks_limit].paused
    facts = Facts(
        RunFacts(
            run.dag_id,
            run.state,
            run.intent,
            run.admitted,
            False,
            paused,
            active,
            plan.spec.runs_active_max,
            run.reason,
        ),
        world.now,
        limits={
            limit: LimitFacts(row.kind, row.name, row.capacity, row.paused, world.db.use(world.rules.slots)[limit])
            for limit, row in world.db.limits.items()
        },
        classes=world.rules.classes,
        sessions=[SessionFacts(s.worker, world.rules.seats[s.worker][1]) for s in _open_sessions(world)],
    )
    found = explain(plan.graph, states, task_instance_views(plan.graph, Board(bytearray(states)), rows), rows, facts)
    for each in found:
        ended = states[each.task] in FINAL
        must((each.wait is Wait.NONE) == ended, "I12", f"{name}: task {each.task} {each.wait} {each.message}")
    return found


def _open_sessions(world: World) -> list[SessionRow]:
    return [row for row in world.db.sessions.values() if row.is_open and row.lease_expire_time > world.now]


def _rows(world: World, name: str) -> RunRows:
    rows = RunRows()
    for (run, task), waiting in world.db.queue.items():
        if run == name:
            rows.waiting[task] = _waiting(world, task, waiting)
    for (run, task), live in world.db.live.items():
        if run == name:
            rows.live[task] = LiveRow(
                task, -1, live.release.attempt_number, live.session, live.queue_time, live.start_time, None
            )
    for (run, task, _), ended in sorted(world.db.ended.items()):
        if run == name:
            rows.ended[task] = ended
    return rows


def _waiting(world: World, task: int, row: QueueRow) -> WaitingRow:
    queue_id = world.rules.classes[row.class_id].queue_id
    return WaitingRow(
        task,
        -1,
        row.release.attempt_number,
        row.class_id,
        queue_id,
        row.order_key,
        row.queue_time,
        row.available_time,
        row.due,
        row.parked_on,
    )
