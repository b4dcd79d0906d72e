"""One worker's session as this replica holds it: what is sent, what is awaited, what is heard.

A `Session` is the engine's puller. The engine calls it after a commit, from the event loop, and it never blocks: what
is to be told waits in `outgoing`. An assignment that no message can carry ends its attempt by a report of the server.
What is remembered here (tokens in the worker's hands, unaccepted assignments, credits) is memory of this replica: when
it is lost, the lease, the accept timeout or the next hello put things right.

Bounds. Assignments: the worker's credits, at most `CREDITS_MAX`. Results on their way through the engine: past
`UNANSWERED_MAX` nothing more is read. Answers that the worker does not read: see worker_outgoing; its stream is ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeAlias
from uuid import UUID

import structlog

from glidepath_proto.registry.v1.dag_pb2 import LEASE_MODE_EXCLUSIVE
from glidepath_proto.worker.v1 import task_pb2
from glidepath_proto.worker.v1 import worker_service_pb2 as pb

from ..clock import key_bytes, monotonic
from ..core.errors import GlidepathError, LimitExceeded
from ..core.events import AttemptKey
from ..core.failure import Failure, FailureKind
from ..core.matching import Offer
from ..core.skew import ClockOffset
from ..core.states import AttemptState
from ..core.task_token import seal, unseal
from ..operations.step_types import Assigned, CancelOrder, Report, Verdict
from .assignments import Assignments, seconds_to_wire
from .convert_worker import verdict_out
from .worker_outgoing import ANSWERS_BYTES_MAX, Outgoing

# Of assignments that wait for their frame; past it outputs go by reference.
ASSIGNED_BYTES_MAX = 8 * 1024 * 1024
UNANSWERED_MAX = 20_000
CREDITS_MAX = 10_000
NONCES_KEPT = 4
GRACE_SECONDS_DEFAULT = 10.0
log = structlog.get_logger()
Submit: TypeAlias = Callable[[Iterable[Report]], None]


def nowhere(reports: Iterable[Report]) -> None:
    """Nobody takes reports of the server's own."""


