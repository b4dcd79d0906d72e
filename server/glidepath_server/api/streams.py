"""The open streams of a replica, so that they can be ended with a reason: a revoked token, a server that stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..core.errors import GlidepathError


@dataclass(eq=False, slots=True)
class OpenStream:
    """A stream in the hands of its handler. `error` is what it was told to end with."""

    method: str
    token_id: str
    task: asyncio.Task[Any]
    error: GlidepathError | None = None


Which: TypeAlias = Callable[[OpenStream], bool]
Why: TypeAlias = Callable[[], GlidepathError]


class OpenStreams:
    """Every streaming RPC that runs in this process."""

    def __init__(self) -> None:
        self._streams: set[OpenStream] = set()
        self._closed: tuple[Which, Why] | None = None

    def __len__(self) -> int:
        return len(self._streams)

    def token_ids(self) -> set[str]:
        """Of the tokens that opened them; streams without a token are left out."""
        return {each.token_id for each in self._streams if each.token_id}

    @asynccontextmanager
    async def hold(self, method: str, token_id: str) -> AsyncIterator[None]:
        """Around the handler of one stream, in its task. Raises the error with which `end` or `close` ended it."""
        task = asyncio.current_task()
        assert task is not None
        stream = OpenStream(method, token_id, task)
        if self._closed is not None and self._closed[0](stream):
            raise self._closed[1]()
        self._streams.add(stream)
        try:
            yield
        except asyncio.CancelledError:
            # A cancellation that came from `end` and not from the client or the loop.
            if stream.error is None:
                raise
            task.uncancel()
            raise stream.error from None
        finally:
            self._streams.discard(stream)

    def close(self, which: Which, error: Why) -> None:
        """End those streams, and from now on those that begin: they were admitted a moment before."""
        self._closed = which, error
        self.end(which, error)

    def end(self, which: Which, error: Why) -> list[OpenStream]:
        """End those streams with an error each; a stream is told once. Returns the ones told."""
        ended = [each for each in self._streams if each.error is None and which(each)]
        for each in ended:
            each.error = error()
            each.task.cancel()
        return ended
