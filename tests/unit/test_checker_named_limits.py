"""I13 of named limits and their rates, of a task over all runs, of a run; by histories made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.checker.facts import Facts, Holder, Limit, Task
from tests.checker.judges.limits import judge_limits
from tests.checker.report import FAIL, PASS, Verdict
from tests.checker.story import RUN, Story


def smallest(verdict: Verdict) -> str:
    assert verdict.outcome == FAIL and verdict.smallest is not None, verdict
    return verdict.smallest.says


def live(*tasks: Task) -> Story:
    """All of the tasks are live, in the hands of a worker each."""
    story = Story(*tasks)
    story.named_limit("gpu", 2)
    story.step("running", *(f"{task.task_id} released" for task in tasks))
    for number, task in enumerate(tasks):
        story.claim(task.task_id, worker=f"w{number}")
    return story


def seen(story: Story, **altered: object) -> Facts:
    return story.facts(moments=(replace(story.look(), **altered),))  # type: ignore[arg-type]


def test_a_named_limit_that_is_full_passes() -> None:
    verdict = judge_limits(live(Task("a", limits=(("gpu", 2),)), Task("b")).facts())
    assert (verdict.outcome, verdict.occurred) == (PASS, 1), verdict


def test_a_claim_over_a_named_limit() -> None:
    story = live(Task("a", limits=(("gpu", 1),)), Task("b", limits=(("gpu", 2),)))
    assert smallest(judge_limits(story.facts(worker_entries=()))) == "3 slots are held"


def test_slots_of_a_named_limit_that_overlap_between_moments() -> None:
    story = live(Task("a", limits=(("gpu", 1),)), Task("b", limits=(("gpu", 2),)))
    story.pass_seconds(1)
    story.end("a", "success", worker="w0")
    story.end("b", "success", worker="w1")
    story.step("success", "a success", "b success")
    assert smallest(judge_limits(story.facts())) == "3 slots of 2 were held at once"


def test_a_live_attempt_without_the_slot_that_it_takes() -> None:
    story = live(Task("a", limits=(("gpu", 1),)))
    assert smallest(judge_limits(seen(story, holders=()))) == "live without a slot of its limit"


@pytest.mark.parametrize(("kind", "name"), [("task", "d/a"), ("run", RUN)])
def test_a_task_and_a_run_have_limits_of_their_own(kind: str, name: str) -> None:
    story = live(Task("a", active_max=1))
    story.versions = [replace(each, run_tasks_active_max=1) for each in story.versions]
    limit = Limit(5, "default", kind, name, 1)
    assert smallest(judge_limits(seen(story, limits=(limit,)))) == "live without a slot of its limit"
    assert judge_limits(seen(story, limits=(limit,), holders=(Holder(5, RUN, "a", -1, 1),))).outcome == PASS


def rated(*gaps: int) -> Facts:
    """A task starts, and again after each of the gaps, in seconds; its limit admits two starts in 60 s."""
    story = Story(Task("a", limits=(("api", 1),), retries_max=9))
    story.named_limit("api", None, rate=(2, 60.0))
    story.step("running", "a released")
    for gap in (*gaps, 0):
        begun = story.seconds + 1
        story.run("a", "failed")
        story.step("running")
        story.pass_seconds(max(begun + gap - 1 - story.seconds, 0))
    return story.facts()


def test_as_many_starts_as_a_rate_allows_pass() -> None:
    verdict = judge_limits(rated(10, 50, 10))
    assert (verdict.outcome, verdict.occurred) == (PASS, 3), verdict


def test_one_start_more_than_a_rate_allows() -> None:
    assert smallest(judge_limits(rated(10, 49))) == "3 starts in less than 60 s"


def test_the_starts_of_a_rate_that_was_changed_are_not_judged() -> None:
    facts = rated(10, 49)
    again = replace(facts.audits[0], audit_id=99)
    assert judge_limits(replace(facts, audits=(*facts.audits, again))).breaks == 0
