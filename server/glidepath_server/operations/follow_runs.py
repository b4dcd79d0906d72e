"""Following a run: its changes, and its log lines.

Nothing is queued per change. A follower keeps what it saw last, sleeps until something may have changed, and reads the
state again; so a slow reader costs no memory and gets several changes folded into one. The wake-up comes from this
replica's engine; a poll stands behind it, because another replica may step the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from .. import clock
from ..core.errors import InvalidInput, Violation
from ..core.run_view import TaskInstanceView, task_counts, task_instance_views
from ..core.states import RUN_FINAL
from ..store import runs_read as store
from ..store.database import Connection
from ..store.runs_read import ALL_TASKS, LogOwner, LogPlace, Run
from .plans import Plan
from .read_runs import RunReader, task_index
from .run_engine import RunEngine

POLL_SECONDS = 0.5
# Between two looks of one follower: changes within it are folded.
FOLD_SECONDS = 0.02
LOG_CHUNKS_MAX = 16
LOG_BYTES_MAX = 512 * 1024
# How long the end of a log is waited for when an older transaction of somebody else holds it back.
LOG_SETTLE_SECONDS = 5.0
BEGINNING = LogPlace()


@dataclass(frozen=True, slots=True)
class Look:
    """The run and those of its task instances that have changed since the last look."""

    plan: Plan
    run: Run
    counts: dict[str, int]
    changed: list[TaskInstanceView]


@dataclass(slots=True)
class _Seen:
    """What the watcher has been told: all up to a revision, and what no revision tells of."""

    revision: int
    moving: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    quarantined: bool = False
    nothing: bool = False

    @property
    def mark(self) -> tuple[int, bool]:
        """What of the run itself a watcher is told of."""
        return self.revision, self.quarantined


async def watch_run(
    reader: RunReader,
    engine: RunEngine,
    namespace: str,
    dag_run_id: UUID,
    after_revision: int = 0,
    run_only: bool = False,
) -> AsyncGenerator[Look, None]:
    """Looks until the run is final, the first at once. `after_revision` 0: everything, else what has changed since.

    With `run_only`, no task instances: who waits for the end of a large run costs little then.
    Raises NotFound, and InvalidInput for a revision that the run has not reached.
    """
    seen: _Seen | None = None
    async with engine.subscribe(dag_run_id) as changed:
        while True:
            changed.clear()
            look, now_seen = await _look(reader, namespace, dag_run_id, after_revision, run_only, seen)
            if look.changed or seen is None or seen.mark != now_seen.mark:
                yield look
            if look.run.state in RUN_FINAL:
                return
            seen = now_seen
            await _wake(changed)


async def _look(
    reader: RunReader, namespace: str, dag_run_id: UUID, after_revision: int, run_only: bool, seen: _Seen | None
) -> tuple[Look, _Seen]:
    async with store.snapshot(reader.database) as connection:
        run, plan = await reader.load(connection, namespace, dag_run_id)
        if seen is None:
            _check_revision(run, after_revision)
            seen = _Seen(after_revision, nothing=after_revision == 0)
        counts = await store.released_counts(connection, dag_run_id)
        board = run.unpacked(plan.graph.size)
        if run_only:
            return Look(plan, run, task_counts(board.states, *counts), []), _Seen(run.revision, {}, run.quarantined)
        moving = await store.moving(connection, dag_run_id)
        tasks = await _changed(connection, run, plan, seen, moving)
        rows = await store.rows_of(connection, dag_run_id, tasks, plan.graph, run.states(plan.graph.size))
    views = task_instance_views(plan.graph, board, rows, tasks)
    return Look(plan, run, task_counts(board.states, *counts), views), _Seen(run.revision, moving, run.quarantined)


async def _changed(
    connection: Connection, run: Run, plan: Plan, seen: _Seen, moving: dict[int, tuple[Any, ...]]
) -> list[int]:
    if seen.nothing:
        return list(range(plan.graph.size))
    tasks = {task for task in moving.keys() | seen.moving.keys() if moving.get(task) != seen.moving.get(task)}
    if run.revision != seen.revision:
        tasks |= await store.changed_tasks(connection, run.dag_run_id, seen.revision)
    return sorted(tasks)


def _check_revision(run: Run, after_revision: int) -> None:
    if not 0 <= after_revision <= run.revision:
        violation = Violation("after_revision", str(after_revision), f"0 to {run.revision}, the run's revision")
        raise InvalidInput(str(violation), violations=[violation])


async def _wake(changed: asyncio.Event) -> None:
    """Wait until something may have changed, and a moment more for what comes with it."""
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await changed.wait()
    except TimeoutError:
        return
    await asyncio.sleep(FOLD_SECONDS)


# ---- logs
@dataclass(frozen=True, slots=True)
class LogQuestion:
    """Which lines: of a run, or of one task of it (empty: all), or of one attempt (0: all), or of one instance (None:
    all); and where to begin."""

    dag_run_id: UUID
    task_id: str = ""
    attempt_number: int = 0
    follow: bool = False
    after: LogPlace = BEGINNING
    map_index: int | None = None

    def whose(self, plan: Plan) -> LogOwner:
        """Raises NotFound for an unknown task."""
        task = task_index(plan, self.task_id) if self.task_id else ALL_TASKS
        return LogOwner(task, self.attempt_number, self.map_index)


@dataclass(frozen=True, slots=True)
class Line:
    """One log line and the attempt that wrote it."""

    task: int
    map_index: int
    attempt_number: int
    entry: list[Any]


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines, and the place behind the last of them."""

    plan: Plan
    lines: list[Line]
    place: LogPlace


