"""Workers and the network between them and the server. A worker forgets everything when it is killed.

The network keeps a bag of messages: each may arrive late, in any order, twice, or never. A worker says a result again
until it is answered, and with each beat lists what is in its hands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.states import AttemptState

from .rows import Attempt, Report
from .scenario import Scenario, WorkerPlan

SERVER = "server"


class Message(NamedTuple):
    """`body` depends on `kind`; messages of equal text are the same message, sent more than once."""

    kind: str
    to: str
    about: str
    body: tuple[object, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.about}" if self.to == SERVER else f"{self.kind} {self.about} to {self.to}"


@dataclass(slots=True)
class Network:
    """Messages under way, by their text; of one text the oldest arrives first."""

    bag: dict[str, list[Message]] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)

    def send(self, message: Message) -> None:
        self.bag.setdefault(str(message), []).append(message)
        self.sent[message.kind] += 1

    def take(self, text: str) -> Message | None:
        """The message, which is under way no longer."""
        waiting = self.bag.get(text)
        if not waiting:
            return None
        message = waiting.pop(0)
        if not waiting:
            del self.bag[text]
        return message


@dataclass(slots=True)
class Held:
    """An attempt in a worker's hands, until its result has been answered."""

    start_time: datetime
    told_to_end: bool = False
    report: Report | None = None


@dataclass(slots=True)
class Worker:
    plan: WorkerPlan
    alive: bool = False
    incarnation: int = 0
    session: str = ""
    hands: dict[Attempt, Held] = field(default_factory=dict)
    # Assignments of this incarnation; one that comes twice is one.
    seen: set[Attempt] = field(default_factory=set)

    def kill(self) -> None:
        self.alive, self.session = False, ""
        self.hands, self.seen = {}, set()

    def hello(self) -> Message:
        """A new process, or a process that has no session any more."""
        if not self.alive:
            self.alive = True
            self.incarnation += 1
        body = (self.plan.name, self.incarnation, tuple(self.hands))
        return Message("hello", SERVER, f"{self.plan.name}/{self.incarnation}", body)

    def beat(self) -> Message:
        return Message("beat", SERVER, self.session, (self.session, tuple(self.hands)))

    def results(self) -> Iterator[Message]:
        """Results that nobody has answered yet."""
        for attempt, held in self.hands.items():
            if held.report is not None:
                yield Message("result", SERVER, str(attempt), (held.report,))

    def finish(self, attempt: Attempt, scenario: Scenario, now: datetime, timeout: float | None) -> None:
        """The code of an attempt ends: by itself, because it was told to, or by the worker's watch over its timeout."""
        held = self.hands[attempt]
        outcome, failure = scenario.outcome(*attempt)
        if held.told_to_end and scenario.obeys(*attempt):
            outcome, failure = AttemptState.CANCELLED, None
        elif timeout is not None and now >= held.start_time + timedelta(seconds=timeout):
            outcome, failure = AttemptState.TIMED_OUT, Failure(FailureKind.TIMEOUT, message="watched by the worker")
        held.report = Report(attempt, outcome, failure)

    def hear(self, message: Message, now: datetime) -> None:
        """A message of the server. One for an incarnation or a session that is over means nothing."""
        if not self.alive:
            return
        match message.kind, message.body:
            case "assign", (session, Attempt() as attempt) if session == self.session:
                if attempt not in self.seen:
                    self.seen.add(attempt)
                    self.hands[attempt] = Held(now)
            case "cancel", (Attempt() as attempt,) if attempt in self.hands:
                self.hands[attempt].told_to_end = True
            case "ack", (Attempt() as attempt,):
                self.hands.pop(attempt, None)
            case "welcome", (incarnation, session, fenced) if incarnation == self.incarnation:
                self.session = str(session)
                self._drop(fenced)
            case "heard", (session, is_open, fenced, tuple() as cancelled) if session == self.session:
                self._drop(fenced)
                for each in cancelled:
                    if each in self.hands:
                        self.hands[each].told_to_end = True
                if not is_open:
                    self.session = ""

    def _drop(self, fenced: object) -> None:
        assert isinstance(fenced, tuple)
        for attempt in fenced:
            self.hands.pop(attempt, None)
