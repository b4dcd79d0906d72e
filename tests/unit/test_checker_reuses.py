"""Results that were taken, by histories made by hand: what stands behind a success without an attempt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.checker.facts import Call, Facts, Reuse, Task
from tests.checker.judges.progress import judge_progress
from tests.checker.judges.reuses import WAITS_FOR_A_CALL
from tests.checker.judges.states import judge_arrows
from tests.checker.report import FAIL, PASS, Verdict
from tests.checker.story import RUN, Story


def smallest(verdict: Verdict) -> str:
    assert verdict.outcome == FAIL and verdict.smallest is not None, verdict
    return verdict.smallest.says


def taken(**changes: Any) -> Facts:
    """`a` runs, `b` takes its result in the step in which it is released."""
    story = Story(Task("a", cached=True), Task("b", upstream=("a",), cached=True))
    story.step("running", "a released")
    story.run("a")
    done = story.step("running", "a success", "b released")
    event = story.step("success", "b success")
    story.waiting.clear()
    facts = story.facts()
    reuse = Reuse(story.key("b", 1), event.transaction, RUN, "a", -1, done.time)
    return replace(facts, reuses=(replace(reuse, **changes),))


def test_a_success_that_has_the_result_of_another_is_none_without_cause() -> None:
    assert judge_arrows(taken()).outcome == PASS


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"transaction": 1}, "b became success, and nothing stands behind it"),
        ({"source_task": "b"}, "a result was taken that no attempt had made by then"),
        ({"digest": "other"}, "the output that was taken is not what was made"),
    ],
)
def test_a_result_that_was_not_made_so(changes: dict[str, Any], says: str) -> None:
    assert smallest(judge_arrows(taken(**changes))) == says


def test_a_task_that_is_not_cached_takes_nothing() -> None:
    facts = taken()
    (version,) = facts.versions
    tasks = tuple(replace(task, cached=False) for task in version.tasks)
    facts = replace(facts, versions=(replace(version, tasks=tasks),))
    assert smallest(judge_arrows(facts)) == "a task that is not cached has the result of another"


def waiting(*calls: Call) -> Facts:
    """`a` has waited for an equal call for long, beside these."""
    story = Story(Task("a", cached=True))
    story.step("running", "a released")
    story.waiting["a"] = replace(story.waiting["a"], parked_on=WAITS_FOR_A_CALL)
    story.pass_seconds(600)
    facts = story.facts()
    own = Call((RUN, "a", -1), "key", True)
    moments = tuple(replace(moment, calls=(own, *calls)) for moment in facts.moments)
    return replace(facts, moments=moments)


def test_who_waits_for_a_call_that_somebody_is_at_is_not_stuck() -> None:
    assert judge_progress(waiting(Call(("other", "a", -1), "key", False))).outcome != FAIL


def test_who_waits_for_a_call_that_nobody_is_at_is_stuck() -> None:
    for calls in ((), (Call(("other", "a", -1), "another key", False),), (Call(("other", "a", -1), "key", True),)):
        assert smallest(judge_progress(waiting(*calls))) == "waits for an equal call that nobody is at"
