"""Mapped tasks as readers see them: the task as a whole with the counts of its instances, and single instances."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from .board import FINAL, Board, MapCounts
from .states import AttemptState, TaskState


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What the rows of a mapped task's instances add to the board's counts."""

    queued: int = 0
    up_for_retry: int = 0
    deferred: int = 0
    running: int = 0
    start_time: datetime | None = None
    end_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """Of one mapped task: the instances that were given up, what each of a page is given (JSON), and by index the end
    (a code of TaskState) that an operator gave some, with what he said."""

    given_up: Collection[int] = ()
    items: Sequence[str] = field(default_factory=tuple)
    marks: Mapping[int, tuple[int, str]] = field(default_factory=dict)

    def mark_of(self, board: Board, task: int, index: int, is_out: bool) -> tuple[int, str] | None:
        """The end that an operator gave an instance which has it by now: its code and, for people, why."""
        counts = board.maps[task]
        if is_out or index not in self.marks or index in counts.held:
            return None
        if index >= counts.released and index not in counts.ahead:
            return None
        code, reason = self.marks[index]
        word = "cancelled" if code == TaskState.CANCELLED else "marked"
        return code, f"{word}: {reason}" if reason else f"{word} by an operator"


def counts_of(counts: MapCounts | None, rows: RowCounts, is_final: bool) -> dict[str, int]:
    """Instances per state, and `total`; all 0 while the lists have not been read."""
    if counts is None:
        return {"total": 0}
    left = counts.left
    return {
        "total": counts.length,
        # What a pause has taken from the queue waits again.
        "scheduled": 0 if is_final else left + len(counts.held),
        "queued": rows.queued,
        "up_for_retry": rows.up_for_retry,
        "deferred": rows.deferred,
        "running": rows.running,
        "success": counts.success,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "cancelled": counts.cancelled + (left if is_final else 0),
    }


def progress_text(counts: Mapping[str, int]) -> str:
    """How far a mapped task is, in a line."""
    total = counts["total"]
    if not total:
        return ""
    done = sum(counts[state] for state in ("success", "failed", "skipped", "cancelled"))
    parts = [f"{done} of {total} instances have ended"]
    parts += [f"{counts[state]} {state}" for state in ("failed", "skipped", "cancelled", "running") if counts[state]]
    return ", ".join(parts)


def instance_code(
    board: Board, task: int, index: int, is_out: bool, last: AttemptState | None, given_up: Collection[int]
) -> int:
    """The state of one instance, as a code of TaskState. `last` is how its newest attempt of this generation ended."""
    if is_out:
        return int(TaskState.RELEASED)
    counts = board.maps[task]
    if index in counts.held:
        return int(TaskState.SCHEDULED)
    if index >= counts.released:
        return int(TaskState.CANCELLED if board.states[task] in FINAL else TaskState.SCHEDULED)
    if last is AttemptState.SUCCESS:
        return int(TaskState.SUCCESS)
    if last is AttemptState.SKIPPED:
        return int(TaskState.SKIPPED)
    return int(TaskState.FAILED if index in given_up else TaskState.CANCELLED)
