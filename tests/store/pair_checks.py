"""What must hold once two operations have met and everything that followed from them has been stepped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from pair_meeting import Ledger
from pair_world import World

from glidepath_server.core.board import FINAL, Board
from glidepath_server.core.events import AttemptKey
from glidepath_server.core.states import RunIntent, RunState, TaskState
from glidepath_server.operations.step_types import Verdict
from glidepath_server.store import sessions

Place = tuple[UUID, int]
_TABLES = ("dag_run", "task_queue", "live_attempt", "limit_holder", "worker_session", "concurrency_limit", "approval")


@dataclass
class Seen:
    """What is committed. Rows by table; boards by run."""

    rows: dict[str, list[Any]]
    boards: dict[UUID, Board]

    @classmethod
    async def read(cls, connection: asyncpg.Connection, tasks: int) -> Seen:
        rows = {table: await connection.fetch(f"select * from {table}") for table in _TABLES}
        rows["task_output"] = await connection.fetch("select * from task_output")
        rows["task_attempt"] = await connection.fetch("select * from task_attempt order by end_time")
        rows["dag_run_event"] = await connection.fetch("select * from dag_run_event order by revision")
        rows["stray"] = await connection.fetch(
            "select 'inbox' as what, event as said from run_inbox union all select kind, message from incident"
        )
        boards = {
            row["dag_run_id"]: Board.unpack(tasks, row["board"], RunState(row["state"]), RunIntent(row["intent"]))
            for row in rows["dag_run"]
        }
        return cls(rows, boards)

    def live(self) -> set[AttemptKey]:
        return {sessions.key_of(row) for row in self.rows["live_attempt"]}

    def history(self) -> dict[AttemptKey, str]:
        return {sessions.key_of(row): row["state"] for row in self.rows["task_attempt"]}


def place(row: Any) -> Place:
    return row["dag_run_id"], row["task_index"]


def faults(world: World, seen: Seen, ledger: Ledger) -> list[str]:
    """Every promise that is broken, in words."""
    return [
        *_instances(seen),
        *_questions(seen),
        *_boards(seen),
        *_attempts(seen),
        *_times(seen),
        *_wakes(world, seen, ledger),
        *_limits(world, seen),
        *_sessions(seen, ledger),
        *_reports(seen, ledger),
        *(f"left behind: {row['what']}: {row['said']}" for row in seen.rows["stray"]),
        *(f"quarantined: {reason}" for _, reason in ledger.quarantined),
    ]


def _instances(seen: Seen) -> Iterator[str]:
    """What is released is in the queue or live, once; what waits or has ended is in neither."""
    queued = Counter(place(row) for row in seen.rows["task_queue"])
    live = Counter(place(row) for row in seen.rows["live_attempt"])
    for run_id, board in seen.boards.items():
        for task, state in enumerate(board.states):
            found = queued[run_id, task], live[run_id, task]
            allowed = {TaskState.RELEASED: [(1, 0), (0, 1)], TaskState.RESTARTING: [(0, 1)]}
            if found not in allowed.get(TaskState(state), [(0, 0)]):
                yield f"task {task} is {TaskState(state).name}, but queued {found[0]} and live {found[1]} times"


def _questions(seen: Seen) -> Iterator[str]:
    """A task waits exactly while its newest question is open; a closed one is an attempt, approved with an output."""
    newest: dict[Place, Any] = {}
    for row in sorted(seen.rows["approval"], key=lambda row: row["attempt_number"]):
        newest[place(row)] = row
        closed = seen.history().get(sessions.key_of(row))
        expected = {"open": None, "approved": "success", "rejected": "failed", "expired": "timed_out"}
        if closed != expected.get(row["state"], "cancelled"):
            yield f"question {row['attempt_number']} is {row['state']}, but its attempt is {closed}"
        if (sessions.key_of(row) in {sessions.key_of(each) for each in seen.rows["task_output"]}) != (
            row["state"] == "approved"
        ):
            yield f"question {row['attempt_number']} is {row['state']}, but has an output or should have one"
    for run_id, board in seen.boards.items():
        for task, state in enumerate(board.states):
            is_open = (run_id, task) in newest and newest[run_id, task]["state"] == "open"
            if is_open != (state == TaskState.WAITING):
                yield f"task {task} is {TaskState(state).name}, but its question is {'open' if is_open else 'closed'}"


def _boards(seen: Seen) -> Iterator[str]:
    """The board is what its events add up to, and no revision is missing."""
    for run in seen.rows["dag_run"]:
        events = [row for row in seen.rows["dag_run_event"] if row["dag_run_id"] == run["dag_run_id"]]
        if [row["revision"] for row in events] != list(range(1, run["revision"] + 1)):
            yield f"revision {run['revision']} has events {[row['revision'] for row in events]}"
        states = bytearray(len(seen.boards[run["dag_run_id"]].states))
        for row in events:
            for task, state in zip(row["task_indexes"], row["states"], strict=True):
                states[task] = state
        if states != seen.boards[run["dag_run_id"]].states:
            yield f"board {seen.boards[run['dag_run_id']].states!r} differs from its events {states!r}"
        if (run["state"] in ("success", "failed", "cancelled")) != FINAL.issuperset(states):
            yield f"run is {run['state']} with tasks {states!r}"


def _attempts(seen: Seen) -> Iterator[str]:
    """One after the other: the numbers of a task's attempts rise in the order in which they end, to the present one."""
    numbers: dict[Place, list[int]] = {}
    for row in [
        *seen.rows["task_attempt"],
        *seen.rows["live_attempt"],
        *seen.rows["task_queue"],
        *(row for row in seen.rows["approval"] if row["state"] == "open"),
    ]:
        numbers.setdefault(place(row), []).append(row["attempt_number"])
    for (_, task), found in numbers.items():
        if found != sorted(set(found)):
            yield f"attempts of task {task} are numbered {found}"


