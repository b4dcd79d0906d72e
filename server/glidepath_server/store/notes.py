"""Notes of people: thin typed functions over queries/notes.sql."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from .database import Connection
from .sql import statements

_SQL = statements("notes")


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody noted of a run (empty task id), or of a task instance of it."""

    note_id: int
    task_id: str
    map_index: int
    author: str
    note_time: datetime
    text: str


async def count_notes(connection: Connection, dag_run_id: UUID) -> int:
    """How many a run has; nobody adds one to it until the transaction ends."""
    await connection.execute(_SQL["queue_up"], str(dag_run_id))
    return int(await connection.fetchval(_SQL["count_notes"], dag_run_id))


async def insert_note(connection: Connection, namespace: str, dag_run_id: UUID, note: Note) -> int:
    """The id that the note got."""
    return int(
        await connection.fetchval(
            _SQL["insert_note"],
            namespace,
            dag_run_id,
            note.task_id,
            note.map_index,
            note.author,
            note.note_time,
            note.text,
        )
    )


async def list_notes(connection: Connection, namespace: str, dag_run_id: UUID, after: int, limit: int) -> list[Note]:
    rows = await connection.fetch(_SQL["list_notes"], namespace, dag_run_id, after, limit)
    return [Note(**row) for row in rows]
