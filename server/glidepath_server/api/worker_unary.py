"""Sessions of workers that call instead of holding a stream, and where the answers to their reports arrive.

What is given to such a session waits here for its next Claim. Like everything in a replica's memory it may be lost, and
another replica may answer the next call: the rows are authoritative, and what a heartbeat does not list is taken back.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable
from itertools import islice
from uuid import UUID

from glidepath_proto.worker.v1 import task_pb2
from glidepath_proto.worker.v1 import worker_service_pb2 as pb

from ..clock import monotonic
from ..core.events import AttemptKey
from ..core.matching import Offer
from ..core.task_token import unseal
from ..operations.step_types import Assigned, CancelOrder, Report, Verdict
from .assignments import Assignments
from .convert_worker import verdict_out
from .worker_stream import Session, Submit, nowhere


class UnarySession(Session):
    """The puller of one worker while it claims. `claiming` is held by the call that does: the next one waits for it."""

    def __init__(
        self,
        session_id: UUID,
        generation: int,
        offer: Offer,
        assignments: Assignments,
        submit: Submit = nowhere,
    ) -> None:
        super().__init__(session_id, generation, offer, assignments, submit)
        self.waiting: dict[bytes, task_pb2.Assignment] = {}
        self._waiting_bytes = 0
        self.awake, self.claiming = asyncio.Event(), asyncio.Lock()

    # ---- the engine's side
    def assign(self, assigned: list[Assigned]) -> None:
        super().assign(assigned)
        self.unaccepted.clear()  # judged by what its heartbeats list, not by a message that it cannot send
        self.awake.set()

    def _assigned_bytes(self) -> int:
        return self._waiting_bytes

    def _send_assignment(self, message: task_pb2.Assignment) -> None:
        self.waiting[message.task_token] = message
        self._waiting_bytes += message.ByteSize()

    def unknown(self, live: Iterable[AttemptKey]) -> list[AttemptKey]:
        """None: another replica may have answered its claims; its heartbeats say what it holds."""
        return []

    def acknowledge(self, acks: list[tuple[Report, Verdict]]) -> None:
        """Unary reports have an origin of their own."""

    def cancel(self, orders: list[CancelOrder]) -> None:
        """Nothing to do: heartbeats read from the rows what is to be cancelled."""

    def ended(self) -> None:
        super().ended()
        self.awake.set()

    # ---- what waits
    def forget(self, token: bytes) -> None:
        super().forget(token)
        if token in self.waiting:
            self._take(token)

    def forget_ended(self, tokens: Iterable[bytes], live: Container[AttemptKey]) -> None:
        """Forget those of the tokens whose attempts are not live: another replica may have been told of their ends."""
        for token in tokens:
            if unseal(token, self.assignments.secret) not in live:
                self.forget(token)

    def take_assignments(self, count: int) -> list[task_pb2.Assignment]:
        """The oldest that wait, as many as one answer can carry; at least one, if there is one."""
        taken: list[task_pb2.Assignment] = []
        size = 0
        for message in list(islice(self.waiting.values(), count)):
            size += message.ByteSize()
            if taken and size > self.assignments.frame_bytes:
                break
            taken.append(self._take(message.task_token))
        return taken

    def _take(self, token: bytes) -> task_pb2.Assignment:
        message = self.waiting.pop(token)
        self._waiting_bytes -= message.ByteSize()
        return message


class UnarySessions:
    """The sessions that called this replica within the last `ttl_seconds`: nobody renewed the others, here at least."""

    def __init__(self, ttl_seconds: float, now: Callable[[], float] = monotonic) -> None:
        self._ttl_seconds, self._now = ttl_seconds, now
        # In the order of their last calls, with the times of these.
        self._sessions: OrderedDict[UUID, tuple[UnarySession, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, session_id: UUID) -> UnarySession | None:
        """The session, if it is here; this counts as a call of it."""
        session, _ = self._sessions.get(session_id, (None, 0.0))
        if session is not None:
            self.put(session)
        return session

    def put(self, session: UnarySession) -> None:
        """Keep it, in the place of one of an older generation."""
        older, _ = self._sessions.pop(session.session_id, (session, 0.0))
        if older is not session:
            older.ended()
        self._sessions[session.session_id] = (session, self._now())
        self._let_go()

    def end(self, session_id: UUID) -> None:
        """The session is over: who claims for it is told."""
        session, _ = self._sessions.pop(session_id, (None, 0.0))
        if session is not None:
            session.ended()

    def _let_go(self) -> None:
        while True:
            session, called = next(iter(self._sessions.values()))
            if called > self._now() - self._ttl_seconds:
                return
            self.end(session.session_id)


class Collector:
    """Where the acknowledgements of one unary Report arrive."""

    def __init__(self, session: UnarySession | None) -> None:
        self.session = session
        self.refused: dict[bytes, str] = {}
        self._acks: list[pb.ResultAck] = []
        self._expected = 0
        self._complete = asyncio.Event()

    def expect(self, count: int) -> None:
        self._expected = count
        if count == 0:
            self._complete.set()

    def acknowledge(self, acks: list[tuple[Report, Verdict]]) -> None:
        for report, verdict in acks:
            reason = self.refused.get(report.token, "")
            kind = Verdict.REJECTED if reason and verdict is Verdict.ACCEPTED else verdict
            self._acks.append(pb.ResultAck(task_token=report.token, verdict=verdict_out(kind), reason=reason))
            if self.session is not None:
                self.session.forget(report.token)
        if len(self._acks) >= self._expected:
            self._complete.set()

    async def acks(self) -> list[pb.ResultAck]:
        """All of them, once the last one is there."""
        await self._complete.wait()
        return self._acks
