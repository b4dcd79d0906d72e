"""The server's rules for one run, as far as a test needs them: who starts when, and what follows a failure.

The server decides in the product; a test of the two together keeps these equal to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from glidepath.testing.results import FailureSeen

Verdict = Literal["release", "skip", "upstream_fail"]

DELAY_MAX_DEFAULT = timedelta(hours=1)
WAIT_TIMEOUT_DEFAULT = timedelta(days=7)
DEFERRAL_MIN = timedelta(seconds=1)
DEFERRALS_MAX = 10_000


def admit(rule: str, still_open: int, good: int, bad: int, skipped: int) -> Verdict | None:
    """What a trigger rule makes of the upstreams so far; None waits. `bad` counts failed and upstream_failed."""
    if rule == "always":
        return "release"
    # Which of the ends seen decide at once, and what is decided when all have ended.
    verdicts: Mapping[str, tuple[Verdict | None, Verdict]] = {
        "all_success": ("upstream_fail" if bad else None, "skip" if skipped else "release"),
        "all_failed": ("skip" if good or skipped else None, "release"),
        "all_done": (None, "release"),
        "all_skipped": ("skip" if good or bad else None, "release"),
        "one_success": ("release" if good else None, "upstream_fail" if bad else "skip"),
        "one_failed": ("release" if bad else None, "skip"),
        "one_done": ("release" if good or bad else None, "skip"),
        "none_failed": ("upstream_fail" if bad else None, "release"),
        "none_failed_min_one_success": ("upstream_fail" if bad else None, "release" if good else "skip"),
        "none_skipped": ("skip" if skipped else None, "release"),
    }
    at_once, at_last = verdicts[rule]
    return at_once or (None if still_open else at_last)


def retry_delay(options: Mapping[str, Any], failure: FailureSeen, tries: int) -> timedelta | None:
    """Time until the next attempt after `tries` failed ones, None when there is none. `options` hold the defaults.

    Jitter is left out, so that a test knows when the attempt comes.
    """
    if failure.bad_input or failure.retryable is False or tries > options.get("retries", 0):
        return None
    if failure.retryable is None and not _is_retried(options, failure):
        return None
    return max(_policy_delay(options, tries), failure.retry_after)


def resume_time(
    options: Mapping[str, Any], now: datetime, until: datetime | None, after: timedelta, since: datetime, deferrals: int
) -> datetime | None:
    """When an attempt that defers now is called again; None: it has waited as long or as often as it may.

    `deferrals` were made before, the first of them at `since`.
    """
    deadline: datetime = since + options.get("wait_timeout", WAIT_TIMEOUT_DEFAULT)
    if deferrals and (now >= deadline or deferrals >= DEFERRALS_MAX):
        return None
    soonest = now + DEFERRAL_MIN
    return min(max(until or now, now + after, soonest), max(deadline, soonest))


def _is_retried(options: Mapping[str, Any], failure: FailureSeen) -> bool:
    types = (failure.type, *failure.base_types)
    names = {failure.kind, *types, *(each.rpartition(".")[2] for each in types)}
    only_on = options.get("retry_only_on", ())
    return names.isdisjoint(options.get("retry_never_on", ())) and not (only_on and names.isdisjoint(only_on))


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
