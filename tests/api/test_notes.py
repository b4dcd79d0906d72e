"""Notes of people on runs and task instances: who, when, what; append only and bounded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from runs_room import CHAIN, Room, dag, open_room

from glidepath_server.operations import notes

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(module_database_url: str) -> AsyncIterator[Room]:
    async with open_room(module_database_url) as room:
        await room.register(dag("noted", CHAIN))
        yield room


async def listed(room: Room, run_id: str, **fields: Any) -> list[tuple[str, str, str]]:
    answer = await room.call("ListNotes", dag_run_id=run_id, **fields)
    return [(each.author, each.task_id, each.text) for each in answer.notes]


async def test_notes_are_kept_in_order_with_who_and_when_and_audited(room: Room) -> None:
    run_id = await room.start("noted")
    first = (await room.call("AddNote", dag_run_id=run_id, text="the source was late")).note
    await room.call("AddNote", dag_run_id=run_id, text="loaded by hand", task_id="load")
    assert await listed(room, run_id) == [("a-admin", "", "the source was late"), ("a-admin", "load", "loaded by hand")]
    assert first.HasField("time") and first.map_index == -1
    rows = await room.rows(
        "select detail from audit_event where action = 'dag_run.note' and target = $1 order by audit_event_id",
        f"dag_run/{run_id}",
    )
    assert [json.loads(row["detail"])["text"] for row in rows] == ["the source was late", "loaded by hand"]


async def test_a_request_id_makes_one_note(room: Room) -> None:
    run_id = await room.start("noted")
    one = await room.call("AddNote", dag_run_id=run_id, text="once", request_id="note-1")
    assert await room.call("AddNote", dag_run_id=run_id, text="once", request_id="note-1") == one
    assert len(await listed(room, run_id)) == 1


async def test_lists_of_notes_are_paged(room: Room) -> None:
    run_id = await room.start("noted")
    for number in range(3):
        await room.call("AddNote", dag_run_id=run_id, text=f"note {number}")
    first = await room.call("ListNotes", dag_run_id=run_id, page_size=2)
    second = await room.call("ListNotes", dag_run_id=run_id, page_size=2, page_token=first.next_page_token)
    assert [each.text for each in (*first.notes, *second.notes)] == ["note 0", "note 1", "note 2"]
    assert not second.next_page_token


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": " "}, "text: got nothing, expected 1 to 4000 characters"),
        ({"text": "x" * 4001}, "text: got 4001 characters, expected 1 to 4000 characters"),
        ({"text": "a\0b"}, "text: got 'a\\x00b', expected text without NUL characters"),
        ({"text": "x", "task_id": "laod"}, "DAG noted version 1 has no task 'laod' (did you mean load?)"),
        ({"text": "x", "map_index": 3}, "map_index: got 3, expected 0 or more, of a task that is named; or nothing"),
    ],
)
async def test_a_wrong_note_is_refused_by_field(room: Room, fields: dict[str, Any], message: str) -> None:
    run_id = await room.start("noted")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await room.call("AddNote", dag_run_id=run_id, **fields)
    assert refused.value.details() == message
    assert await listed(room, run_id) == []


async def test_a_run_has_so_many_notes_and_no_more(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "NOTES_PER_RUN_MAX", 2)
    run_id = await room.start("noted")
    for _ in range(2):
        await room.call("AddNote", dag_run_id=run_id, text="again")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await room.call("AddNote", dag_run_id=run_id, text="again")
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.value.details() == f"run {run_id} has 2 notes, as many as a run may have"
