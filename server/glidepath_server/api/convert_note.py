"""Notes between the wire and the core."""

from __future__ import annotations

from glidepath_proto.run.v1 import run_service_pb2 as pb

from ..store.notes import Note
from .convert_common import invalid, to_timestamp


def index_in(request: pb.AddNoteRequest) -> int:
    """The instance that a note is about, -1 for none. Raises InvalidInput."""
    map_index = request.map_index if request.HasField("map_index") else -1
    if map_index < -1 or (map_index >= 0 and not request.task_id):
        raise invalid("map_index", str(map_index), "0 or more, of a task that is named; or nothing")
    return map_index


def note_out(note: Note) -> pb.Note:
    return pb.Note(
        note_id=note.note_id,
        task_id=note.task_id,
        map_index=note.map_index,
        author=note.author,
        time=to_timestamp(note.note_time),
        text=note.text,
    )


def added_out(note: Note) -> bytes:
    return pb.AddNoteResponse(note=note_out(note)).SerializeToString()
