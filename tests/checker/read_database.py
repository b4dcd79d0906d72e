"""Rows of a Glidepath database as facts: one read-only snapshot, in names instead of indexes.

The number of the transaction that wrote a row is its system column `xmin`. It is the truth for tables whose rows are
written once (events, ended attempts, audit, requests, run keys), and is read of no other.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from tests.checker.facts import (
    LIVE,
    Attempt,
    AttemptKey,
    Audit,
    Call,
    ChildCall,
    Facts,
    Holder,
    Limit,
    MapRule,
    Moment,
    Queued,
    Request,
    Reuse,
    Run,
    RunEvent,
    Session,
    Task,
    Version,
)
from tests.checker.journals import Journals, read_journals
from tests.checker.read_ticks import read_calendar
from tests.checker.steering import BRANCHING

# The bytes of a board, as schema.sql and dag_run_event keep them.
TASK_STATES = {
    0: "scheduled",
    1: "released",
    2: "restarting",
    3: "waiting",
    10: "success",
    11: "failed",
    12: "upstream_failed",
    13: "skipped",
    14: "cancelled",
    15: "removed",
}

_EVENTS = """
select dag_run_id, revision, event_time, run_state, task_indexes, map_indexes, states, note,
       xmin::text::bigint as transaction
from dag_run_event order by xmin::text::bigint, dag_run_id, revision"""
_HAS_OUTPUT = """
exists (select from task_output o where (o.dag_run_id, o.task_index, o.map_index, o.attempt_number)
        = (a.dag_run_id, a.task_index, a.map_index, a.attempt_number)) as has_output"""
# Enough for what a branch chooses.
_SMALL_OUTPUT = """
(select o.body from task_output o where octet_length(o.body) <= 2000 and
        (o.dag_run_id, o.task_index, o.map_index, o.attempt_number)
        = (a.dag_run_id, a.task_index, a.map_index, a.attempt_number)) as small_output"""
_DIGEST = """
(select coalesce(md5(o.body), o.uri) from task_output o
 where (o.dag_run_id, o.task_index, o.map_index, o.attempt_number)
     = (a.dag_run_id, a.task_index, a.map_index, a.attempt_number)) as digest"""
_ENDED = f"""
select a.*, a.xmin::text::bigint as transaction, {_HAS_OUTPUT}, {_SMALL_OUTPUT}, {_DIGEST}
from task_attempt a order by a.xmin::text::bigint"""
_REUSES = f"select a.*, a.xmin::text::bigint as transaction, {_DIGEST} from task_reuse a order by a.xmin::text::bigint"
# Runs that a moment is about.
_OPEN = """r.state in ('queued', 'running')
 or r.dag_run_id in (select dag_run_id from task_queue union all select dag_run_id from live_attempt
                     union all select dag_run_id from limit_holder
                     union all select parent_run_id from child_run where waiting)"""
_CHILD_CALLS = "select c.parent_run_id as dag_run_id, c.* from child_run c order by c.child_run_id"
_LIVE = f"select a.*, {_HAS_OUTPUT} from live_attempt a order by a.start_time"


async def read_facts(
    database_url: str, journals: Path | Journals | None = None, *, earlier: Sequence[Moment] = ()
) -> Facts:
    """Everything that there is to judge: the database now, journals, and moments that were seen on the way."""
    told = read_journals(journals) if isinstance(journals, Path) else journals or Journals()
    async with _snapshot(database_url) as reader:
        moment = await reader.moment()
        facts = await reader.history()
        return Facts(
            **facts,
            moments=(*earlier, moment),
            worker_entries=told.workers,
            client_entries=told.clients,
            ledger=told.ledger,
            faults=told.faults,
        )


async def read_moment(database_url: str) -> Moment:
    """What is queued, live and held now, with the runs that have not ended or own something of it."""
    async with _snapshot(database_url, only=_OPEN) as reader:
        return await reader.moment()


# What a database that went away in the middle of a question looks like; asyncpg's states may be torn by it.
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Watch:
    """Takes moments beside a test, in a thread of its own: `with Watch(url) as watch: ...`, then `watch.moments`.

    A database that is away is asked again.
    """

    def __init__(self, database_url: str, *, every_seconds: float = 0.2) -> None:
        self.moments: list[Moment] = []
        self._url, self._every = database_url, every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._look()))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    async def _look(self) -> None:
        while not self._over.is_set():
            try:
                self.moments.append(await read_moment(self._url))
            except AWAY:
                pass
            await asyncio.to_thread(self._over.wait, self._every)


@asynccontextmanager
async def _snapshot(database_url: str, only: str = "true") -> AsyncIterator[_Reader]:
    """A reader of one snapshot; `only` says which rows of dag_run, alias r, it is about."""
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            reader = _Reader(connection, only)
            await reader.learn_versions()
            yield reader
    finally:
        await connection.close()


class _Reader:
    """One snapshot. Versions come first: they say what the indexes of tasks mean."""

    def __init__(self, connection: asyncpg.Connection, only: str) -> None:
        self.connection = connection
        self.runs: list[Any] = []
        self.only = only
        self.versions: list[Version] = []
        self.tasks: dict[UUID, tuple[Task, ...]] = {}

    async def learn_versions(self) -> None:
        self.versions = [
            _version(row) for row in await self._fetch("select * from dag_version order by dag_version_id")
        ]
        tasks = {each.version_id: each.tasks for each in self.versions}
        self.runs = await self._fetch(f"select r.* from dag_run r where {self.only} order by r.dag_run_id")
        for row in self.runs:
            self.tasks[row["dag_run_id"]] = tasks.get(row["dag_version_id"], ())

    async def _fetch(self, query: str) -> list[Any]:
        return await self.connection.fetch(query)

    def _task(self, run_id: UUID, index: int) -> str:
        """A task's name; its index where nothing says what that means."""
        tasks = self.tasks.get(run_id, ())
        return tasks[index].task_id if 0 <= index < len(tasks) else f"task {index}"

    def _key(self, row: Any) -> AttemptKey:
        return AttemptKey(
            str(row["dag_run_id"]),
            self._task(row["dag_run_id"], row["task_index"]),
            row["map_index"],
            row["attempt_number"],
        )

    # ---- what changes
    async def moment(self) -> Moment:
        now = await self.connection.fetchval("select clock_timestamp() + shift from clock")
        waiting = await self._fetch("select dag_run_id, create_time from run_inbox order by inbox_id")
        return Moment(
            now=now,
            runs=tuple(map(self._run, self.runs)),
            queued=tuple(self._queued(row) for row in await self._fetch("select * from task_queue order by order_key")),
            live=tuple(self._attempt(row) for row in await self._fetch(_LIVE)),
            limits=tuple(_limit(row) for row in await self._fetch("select * from concurrency_limit order by limit_id")),
            holders=tuple(self._holder(row) for row in await self._fetch("select * from limit_holder")),
            calls=tuple(self._call(row) for row in await self._fetch("select * from cached_call order by call_id")),
            waiting_events=tuple((str(row["dag_run_id"]), row["create_time"]) for row in waiting),
            child_calls=tuple(self._child_call(row) for row in await self._fetch(_CHILD_CALLS)),
        )

    def _child_call(self, row: Any) -> ChildCall:
        how = row["waiting"], row["resume"], row["child_state"], row["cancel_requested_time"]
        return ChildCall(self._key(row), str(row["child_run_id"]), *how)

    def _run(self, row: Any) -> Run:
        size = len(self.tasks.get(row["dag_run_id"], ()))
        return Run(
            run_id=str(row["dag_run_id"]),
            version_id=row["dag_version_id"],
            namespace=row["namespace"],
            dag_id=row["dag_id"],
            revision=row["revision"],
            state=row["state"],
            board=_states(row["board"][:size]),
            create_time=row["create_time"],
            intent=row["intent"],
            admitted=row["admitted"],
            quarantined=row["quarantined"],
            backfill_id=str(row["backfill_id"] or ""),
        )

    def _queued(self, row: Any) -> Queued:
        return Queued(self._key(row), row["queue_time"], row["available_time"], row["due"], row["parked_on"])

    def _call(self, row: Any) -> Call:
        return Call(self._key(row).instance, f"{row['namespace']}/{row['cache_key'].hex()}", row["waits"])

    def _reuse(self, row: Any) -> Reuse:
        return Reuse(
            self._key(row),
            row["transaction"],
            str(row["source_run_id"]),
            row["source_task_id"],
            row["source_map_index"],
            row["source_time"],
            row["digest"] or "",
        )

    def _holder(self, row: Any) -> Holder:
        name = self._task(row["dag_run_id"], row["task_index"])
        return Holder(row["limit_id"], str(row["dag_run_id"]), name, row["map_index"], row["slots"])

    def _attempt(self, row: Any) -> Attempt:
        return Attempt(
            key=self._key(row),
            state=row.get("state", LIVE),
            session_id=str(row["session_id"]),
            queue_time=row["queue_time"],
            start_time=row["start_time"],
            end_time=row.get("end_time"),
            transaction=row.get("transaction", 0),
            cancel_requested_time=row.get("cancel_requested_time"),
            has_output=row["has_output"],
            choice=self._choice(row),
            digest=row.get("digest") or "",
            preempted=row.get("state") == "failed"
            and json.loads(row.get("failure") or "{}").get("kind") == "preempted",
            without_choice=json.loads(row.get("failure") or "{}").get("type") == "NoChoice",
        )

    def _choice(self, row: Any) -> str | None:
        """What a branch or short circuit said that succeeded."""
        tasks, index = self.tasks.get(row["dag_run_id"], ()), row["task_index"]
        if row.get("state") != "success" or index >= len(tasks) or tasks[index].role not in BRANCHING:
            return None
        return None if row["small_output"] is None else bytes(row["small_output"]).decode()

    # ---- what stays
    async def history(self) -> dict[str, Any]:
        shift: timedelta = await self.connection.fetchval("select shift from clock")
        lengths = await self._fetch("select * from map_items where chunk_index = 0")
        unread = await self._fetch("select dag_run_id, task_id from dead_letter where map_index = -1")
        quarantines = await self._fetch("select dag_run_id from incident where kind = 'run_quarantined'")
        return {
            "versions": tuple(self.versions),
            "events": tuple(self._event(row) for row in await self._fetch(_EVENTS)),
            "attempts": tuple(self._attempt(row) for row in await self._fetch(_ENDED)),
            "reuses": tuple(self._reuse(row) for row in await self._fetch(_REUSES)),
            "audits": tuple(_audit(row) for row in await self._fetch(_written_once("audit_event", "audit_event_id"))),
            "requests": tuple(_request(row) for row in await self._fetch(_written_once("request", "create_time"))),
            "moves": tuple(
                (str(row["dag_run_id"]), row["move_time"], row["from_version_id"], row["to_version_id"])
                for row in await self._fetch("select * from dag_run_move order by dag_run_id, revision")
            ),
            "sessions": tuple(_session(row) for row in await self._fetch("select * from worker_session")),
            "run_keys": tuple(
                (str(row["dag_run_id"]), row["transaction"])
                for row in await self._fetch(_written_once("dag_run_key", "dag_run_id"))
            ),
            "lengths": {
                (str(row["dag_run_id"]), self._task(row["dag_run_id"], row["task_index"])): row["length"]
                for row in lengths
            },
            "unread": frozenset((str(row["dag_run_id"]), row["task_id"]) for row in unread),
            "quarantined": frozenset(str(row["dag_run_id"]) for row in quarantines),
            "clock_shift_seconds": shift.total_seconds(),
            "calendar": await read_calendar(self._fetch),
        }

    def _event(self, row: Any) -> RunEvent:
        run_id = row["dag_run_id"]
        tasks = [self._task(run_id, index) for index in row["task_indexes"]]
        indexes = row["map_indexes"] or [-1] * len(tasks)
        changes: list[tuple[str, str]] = []
        instances: list[tuple[int, str, int, str]] = []
        for task_id, index, state in zip(tasks, indexes, _states(row["states"]), strict=True):
            if index < 0:
                changes.append((task_id, state))
            else:
                instances.append((len(changes), task_id, index, state))
        return RunEvent(
            run_id=str(run_id),
            revision=row["revision"],
            time=row["event_time"],
            transaction=row["transaction"],
            run_state=row["run_state"],
            changes=tuple(changes),
            note=row["note"],
            instances=tuple(instances),
        )


