"""The server's rules for one run, as far as a test needs them: who starts when, and what follows a failure.

The server decides in the product; a test of the two together keeps these equal to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from glidepath.testing.results import FailureSeen

Verdict = Literal["release", "skip", "upstream_fail"]

DELAY_MAX_DEFAULT = timedelta(hours=1)


def admit(rule: str, still_open: int, bad: int, skipped: int) -> Verdict | None:
    """What a trigger rule makes of the upstreams so far; None waits. `bad` counts failed and upstream_failed."""
    match rule:
        case "always":
            return "release"
        case "one_failed":
            return "release" if bad else (None if still_open else "skip")
        case "all_done":
            return None if still_open else "release"
    if bad:
        return "upstream_fail"
    if still_open:
        return None
    return "skip" if skipped and rule == "all_success" else "release"


def retry_delay(options: Mapping[str, Any], failure: FailureSeen, tries: int) -> timedelta | None:
    """Time until the next attempt after `tries` failed ones, None when there is none. `options` hold the defaults."""
    if failure.bad_input or failure.retryable is False or tries > options.get("retries", 0):
        return None
    return max(_policy_delay(options, tries), failure.retry_after)


def _policy_delay(options: Mapping[str, Any], retry: int) -> timedelta:
    delay: timedelta | tuple[timedelta, ...] = options.get("retry_delay", timedelta(0))
    if isinstance(delay, tuple):
        return delay[min(retry, len(delay)) - 1]
    delay_max: timedelta = options.get("retry_delay_max", DELAY_MAX_DEFAULT)
    if not delay:
        return delay
    backoff: float = options.get("retry_backoff", 1.0)
    try:
        return min(delay * backoff ** (retry - 1), delay_max)
    except OverflowError:
        return delay_max
