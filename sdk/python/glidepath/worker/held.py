"""An attempt that is in this worker's hands."""

from __future__ import annotations

from dataclasses import dataclass

from glidepath_proto.worker.v1.task_pb2 import Assignment

PREPARING, WAITING, FORKED, INLINE, STORING = "preparing", "waiting", "forked", "inline", "storing"
"""Where an attempt is: its source is fetched; it waits for the permit of an exclusive start; it runs in a process of
its own or in the inline runner (or waits for it); its output is being stored with the server."""


@dataclass(slots=True, eq=False)
class Held:
    """One attempt.

    `ending` is why it is being ended: "" not at all, "cancel", "return" (the worker leaves), "fence" (it is not live
    any more), "timeout" (inline only; a forked body's timeout is the forkserver's).
    """

    key: int
    token: bytes
    assignment: Assignment
    place: str
    arrived: float
    accepted: bool = False
    permitted: bool = False
    ending: str = ""
    reason: str = ""
    end_at: float = 0.0
