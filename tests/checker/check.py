"""All judges over one set of facts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from tests.checker.facts import Facts
from tests.checker.judges.acknowledged import judge_durability, judge_requests
from tests.checker.judges.attempts import judge_fence, judge_one_at_a_time, judge_starts
from tests.checker.judges.cancels import judge_cancels
from tests.checker.judges.limits import judge_limits
from tests.checker.judges.progress import judge_progress
from tests.checker.judges.states import judge_arrows, judge_rules
from tests.checker.judges.ticks import judge_ticks
from tests.checker.judges.versions import judge_versions
from tests.checker.report import Report, Verdict, expectation

JUDGES: dict[str, Callable[[Facts], Verdict]] = {
    "I1": judge_ticks,
    "I3": judge_one_at_a_time,
    "I4": judge_fence,
    "I5": judge_arrows,
    "I6": judge_durability,
    "I7": judge_requests,
    "I8": judge_starts,
    "I11": judge_rules,
    "I12": judge_progress,
    "I13": judge_limits,
    "I15": judge_versions,
    "I19": judge_cancels,
}
INVARIANTS = tuple(JUDGES)


def check(facts: Facts, expect: Mapping[str, int] | Collection[str] | None = None) -> Report:
    """Judge every invariant.

    `expect` says which premises must have occurred: names, or names with how often at least; all of them when it is not
    given. What is broken fails the report whether it was expected or not. Raises ValueError for an unknown invariant.
    """
    expected = expectation(expect, INVARIANTS)
    return Report(tuple(judge(facts) for judge in JUDGES.values()), expected)
