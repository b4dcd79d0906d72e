"""What readers see of runs: thin typed functions over queries/runs_read.sql."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from ..core.board import FINAL, Board
from ..core.critical_path import AttemptTimes
from ..core.explain import LimitFacts, RunBefore, SessionFacts
from ..core.graph import Graph
from ..core.map_view import RowCounts
from ..core.matching import TaskClass
from ..core.run_view import EndedRow, LiveRow, RunRows, WaitingRow
from ..core.states import AttemptState, RunIntent, RunState
from .database import Connection, Database
from .engine import task_class_of
from .sessions import offer_of
from .sql import statements

_SQL = statements("runs_read")
ALL_TASKS = -1


class Caller(NamedTuple):
    """The attempt that has called a child run."""

    dag_run_id: UUID
    dag_id: str
    task_id: str
    map_index: int
    attempt_number: int


@dataclass(frozen=True, slots=True)
class Run:
    """A run as stored. `board` is its packed form, empty in lists."""

    dag_run_id: UUID
    namespace: str
    dag_id: str
    dag_version_id: int
    dag_version_number: int
    run_type: str
    run_key: str
    state: RunState
    intent: RunIntent
    admitted: bool
    quarantined: bool
    reason: str
    logical_date: datetime
    data_interval_start: datetime
    data_interval_end: datetime
    params: str
    revision: int
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    created_by: str
    traceparent: str
    board: bytes
    caller: Caller | None = None
    # Who has paused the run as a whole; read from the board where it is asked for.
    paused_by: str = ""

    def unpacked(self, size: int) -> Board:
        """The board of a graph of `size` tasks."""
        return Board.unpack(size, self.board, self.state, self.intent)

    def states(self, size: int) -> bytes:
        """One state byte per task of a graph of `size` tasks."""
        return self.board[:size]


@dataclass(frozen=True, slots=True)
class Output:
    """Output of a successful attempt; without content type when it returned nothing."""

    attempt_number: int
    content_type: str | None
    body: bytes | None
    uri: str | None
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A task instance that was given up and not cleared since."""

    dead_letter_id: int
    dag_run_id: UUID
    dag_id: str
    task_id: str
    map_index: int
    attempt_number: int
    budget: str
    reason: str
    dead_time: datetime


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where a reader of logs is: the chunk, and how many of its lines it has."""

    written: int = 0
    log_id: int = 0
    lines: int = 0


class LogOwner(NamedTuple):
    """Whose lines a reader wants: of a task or all, of an attempt or all, of an instance or all."""

    task: int = ALL_TASKS
    attempt_number: int = 0
    map_index: int | None = None


@dataclass(frozen=True, slots=True)
class LogRow:
    """A chunk of lines, each (seconds since 1970 or an ISO time, stream, text)."""

    task: int
    map_index: int
    attempt_number: int
    place: LogPlace
    entries: list[list[Any]]


@asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[Connection]:
    """A connection that sees one state of the database until it is left."""
    async with (
        database.api.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield connection


# ---- runs
async def run(connection: Connection, namespace: str, dag_run_id: UUID) -> Run | None:
    row = await connection.fetchrow(_SQL["run"], namespace, dag_run_id)
    return _run(row) if row is not None else None


async def list_runs(
    connection: Connection, namespace: str, dag_id: str, states: Sequence[str], first: UUID, below: UUID, limit: int
) -> list[Run]:
    """Newest first, from the id `first` to below another. Empty DAG id or states: all."""
    arguments = [namespace, first, below, list(states) or None, limit]
    if dag_id:
        rows = await connection.fetch(_SQL["list_runs_of_dag"], *arguments, dag_id)
    else:
        rows = await connection.fetch(_SQL["list_runs"], *arguments)
    return [_run(row) for row in rows]


async def list_children(
    connection: Connection, namespace: str, parent: UUID, states: Sequence[str], first: UUID, below: UUID, limit: int
) -> list[Run]:
    """The same of the child runs of a run."""
    arguments = [namespace, first, below, list(states) or None, limit, parent]
    return [_run(row) for row in await connection.fetch(_SQL["list_children"], *arguments)]


def _run(row: Any) -> Run:
    fields = dict(row)
    place = [fields.pop(name) for name in ("parent_run_id", "parent_dag_id", "task_id", "map_index", "attempt_number")]
    fields |= {"state": RunState(row["state"]), "intent": RunIntent(row["intent"])}
    return Run(**fields, caller=Caller(*place) if place[0] is not None else None)


async def dead_letters(connection: Connection, namespace: str, dag_id: str, below: int, limit: int) -> list[DeadLetter]:
    """Newest first, below an id. Empty DAG id: all."""
    arguments = [namespace, below, limit]
    if dag_id:
        rows = await connection.fetch(_SQL["dead_letters_of_dag"], *arguments, dag_id)
    else:
        rows = await connection.fetch(_SQL["dead_letters"], *arguments)
    return [DeadLetter(**row) for row in rows]


async def dag_exists(connection: Connection, namespace: str, dag_id: str) -> bool:
    return bool(await connection.fetchval(_SQL["dag_exists"], namespace, dag_id))


async def released_counts(connection: Connection, dag_run_id: UUID) -> tuple[int, int, int]:
    """How many task instances are running, up for retry, deferred."""
    row: Any = await connection.fetchrow(_SQL["released_counts"], dag_run_id)
    return row["live"], row["up_for_retry"], row["deferred"]


# ---- task instances
async def rows_of(
    connection: Connection, dag_run_id: UUID, tasks: Sequence[int], graph: Graph, states: Sequence[int]
) -> RunRows:
    """The rows of these tasks, for core/run_view.py; of mapped ones the counts, and who waits first. The board's
    states must come from the same snapshot."""
    rows = await _rows(connection, dag_run_id, tasks, -1, -1, "task_index")
    if mapped := [task for task in tasks if task in graph.maps]:
        ended = [task for task in mapped if states[task] in FINAL]
        for row in await connection.fetch(_SQL["instance_counts"], dag_run_id, mapped, ended):
            rows.instances[row["task_index"]] = RowCounts(*tuple(row)[1:])
        for row in await connection.fetch(_SQL["first_waiting_instances"], dag_run_id, mapped):
            rows.waiting[row["task_index"]] = WaitingRow(*row)
    return rows


async def instance_rows(connection: Connection, dag_run_id: UUID, task: int, first: int, last: int) -> RunRows:
    """The rows of some instances of a mapped task, by map index."""
    return await _rows(connection, dag_run_id, [task], first, last, "map_index")


async def given_up(connection: Connection, dag_run_id: UUID, task: int, first: int, last: int) -> set[int]:
    """Which of these instances were given up."""
    rows = await connection.fetch(_SQL["given_up"], dag_run_id, task, first, last)
    return {row["map_index"] for row in rows}


async def _rows(
    connection: Connection, dag_run_id: UUID, tasks: Sequence[int], first: int, last: int, by: str
) -> RunRows:
    rows = RunRows()
    for row in await connection.fetch(_SQL["waiting_rows"], dag_run_id, tasks, first, last):
        rows.waiting[row[by]] = WaitingRow(*row)
    for row in await connection.fetch(_SQL["live_rows"], dag_run_id, tasks, first, last):
        rows.live[row[by]] = LiveRow(*row)
    for row in await connection.fetch(_SQL["newest_attempts"], dag_run_id, tasks, first, last):
        rows.ended[row[by]] = _ended(row)
    return rows


def _ended(row: Any) -> EndedRow:
    task, map_index, number, state, worker, queued, started, ended, failure, reason, has_output, child = row
    return EndedRow(
        task,
        map_index,
        number,
        AttemptState(state),
        worker,
        queued,
        started,
        ended,
        json.loads(failure) if failure else None,
        reason,
        has_output,
        child,
    )


async def moving(connection: Connection, dag_run_id: UUID) -> dict[int, tuple[Any, ...]]:
    """What no revision tells of, per task: a mark that differs when a reader should look again."""
    found: dict[int, tuple[Any, ...]] = {}
    for row in await connection.fetch(_SQL["moving_rows"], dag_run_id):
        found[row["task_index"]] = found.get(row["task_index"], ()) + tuple(row)[1:]
    return found


async def changed_tasks(connection: Connection, dag_run_id: UUID, after_revision: int) -> set[int]:
    rows = await connection.fetch(_SQL["changed_tasks"], dag_run_id, after_revision)
    return {row["task_index"] for row in rows}


# ---- attempts and outputs
AttemptKeys = tuple[datetime, int, int, int]


async def attempts(
    connection: Connection, dag_run_id: UUID, task: int, map_index: int | None, after: AttemptKeys, limit: int
) -> list[EndedRow]:
    """History behind the keys (start time, task, map index, attempt number), oldest first; live ones have no end."""
    rows = await connection.fetch(_SQL["attempts"], dag_run_id, task, *after, map_index, limit)
    return [_ended(row) for row in rows]


async def attempt_times(connection: Connection, dag_run_id: UUID, board: Board) -> list[AttemptTimes]:
    """Times of all attempts that no clear has put behind; the board must come from the same snapshot."""
    rows = await connection.fetch(_SQL["attempt_times"], dag_run_id)
    return [
        AttemptTimes(task, queued, started, ended)
        for task, number, queued, started, ended in rows
        if number > board.base(task)
    ]


async def output(connection: Connection, dag_run_id: UUID, task: int, map_index: int) -> Output | None:
    """The output of the newest successful attempt; None when no attempt has succeeded."""
    row = await connection.fetchrow(_SQL["output"], dag_run_id, task, map_index)
    return Output(*row) if row is not None else None


# ---- logs
async def log_chunks(
    connection: Connection, dag_run_id: UUID, place: LogPlace, whose: LogOwner, limit: int
) -> list[LogRow]:
    """Chunks from a place on, that place's own included (some of its lines may be left)."""
    rows = await connection.fetch(_SQL["log_chunks"], dag_run_id, str(place.written), place.log_id, *whose, limit)
    return [
        LogRow(
            row["task_index"],
            row["map_index"],
            row["attempt_number"],
            LogPlace(int(row["written_text"]), row["log_id"]),
            json.loads(row["entries"]),
        )
        for row in rows
    ]


