"""Trigger rules: how the ends of its upstream tasks admit a task.

An upstream ends in one of three ways: well (success), badly (failed, upstream_failed, cancelled), or skipped. A rule
is a row of ADMISSIONS, read from left to right: an end that decides `at_once` decides whatever the other upstreams do;
when all have ended, the first end of `at_end` that occurred decides; else `otherwise`.

What a rule says does not depend on the order in which upstreams end. So an end may decide at once only where no other
end, come earlier or later, would decide otherwise.

The names and what they admit are Airflow's.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from .states import TaskEvent


class TriggerRule(StrEnum):
    """See registry/v1/dag.proto for each in words."""

    ALL_SUCCESS = "all_success"
    ALL_FAILED = "all_failed"
    ALL_DONE = "all_done"
    ALL_SKIPPED = "all_skipped"
    ONE_SUCCESS = "one_success"
    ONE_FAILED = "one_failed"
    ONE_DONE = "one_done"
    NONE_FAILED = "none_failed"
    NONE_FAILED_MIN_ONE_SUCCESS = "none_failed_min_one_success"
    NONE_SKIPPED = "none_skipped"
    ALWAYS = "always"


# Places in the counts of `admit`.
_GOOD, _BAD, _SKIPPED = range(3)
_RUN, _SKIP, _FAIL = TaskEvent.RELEASE, TaskEvent.SKIP, TaskEvent.UPSTREAM_FAIL
_Ends = tuple[tuple[int, TaskEvent], ...]


class Admission(NamedTuple):
    at_once: _Ends
    at_end: _Ends
    otherwise: TaskEvent


ADMISSIONS: dict[TriggerRule, Admission] = {
    TriggerRule.ALL_SUCCESS: Admission(((_BAD, _FAIL),), ((_SKIPPED, _SKIP),), _RUN),
    TriggerRule.ALL_FAILED: Admission(((_GOOD, _SKIP), (_SKIPPED, _SKIP)), (), _RUN),
    TriggerRule.ALL_DONE: Admission((), (), _RUN),
    TriggerRule.ALL_SKIPPED: Admission(((_GOOD, _SKIP), (_BAD, _SKIP)), (), _RUN),
    TriggerRule.ONE_SUCCESS: Admission(((_GOOD, _RUN),), ((_BAD, _FAIL),), _SKIP),
    TriggerRule.ONE_FAILED: Admission(((_BAD, _RUN),), (), _SKIP),
    TriggerRule.ONE_DONE: Admission(((_GOOD, _RUN), (_BAD, _RUN)), (), _SKIP),
    TriggerRule.NONE_FAILED: Admission(((_BAD, _FAIL),), (), _RUN),
    TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS: Admission(((_BAD, _FAIL),), ((_GOOD, _RUN),), _SKIP),
    TriggerRule.NONE_SKIPPED: Admission(((_SKIPPED, _SKIP),), (), _RUN),
}
# Rules under which a task without upstreams would never run.
NEED_UPSTREAM = frozenset(
    {
        TriggerRule.ALL_FAILED,
        TriggerRule.ALL_SKIPPED,
        TriggerRule.ONE_SUCCESS,
        TriggerRule.ONE_FAILED,
        TriggerRule.ONE_DONE,
        TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
    }
)
# Rules by which a skipped upstream skips the task.
SKIP_SPREADS = frozenset({TriggerRule.ALL_SUCCESS, TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS, TriggerRule.NONE_SKIPPED})


def admit(rule: TriggerRule, still_open: int, good: int, bad: int, skipped: int) -> TaskEvent | None:
    """What a rule makes of the upstreams so far, counted by their ends: release, skip, upstream_fail; None: wait."""
    if rule is TriggerRule.ALWAYS:
        return TaskEvent.RELEASE
    counts = (good, bad, skipped)
    at_once, at_end, otherwise = ADMISSIONS[rule]
    for end, verdict in at_once:
        if counts[end]:
            return verdict
    if still_open:
        return None
    for end, verdict in at_end:
        if counts[end]:
            return verdict
    return otherwise
