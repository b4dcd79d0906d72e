"""What waits to be written to one worker, cut into frames that every message limit lets through.

The engine puts things in after a commit and never blocks; the stream's writer takes a frame when the last one is sent,
so that under load one frame carries many things and an idle stream adds no delay.

Assignments are bounded by the worker's credits. Everything else is an answer to what the worker sent: one that sends
and does not read is told so once `ANSWERS_BYTES_MAX` wait for it, and what comes after that is dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from glidepath_proto.worker.v1 import task_pb2
from glidepath_proto.worker.v1 import worker_service_pb2 as pb

# What a repeated field adds to each of its items, at most: the field's number and the item's length.
ITEM_BYTES = 8
# What an item takes of memory beside its own bytes, about.
ITEM_WEIGHT_BYTES = 200
ANSWERS_BYTES_MAX = 32 * 1024 * 1024


class Outgoing:
    """Frames of at most about `frame_bytes`, in the order in which things came. `ready` is set while some wait;
    `overflow` is called when an answer has no room."""

    def __init__(self, frame_bytes: int, overflow: Callable[[], None]) -> None:
        self.ready = asyncio.Event()
        # Bytes of the assignments among what waits, and what the answers weigh.
        self.assigned_bytes = self.answers_bytes = 0
        self._frame_bytes, self._overflow = frame_bytes, overflow
        self._cancelling: set[bytes] = set()
        self._items: deque[tuple[str, Any, int]] = deque()
        # Of these only the newest has a meaning; they go with the next frame.
        self._latest = pb.WorkResponse()

    def assign(self, assignment: task_pb2.Assignment) -> None:
        size = assignment.ByteSize()
        self.assigned_bytes += size
        self._items.append(("assignments", assignment, size + ITEM_BYTES))
        self.ready.set()

    def acknowledge(self, token: bytes, verdict: pb.Verdict, reason: str) -> None:
        ack = pb.ResultAck(task_token=token, verdict=verdict, reason=reason)
        self._put("result_acks", ack, ack.ByteSize())

    def acknowledge_log(self, token: bytes, sequence_number: int) -> None:
        self._put("log_acks", pb.LogAck(task_token=token, sequence_number=sequence_number), len(token))

    def cancel(self, cancel: pb.Cancel) -> None:
        """Repeated until the attempt has ended: one that waits yet says it already."""
        if cancel.task_token in self._cancelling:
            return
        self._cancelling.add(cancel.task_token)
        self._put("cancels", cancel, cancel.ByteSize())

    def permit(self, token: bytes) -> None:
        self._put("start_permits", token, len(token))

    def beat(self, nonce: bytes, confirmed: bytes) -> None:
        self._latest.heartbeat.nonce = nonce
        self._latest.heartbeat.confirmed_nonce = confirmed
        self.ready.set()

    def drain(self) -> None:
        self._latest.drain = True
        self.ready.set()

    def _put(self, field: str, item: Any, size: int) -> None:
        size += ITEM_BYTES
        answers_bytes = self.answers_bytes + size + ITEM_WEIGHT_BYTES
        if answers_bytes > ANSWERS_BYTES_MAX:
            self._overflow()
            return
        self.answers_bytes = answers_bytes
        self._items.append((field, item, size))
        self.ready.set()

    def take(self) -> pb.WorkResponse:
        """The next frame; an empty one when nothing waits."""
        frame, self._latest = self._latest, pb.WorkResponse()
        size, answers, items = 0, 0, self._items
        while items and (not size or size + items[0][2] <= self._frame_bytes):
            field, item, item_size = items.popleft()
            size += item_size
            getattr(frame, field).append(item)
            if field == "assignments":
                self.assigned_bytes -= item_size - ITEM_BYTES
                continue
            answers += item_size + ITEM_WEIGHT_BYTES
            if field == "cancels":
                self._cancelling.discard(item.task_token)
        self.answers_bytes -= answers
        if not items:
            self.ready.clear()
        return frame
