"""Waits for the same task in the run before: thin typed functions over queries/past.sql."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from ..core.past import LETS_GO
from .database import Connection
from .sql import statements

_SQL = statements("past")
_LETS_GO = sorted(LETS_GO)
Row = Any
# A task of a run, by its index.
Task = tuple[UUID, int]


async def runs_before(connection: Connection, run_ids: Iterable[UUID]) -> dict[UUID, Row]:
    """By run the run before it: previous_run_id, dag_version_id, logical_date, board. Runs without one are left out."""
    return {row["dag_run_id"]: row for row in await connection.fetch(_SQL["runs_before"], list(run_ids))}


async def forget(connection: Connection, tasks: Sequence[Task]) -> None:
    await connection.execute(_SQL["forget"], *_columns(tasks))


async def wait(connection: Connection, waits: Sequence[tuple[UUID, int, UUID, int]]) -> None:
    """Rows: run, task, run before, its task."""
    await connection.execute(_SQL["wait"], *_columns(waits))


async def wake(connection: Connection, ended: Sequence[Task]) -> set[UUID]:
    """Tell who waits for these tasks; the runs that have something in their inbox now."""
    return {row["dag_run_id"] for row in await connection.fetch(_SQL["wake"], *_columns(ended))}


async def unchecked(connection: Connection, runs_max: int) -> list[UUID]:
    """Runs that are waited for by somebody who has not looked again."""
    return [row["previous_run_id"] for row in await connection.fetch(_SQL["unchecked"], runs_max)]


async def check(connection: Connection, previous_run_id: UUID) -> set[UUID]:
    """Look again for those who have begun to wait for a run, in a transaction that holds no other run."""
    await connection.execute(_SQL["hold_run"], previous_run_id)
    rows = await connection.fetch(_SQL["check"], previous_run_id, _LETS_GO)
    return {row["dag_run_id"] for row in rows}


async def sweep(connection: Connection, waits_max: int) -> set[UUID]:
    """Wake who waits for nothing (any more)."""
    return {row["dag_run_id"] for row in await connection.fetch(_SQL["sweep"], waits_max, _LETS_GO)}


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
