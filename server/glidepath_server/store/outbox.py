"""The outbox of facts: thin typed functions over queries/outbox.sql."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from ..core.facts import Fact
from .database import Connection
from .sql import statements

_SQL = statements("outbox")


class Cause(NamedTuple):
    """Why a task was given up: its first instance that was, with its last attempt; and how many instances were."""

    map_index: int
    attempt_number: int
    reason: str
    # JSON of core/failure.py.
    failure: str | None
    instances: int


async def append(connection: Connection, facts: Sequence[Fact]) -> None:
    await connection.execute(
        _SQL["append"],
        [fact.namespace for fact in facts],
        [fact.kind.value for fact in facts],
        [fact.dag_id for fact in facts],
        [fact.dag_run_id for fact in facts],
        [fact.task_id for fact in facts],
        [json.dumps(fact.body, separators=(",", ":")) for fact in facts],
        [fact.fact_time for fact in facts],
    )


async def read_causes(connection: Connection, run_ids: Sequence[UUID]) -> dict[tuple[UUID, int], Cause]:
    """By run and task index: why tasks of these runs were given up."""
    rows = await connection.fetch(_SQL["read_causes"], run_ids)
    return {
        (row["dag_run_id"], row["task_index"]): Cause(
            row["map_index"], row["attempt_number"], row["reason"], row["failure"], row["instances"]
        )
        for row in rows
    }
