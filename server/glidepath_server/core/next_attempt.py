"""What follows an attempt that did not succeed: another one, within the budget that its cause uses, or none."""

from __future__ import annotations

from datetime import datetime, timedelta

from .effects import Release
from .events import AttemptEnded, Deferral
from .failure import Failure, FailureKind
from .graph import Graph
from .retry import Budget, GiveUp, Retry, decide_retry
from .states import AttemptState

# Take-backs of one task instance (lost assignments, drains) before something else must be wrong.
REDELIVERIES_MAX = 5
# Deferrals and resumed calls of one task instance, and the shortest deferral: no task may keep the engine busy by
# waiting.
DEFERRALS_MAX = 10_000
DEFERRAL_SECONDS_MIN = 1.0
_UNKNOWN_FAILURE = Failure(FailureKind.INFRASTRUCTURE, message="the worker gave no reason")


def next_attempt(graph: Graph, event: AttemptEnded, now: datetime, seed: bytes) -> Release | GiveUp:
    """The next attempt of a task instance whose attempt did not succeed, within the budget that its cause uses."""
    policy = graph.retries[event.task]
    tries, losses, redeliveries, preemptions = event.tries, event.losses, event.redeliveries, event.preemptions
    at: datetime | None = None
    if event.outcome is AttemptState.LOST:
        losses += 1
        if losses > policy.losses_max:
            return GiveUp(f"lost with its worker {losses} times: {event.reason or 'lease ended'}", Budget.LOSSES)
    elif event.outcome is AttemptState.RETURNED:
        redeliveries += 1
        if redeliveries > REDELIVERIES_MAX:
            return GiveUp(f"handed back {redeliveries} times: {event.reason}", Budget.REDELIVERIES)
    elif event.outcome is AttemptState.DEFERRED:
        return _deferred(graph.waits[event.task], event, now)
    elif event.outcome is AttemptState.CALLED:
        return _called(event)
    elif is_preempted(event.outcome, event.failure) and FailureKind.PREEMPTED not in policy.never_on:
        preemptions += 1
        if preemptions > policy.preemptions_max:
            failure = event.failure or _UNKNOWN_FAILURE
            return GiveUp(f"its machine was taken away {preemptions} times: {failure.summary()}", Budget.PREEMPTIONS)
    else:
        tries += 1
        key = (seed, event.task, event.map_index, event.attempt_number)
        decision = decide_retry(policy, event.failure or _UNKNOWN_FAILURE, tries, now, key)
        if isinstance(decision, GiveUp):
            return decision
        at = decision.at if isinstance(decision, Retry) and decision.at > now else None
    again = _next(event)._replace(tries=tries, losses=losses, redeliveries=redeliveries, preemptions=preemptions)
    return again._replace(at=at)


def is_preempted(outcome: AttemptState, failure: Failure | None) -> bool:
    """Whether an attempt has ended because its machine is taken away."""
    return outcome is AttemptState.FAILED and failure is not None and failure.kind is FailureKind.PREEMPTED


def _next(event: AttemptEnded) -> Release:
    """The attempt that follows, with the counts of the one that has ended."""
    return Release(
        event.task,
        event.map_index,
        event.attempt_number + 1,
        event.tries,
        event.losses,
        event.redeliveries,
        None,
        event.deferrals,
        event.waiting_since,
        event.preemptions,
    )


def _deferred(wait_timeout_seconds: float, event: AttemptEnded, now: datetime) -> Release | GiveUp:
    """When an attempt that deferred is resumed: as it asked, but once at the end of the whole wait; not after it."""
    asked, since = event.deferral or Deferral(), event.waiting_since or now
    deadline = since + timedelta(seconds=wait_timeout_seconds)
    if event.deferrals and now >= deadline:
        return GiveUp(f"waited {wait_timeout_seconds:g} s in all, as long as its wait_timeout allows", Budget.NONE)
    if event.deferrals >= DEFERRALS_MAX:
        return GiveUp(f"deferred {event.deferrals} times, as often as a task may", Budget.NONE)
    wanted = max(asked.until or now, now + timedelta(seconds=max(asked.after_seconds, DEFERRAL_SECONDS_MIN)))
    at = min(wanted, max(deadline, now + timedelta(seconds=DEFERRAL_SECONDS_MIN)))
    return _next(event)._replace(at=at, deferrals=event.deferrals + 1, waiting_since=since)


def _called(event: AttemptEnded) -> Release | GiveUp:
    """At once: the child run that was waited for has ended."""
    if event.deferrals >= DEFERRALS_MAX:
        return GiveUp(f"has called and deferred {event.deferrals} times, as often as a task may", Budget.NONE)
    return _next(event)._replace(deferrals=event.deferrals + 1)
