"""Results on their way to the server: journal, then wire, until they are answered. The one way out of a worker.

The server is authoritative on what a result does; this side only owes it every result once in the journal and as often
on the wire as it takes. Large outputs lie in the spool until the server has stored them; their results are in the
journal from the start, so that a restart stores and sends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from glidepath.worker import failures, results
from glidepath.worker.artifacts import ArtifactRefused, Artifacts
from glidepath.worker.background import Background
from glidepath.worker.crash_points import reach
from glidepath.worker.journal import Journal
from glidepath.worker.logs import LogStore
from glidepath.worker.outbox import Outbox
from glidepath_proto.worker.v1.task_pb2 import AttemptResult
from glidepath_proto.worker.v1.worker_service_pb2 import ResultAck, Verdict, WorkRequest

logger = logging.getLogger(__name__)

Credits = Callable[[int], int]
"""How many of so many freed slots to offer to the server now."""


class Deliveries:
    """What has finished here and is not answered. `after_commit` is called when results of a turn are on their way."""

    def __init__(
        self,
        journal: Journal,
        outbox: Outbox,
        logs: LogStore,
        background: Background,
        credits_back: Credits,
        after_commit: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._outbox = outbox
        self._logs = logs
        self._background = background
        self._credits_back = credits_back
        self._after_commit = after_commit
        self._finished: list[AttemptResult] = []
        self._spooled: dict[bytes, str] = {}
        self._storing: set[bytes] = set()
        self._answered = asyncio.Event()
        for record in journal.pending():
            for chunk in record.log_chunks:
                logs.adopt(chunk)
            for result in record.results:
                self._remember(result)

    def __contains__(self, token: bytes) -> bool:
        return token in self._journal

    @property
    def gathering(self) -> bool:
        """Whether results of this turn are not in the journal yet."""
        return bool(self._finished)

    def tokens(self) -> list[bytes]:
        """Attempts whose results wait for an answer."""
        return self._journal.tokens()

    def deliver(self, result: AttemptResult) -> None:
        """Send a result. Those of one turn of the loop share a record and a frame."""
        if not self._finished:
            asyncio.get_running_loop().call_soon(self._commit)
        self._finished.append(result)

    def deliver_batch(self, record: bytes, batch: WorkRequest, tokens: Sequence[bytes]) -> None:
        """Send a batch that is a record already."""
        reach("result.before_keep")
        self._journal.append(record, tokens, time.monotonic())
        reach("result.kept")
        self._outbox.results(batch, len(record), self._credits_back(len(tokens)))

    def store(self, result: AttemptResult, artifacts: Artifacts, stored: Callable[[], None]) -> None:
        """Send a result whose output lies in the spool. `stored` is called when it has left the worker's slots."""
        self._keep(result)
        self._background.start(self._store(result, artifacts, stored))

    def send_again(self, artifacts: Artifacts) -> None:
        """A new stream: everything unanswered is sent once more. It frees no slots."""
        for record in self._journal.pending():
            ready = []
            for result in record.results:
                if not _is_spooled(result):
                    ready.append(result)
                elif result.task_token not in self._storing:
                    self._background.start(self._store(result, artifacts, None))
            batch = WorkRequest(results=ready)
            if ready:
                self._outbox.results(batch, batch.ByteSize(), 0)

    def acknowledge(self, acks: Iterable[ResultAck]) -> list[bytes]:
        """The server has answered. The attempts that it calls fenced."""
        reach("result.answered")
        fenced = []
        for ack in acks:
            self.forget(ack.task_token)
            if ack.verdict == Verdict.VERDICT_FENCED:
                fenced.append(ack.task_token)
            elif ack.verdict == Verdict.VERDICT_REJECTED:
                logger.error("the server rejected a result: %s", ack.reason)
        self._answered.set()
        return fenced

    def forget(self, token: bytes) -> None:
        """Nothing more is owed for this attempt."""
        self._journal.forget(token)
        self._logs.end(token)
        path = self._spooled.pop(token, None)
        if path is not None:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def tidy_spool(self, folder: Path) -> None:
        """Remove outputs that no result names: they were written when the worker before this one died."""
        wanted = set(self._spooled.values())
        for file in folder.iterdir():
            if str(file) not in wanted:
                file.unlink()

    async def all_answered(self) -> None:
        """Wait until nothing is owed."""
        while len(self._journal):
            self._answered.clear()
            await self._answered.wait()

    def _commit(self) -> None:
        finished, self._finished = self._finished, []
        batch = WorkRequest(results=finished)
        for result in finished:
            batch.log_chunks.extend(self._logs.tail(result.task_token))
        self.deliver_batch(batch.SerializeToString(), batch, [result.task_token for result in finished])
        self._after_commit()

    def _keep(self, result: AttemptResult) -> None:
        self._remember(result)
        record = WorkRequest(results=[result], log_chunks=self._logs.tail(result.task_token)).SerializeToString()
        self._journal.append(record, [result.task_token], time.monotonic())

    def _remember(self, result: AttemptResult) -> None:
        if _is_spooled(result):
            self._spooled[result.task_token] = _spool_path(result)

    async def _store(self, result: AttemptResult, artifacts: Artifacts, stored: Callable[[], None] | None) -> None:
        """Replace an output in the spool by the server's reference to it, then send the result."""
        token = result.task_token
        self._storing.add(token)
        try:
            output = result.success.output
            output.CopyFrom(await artifacts.put(token, _spool_path(result), output.content_type))
        except ArtifactRefused as error:
            self._journal.forget(token)
            if error.fenced:
                self.forget(token)
            else:
                result = results.failed(token, failures.APPLICATION, "OutputRefused", str(error), retryable=False)
                self._keep(result)
        finally:
            self._storing.discard(token)
        if token in self._journal:
            batch = WorkRequest(results=[result])
            self._outbox.results(batch, batch.ByteSize(), 0)
        if stored is not None:
            stored()


def _is_spooled(result: AttemptResult) -> bool:
    return result.success.output.uri.startswith(results.SPOOL)


def _spool_path(result: AttemptResult) -> str:
    return result.success.output.uri.removeprefix(results.SPOOL)