def _written_once(table: str, order: str) -> str:
    return f"select *, xmin::text::bigint as transaction from {table} order by xmin::text::bigint, {order}"


def _states(codes: Iterable[int]) -> tuple[str, ...]:
    """Names of states; a code that nobody knows stays a number, which no arrow leads to."""
    return tuple(TASK_STATES.get(code, f"code {code}") for code in codes)


@lru_cache(maxsize=10_000)
def _spec(text: str) -> tuple[tuple[Task, ...], float | None, bool, int, int | None, str]:
    """Tasks, timeout of the run, whether it fails fast, its retries, its cap, and hash of a stored definition."""
    spec = json.loads(text)
    tasks = tuple(map(_task, spec["tasks"]))
    about_runs = spec.get("run_timeout_seconds"), spec.get("fail_fast", False), spec.get("run_retries_max", 0)
    return tasks, *about_runs, spec.get("run_tasks_active_max"), hashlib.sha256(text.encode()).hexdigest()


def _laid_out(tasks: tuple[Task, ...], layout: Any) -> tuple[Task, ...]:
    """The tasks as a run has them that was moved here, or that leaves some out, for which nobody waits then."""
    order, left_out = (layout, ()) if isinstance(layout, list) else (layout["order"], layout["leftOut"])
    by_id = {task.task_id: task for task in tasks if task.task_id not in left_out}
    for name, task in by_id.items():
        stay = tuple(each for each in task.upstream if each not in left_out)
        if len(stay) < len(task.upstream):
            by_id[name] = replace(task, upstream=stay, rule=task.rule if stay else "all_success")
    gone = replace(tasks[0], upstream=(), rule="all_success", role="work")
    return tuple(by_id.get(name) or replace(gone, task_id=name) for name in order)


