"""What the step transaction reads and writes: thin typed functions over queries/engine.sql and timers.sql.

Every function takes the connection of the caller's transaction and arrays as columns; rows come back as asyncpg
records.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from ..core.limit_use import LimitUse
from ..core.matching import TaskClass
from .database import Connection
from .sql import statements

_SQL, _TIMERS = statements("engine"), statements("timers")
Row = Any


async def lock_runs(connection: Connection, run_ids: Sequence[UUID], *, wait_seconds: float | None = None) -> list[Row]:
    """Lock runs in id order; skips what others hold, unless `wait_seconds` is given. Rows carry the step's `now`."""
    if wait_seconds is None:
        return await connection.fetch(_SQL["lock_runs"], run_ids)
    await connection.execute(f"set local lock_timeout = {int(wait_seconds * 1000)}")
    return await connection.fetch(_SQL["lock_run_waiting"], run_ids)


async def accept(connection: Connection, columns: Sequence[Sequence[Any]], now: datetime) -> list[Row]:
    """Fence reports and append them to the history. `columns`: run, task, map index, attempt, judged, state, failure,
    reason. Returns the accepted ones, by 1-based ordinal."""
    return await connection.fetch(_SQL["accept"], *columns, now)


async def ended_before(connection: Connection, columns: Sequence[Sequence[Any]]) -> dict[int, str]:
    """Stored outcomes, by 1-based ordinal, of attempts that are not live."""
    return {row["ord"]: row["state"] for row in await connection.fetch(_SQL["ended_before"], *columns)}


async def take_inbox(connection: Connection, run_ids: Sequence[UUID]) -> list[Row]:
    rows = await connection.fetch(_SQL["take_inbox"], run_ids)
    return sorted(rows, key=lambda row: row["inbox_id"])


async def put_inbox(connection: Connection, events: Iterable[tuple[UUID, str]]) -> None:
    rows = list(events)
    if rows:
        await connection.execute(_SQL["put_inbox"], [row[0] for row in rows], [row[1] for row in rows])


async def attempts_made(connection: Connection, run_id: UUID, tasks: Sequence[int]) -> dict[int, int]:
    rows = await connection.fetch(_SQL["attempts_made"], run_id, tasks)
    return {row["task_index"]: row["attempt_number"] for row in rows}


async def withdraw(
    connection: Connection, run_ids: Sequence[UUID], tasks: Sequence[int], map_indexes: Sequence[int]
) -> list[Row]:
    """Take rows back; of a mapped task all (-1), or those of one instance."""
    return await connection.fetch(_SQL["withdraw"], run_ids, tasks, map_indexes)


async def request_cancel(
    connection: Connection,
    run_ids: Sequence[UUID],
    tasks: Sequence[int],
    map_indexes: Sequence[int],
    reasons: Sequence[str],
    now: datetime,
) -> list[Row]:
    return await connection.fetch(_SQL["request_cancel"], run_ids, tasks, reasons, now, map_indexes)


async def lock_sessions(
    connection: Connection, sessions: Sequence[UUID], generations: Sequence[int], now: datetime
) -> set[UUID]:
    """Of these sessions the ones that may get work now, held FOR KEY SHARE until the commit."""
    rows = await connection.fetch(_SQL["lock_sessions"], sessions, generations, now)
    return {row["session_id"] for row in rows}


async def busy_queues(connection: Connection, queues: Sequence[int], classes: Sequence[int]) -> set[int]:
    return {row["queue_id"] for row in await connection.fetch(_SQL["busy_queues"], queues, classes)}


async def hand_over(
    connection: Connection, columns: Sequence[Sequence[Any]], now: datetime
) -> set[tuple[UUID, int, int]]:
    """Make released rows live at once. `columns`: run, task, map, attempt, class, session, tries, losses, redeliveries,
    timeout seconds, tasks limit, deferrals, waiting since, preemptions. Returns the keys that are live; the
    others must be queued."""
    *head, limits, deferrals, since, preemptions = columns
    rest = (deferrals, since, preemptions)
    rows = await connection.fetch(_SQL["hand_over"], *head, now, limits, sorted(set(limits)), *rest)
    return {(row["dag_run_id"], row["task_index"], row["map_index"]) for row in rows}


