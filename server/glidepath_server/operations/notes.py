"""Notes of people on runs and task instances: who noted what, and when; append only, and bounded per run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from ..core.errors import InvalidInput, LimitExceeded, Violation
from ..store import notes as store
from ..store.database import Connection, database_now, transaction
from ..store.notes import Note
from .audit import append_audit
from .command_runs import CommandCall
from .read_runs import RunReader, task_index
from .requests import once

NOTES_PER_RUN_MAX = 1_000
TEXT_CHARACTERS_MAX = 4_000
AUDITED_CHARACTERS_MAX = 200


async def add_note(
    reader: RunReader, call: CommandCall, task_id: str, map_index: int, text: str, encode: Callable[[Note], bytes]
) -> bytes:
    """The note as it was stored, encoded. Raises NotFound, InvalidInput, LimitExceeded."""
    if not text.strip() or len(text) > TEXT_CHARACTERS_MAX:
        value = f"{len(text)} characters" if text.strip() else "nothing"
        violation = Violation("text", value, f"1 to {TEXT_CHARACTERS_MAX} characters")
        raise InvalidInput(str(violation), violations=[violation])
    async with transaction(reader.database.api, "request") as connection:
        return await once(
            connection,
            namespace=call.namespace,
            request_id=call.request_id,
            method=call.method,
            body=call.body,
            run=lambda: _add(reader, connection, call, task_id, map_index, text, encode),
        )


async def _add(
    reader: RunReader,
    connection: Connection,
    call: CommandCall,
    task_id: str,
    map_index: int,
    text: str,
    encode: Callable[[Note], bytes],
) -> bytes:
    _, plan = await reader.load(connection, call.namespace, call.dag_run_id)
    if task_id:
        task_index(plan, task_id)
    if await store.count_notes(connection, call.dag_run_id) >= NOTES_PER_RUN_MAX:
        raise LimitExceeded(f"run {call.dag_run_id} has {NOTES_PER_RUN_MAX} notes, as many as a run may have")
    now = await database_now(connection)
    note = Note(0, task_id, map_index, call.actor, now, text)
    note = replace(note, note_id=await store.insert_note(connection, call.namespace, call.dag_run_id, note))
    await append_audit(
        connection,
        namespace=call.namespace,
        actor=call.actor,
        action="dag_run.note",
        target=f"dag_run/{call.dag_run_id}",
        detail={"task_id": task_id, "map_index": map_index, "text": text[:AUDITED_CHARACTERS_MAX]},
        now=now,
    )
    return encode(note)


async def list_notes(reader: RunReader, namespace: str, dag_run_id: UUID, after: int, limit: int) -> list[Note]:
    """Oldest first, behind an id. Raises NotFound."""
    async with reader.database.api.acquire() as connection:
        await reader.load(connection, namespace, dag_run_id)
        return await store.list_notes(connection, namespace, dag_run_id, after, limit)
