"""Alerts on their way: whom a fact concerns, and what follows a try to deliver.

An alert is what is sent to one channel about one run (or, without a run, one DAG): the facts that came while it was
open. `(state, event) -> state` as for all machines; what is absent is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from .errors import Violation
from .facts import KINDS, FactKind
from .retry import spread

# Facts of one alert; more make another one.
FACTS_MAX = 100
# Of their bodies; one fact has at most 64 KiB, and what a plugin is given at once at most 1 MiB.
FACT_BYTES_MAX = 512 * 1024
DELAY_SECONDS_FIRST, DELAY_SECONDS_MAX = 10.0, 600.0
# Of a delay, so much more at most, so that what failed together does not come together.
JITTER = 0.2
# The longest that a receiver may ask to wait.
AFTER_SECONDS_MAX = 86_400.0
ROUTES_PER_DAG_MAX = 20
CHANNEL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
CHANNEL_NAME_SAID = "1 to 63 small letters, digits, underscores or dashes"


class DeliveryState(StrEnum):
    PENDING = "pending"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    DEAD = "dead"


class DeliveryEvent(StrEnum):
    DELIVER = "deliver"
    RETRY = "retry"
    GIVE_UP = "give_up"
    RESEND = "resend"


_S, _E = DeliveryState, DeliveryEvent
DELIVERY_TRANSITIONS: dict[tuple[DeliveryState, DeliveryEvent], DeliveryState] = {
    (_S.PENDING, _E.DELIVER): _S.DELIVERED,
    (_S.PENDING, _E.RETRY): _S.RETRYING,
    (_S.PENDING, _E.GIVE_UP): _S.DEAD,
    (_S.RETRYING, _E.DELIVER): _S.DELIVERED,
    (_S.RETRYING, _E.RETRY): _S.RETRYING,
    (_S.RETRYING, _E.GIVE_UP): _S.DEAD,
    (_S.DEAD, _E.RESEND): _S.PENDING,
}
DELIVERY_FINAL = frozenset({_S.DELIVERED, _S.DEAD})


class Route(NamedTuple):
    """Facts of these kinds go to this channel; of one DAG (empty: every one)."""

    kinds: tuple[str, ...]
    channel_name: str
    dag_id: str = ""

    def to_json(self) -> dict[str, object]:
        """As a DAG declares it."""
        return {"channel": self.channel_name, "on": list(self.kinds)}


class Terms(NamedTuple):
    """How long an alert is tried."""

    attempts_max: int
    age_seconds_max: float


@dataclass(frozen=True, slots=True)
class Sent:
    """The channel took it."""

    delivery_id: str


@dataclass(frozen=True, slots=True)
class NotNow:
    """It may go well later; not before `after` seconds, if that is said."""

    reason: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The channel never takes it."""

    reason: str


class Settled(NamedTuple):
    """What becomes of a delivery: its state, when it is tried next, the receiver's id, the error for people."""

    state: DeliveryState
    at: datetime | None = None
    delivery_id: str = ""
    error: str = ""


def channels_for(kind: str, dag_id: str, routes: Iterable[Route]) -> list[str]:
    """The channels that a fact goes to, each once, by name."""
    return sorted({route.channel_name for route in routes if kind in route.kinds and route.dag_id in ("", dag_id)})


def group_of(dag_id: str, dag_run_id: UUID | None) -> str:
    """What facts have in common that make one alert and are told in order."""
    return f"run/{dag_run_id}" if dag_run_id is not None else f"dag/{dag_id}"


def settle(
    outcome: Sent | NotNow | Refused, terms: Terms, attempts: int, first: datetime, now: datetime, alert_id: UUID
) -> Settled:
    """What follows a try. `attempts` counts it; `first` is when the first one was due."""
    if isinstance(outcome, Sent):
        return Settled(_S.DELIVERED, delivery_id=outcome.delivery_id)
    if isinstance(outcome, Refused):
        return Settled(_S.DEAD, error=outcome.reason)
    if attempts >= terms.attempts_max:
        return Settled(_S.DEAD, error=f"given up after {attempts} tries: {outcome.reason}")
    delay = max(delay_after(attempts, alert_id), min(outcome.after or 0.0, AFTER_SECONDS_MAX))
    at = now + timedelta(seconds=delay)
    if at > first + timedelta(seconds=terms.age_seconds_max):
        return Settled(_S.DEAD, error=f"given up after {terms.age_seconds_max:g} s: {outcome.reason}")
    return Settled(_S.RETRYING, at, error=outcome.reason)


def delay_after(attempts: int, alert_id: UUID) -> float:
    """Seconds before the next try, after so many."""
    delay = min(DELAY_SECONDS_FIRST * 2.0 ** min(attempts - 1, 30), DELAY_SECONDS_MAX)
    return delay * (1 + JITTER * spread(alert_id.bytes, attempts))


def check_kinds(field: str, kinds: Iterable[str]) -> list[Violation]:
    """What is wrong with the kinds that somebody wants to hear of."""
    found = list(kinds)
    known = ", ".join(KINDS)
    wrong = [
        Violation(f"{field}[{place}]", repr(kind[:64]), f"one of {known}")
        for place, kind in enumerate(found)
        if kind not in set(FactKind)
    ]
    if not found:
        wrong.append(Violation(field, "nothing", f"one or more of {known}"))
    if len(set(found)) != len(found):
        wrong.append(Violation(field, ", ".join(found)[:200], "each kind once"))
    return wrong


def check_alerts(routes: Sequence[Route]) -> list[Violation]:
    """What is wrong with the alerts that a DAG declares. Whether its channels are there is seen when one is sent."""
    wrong = []
    if len(routes) > ROUTES_PER_DAG_MAX:
        wrong.append(Violation("alerts", f"{len(routes)} routes", f"at most {ROUTES_PER_DAG_MAX}"))
    for place, route in enumerate(routes[:ROUTES_PER_DAG_MAX]):
        wrong += check_kinds(f"alerts[{place}].on", route.kinds)
        if not CHANNEL_NAME.fullmatch(route.channel_name):
            wrong.append(Violation(f"alerts[{place}].channel", repr(route.channel_name[:80]), CHANNEL_NAME_SAID))
    return wrong
