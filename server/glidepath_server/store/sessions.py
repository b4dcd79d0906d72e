"""Worker sessions and what is bound to them: thin functions over queries/sessions.sql."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ..core.events import AttemptKey
from ..core.matching import Offer
from ..core.skew import ClockOffset
from .database import Connection
from .engine import Row
from .sql import statements

_SQL = statements("sessions")


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """Who a worker says it is."""

    identity: str
    incarnation: str
    offer: Offer
    sdk_name: str
    sdk_version: str
    host_name: str
    process_id: int


def key_of(row: Row) -> AttemptKey:
    return AttemptKey(row["dag_run_id"], row["task_index"], row["map_index"], row["attempt_number"])


async def lock_sessions_of_worker(connection: Connection, namespace: str, identity: str) -> list[Row]:
    """The worker's open sessions, FOR UPDATE; no other hello of this worker is under way until the commit."""
    await connection.execute(_SQL["lock_worker"], namespace, identity)
    return await connection.fetch(_SQL["lock_sessions_of_worker"], namespace, identity)


async def raise_generation(
    connection: Connection, session_id: UUID, now: datetime, ttl_seconds: float, offer: Offer
) -> int:
    generation: int = await connection.fetchval(
        _SQL["raise_generation"], session_id, now, ttl_seconds, *_offer_columns(offer)
    )
    return generation


async def open_session(
    connection: Connection, session_id: UUID, worker: WorkerFacts, now: datetime, ttl_seconds: float
) -> None:
    await connection.execute(
        _SQL["open_session"],
        session_id,
        worker.offer.namespace,
        worker.identity,
        worker.incarnation,
        now,
        ttl_seconds,
        *_offer_columns(worker.offer),
        worker.sdk_name,
        worker.sdk_version,
        worker.host_name,
        worker.process_id,
    )


def _offer_columns(offer: Offer) -> tuple[list[str], str, str, str, list[str]]:
    handlers = [[name, sorted(versions)] for name, versions in offer.handlers]
    labels, resources = json.dumps(dict(offer.labels)), json.dumps(dict(offer.resources))
    return sorted(offer.queue_names), labels, resources, json.dumps(handlers), sorted(offer.others)


def offer_of(row: Row) -> Offer:
    """What a worker offers, from its session's row."""
    return Offer(
        row["namespace"],
        frozenset(row["queue_names"]),
        json.loads(row["labels"]),
        json.loads(row["resources"]),
        tuple((name, frozenset(versions)) for name, versions in json.loads(row["handlers"])),
        frozenset(row["other_namespaces"]),
    )


async def lock_open(connection: Connection, sessions: Sequence[UUID]) -> list[UUID]:
    """FOR UPDATE, waiting for claims that are giving these sessions work."""
    return [row["session_id"] for row in await connection.fetch(_SQL["lock_session"], sessions)]


async def close(connection: Connection, sessions: Sequence[UUID]) -> list[UUID]:
    return [row["session_id"] for row in await connection.fetch(_SQL["close_sessions"], sessions)]


async def find(connection: Connection, session_id: UUID) -> Row | None:
    return await connection.fetchrow(_SQL["session"], session_id)


async def set_draining(connection: Connection, session_id: UUID, generation: int) -> None:
    """No more work for the session, unless it has moved on to a newer generation."""
    await connection.execute(_SQL["set_draining"], session_id, generation)


async def runs_within(connection: Connection, run_ids: Iterable[UUID], namespace: str) -> set[UUID]:
    """Of these runs those of the namespace."""
    return {row["dag_run_id"] for row in await connection.fetch(_SQL["runs_within"], list(run_ids), namespace)}


async def renew(
    connection: Connection, sessions: Sequence[UUID], generations: Sequence[int], ttl_seconds: float
) -> dict[UUID, datetime]:
    """The database's time at each renewal by session; a session that is missing has ended or moved on."""
    rows = await connection.fetch(_SQL["renew"], sessions, generations, ttl_seconds)
    return {row["session_id"]: row["now"] for row in rows}


async def note_clocks(connection: Connection, offsets: Mapping[UUID, ClockOffset]) -> None:
    """Remember how far the clocks of these sessions' hosts are off."""
    columns = zip(*((session_id, *offset) for session_id, offset in offsets.items()), strict=True)
    await connection.execute(_SQL["note_clocks"], *columns)


async def lock_expired(connection: Connection, sessions_max: int) -> list[UUID]:
    return [row["session_id"] for row in await connection.fetch(_SQL["lock_expired"], sessions_max)]


async def expire(connection: Connection, sessions: Sequence[UUID]) -> list[UUID]:
    return [row["session_id"] for row in await connection.fetch(_SQL["expire"], sessions)]


async def next_expiry(connection: Connection) -> float | None:
    seconds: float | None = await connection.fetchval(_SQL["next_expiry"])
    return seconds


async def live_of_sessions(connection: Connection, sessions: Sequence[UUID]) -> list[Row]:
    return await connection.fetch(_SQL["live_of_sessions"], sessions)


async def current(connection: Connection, sessions: Sequence[UUID], generations: Sequence[int]) -> set[UUID]:
    """Of these sessions those that are open in this very generation."""
    return {row["session_id"] for row in await connection.fetch(_SQL["current"], sessions, generations)}


async def settled_of_sessions(
    connection: Connection, sessions: Sequence[UUID], generations: Sequence[int], age_seconds: float
) -> list[Row]:
    """Live attempts of these sessions, in these generations, that began at least that long ago."""
    return await connection.fetch(_SQL["settled_of_sessions"], sessions, generations, age_seconds)


async def live_of_worker(connection: Connection, namespace: str, identity: str, session_id: UUID) -> list[Row]:
    """What the worker has live in this session, and in those that have ended."""
    return await connection.fetch(_SQL["live_of_worker"], namespace, identity, session_id)


async def orphans(connection: Connection, attempts_max: int) -> list[Row]:
    return await connection.fetch(_SQL["orphans"], attempts_max)


async def rebind(
    connection: Connection,
    keys: Iterable[AttemptKey],
    session_id: UUID,
    generation: int,
    namespace: str,
    identity: str,
) -> set[AttemptKey]:
    """Bind attempts to the worker's new session, under their runs' locks. Returns those that are live and its own;
    none once the session has moved on to a newer generation."""
    keys = list(keys)
    await connection.fetch(_SQL["lock_runs_waiting"], sorted({key.dag_run_id for key in keys}))
    rows = await connection.fetch(
        _SQL["rebind"],
        [key.dag_run_id for key in keys],
        [key.task for key in keys],
        [key.map_index for key in keys],
        [key.attempt_number for key in keys],
        session_id,
        namespace,
        identity,
        generation,
    )
    return {key_of(row) for row in rows}


async def wanted_cancels(connection: Connection, sessions: Sequence[UUID]) -> list[Row]:
    return await connection.fetch(_SQL["wanted_cancels"], sessions)


async def overdue_attempts(connection: Connection, slack_seconds: float) -> list[Row]:
    return await connection.fetch(_SQL["overdue_attempts"], slack_seconds)


async def next_overdue(connection: Connection, slack_seconds: float) -> float | None:
    seconds: float | None = await connection.fetchval(_SQL["next_overdue"], slack_seconds)
    return seconds


async def prune(connection: Connection, days: int, sessions_max: int) -> int:
    """Delete at most `sessions_max` sessions that ended more than `days` ago; how many."""
    return len(await connection.fetch(_SQL["prune_sessions"], days, sessions_max))
