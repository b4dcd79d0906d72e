"""Versions laid out for runs that are not simply runs of them: thin typed functions over queries/layouts.sql."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from ..core.canonical import from_canonical_json
from ..core.layouts import Layout
from .database import Connection
from .sql import statements

_SQL = statements("layouts")


async def version_id(connection: Connection, namespace: str, dag_id: str, number: int) -> int | None:
    """A version as it was registered, by its number; 0: the latest."""
    found: int | None = await connection.fetchval(_SQL["version_id"], namespace, dag_id, number)
    return found


async def first_number(connection: Connection, dag_run_id: UUID) -> int | None:
    found: int | None = await connection.fetchval(_SQL["first_number"], dag_run_id)
    return found


async def ensure_layout(connection: Connection, base_id: int, layout: Layout) -> tuple[int, bool]:
    """The version of this layout, and whether it was made now."""
    text = layout.to_json()
    key = hashlib.sha256(f"{base_id} {text}".encode()).digest()
    found: int | None = await connection.fetchval(_SQL["layout_id"], base_id, key)
    if found is not None:
        return found, False
    await connection.execute(_SQL["copy_classes"], base_id, key)
    return await _insert(connection, base_id, text, key, layout), True


async def ensure_lane(
    connection: Connection, base_id: int, key: bytes, queue_id: int | None, pool_limit_id: int | None
) -> bool:
    """See that there is the version whose tasks use this queue and this pool (None: their own), by its layout hash
    `key`. Returns whether it was made now."""
    if await connection.fetchval(_SQL["layout_id"], base_id, key) is not None:
        return False
    await connection.execute(_SQL["copy_classes_for_lane"], base_id, key, queue_id, pool_limit_id)
    base = await connection.fetchrow(_SQL["base_classes"], base_id)
    assert base is not None
    layout = Layout(tuple(task.task_id for task in from_canonical_json(base["spec"]).tasks))
    await _insert(connection, base_id, layout.to_json(), key, layout)
    return True


async def _insert(connection: Connection, base_id: int, text: str, key: bytes, layout: Layout) -> int:
    """Store the version of a layout whose classes were copied."""
    rows = await connection.fetch(_SQL["copied_classes"], base_id, key)
    copies = {row["class_id"]: row["copy_id"] for row in rows}
    base = await connection.fetchrow(_SQL["base_classes"], base_id)
    assert base is not None
    place = {task.task_id: number for number, task in enumerate(from_canonical_json(base["spec"]).tasks)}

    def moved(class_ids: Sequence[int]) -> list[int]:
        """By the layout's indexes; 0 for what was removed."""
        there = place.keys() - layout.left_out
        return [copies.get(class_ids[place[task_id]], 0) if task_id in there else 0 for task_id in layout.task_ids]

    reroutes = moved(base["reroute_class_ids"]) if base["reroute_class_ids"] else []
    await connection.execute(_SQL["insert_layout"], base_id, moved(base["class_ids"]), reroutes, text, key)
    made: int = await connection.fetchval(_SQL["layout_id"], base_id, key)
    return made


async def move_run(
    connection: Connection, dag_run_id: UUID, to_version_id: int, revision: int, from_version_id: int, now: datetime
) -> None:
    """Give a run its other version, under its lock."""
    await connection.execute(_SQL["move_run"], dag_run_id, to_version_id, revision, from_version_id, now)