async def stream_logs(
    reader: RunReader, engine: RunEngine, namespace: str, question: LogQuestion
) -> AsyncGenerator[Lines, None]:
    """Lines in the order in which the server received them. With `follow`, until the run is final and all is sent.

    Without, what is there; of a final run that is everything, even if an older transaction holds the end back for a
    moment. Raises NotFound.
    """
    place = question.after
    settled = clock.monotonic() + LOG_SETTLE_SECONDS
    async with engine.subscribe(question.dag_run_id) as changed:
        while True:
            changed.clear()
            # The end is looked for before the lines are read, so what was there at the end is among them.
            async with reader.database.api.acquire() as connection:
                run, plan = await reader.load(connection, namespace, question.dag_run_id)
                whose = question.whose(plan)
                final = run.state in RUN_FINAL
                more = final and await store.logs_to_come(connection, question.dag_run_id, whose)
            async for lines in _available(reader, plan, question.dag_run_id, whose, place):
                place = lines.place
                yield lines
            if not (more if final else question.follow):
                return
            if not question.follow and clock.monotonic() > settled:
                return
            await _wake(changed)


async def _available(
    reader: RunReader, plan: Plan, dag_run_id: UUID, whose: LogOwner, place: LogPlace
) -> AsyncGenerator[Lines, None]:
    """Everything that can be given out now, in messages of bounded size. No connection is held while one is sent."""
    while True:
        async with reader.database.api.acquire() as connection:
            rows = await store.log_chunks(connection, dag_run_id, place, whose, LOG_CHUNKS_MAX)
        for lines in _messages(plan, rows, place):
            yield lines
        if len(rows) < LOG_CHUNKS_MAX:
            return
        place = replace(rows[-1].place, lines=len(rows[-1].entries))


def _messages(plan: Plan, rows: list[store.LogRow], place: LogPlace) -> list[Lines]:
    """Chunks cut into messages of at most LOG_BYTES_MAX (a single line may be larger)."""
    messages: list[Lines] = []
    lines: list[Line] = []
    size = 0
    for row in rows:
        same = (row.place.written, row.place.log_id) == (place.written, place.log_id)
        for number in range(place.lines if same else 0, len(row.entries)):
            entry = row.entries[number]
            weight = len(entry[2].encode("utf-8", "replace")) + 64
            if lines and size + weight > LOG_BYTES_MAX:
                messages.append(Lines(plan, lines, place))
                lines, size = [], 0
            lines.append(Line(row.task, row.map_index, row.attempt_number, entry))
            size += weight
            place = replace(row.place, lines=number + 1)
    if lines:
        messages.append(Lines(plan, lines, place))
    return messages