async def write_step(
    connection: Connection,
    boards: Sequence[Sequence[Any]],
    events: Sequence[Sequence[Any]],
    released: Sequence[Sequence[Any]],
    now: datetime,
) -> int:
    """Write boards, events, released rows. Returns how many boards were still at the revision that was read."""
    task_indexes, states, map_indexes = events
    rows = await connection.fetch(_SQL["write_step"], *boards, now, task_indexes, states, *released, map_indexes)
    return len(rows)


async def answer_dead_letters(
    connection: Connection, run_ids: Sequence[UUID], tasks: Sequence[int], map_indexes: Sequence[int]
) -> None:
    await connection.execute(_SQL["answer_dead_letters"], run_ids, tasks, map_indexes)


async def write_dead_letters(connection: Connection, columns: Sequence[Sequence[Any]], now: datetime) -> None:
    """`columns`: run, task, map index, attempt, budget, reason, namespace, DAG id, task id."""
    await connection.execute(_SQL["write_dead_letters"], *columns, now)


async def write_outputs(connection: Connection, columns: Sequence[Sequence[Any]]) -> None:
    await connection.execute(_SQL["write_outputs"], *columns)


async def write_checkpoints(connection: Connection, columns: Sequence[Sequence[Any]], now: datetime) -> None:
    """`columns`: run, task, map index, attempt, checkpoint."""
    await connection.execute(_SQL["write_checkpoints"], *columns, now)


async def read_outputs(connection: Connection, run_ids: Sequence[UUID], tasks: Sequence[int]) -> list[Row]:
    return await connection.fetch(_SQL["read_outputs"], run_ids, tasks)


async def read_checkpoints(connection: Connection, run_ids: Sequence[UUID], tasks: Sequence[int]) -> list[Row]:
    return await connection.fetch(_SQL["read_checkpoints"], run_ids, tasks)


async def claim(
    connection: Connection, queue_id: int, classes: Sequence[int], sessions: Sequence[UUID], now: datetime
) -> list[Row]:
    """Claim up to len(sessions) rows without limits; the n-th row (from 1) belongs to the n-th session."""
    return await connection.fetch(_SQL["claim"], queue_id, classes, len(sessions), sessions, now)


async def candidates(connection: Connection, queue_id: int, classes: Sequence[int], count: int) -> list[Row]:
    return await connection.fetch(_SQL["candidates"], queue_id, classes, count)


async def hold_uncapped(connection: Connection, limit_ids: Iterable[int]) -> set[int]:
    """Of these limits the ones without a cap, which stay so until the commit."""
    return {row["limit_id"] for row in await connection.fetch(_SQL["hold_uncapped"], sorted(limit_ids))}


async def queue_heads(connection: Connection) -> list[Row]:
    return await connection.fetch(_SQL["queue_heads"])


async def lock_limits(connection: Connection, limit_ids: Iterable[int]) -> None:
    await connection.fetch(_SQL["lock_limits"], sorted(limit_ids))


async def limit_use(connection: Connection, limit_ids: Iterable[int]) -> tuple[dict[int, LimitUse], datetime | None]:
    """What of each limit is in use, true only under the limits' locks; and when the starts of rates were counted."""
    rows = await connection.fetch(_SQL["limit_use"], sorted(limit_ids))
    use = {row["limit_id"]: LimitUse(row["capacity"], row["used"], row["rate"], row["started"]) for row in rows}
    return use, max((row["now"] for row in rows if row["now"] is not None), default=None)


async def note_starts(connection: Connection, starts: Mapping[int, int], now: datetime) -> None:
    """Starts by limit with a rate, which the caller holds."""
    await connection.execute(_SQL["note_starts"], list(starts), list(starts.values()), now)


async def ensure_run_limits(connection: Connection, runs: Sequence[tuple[UUID, str, int]]) -> dict[UUID, int]:
    """The limit of each run, made where it is missing. `runs`: run, namespace, capacity; the caller holds them."""
    await connection.execute(_SQL["ensure_run_limits"], *(list(column) for column in zip(*runs, strict=True)))
    rows = await connection.fetch(_SQL["run_limits"], [run[0] for run in runs])
    return {row["dag_run_id"]: row["limit_id"] for row in rows}


async def take_limited(
    connection: Connection, taken: Sequence[Sequence[Any]], holders: Sequence[Sequence[Any]], now: datetime
) -> int:
    count: int = await connection.fetchval(_SQL["take_limited"], *taken, now, *holders)
    return count


async def park(connection: Connection, columns: Sequence[Sequence[Any]]) -> None:
    await connection.execute(_SQL["park"], *columns)


