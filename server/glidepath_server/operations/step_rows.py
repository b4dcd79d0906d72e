"""Rows of the step as the store takes them, in columns."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.effects import Release
from ..store import engine as store
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
