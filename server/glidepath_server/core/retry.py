"""What follows a failed attempt: pure arithmetic over a policy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from .failure import Failure, FailureKind

# The longest wait that a failure may ask for.
RETRY_AFTER_SECONDS_MAX = 30 * 86_400.0
NEVER_RETRIED = frozenset({FailureKind.BAD_INPUT})


class Budget(StrEnum):
    """What a task instance that is given up has used up; `none`: its failure allows no further attempt."""

    TRIES = "tries"
    LOSSES = "losses"
    REDELIVERIES = "redeliveries"
    PREEMPTIONS = "preemptions"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`retries_max` further attempts; delays in seconds. Either delay x backoff^(k-1) capped, or a list of delays.

    A delay is lengthened by up to `jitter` of itself. `only_on` and `never_on` name kinds of failures ("timeout") or
    types of errors ("ConnectionError", with or without its module) and what these are kinds of ("OSError"): `never_on`
    counts before `only_on`, which covers everything when it is empty. An error that says itself whether it may be
    retried is not looked up.
    """

    retries_max: int = 0
    delay_seconds: float = 0.0
    backoff: float = 1.0
    delay_max_seconds: float = 3600.0
    delays_seconds: tuple[float, ...] = ()
    losses_max: int = 3
    # After so many attempts that failed or were lost, the others go to this queue; empty: they stay.
    reroute_queue: str = ""
    reroute_after: int = 1
    jitter: float = 0.0
    only_on: tuple[str, ...] = ()
    never_on: tuple[str, ...] = ()
    preemptions_max: int = 10

    def covers(self, failure: Failure) -> bool:
        """Whether the policy lets an attempt follow such a failure."""
        types = (failure.type, *failure.base_types)
        names = {failure.kind.value, *types, *(each.rpartition(".")[2] for each in types)}
        return names.isdisjoint(self.never_on) and (not self.only_on or not names.isdisjoint(self.only_on))

    def reroutes(self, ended: int) -> bool:
        """Whether the attempt after so many that failed or were lost goes to the other queue."""
        return bool(self.reroute_queue) and ended >= self.reroute_after

    def delay(self, retry: int) -> float:
        """Seconds before retry number `retry` (from 1). The last of a list of delays repeats."""
        if self.delays_seconds:
            return self.delays_seconds[min(retry, len(self.delays_seconds)) - 1]
        if self.delay_seconds == 0:
            return 0.0
        try:
            return min(self.delay_seconds * self.backoff ** (retry - 1), self.delay_max_seconds)
        except OverflowError:
            return self.delay_max_seconds


@dataclass(frozen=True, slots=True)
class Retry:
    """Release again at `at`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The task instance has failed, for want of `budget`; `reason` is for a person."""

    reason: str
    budget: Budget


def spread(*key: object) -> float:
    """A number from 0 to 1, exclusive, that a key has for good: randomness that can be played again."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def decide_retry(
    policy: RetryPolicy, failure: Failure, tries: int, now: datetime, key: tuple[object, ...] = ()
) -> Retry | GiveUp:
    """Say what follows a failed attempt. `tries` counts this one. A longer retry-after of the failure wins.

    `key` names the attempt: the jitter of its delay comes from there.
    """
    if failure.kind in NEVER_RETRIED:
        return GiveUp(f"{failure.kind.value} is never retried: {failure.summary()}", Budget.NONE)
    if failure.retryable is False:
        return GiveUp(f"marked as not retryable: {failure.summary()}", Budget.NONE)
    if failure.retryable is None and not policy.covers(failure):
        return GiveUp(f"not among the failures that are retried: {failure.summary()}", Budget.NONE)
    if tries > policy.retries_max:
        return GiveUp(f"attempts used: {tries} of {policy.retries_max + 1}: {failure.summary()}", Budget.TRIES)
    asked = min(failure.retry_after_seconds, RETRY_AFTER_SECONDS_MAX)
    delay = policy.delay(tries)
    if policy.jitter:
        delay *= 1 + policy.jitter * spread(*key)
    return Retry(now + timedelta(seconds=max(delay, asked)))
