"""The published rules, in the checker's own words: states, arrows, trigger rules, budgets.

Written from docs/states.md and proto/glidepath/registry/v1/dag.proto, not from the code that is being checked.
"""

from __future__ import annotations

from collections.abc import Iterable

TASK_ARROWS = {
    "scheduled": {
        "release": "released",
        "ask": "waiting",
        "skip": "skipped",
        "upstream_fail": "upstream_failed",
        "cancel": "cancelled",
    },
    "released": {
        "succeed": "success",
        "fail": "failed",
        "skip": "skipped",
        "cancel": "cancelled",
        "retry": "released",
        "hold": "scheduled",
        "restart": "restarting",
    },
    "waiting": {
        "succeed": "success",
        "fail": "failed",
        "skip": "skipped",
        "cancel": "cancelled",
        "clear": "scheduled",
    },
    "restarting": {"restart": "restarting", "clear": "scheduled", "release": "released", "cancel": "cancelled"},
    "success": {"clear": "scheduled"},
    "failed": {"clear": "scheduled"},
    "upstream_failed": {"clear": "scheduled"},
    "skipped": {"clear": "scheduled"},
    "cancelled": {"clear": "scheduled"},
    "removed": {"clear": "scheduled"},
}
# A run that moves to another version leaves behind what that does not have.
for _was in ("scheduled", "success", "failed", "upstream_failed", "skipped", "cancelled"):
    TASK_ARROWS[_was]["remove"] = "removed"
# An operator's word, from wherever a task is but where an attempt has to end for a clear.
MARKS = {"mark_success": "success", "mark_failed": "failed", "mark_skipped": "skipped"}
for _was, _arrows in TASK_ARROWS.items():
    if _was not in ("restarting", "removed"):
        _arrows |= {mark: state for mark, state in MARKS.items() if state != _was}
TASK_FINAL = frozenset({"success", "failed", "upstream_failed", "skipped", "cancelled", "removed"})
TASK_BAD = frozenset({"failed", "upstream_failed", "cancelled"})

ATTEMPT_ENDS = frozenset(
    {"success", "failed", "timed_out", "lost", "deferred", "skipped", "cancelled", "returned", "called"}
)
ATTEMPT_ARROWS = {"running": {state: state for state in ATTEMPT_ENDS}}

RUN_ARROWS = {
    "queued": {"start": "running", "cancel": "cancelled"},
    "running": {"succeed": "success", "fail": "failed", "cancel": "cancelled", "clear": "running"},
    "success": {"clear": "running"},
    "failed": {"clear": "running"},
    "cancelled": {"clear": "running"},
}
RUN_FINAL = frozenset({"success", "failed", "cancelled"})

# Which end of an attempt may stand behind which end of its task.
ENDS_BEHIND = {
    "success": {"success"},
    "skipped": {"skipped"},
    "failed": {"failed", "timed_out", "lost", "returned", "deferred", "called"},
    "cancelled": {"cancelled", "failed", "timed_out", "lost", "returned", "deferred", "called"},
}
# What an operator does, as the audit trail names it.
CLEARS = frozenset({"task_instance.clear", "dag_run.rerun"})
MARK = "task_instance.mark"
CANCELS = frozenset({"dag_run.cancel", "task_instance.cancel"})
# Take-backs of one task instance before it fails.
REDELIVERIES_MAX = 5


def task_may_go(was: str, now: str) -> bool:
    """Whether one arrow leads from one state of a task to another."""
    return now in TASK_ARROWS.get(was, {}).values()


def run_may_go(was: str, now: str) -> bool:
    """Whether a run can get from one state to another in one step, in which it may cross several arrows."""
    if was == now:
        return True
    seen, stack = set(), [was]
    while stack:
        for state in RUN_ARROWS.get(stack.pop(), {}).values():
            if state not in seen:
                seen.add(state)
                stack.append(state)
    return now in seen


def rule_says(rule: str, upstream: Iterable[str]) -> str:
    """What a trigger rule makes of the states of the upstreams: released, skipped, upstream_failed, or scheduled for
    wait."""
    states = list(upstream)
    waits = any(state not in TASK_FINAL for state in states)
    good, skipped = bool({"success", "removed"} & set(states)), "skipped" in states
    bad = any(state in TASK_BAD for state in states)
    # What decides at once; then what is said when all have ended.
    says = {
        "always": ("released", ""),
        "all_success": ("upstream_failed" if bad else "", "skipped" if skipped else "released"),
        "all_failed": ("skipped" if good or skipped else "", "released"),
        "all_done": ("", "released"),
        "all_skipped": ("skipped" if good or bad else "", "released"),
        "one_success": ("released" if good else "", "upstream_failed" if bad else "skipped"),
        "one_failed": ("released" if bad else "", "skipped"),
        "one_done": ("released" if good or bad else "", "skipped"),
        "none_failed": ("upstream_failed" if bad else "", "released"),
        "none_failed_min_one_success": ("upstream_failed" if bad else "", "released" if good else "skipped"),
        "none_skipped": ("skipped" if skipped else "", "released"),
    }.get(rule)
    if says is None:
        raise ValueError(f"trigger rule {rule!r} is not one that the checker knows")
    at_once, at_last = says if states else ("released", "")
    return at_once or ("scheduled" if waits else at_last)