async def logs_to_come(connection: Connection, dag_run_id: UUID, whose: LogOwner) -> bool:
    """Whether chunks are committed that cannot be given out in order yet."""
    return bool(await connection.fetchval(_SQL["logs_to_come"], dag_run_id, *whose))


# ---- explain
async def run_limits(connection: Connection, namespace: str, dag_id: str) -> tuple[bool, int | None, int, bool]:
    """Whether the DAG is paused; its cap on active runs; how many are active; whether they go in order."""
    row: Any = await connection.fetchrow(_SQL["run_limits"], namespace, dag_id)
    return row["paused"], row["runs_active_max"], row["runs_active"], row["in_order"]


async def first_in_order(connection: Connection, namespace: str, dag_id: str) -> RunBefore | None:
    """Whom the waiting runs of a DAG wait for whose runs go in order."""
    row: Any = await connection.fetchrow(_SQL["first_in_order"], namespace, dag_id)
    if row is None:
        return None
    return RunBefore(str(row["dag_run_id"]), row["logical_date"], row["admitted"], row["quarantined"])


async def run_incident(connection: Connection, dag_run_id: UUID) -> str:
    return await connection.fetchval(_SQL["run_incident"], dag_run_id) or ""


async def limit_holders(connection: Connection, limit_ids: Iterable[int]) -> list[Any]:
    """A few holders of each limit: limit_id, dag_run_id, task_index, dag_id, dag_version_id."""
    rows: list[Any] = await connection.fetch(_SQL["limit_holders"], sorted(set(limit_ids)))
    return rows


