"""Worker sessions: hello, renewal, expiry, leaving.

Authority: the row in worker_session. `heard_until` says whether the session may get work, `lease_expire_time` when its
attempts are judged. A session that left `open` never opens again; hello makes a new row. Hello and expiry take the row
FOR UPDATE (a plain update would pass a claim's FOR KEY SHARE) and read the live attempts in a LATER transaction, so
they see what a claim committed before them. They change no attempt themselves: what is lost or taken back goes to the
step as a verdict that names the judged session, and the step's delete repeats that name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ..core.events import AttemptKey
from ..core.states import AttemptState
from ..store import engine, sessions
from ..store.database import Connection, Pool, database_now, transaction
from ..store.sessions import WorkerFacts, key_of
from .step_types import Report

SESSIONS_JUDGED_MAX = 200


@dataclass(slots=True)
class Greeting:
    """What hello led to. `verdicts` are for the step; `bound` go on; `fenced` are dead."""

    session_id: UUID
    generation: int
    bound: set[AttemptKey] = field(default_factory=set)
    fenced: set[AttemptKey] = field(default_factory=set)
    verdicts: list[Report] = field(default_factory=list)


async def hello(
    pool: Pool, worker: WorkerFacts, listed: Sequence[AttemptKey], new_session_id: UUID, ttl_seconds: float
) -> Greeting:
    """Open a session, or go on in the open one of the same incarnation with a raised generation.

    Attempts that the worker lists and that are its own are bound to the session; other attempts of this worker are
    taken back (same incarnation: the assignment never arrived) or lost (an incarnation that is gone).
    """
    async with transaction(pool, "hello_open") as connection:
        greeting = await _open(connection, worker, new_session_id, ttl_seconds)
    async with transaction(pool, "hello_bind") as connection:
        if listed:
            greeting.bound = await sessions.rebind(
                connection,
                listed,
                greeting.session_id,
                greeting.generation,
                worker.offer.namespace,
                worker.identity,
            )
            greeting.fenced = set(listed) - greeting.bound
        live = await sessions.live_of_worker(connection, worker.offer.namespace, worker.identity, greeting.session_id)
    for row in live:
        if key_of(row) in greeting.bound:
            continue
        same = row["session_id"] == greeting.session_id
        greeting.verdicts.append(
            Report(
                key_of(row),
                AttemptState.RETURNED if same else AttemptState.LOST,
                judged=row["session_id"],
                # A later hello in this session has a newer list.
                judged_generation=greeting.generation if same else None,
                reason="not in the worker's hands after a reconnect" if same else "the worker restarted without it",
            )
        )
    return greeting


async def _open(connection: Connection, worker: WorkerFacts, new_session_id: UUID, ttl_seconds: float) -> Greeting:
    rows = await sessions.lock_sessions_of_worker(connection, worker.offer.namespace, worker.identity)
    now = await database_now(connection)
    gone = [row["session_id"] for row in rows if row["incarnation"] != worker.incarnation]
    if gone:
        await sessions.close(connection, gone)
    same = next((row["session_id"] for row in rows if row["incarnation"] == worker.incarnation), None)
    if same is not None:
        generation = await sessions.raise_generation(connection, same, now, ttl_seconds, worker.offer)
        return Greeting(same, generation)
    await sessions.open_session(connection, new_session_id, worker, now, ttl_seconds)
    return Greeting(new_session_id, 1)


async def leave(pool: Pool, session_id: UUID, generation: int) -> list[Report]:
    """Close a session whose worker said goodbye. What it left live is lost at once.

    Nothing happens when the session has moved on to a newer generation: the worker is there, on another stream.
    """
    async with transaction(pool, "leave") as connection:
        await sessions.lock_open(connection, [session_id])
        if session_id not in await sessions.current(connection, [session_id], [generation]):
            return []
        await sessions.close(connection, [session_id])
    return await judge(pool, [session_id], "the worker left")


async def expire(pool: Pool, awake: Callable[[], bool] = lambda: True) -> list[Report]:
    """Judge sessions whose lease has ended. The caller was awake, and `awake` says whether it still is.

    A database that stood still answers by its clock of afterwards, by which every lease has ended: so the caller is
    asked again once the answer is there (see loops/lease_reaper.py).
    """
    async with transaction(pool, "reaping") as connection:
        found = await sessions.lock_expired(connection, SESSIONS_JUDGED_MAX)
        if not found or not awake():
            return []
        lost = await sessions.expire(connection, found)
    return await judge(pool, lost, "the worker's lease ended")


async def judge(pool: Pool, judged: Sequence[UUID], reason: str) -> list[Report]:
    """Verdicts over the live attempts of sessions that are not open any more."""
    async with pool.acquire() as connection:
        rows = await sessions.live_of_sessions(connection, judged)
    return lost(rows, reason)


def lost(rows: Sequence[engine.Row], reason: str) -> list[Report]:
    return [Report(key_of(row), AttemptState.LOST, judged=row["session_id"], reason=reason) for row in rows]
