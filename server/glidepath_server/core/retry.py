"""What follows a failed attempt: pure arithmetic over a policy."""

from __future__ import annotations

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
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`retries_max` further attempts; delays in seconds. Either delay x backoff^(k-1) capped, or a list of delays."""

    retries_max: int = 0
    delay_seconds: float = 0.0
    backoff: float = 1.0
    delay_max_seconds: float = 3600.0
    delays_seconds: tuple[float, ...] = ()
    losses_max: int = 3

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


def decide_retry(policy: RetryPolicy, failure: Failure, tries: int, now: datetime) -> Retry | GiveUp:
    """Say what follows a failed attempt. `tries` counts this one. A longer retry-after of the failure wins."""
    if failure.kind in NEVER_RETRIED:
        return GiveUp(f"{failure.kind.value} is never retried: {failure.summary()}", Budget.NONE)
    if failure.retryable is False:
        return GiveUp(f"marked as not retryable: {failure.summary()}", Budget.NONE)
    if tries > policy.retries_max:
        return GiveUp(f"attempts used: {tries} of {policy.retries_max + 1}: {failure.summary()}", Budget.TRIES)
    asked = min(failure.retry_after_seconds, RETRY_AFTER_SECONDS_MAX)
    return Retry(now + timedelta(seconds=max(policy.delay(tries), asked)))
