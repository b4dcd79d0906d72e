"""Rows of the step as the store takes them, in columns; and those of dead letters, written."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ..core.effects import Release
from ..store import engine as store
from ..store import maps
from ..store.database import Connection
from .step_types import LockedRun


def release_of(row: store.Row) -> Release:
    """What a row of the queue says of its attempt."""
    return Release(
        row["task_index"],
        row["map_index"],
        row["attempt_number"],
        row["tries"],
        row["losses"],
        row["redeliveries"],
        None if row["due"] else row["available_time"],
        row["deferrals"],
        row["waiting_since"],
        row["preemptions"],
    )


def board_columns(runs: list[LockedRun]) -> list[list[object]]:
    return [
        [run.dag_run_id for run in runs],
        [run.revision for run in runs],
        [run.board.pack() for run in runs],
        [run.board.state.value for run in runs],
        [run.board.intent.value for run in runs],
        [run.board.reason[:2000] for run in runs],
        [run.plan.spec.run_timeout_seconds for run in runs],
        ["; ".join(run.effects.notes)[:4000] for run in runs],
    ]


def event_columns(runs: list[LockedRun]) -> list[list[object]]:
    return [
        [_array(change[0] for change in run.effects.changes) for run in runs],
        [bytes([change[2] for change in run.effects.changes]) for run in runs],
        [_array(change[1] for change in run.effects.changes) if run.plan.graph.maps else None for run in runs],
    ]


def _array(numbers: Iterable[int]) -> str:
    """An array as text, of which Postgres takes one per row."""
    return "{" + ",".join([str(number) for number in numbers]) + "}"


async def write_instance_marks(connection: Connection, runs: list[LockedRun]) -> None:
    """The ends that operators gave instances, and which of them are none any more."""
    gone: list[tuple[object, ...]] = []
    said: list[tuple[object, ...]] = []
    for run in runs:
        for (task, index), mark in run.effects.instance_marks.items():
            if mark is None:
                gone.append((run.dag_run_id, task, index))
            else:
                said.append((run.dag_run_id, task, index, mark[0], mark[1][:2000], run.board.base(task)))
    if gone:
        await maps.forget_marks(connection, list(zip(*gone, strict=True)))
    if said:
        await maps.put_marks(connection, list(zip(*said, strict=True)))


async def write_dead_letters(connection: Connection, runs: list[LockedRun], now: datetime) -> None:
    """What the runs gave up joins the list; what was cleared leaves it."""
    answered = [(run.dag_run_id, *each) for run in runs for each in run.effects.answered]
    if answered:
        await store.answer_dead_letters(connection, *zip(*answered, strict=True))
    letters = [
        (
            run.dag_run_id,
            *(letter.task, letter.map_index, letter.attempt_number, letter.budget.value, letter.reason[:2000]),
            *(run.plan.namespace, run.plan.dag_id, run.plan.graph.task_ids[letter.task]),
        )
        for run in runs
        for letter in run.effects.dead_letters
    ]
    if letters:
        await store.write_dead_letters(connection, list(zip(*letters, strict=True)), now)
