"""What the inline runner leaves behind when a task takes it down: memory that it shares with the stream process.

A frame per printed line would cost more than most inline tasks do, so lines gather for a moment before they are told;
until then they are here as well. The count says how many tasks the runner has begun.
"""

from __future__ import annotations

import mmap

from glidepath_proto.worker.v1.task_pb2 import LogChunk
from glidepath_proto.worker.v1.worker_service_pb2 import WorkRequest

BYTES = 64 * 1024
_NUMBERS = 16


class Kept:
    """One such memory, behind a descriptor of `BYTES`. The runner writes; the stream process reads once it has gone."""

    def __init__(self, descriptor: int) -> None:
        memory = memoryview(mmap.mmap(descriptor, BYTES))
        self.count = memory[:8].cast("Q")
        """Tasks begun, as the only item."""
        self._used = memory[8:_NUMBERS].cast("Q")
        self._untold = memory[_NUMBERS:]

    def clear(self) -> None:
        """What was untold is told."""
        self._used[0] = 0

    def add(self, untold: WorkRequest) -> bool:
        """Keep some more log entries. False when there is no room: they must be told now."""
        data = untold.SerializeToString()
        start = self._used[0]
        end = start + len(data)
        if end > len(self._untold):
            return False
        self._untold[start:end] = data
        self._used[0] = end  # last: what was cut short by the end of the process does not count
        return True

    def untold(self) -> WorkRequest:
        """All that was added since the last `clear`, each chunk whole."""
        whole = WorkRequest()
        chunks = whole.log_chunks
        for part in WorkRequest.FromString(bytes(self._untold[: self._used[0]])).log_chunks:
            if chunks and _is_same(chunks[-1], part):
                chunks[-1].entries.extend(part.entries)
            else:
                chunks.append(part)
        return whole


def _is_same(chunk: LogChunk, part: LogChunk) -> bool:
    return (chunk.task_token, chunk.sequence_number) == (part.task_token, part.sequence_number)