def _version(row: Any) -> Version:
    tasks, run_timeout_seconds, fail_fast, run_retries_max, run_tasks_active_max, spec_hash = _spec(row["spec"])
    if row["layout"]:
        tasks = _laid_out(tasks, json.loads(row["layout"]))
    return Version(
        version_id=row["dag_version_id"],
        namespace=row["namespace"],
        dag_id=row["dag_id"],
        number=row["dag_version_number"],
        tasks=tasks,
        create_time=row["create_time"],
        content_hash=row["content_hash"],
        spec_hash=spec_hash,
        run_timeout_seconds=run_timeout_seconds,
        fail_fast=fail_fast,
        run_retries_max=run_retries_max,
        run_tasks_active_max=run_tasks_active_max,
    )


def _task(spec: dict[str, Any]) -> Task:
    policy, handler = spec["policy"], spec["handler"]
    return Task(
        task_id=spec["task_id"],
        upstream=tuple(spec.get("upstream_task_ids", ())),
        rule=spec["trigger_rule"],
        retries_max=policy["retry"]["retries_max"],
        losses_max=policy["retry"]["losses_max"],
        preemptions_max=policy["retry"].get("preemptions_max", 10),
        timeout_seconds=policy.get("execution_timeout_seconds"),
        grace_seconds=policy["cancel_grace_seconds"],
        pool=policy.get("pool_name"),
        pool_slots=policy.get("pool_slots", 1),
        limits=tuple(policy.get("limits", {}).items()),
        active_max=policy.get("active_max"),
        handler_name=handler["name"],
        handler_version=handler.get("version", ""),
        role=spec.get("role", "work"),
        group=spec.get("group_id", ""),
        cached="cache" in policy,
        map=_map(spec["map"]) if "map" in spec else None,
    )


def _map(spec: dict[str, Any]) -> MapRule:
    return MapRule(spec.get("active_max") or 2_000, spec.get("success_ratio_min", 1.0), spec.get("empty", "skip"))


def _limit(row: Any) -> Limit:
    return Limit(
        *(row[name] for name in ("limit_id", "namespace", "kind", "name", "capacity", "paused", "rate_starts")),
        row["rate_seconds"] or 0.0,
    )


def _audit(row: Any) -> Audit:
    return Audit(
        row["audit_event_id"],
        row["event_time"],
        row["transaction"],
        row["namespace"],
        row["actor"],
        row["action"],
        row["target"],
        json.loads(row["detail"]),
    )


def _request(row: Any) -> Request:
    return Request(row["namespace"], row["request_id"], row["method"], row["transaction"], row["create_time"])


def _session(row: Any) -> Session:
    return Session(str(row["session_id"]), row["worker_identity"], row["state"], row["connect_time"], row["end_time"])