async def limits(
    connection: Connection, limit_ids: Iterable[int], holders: Mapping[int, tuple[str, ...]]
) -> dict[int, LimitFacts]:
    rows = await connection.fetch(_SQL["limits"], sorted(set(limit_ids)))
    return {
        row["limit_id"]: LimitFacts(
            **{name: value for name, value in row.items() if name != "limit_id"},
            holders=holders.get(row["limit_id"], ()),
        )
        for row in rows
    }


async def classes(connection: Connection, class_ids: Iterable[int]) -> dict[int, TaskClass]:
    rows = await connection.fetch(_SQL["classes"], sorted(set(class_ids)))
    return {row["class_id"]: task_class_of(row) for row in rows}


async def sessions(connection: Connection, namespace: str) -> list[SessionFacts]:
    """Workers that may get work now, and what they offer."""
    rows = await connection.fetch(_SQL["sessions"], namespace)
    return [SessionFacts(row["worker_identity"], offer_of(row), row["draining"]) for row in rows]


async def rows_ahead(connection: Connection, dag_run_id: UUID) -> dict[int, int]:
    """Per released, due, unparked task of the run: how many rows of its queue go first."""
    rows = await connection.fetch(_SQL["rows_ahead"], dag_run_id)
    return {row["task_index"]: row["ahead"] for row in rows}
