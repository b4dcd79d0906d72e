"""What is wrong with how a task is to be treated: limits, retries, resources, names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

from .definition import WAIT_SECONDS_MAX, CachePolicy, IsolationMode, LeaseMode
from .draft import PolicyDraft, RetryDraft
from .errors import Violation
from .failure import FailureKind
from .limit_checks import check_limits
from .value_checks import ID_WORDS, check_duration, check_enum, check_id, check_name, check_whole, shown

FAILURE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.<>:-]{0,199}")
ENTRIES_MAX = 100
CACHE_SECONDS_MAX = 3_660 * 86_400.0
RETRIES_MAX = 1_000
LOSSES_MAX = 100
PREEMPTIONS_MAX = 1_000
BACKOFF_MAX = 100.0
PRIORITY_MAX = 100
COUNT_MAX = 1_000_000
RESOURCE_MAX = 1e12


def check_policy(at: str, policy: PolicyDraft) -> Iterator[Violation]:
    yield from check_name(f"{at}.owner", policy.owner, optional=True)
    if policy.queue_name is not None:
        yield from check_id(f"{at}.queue_name", policy.queue_name)
    if policy.pool_name:
        yield from check_id(f"{at}.pool_name", policy.pool_name)
    yield from _retry(f"{at}.retry", policy.retry)
    yield from check_duration(f"{at}.execution_timeout", policy.execution_timeout_seconds)
    yield from check_whole(f"{at}.pool_slots", policy.pool_slots, 1, COUNT_MAX)
    yield from check_whole(f"{at}.priority", policy.priority, -PRIORITY_MAX, PRIORITY_MAX)
    yield from _resources(f"{at}.resources", policy.resources or {})
    yield from _selector(f"{at}.worker_selector", policy.worker_selector or {})
    yield from check_enum(f"{at}.isolation", policy.isolation, IsolationMode)
    yield from check_enum(f"{at}.lease_mode", policy.lease_mode, LeaseMode)
    yield from check_whole(f"{at}.memory_limit_mb", policy.memory_limit_mb, 1, 2**31 - 1)
    yield from check_duration(f"{at}.cancel_grace", policy.cancel_grace_seconds, zero=True, most=3600)
    yield from check_duration(f"{at}.wait_timeout", policy.wait_timeout_seconds, most=WAIT_SECONDS_MAX)
    yield from check_limits(f"{at}.limits", policy.limits or {})
    yield from check_whole(f"{at}.active_max", policy.active_max, 1, COUNT_MAX)


def check_cache(at: str, cache: CachePolicy, inputs: Collection[str]) -> Iterator[Violation]:
    """What is wrong with it by itself; `inputs` are the names of the task's. What its key names is looked at apart."""
    yield from check_duration(f"{at}.expire_after", cache.expire_after_seconds, most=CACHE_SECONDS_MAX)
    if cache.key and cache.ignore:
        yield Violation(f"{at}.ignore", shown(cache.ignore[0]), "nothing, because a key counts instead of the inputs")
    known = {*inputs, *(name.partition(".")[0] for name in inputs)}
    for index, name in enumerate(cache.ignore):
        if name not in known:
            near = difflib.get_close_matches(name[:200], sorted(known), n=1) if index < ENTRIES_MAX else []
            hint = f"; did you mean {near[0]}?" if near else ""
            yield Violation(f"{at}.ignore[{index}]", shown(name), f"an input of this task{hint}")
    yield from check_name(f"{at}.version", cache.version, optional=True)


def _retry(at: str, retry: RetryDraft) -> Iterator[Violation]:
    yield from check_whole(f"{at}.retries_max", retry.retries_max, 0, RETRIES_MAX)
    yield from check_whole(f"{at}.losses_max", retry.losses_max, 0, LOSSES_MAX)
    yield from check_whole(f"{at}.preemptions_max", retry.preemptions_max, 0, PREEMPTIONS_MAX)
    yield from check_duration(f"{at}.delay", retry.delay_seconds, zero=True)
    yield from check_duration(f"{at}.delay_max", retry.delay_max_seconds)
    if retry.backoff is not None and not 1 <= retry.backoff <= BACKOFF_MAX:
        yield Violation(f"{at}.backoff", f"{retry.backoff:g}", f"1 to {BACKOFF_MAX:g}")
    if retry.reroute_queue:
        yield from check_id(f"{at}.reroute_queue", retry.reroute_queue)
    yield from check_whole(f"{at}.reroute_after", retry.reroute_after, 1, RETRIES_MAX)
    if retry.jitter is not None and not 0 <= retry.jitter <= 1:
        yield Violation(f"{at}.jitter", f"{retry.jitter:g}", "0 to 1, a share of the delay")
    for name, given_names in (("only_on", retry.only_on or ()), ("never_on", retry.never_on or ())):
        yield from _failure_names(f"{at}.{name}", given_names)
    delays = retry.delays_seconds or ()
    if len(delays) > RETRIES_MAX:
        yield Violation(f"{at}.delays", f"{len(delays)} delays", f"at most {RETRIES_MAX} delays")
    for index, seconds in enumerate(delays[:RETRIES_MAX]):
        yield from check_duration(f"{at}.delays[{index}]", seconds, zero=True)
    if delays:
        for name, given in (("delay", retry.delay_seconds), ("backoff", retry.backoff)):
            if given is not None:
                yield Violation(f"{at}.{name}", f"{given:g}", "nothing, because delays are given; choose one of them")


def _failure_names(at: str, names: Sequence[str]) -> Iterator[Violation]:
    if len(names) > ENTRIES_MAX:
        yield Violation(at, f"{len(names)} names", f"at most {ENTRIES_MAX} kinds of failures or types of errors")
    for index, name in enumerate(names[:ENTRIES_MAX]):
        if re.fullmatch("[a-z_]+", name) and name not in set(FailureKind):
            close = difflib.get_close_matches(name, [each.value for each in FailureKind], n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield Violation(f"{at}[{index}]", shown(name), f"one of {', '.join(FailureKind)}, or a type's name{hint}")
        elif not FAILURE_NAME.fullmatch(name):
            expected = 'a kind of failure such as "timeout", or the name of an error\'s type, of up to 200 characters'
            yield Violation(f"{at}[{index}]", shown(name), expected)


def _resources(at: str, resources: Mapping[str, float]) -> Iterator[Violation]:
    yield from _entries(at, resources)
    for name, amount in islice(sorted(resources.items()), ENTRIES_MAX):
        if list(check_id(at, name)):
            yield Violation(at, shown(name), f"a resource name: {ID_WORDS}")
        elif not 0 <= amount <= RESOURCE_MAX:
            yield Violation(f"{at}.{name}", f"{amount:g}", f"a number from 0 to {RESOURCE_MAX:g}")


def _selector(at: str, selector: Mapping[str, str]) -> Iterator[Violation]:
    yield from _entries(at, selector)
    for name, value in islice(sorted(selector.items()), ENTRIES_MAX):
        yield from check_name(at, name)
        yield from check_name(f"{at}.{name[:80]}", value, optional=True)


def _entries(at: str, entries: Mapping[str, object]) -> Iterator[Violation]:
    if len(entries) > ENTRIES_MAX:
        yield Violation(at, f"{len(entries)} entries", f"at most {ENTRIES_MAX} entries")