def _times(seen: Seen) -> Iterator[str]:
    """First in the queue, then started, then ended."""
    for row in [*seen.rows["task_attempt"], *seen.rows["live_attempt"]]:
        times = [row["queue_time"], row["start_time"], row.get("end_time") or row["start_time"]]
        if times != sorted(times):
            yield f"attempt {row['attempt_number']} of task {row['task_index']} was queued, started, ended at {times}"


def _wakes(world: World, seen: Seen, ledger: Ledger) -> Iterator[str]:
    """Somebody is told of the queue of every row that has come and that may be claimed."""
    for row in seen.rows["task_queue"]:
        claimable = row["due"] and not row["parked_on"]
        if claimable and sessions.key_of(row) not in world.claimable and row["queue_id"] not in ledger.queues:
            yield f"task {row['task_index']} waits in queue {row['queue_id']}, and nobody was told"


def _limits(world: World, seen: Seen) -> Iterator[str]:
    """Holders are the live attempts of the limit's classes, within its capacity; nobody waits where there is room."""
    classes = {each.class_id: each for each in world.classes}
    for limit in seen.rows["concurrency_limit"]:
        limit_id, capacity = limit["limit_id"], limit["capacity"]
        holders = [row for row in seen.rows["limit_holder"] if row["limit_id"] == limit_id]
        live = {place(row) for row in seen.rows["live_attempt"] if classes[row["class_id"]].pool_limit_id == limit_id}
        used = sum(row["slots"] for row in holders)
        if {place(row) for row in holders} != live:
            yield f"limit {limit['name']} is held by {len(holders)}, but {len(live)} of its attempts are live"
        if capacity is not None and used > capacity:
            yield f"limit {limit['name']} has {capacity} slots, used {used}"
        # A release lets as many rows of a class try again as there is room for.
        parked = {row["class_id"] for row in seen.rows["task_queue"] if row["parked_on"] == limit_id}
        for class_id in parked:
            trying = sum(row["class_id"] == class_id and not row["parked_on"] for row in seen.rows["task_queue"])
            if capacity is None or trying < capacity - used:
                yield f"class {class_id} is parked on {limit['name']}, used {used} of {capacity}, {trying} may try"


def _sessions(seen: Seen, ledger: Ledger) -> Iterator[str]:
    """Attempts of a session that ended have been judged; a worker that said hello has what it listed, no more, and one
    session."""
    still_open = {row["session_id"] for row in seen.rows["worker_session"] if row["state"] == "open"}
    if len(still_open) > 1:
        yield f"the worker has {len(still_open)} open sessions"
    for row in seen.rows["live_attempt"]:
        if row["session_id"] not in still_open:
            yield f"task {row['task_index']} is live in a session that has ended"
    for row in seen.rows["task_attempt"]:
        if row["state"] == "lost" and row["session_id"] in still_open:
            yield f"task {row['task_index']} is lost, but its session is open"
    if ledger.greetings:
        # The list of the last hello is what counts.
        last = {(row["session_id"], row["generation"]) for row in seen.rows["worker_session"] if row["state"] == "open"}
        kept = {key for each in ledger.greetings if (each.session_id, each.generation) in last for key in each.bound}
        for key in seen.live() - kept:
            yield f"task {key.task} is live, but the worker that said hello does not have it"
        for key in kept - seen.live():
            if seen.history().get(key) in (None, "returned"):
                yield f"task {key.task} was left to its worker, and is {seen.history().get(key, 'nowhere')}"


def _reports(seen: Seen, ledger: Ledger) -> Iterator[str]:
    """Each report has one answer, and it is true; what was assigned was assigned once, and its credit is used."""
    live, history = seen.live(), seen.history()
    for report in ledger.told:
        answers = [verdict for acked, verdict in ledger.acks if acked is report]
        stored = history.get(report.key)
        expected = [Verdict.ACCEPTED, Verdict.DUPLICATE] if stored == report.outcome else [Verdict.FENCED]
        if stored is None or len(answers) != 1 or answers[0] not in expected:
            yield f"report {report.outcome} of task {report.key.task} was answered {answers}, stored is {stored}"
    accepted = Counter(report.key for report, verdict in ledger.acks if report.origin and verdict is Verdict.ACCEPTED)
    for report in ledger.told:
        if accepted[report.key] != (history.get(report.key) == report.outcome):
            yield f"report {report.outcome} of task {report.key.task} was accepted {accepted[report.key]} times"
    if len(set(ledger.assigned)) != len(ledger.assigned):
        yield f"assigned twice: {ledger.assigned}"
    for key in set(ledger.assigned) - live - history.keys():
        yield f"task {key.task} was assigned and is nowhere"
    free = sum(seat.free for seat in ledger.seats)
    if free + len(ledger.assigned) != ledger.credits:
        yield f"{ledger.credits} credits became {free} free ones and {len(ledger.assigned)} assignments"
