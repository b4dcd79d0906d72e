"""What this worker holds, and where each attempt goes: the heart of the stream process.

It decides nothing about retries or order: an assignment comes in, a result goes out. Authoritative here: which attempts
are in this worker's hands (`_held`); each leaves through `deliveries`. What may go wrong is said where it is handled:
streams in `stream`, bodies in `forkserver`, the disk in `journal`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glidepath.errors import GlidepathError, InputError
from glidepath.worker import assignments, failures, results
from glidepath.worker.artifacts import Artifacts
from glidepath.worker.background import Background, within
from glidepath.worker.child import parse_message
from glidepath.worker.crash_points import reach
from glidepath.worker.deliveries import Deliveries
from glidepath.worker.forks import Forks
from glidepath.worker.held import FORKED, INLINE, PREPARING, STORING, WAITING, Held
from glidepath.worker.inline import ASK, RESULTS, SPOOLED
from glidepath.worker.inlines import Inlines
from glidepath.worker.journal import Journal, sync
from glidepath.worker.logs import LogStore
from glidepath.worker.outbox import Outbox
from glidepath_proto.worker.v1.task_pb2 import Assignment, AttemptResult
from glidepath_proto.worker.v1.worker_service_pb2 import (
    Cancel,
    Hello,
    Welcome,
    WorkRequest,
    WorkResponse,
)

logger = logging.getLogger(__name__)

ACCEPT_INLINE_SECONDS = 1.0
TICK_SECONDS = 0.25
LEAVE_SECONDS = 5.0
# Of the notice that a machine is taken away, what is kept for telling the server how its attempts ended.
TELL_SECONDS = 5.0
LEAVING = "the worker is leaving"
EARLY_CANCELS_MAX = 10_000
EARLY_CANCEL_SECONDS = 60.0
INLINE_BYTES_DEFAULT = 64 * 1024
ARTIFACT_BYTES_DEFAULT = 64 * 1024 * 1024


class Agent:
    """The attempts of one worker. `forks`, `inlines` and `stream` are attached before anything is received."""

    forks: Forks
    inlines: Inlines
    artifacts: Artifacts

    def __init__(self, hello: Hello, slots: int, spool: str, journal: Journal) -> None:
        self._hello = hello
        self._slots = slots
        self._spool = spool
        self._journal = journal
        self.logs = LogStore()
        self.outbox = Outbox(self.logs)
        self.idle = asyncio.Event()
        self.idle.set()
        self._draining = False
        self._held: dict[bytes, Held] = {}
        self._forked: dict[int, Held] = {}
        self._next_key = 0
        self._early_cancels: dict[bytes, tuple[Cancel, float]] = {}
        self._unaccepted: deque[tuple[float, list[bytes]]] = deque()
        self._credits_kept = 0
        self._background = Background()
        self._deliveries = Deliveries(
            journal, self.outbox, self.logs, self._background, self._credits_back, self._check_idle
        )
        self._deliveries.tidy_spool(Path(spool))

    # ------------------------------------------------------------------ the stream

    def hello(self) -> Hello:
        """What the worker says of itself and of what it has."""
        hello = Hello()
        hello.CopyFrom(self._hello)
        hello.finished_task_tokens.extend(self._deliveries.tokens())
        fenced = [token for token, held in self._held.items() if held.ending == "fence"]
        hello.held_task_tokens.extend(t for t in self._held if t not in self._deliveries and t not in fenced)
        return hello

    def welcomed(self, welcome: Welcome) -> None:
        """A session is open: forget what is fenced, send what is finished, ask for what there is room for."""
        limits = welcome.limits
        configuration = (
            limits.output_inline_bytes_max or INLINE_BYTES_DEFAULT,
            limits.artifact_bytes_max or ARTIFACT_BYTES_DEFAULT,
            self._spool,
        )
        self.forks.configure(*configuration)
        self.inlines.configure(*configuration)
        for token in welcome.fenced_task_tokens:
            self._fenced(token)
        self._deliveries.send_again(self.artifacts)
        # The permit of an exclusive task is the answer to this word, which the stream before may have lost.
        self.outbox.accepted(held.token for held in self._held.values() if held.place in (PREPARING, WAITING))
        self._credits_kept = 0
        if self._draining:
            self.outbox.draining()
        else:
            self._grant(self._slots - len(self._held))
        logger.info("welcome: session %s, generation %d", welcome.session_id, welcome.generation)

    def renewed(self, lease_end: float) -> None:
        """The lease was moved: exclusive bodies may live on."""
        self.forks.renew(lease_end)

    def received(self, response: WorkResponse) -> None:
        """A frame of the server."""
        if response.result_acks:
            for token in self._deliveries.acknowledge(response.result_acks):
                self._fenced(token)
        for log_ack in response.log_acks:
            self.logs.acknowledge(log_ack.task_token, log_ack.sequence_number)
        for cancel in response.cancels:
            self._cancel(cancel)
        if response.assignments:
            self._assign(response.assignments)
        for token in response.start_permits:
            self._permit(token)

    # ------------------------------------------------------------------ taking work

    def _assign(self, arrived: Sequence[Assignment]) -> None:
        now = time.monotonic()
        accept: list[bytes] = []
        inline: list[Held] = []
        for assignment in arrived:
            token = assignment.task_token
            if token in self._held or token in self._deliveries:
                accept.append(token)
                continue
            held = self._held[token] = Held(self._next_key, token, assignment, PREPARING, now)
            self._next_key += 1
            self.idle.clear()
            if (self._draining or self._early_cancels) and self._refused(held):
                continue
            if assignments.is_inline(assignment):
                inline.append(held)
            else:
                accept.append(token)
                held.accepted = True
                self._prepare(held)
        if inline:
            self._unaccepted.append((now + ACCEPT_INLINE_SECONDS, [held.token for held in inline]))
            self._take_inline(inline)
        if accept:
            self.outbox.accepted(accept)

    def _refused(self, held: Held) -> bool:
        cancel = self._early_cancels.pop(held.token, None)
        if cancel is not None:
            self._end(held, "cancel", cancel[0].reason, 0)
        elif self._draining:
            self._end(held, "return", LEAVING, 0)
        return bool(held.ending)

    def _take_inline(self, inline: list[Held]) -> None:
        ready: list[Held] = []
        for held in inline:
            version = held.assignment.handler.version
            if version and self.artifacts.source_at_hand(version) is None:
                self._prepare(held)
            else:
                held.place = INLINE
                ready.append(held)
        self.inlines.submit(ready)

    def _prepare(self, held: Held) -> None:
        handler = held.assignment.handler
        if not handler.version or handler.name == assignments.SHELL:
            return self._ready(held, "")
        at_hand = self.artifacts.source_at_hand(handler.version)
        if at_hand is not None:
            return self._ready(held, at_hand)
        self._background.start(self._fetch_source(held, handler.version))

    async def _fetch_source(self, held: Held, version: str) -> None:
        try:
            source = await self.artifacts.source(version, held.assignment.namespace)
        except (GlidepathError, OSError) as error:
            if held.token in self._held:
                self._fail(held, failures.INFRASTRUCTURE, type(error).__name__, str(error))
            return
        if held.token in self._held:
            self._ready(held, source)

    def _ready(self, held: Held, source: str) -> None:
        if assignments.is_inline(held.assignment):
            held.place = INLINE
            self.inlines.submit([held])
        elif assignments.is_exclusive(held.assignment) and not held.permitted:
            held.place, held.reason = WAITING, source
        else:
            self._fork(held, source)

    def _permit(self, token: bytes) -> None:
        held = self._held.get(token)
        if held is not None and not held.permitted:
            held.permitted = True
            if held.place == WAITING:
                self._fork(held, held.reason)

    def _fork(self, held: Held, source: str) -> None:
        assignment = held.assignment
        try:
            spec = assignments.body_spec(assignment, source)
        except InputError as error:
            return self._fail(held, failures.BAD_INPUT, "InputError", str(error))
        except (ValueError, TypeError) as error:  # an assignment that this release cannot read
            return self._fail(held, failures.INFRASTRUCTURE, type(error).__name__, str(error))
        held.place = FORKED
        self._forked[held.key] = held
        self.forks.start(held.key, assignments.instance(assignment), assignments.fork_options(assignment), spec)

    # ------------------------------------------------------------------ ending work

    def _cancel(self, cancel: Cancel) -> None:
        held = self._held.get(cancel.task_token)
        if held is not None:
            grace = cancel.grace.ToTimedelta().total_seconds() if cancel.HasField("grace") else None
            own = assignments.grace_seconds(held.assignment)
            self._end(held, "cancel", cancel.reason, own if grace is None else grace)
        elif cancel.task_token not in self._deliveries and len(self._early_cancels) < EARLY_CANCELS_MAX:
            self._early_cancels[cancel.task_token] = (cancel, time.monotonic())

    def _fenced(self, token: bytes) -> None:
        """The attempt is not live any more: end its processes, say nothing of it."""
        self._deliveries.forget(token)
        held = self._held.get(token)
        if held is not None:
            held.ending = "fence"
            self._end(held, "fence", "the attempt is not live any more", assignments.grace_seconds(held.assignment))

    def _end(self, held: Held, ending: str, reason: str, grace: float) -> None:
        if held.place in (PREPARING, WAITING):
            held.ending, held.reason = ending, reason
            return self._finish_ended(held)
        if not held.ending or ending == "fence":
            held.ending, held.reason = ending, reason
            held.end_at = time.monotonic() + grace
        if held.place == FORKED:
            self.forks.cancel(held.key, grace)
        elif held.place == INLINE:
            for back in self.inlines.withdraw(lambda task: task is not held):
                self._finish_ended(back)

    def _finish_ended(self, held: Held) -> None:
        """The end of an attempt that never ran."""
        if held.ending == "fence":
            self._let_go(held)
            return self._grant(1)
        self._finish(held, results.ended_for(held.ending, held.reason))

    def _fail(self, held: Held, kind: int, type_name: str, message: str) -> None:
        self._finish(held, results.failed(held.token, kind, type_name, message))

    def _finish(self, held: Held, result: AttemptResult) -> None:
        result.task_token = held.token
        self._let_go(held)
        self._deliveries.deliver(result)

    def _let_go(self, held: Held) -> None:
        self._held.pop(held.token, None)
        self._forked.pop(held.key, None)

    def _check_idle(self) -> None:
        if not self._held and not self._deliveries.gathering:
            self.idle.set()

    def _grant(self, count: int) -> None:
        credits = self._credits_back(count)
        if credits > 0:
            self.outbox.credit(credits)
        self._check_idle()

    def _credits_back(self, count: int) -> int:
        """How many of `count` free slots to offer: none while leaving or while the journal is full."""
        if self._draining:
            return 0
        if self._journal.full:
            self._credits_kept += count
            return 0
        return count

    # ------------------------------------------------------------------ the forkserver's word

    def fork_started(self, key: int, pid: int, started: float) -> None:
        """User code of an attempt runs."""
        held = self._forked.get(key)
        if held is not None:
            reach("body.started")
            self.outbox.started(held.token)

    def fork_refused(self, key: int, problem: str) -> None:
        """The system gives no more processes or pipes."""
        held = self._forked.get(key)
        if held is not None:
            self._fail(held, failures.INFRASTRUCTURE, "ForkRefused", problem)

    def fork_log(self, key: int, entries: Sequence[tuple[float, str, str]]) -> None:
        """Lines of an attempt."""
        held = self._forked.get(key)
        if held is not None:
            self.logs.add(held.token, entries)
            self.outbox.log()

    def fork_progress(self, key: int, progress: Mapping[str, Any]) -> None:
        """How far an attempt is."""
        held = self._forked.get(key)
        if held is not None:
            self.outbox.progress(results.to_progress(held.token, progress))

    def fork_ask(self, key: int, frame: bytes) -> None:
        """A body wants something of the connection."""
        held = self._forked.get(key)
        if held is not None:
            header, _ = parse_message(frame)
            self._background.start(
                self.artifacts.reply(held.token, header, lambda answer: self.forks.answer(key, answer))
            )

    def fork_ended(self, key: int, report: Mapping[str, Any]) -> None:
        """A body has ended, and everything it left behind."""
        held = self._forked.get(key)
        if held is None:
            return
        if held.ending == "fence":
            self._let_go(held)
            return self._grant(1)
        limits = {
            "timeout": assignments.timeout_seconds(held.assignment),
            "memory_mb": held.assignment.memory_limit_mb,
        }
        result = results.decide(held.token, report, limits, held.reason, held.ending)
        self._finish_or_store(held, result)

    def forks_died(self, keys: Sequence[int], alone: bool) -> None:
        """A forkserver was killed with these bodies: whose doing it was is known when there was one alone in it."""
        for held in [self._forked[key] for key in keys if key in self._forked]:
            if alone and not held.ending:
                message = "it ended the process that ran it: the forkserver was killed, and no other task was in it"
                self._fail(held, failures.INFRASTRUCTURE, "ForkserverDied", message)
                continue
            if not held.ending:
                held.ending, held.reason = "return", "a task ended the process that ran this one"
            self._finish_ended(held)

    # ------------------------------------------------------------------ the inline runner's word

    def inline_frames(self, frames: list[bytes]) -> None:
        """Results, questions."""
        for frame in frames:
            kind, content = frame[:1], frame[1:]
            if kind == RESULTS:
                self._inline_results(content)
            elif kind == SPOOLED:
                result = AttemptResult.FromString(content)
                self.inlines.heard(1)
                held = self._held.get(result.task_token)
                if held is not None:
                    self._finish_or_store(held, result)
            elif kind == ASK:
                header = json.loads(content)
                token = base64.b64decode(header["token"])
                self._background.start(self.artifacts.reply(token, header, self.inlines.answer))

    def _inline_results(self, record: bytes) -> None:
        batch = WorkRequest.FromString(record)
        tokens = [result.task_token for result in batch.results]
        held = self._held
        for token in tokens:
            held.pop(token, None)
        for chunk in batch.log_chunks:
            self.logs.adopt(chunk)
        for progress in batch.progress:
            self.outbox.progress(progress)
        self._deliveries.deliver_batch(record, batch, tokens)
        self.inlines.heard(len(tokens))
        if not held:
            self._check_idle()

    def inline_died(self, at_fault: Held | None, unheard: list[Held], status: int) -> None:
        """The inline runner has gone: by a task's doing, or because a task ran over its time."""
        for held in unheard:
            message = "it ran, but the process in which inline tasks run ended before its result was told"
            self._fail(held, failures.INFRASTRUCTURE, "InlineRunnerDied", message)
        for held in self.inlines.withdraw(lambda task: not task.ending):  # it never began, so no next runner begins it
            self._finish_ended(held)
        if at_fault is None:
            return
        if at_fault.ending == "fence":
            return self._finish_ended(at_fault)
        timeout = assignments.timeout_seconds(at_fault.assignment)
        self._finish(at_fault, results.of_inline(at_fault.token, at_fault.ending, at_fault.reason, status, timeout))

    def _finish_or_store(self, held: Held, result: AttemptResult) -> None:
        if not result.success.output.uri.startswith(results.SPOOL):
            return self._finish(held, result)

        def stored() -> None:
            self._let_go(held)
            self._grant(1)

        held.place = STORING
        self._deliveries.store(result, self.artifacts, stored)

    def inline_unable(self, tasks: list[Held], status: int) -> None:
        """The inline runner does not start."""
        for held in tasks:
            message = f"the process in which inline tasks run does not start (it ended with {status})"
            self._fail(held, failures.INFRASTRUCTURE, "InlineRunnerDied", message)

    # ------------------------------------------------------------------ time passing, leaving

    async def tick(self) -> None:
        """What must be looked at now and then, until the task is cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            self._accept_late(now)
            if late := self._journal.tidy(now):
                await asyncio.to_thread(sync, late)
            self._end_inline(now)
            if self._credits_kept and not self._journal.full:
                kept, self._credits_kept = self._credits_kept, 0
                self._grant(kept)
            for token, (_, since) in list(self._early_cancels.items()):
                if now - since > EARLY_CANCEL_SECONDS:
                    del self._early_cancels[token]

    def _accept_late(self, now: float) -> None:
        while self._unaccepted and self._unaccepted[0][0] <= now:
            late = [token for token in self._unaccepted.popleft()[1] if token in self._held]
            if late:
                self.outbox.accepted(late)

    def _end_inline(self, now: float) -> None:
        running = self.inlines.running()
        if running is None:
            return
        held, seconds = running
        timeout = assignments.timeout_seconds(held.assignment)
        if not held.ending and timeout and seconds > timeout:
            held.ending = "timeout"
            self.inlines.end_running()
        elif held.ending and now >= held.end_at:
            self.inlines.end_running()

    async def drain(self, grace_seconds: float) -> None:
        """Take nothing new, finish what runs within the grace, hand the rest back, wait for the server's answers."""
        await self._leave(grace_seconds, "return", LEAVING, math.inf)

    async def preempt(self, notice_seconds: float) -> None:
        """The machine is taken away that soon: as `drain`, but what runs is ended in time and reported as preempted."""
        left = max(notice_seconds - TELL_SECONDS, 0.0)
        longest = min(self._longest_grace(), left)
        await self._leave(left - longest, "preempt", "the machine of its worker is taken away", longest)

    async def _leave(self, run_seconds: float, ending: str, reason: str, grace_max: float) -> None:
        self._draining = True
        self.outbox.draining()
        for held in list(self._held.values()):
            if held.place in (PREPARING, WAITING):
                self._end(held, "return", LEAVING, 0)
        for held in self.inlines.withdraw(lambda _: False):
            held.ending, held.reason = "return", LEAVING
            self._finish_ended(held)
        if not await within(self.idle.wait(), run_seconds):
            longest = min(self._longest_grace(), grace_max)
            for held in list(self._held.values()):
                self._end(held, ending, reason, min(assignments.grace_seconds(held.assignment), grace_max))
            await within(self.idle.wait(), longest + LEAVE_SECONDS)
        await within(self._deliveries.all_answered(), LEAVE_SECONDS)

    def _longest_grace(self) -> float:
        return max((assignments.grace_seconds(held.assignment) for held in self._held.values()), default=0.0)

    async def stop(self) -> None:
        """End what goes on in the background."""
        await self._background.stop()
