"""What ended bodies left behind: processes that are children of the forkserver and lead no attempt.

A living leader keeps its own orphans, so such a process was left by a leader that has ended; nothing tells which.
Attempts that ended since the last look therefore wait for everything that was found, and none is reported too early.
Each leftover is asked to end (TERM) when it is first seen and killed when its time is over.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Generic, TypeVar

from glidepath.worker import processes

T = TypeVar("T")


class Leftovers(Generic[T]):
    """Processes to end, and who waits for their end."""

    def __init__(self) -> None:
        self._kill_at: dict[int, float] = {}
        self._waiting: list[tuple[T, set[int]]] = []

    def __bool__(self) -> bool:
        return bool(self._kill_at or self._waiting)

    def reaped(self, pid: int) -> None:
        """A child has ended and its id may be given to another process."""
        self._kill_at.pop(pid, None)

    def wait(self, waiting: Iterable[T], found: Iterable[int]) -> None:
        """These wait until everything that was found is gone."""
        self._waiting += [(each, set(found)) for each in waiting]

    def end(self, found: set[int], now: float, kill_at: float) -> None:
        """Ask what is new to end, by `kill_at`; kill what is over its time; forget what is gone."""
        for pid in found - self._kill_at.keys():
            self._kill_at[pid] = kill_at
            processes.signal_all([pid], signal.SIGTERM)
        for pid in self._kill_at.keys() - found:
            del self._kill_at[pid]
        processes.signal_all([pid for pid, due in self._kill_at.items() if due <= now], signal.SIGKILL)

    def released(self) -> list[T]:
        """Those that have nothing to wait for any more."""
        still = [(each, {pid for pid in pids if pid in self._kill_at}) for each, pids in self._waiting]
        self._waiting = [(each, pids) for each, pids in still if pids]
        return [each for each, pids in still if not pids]


def find(leaders: Iterable[int]) -> set[int]:
    """Children of this process that are no leaders, with everything below them."""
    known = set(leaders)
    table: dict[int, list[int]] | None = None
    children = processes.own_children()
    if children is None:
        table = processes.children_by_parent()
        children = table.get(os.getpid(), [])
    unknown = [pid for pid in children if pid not in known]
    if not unknown:
        return set()
    table = table or processes.children_by_parent()
    return {pid for each in unknown for pid in (each, *processes.descendants(each, table))}