class Session:
    """The puller of one stream. `submit` takes the reports that the server itself makes."""

    def __init__(
        self,
        session_id: UUID,
        generation: int,
        offer: Offer,
        assignments: Assignments,
        submit: Submit = nowhere,
    ) -> None:
        self.session_id, self.generation, self.offer = session_id, generation, offer
        self.free = 0
        self.resources_free = dict(offer.resources)
        self.assignments, self.submit = assignments, submit
        # Tokens in the worker's hands, with the grace of their cancels; and since when one was sent, until accepted.
        self.held: dict[bytes, float] = {}
        self.unaccepted: dict[bytes, float] = {}
        # Of what is held, attempts that begin only by our permit.
        self.need_permit: set[bytes] = set()
        self.refused: dict[bytes, str] = {}
        self.owed = 0
        self.draining = False
        # Results that went to the engine and are not answered.
        self.unanswered = 0
        self._calm = asyncio.Event()
        # Set when the stream must end; `error` says why, when the session's row does not.
        self.over = asyncio.Event()
        self.error: GlidepathError | None = None
        self.confirmed = b""
        # The last ones, and when each was sent.
        self.nonces: dict[bytes, float] = {}
        self.clock_offset: ClockOffset | None = None
        self.outgoing = Outgoing(assignments.frame_bytes, self._overflow)

    @property
    def closed(self) -> bool:
        return self.over.is_set()

    # ---- the engine's side (after a commit, never blocking)
    def assign(self, assigned: list[Assigned]) -> None:
        now = monotonic()
        for each in assigned:
            try:
                message = self.assignments.build(each, ASSIGNED_BYTES_MAX - self._assigned_bytes())
            except LimitExceeded as error:
                self._end(each.key, AttemptState.FAILED, str(error))
                continue
            except Exception:
                # Nobody else knows of it. Another replica may do better; how often is bounded like every take-back.
                log.exception("assignment_broken", dag_run_id=str(each.key.dag_run_id))
                self._end(each.key, AttemptState.RETURNED, "the server could not make the assignment")
                continue
            self.held[message.task_token] = message.cancel_grace.seconds + message.cancel_grace.nanos / 1e9
            self.unaccepted[message.task_token] = now
            if message.lease_mode == LEASE_MODE_EXCLUSIVE:
                self.need_permit.add(message.task_token)
            self._send_assignment(message)

    def _assigned_bytes(self) -> int:
        return self.outgoing.assigned_bytes

    def _send_assignment(self, message: task_pb2.Assignment) -> None:
        self.outgoing.assign(message)

    def _end(self, key: AttemptKey, outcome: AttemptState, reason: str) -> None:
        """An attempt that the worker never sees: its end is our word, its slot is free."""
        too_large = Failure(FailureKind.BAD_INPUT, "AssignmentTooLarge", reason)
        failure = too_large if outcome is AttemptState.FAILED else None
        judged, generation = self.session_id, self.generation
        self.submit([Report(key, outcome, failure, judged=judged, judged_generation=generation, reason=reason)])
        self.grant([1])

    def acknowledge(self, acks: list[tuple[Report, Verdict]]) -> None:
        for report, verdict in acks:
            self.forget(report.token)
            reason = self.refused.pop(report.token, "") if self.refused else ""
            if reason and verdict is Verdict.ACCEPTED:
                verdict = Verdict.REJECTED
            self.outgoing.acknowledge(report.token, verdict_out(verdict), reason)
        self.unanswered -= len(acks)
        if self.unanswered <= UNANSWERED_MAX:
            self._calm.set()

    async def calm(self) -> None:
        """Back when few enough results are unanswered to read on."""
        while self.unanswered > UNANSWERED_MAX:
            self._calm.clear()
            await self._calm.wait()

    def cancel(self, orders: list[CancelOrder]) -> None:
        for order in orders:
            token = seal(order.key, self.assignments.secret)
            grace = self.held.get(token, GRACE_SECONDS_DEFAULT)
            self.outgoing.cancel(pb.Cancel(task_token=token, reason=order.reason, grace=seconds_to_wire(grace)))

    # ---- leases
    def beat(self) -> None:
        """The server's heartbeat: a new nonce, and the last one whose renewal is committed."""
        nonce = key_bytes()[:16]
        self.nonces[nonce] = monotonic()
        if len(self.nonces) > NONCES_KEPT:
            del self.nonces[next(iter(self.nonces))]
        self.outgoing.beat(nonce, self.confirmed)

    def confirm(self, nonce: bytes) -> None:
        self.confirmed = nonce

    def ended(self) -> None:
        """The session left `open`, or a newer generation took over: the stream ends and the worker says hello again."""
        self.over.set()
        self.outgoing.ready.set()

    def _overflow(self) -> None:
        if self.error is None:
            self.error = LimitExceeded(
                f"more than {ANSWERS_BYTES_MAX} bytes of answers wait to be read", hint="read while you write"
            )
        self.ended()

    # ---- credits
    def grant(self, amounts: Iterable[int]) -> None:
        """The worker can take more. What is not positive is ignored, and so is what goes over `CREDITS_MAX`."""
        if self.draining:
            return
        self.free = min(self.free + sum(amount for amount in amounts if amount > 0), max(self.free, CREDITS_MAX))

    def withhold(self) -> None:
        """Nothing more until the worker speaks: what it was granted is owed to it. Not what was taken back: the worker
        grants that anew when it has ended the attempt."""
        self.owed += self.free
        self.free = 0

    def drain(self) -> None:
        """Nothing more on this stream, whatever the worker grants."""
        self.draining, self.free, self.owed = True, 0, 0

    def spoke(self) -> None:
        """A word about work, or an echo: the worker is there, and what was withheld is its own again."""
        if self.owed:
            self.free += self.owed
            self.owed = 0

    # ---- what is in the worker's hands
    def bind(self, tokens: Iterable[bytes]) -> None:
        """Attempts that hello brought along; of which mode they are, only the worker knows."""
        tokens = list(tokens)
        self.held.update(dict.fromkeys(tokens, GRACE_SECONDS_DEFAULT))
        self.need_permit.update(tokens)

    def accepted(self, token: bytes) -> None:
        """The worker has it, and an exclusive attempt may begin: its lease is this session's.

        A token that is not held here was taken back before the worker spoke, and may run elsewhere by now.
        """
        self.unaccepted.pop(token, None)
        if token not in self.held:
            self.fence(token, "the attempt is not this worker's any more")
        elif token in self.need_permit:
            self.need_permit.discard(token)
            self.outgoing.permit(token)

    def fence(self, token: bytes, reason: str) -> None:
        """Tell the worker to end an attempt that is not live in its hands."""
        self.outgoing.acknowledge(token, pb.VERDICT_FENCED, reason)

    def forget(self, token: bytes) -> None:
        self.held.pop(token, None)
        self.unaccepted.pop(token, None)
        self.need_permit.discard(token)

    def unaccepted_since(self, instant: float) -> list[AttemptKey]:
        late = [token for token, sent in self.unaccepted.items() if sent <= instant]
        for token in late:
            self.forget(token)
        return self._keys(late)

    def unknown(self, live: Iterable[AttemptKey]) -> list[AttemptKey]:
        """Of the session's live attempts those that were never in this stream."""
        return [key for key in live if seal(key, self.assignments.secret) not in self.held]

    def _keys(self, tokens: Iterable[bytes]) -> list[AttemptKey]:
        keys = (unseal(token, self.assignments.secret) for token in tokens)
        return [key for key in keys if key is not None]