async def unpark(connection: Connection, limit_id: int, per_class: int | None) -> set[int]:
    """Let the best rows of every class that waits for the limit try again. Returns the queues that got rows."""
    return {row["queue_id"] for row in await connection.fetch(_SQL["unpark"], limit_id, per_class)}


async def wake_due(connection: Connection, rows_max: int) -> list[int]:
    return [row["queue_id"] for row in await connection.fetch(_TIMERS["wake_due"], rows_max)]


async def next_due(connection: Connection) -> float | None:
    seconds: float | None = await connection.fetchval(_TIMERS["next_due"])
    return seconds


async def run_facts(connection: Connection, run_ids: Sequence[UUID]) -> list[Row]:
    return await connection.fetch(_SQL["run_facts"], run_ids)


async def quarantine(connection: Connection, run_id: UUID, message: str) -> Row | None:
    """Namespace, DAG id and time of the incident; None when the run is quarantined already."""
    return await connection.fetchrow(_SQL["quarantine"], run_id, message)


async def waiting_runs(connection: Connection, runs_max: int) -> list[UUID]:
    return [row["dag_run_id"] for row in await connection.fetch(_SQL["waiting_runs"], runs_max)]


async def inbox_runs(connection: Connection, runs_max: int) -> list[UUID]:
    return [row["dag_run_id"] for row in await connection.fetch(_SQL["inbox_runs"], runs_max)]


async def timed_out_runs(connection: Connection, runs_max: int) -> list[UUID]:
    return [row["dag_run_id"] for row in await connection.fetch(_TIMERS["timed_out_runs"], runs_max)]


async def next_run_timeout(connection: Connection) -> float | None:
    seconds: float | None = await connection.fetchval(_TIMERS["next_run_timeout"])
    return seconds


async def capped_dags(connection: Connection, dags_max: int) -> list[Row]:
    return await connection.fetch(_SQL["capped_dags"], dags_max)


async def admit_runs(connection: Connection, namespace: str, dag_id: str, runs_limit_id: int) -> list[UUID]:
    """Admit waiting runs of a DAG up to its cap, or the next one; the caller's transaction holds the limit's row from
    here on."""
    limit: Row = await connection.fetchrow(_SQL["lock_limit"], runs_limit_id)
    if limit["in_order"]:
        rows = await connection.fetch(_SQL["admit_next_run"], namespace, dag_id)
    else:
        rows = await connection.fetch(_SQL["admit_runs"], namespace, dag_id, limit["capacity"])
    return [row["dag_run_id"] for row in rows]


async def task_classes(connection: Connection, after_class_id: int) -> list[TaskClass]:
    """Classes with a larger id, with their queue's name."""
    rows = await connection.fetch(_SQL["task_classes"], after_class_id)
    return [task_class_of(row) for row in rows]


def task_class_of(row: Row) -> TaskClass:
    """A class from its row, joined with its queue's name."""
    return TaskClass(
        row["class_id"],
        row["namespace"],
        row["dag_id"],
        row["queue_id"],
        row["queue_name"],
        row["handler_name"],
        row["handler_version"],
        json.loads(row["worker_selector"]),
        json.loads(row["resources"]),
        row["tasks_limit_id"],
        row["pool_limit_id"],
        row["pool_slots"],
        dict(zip(row["limit_ids"], row["limit_slots"], strict=True)),
        row["run_limited"],
    )


async def namespace_weights(connection: Connection) -> dict[str, float]:
    """Weights of namespaces, but for those of 1."""
    return {row["namespace"]: row["weight"] for row in await connection.fetch(_SQL["namespace_weights"])}


async def capped_limits(connection: Connection) -> set[int]:
    """Task limits of DAGs that have a cap or are paused now: a hint, checked again under the lock."""
    return {row["limit_id"] for row in await connection.fetch(_SQL["capped_limits"])}


async def classes_of_session(connection: Connection, session_id: UUID) -> list[int]:
    """The class of each of a session's live attempts."""
    return [row["class_id"] for row in await connection.fetch(_SQL["classes_of_session"], session_id)]


async def active_runs(connection: Connection, namespace: str, dag_id: str) -> tuple[int | None, int]:
    """(cap, active runs) of a DAG; the caller's transaction holds the cap's row from here on."""
    capacity = await connection.fetchval(_SQL["lock_runs_limit"], namespace, dag_id)
    return capacity, await connection.fetchval(_SQL["count_active_runs"], namespace, dag_id)
