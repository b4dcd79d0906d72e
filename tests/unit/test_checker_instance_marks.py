"""What the checker says of marks and cancels of single instances, by histories made by hand."""

from __future__ import annotations

import pytest

from tests.checker.facts import MapRule, Task
from tests.checker.judges.progress import judge_progress
from tests.checker.judges.states import judge_arrows, judge_rules
from tests.checker.report import FAIL
from tests.checker.story import RUN, Story

MARK, CANCEL, CLEAR = "task_instance.mark", "task_instance.cancel", "task_instance.clear"


def begun(length: int = 4, ratio: float = 1.0, *others: Task) -> Story:
    """A map whose first two instances are out; the first is live."""
    story = Story(Task("m", map=MapRule(2, ratio, "skip")), *others)
    story.step("running", "m released", "m[0] released", "m[1] released")
    story.claim("m[0]")
    return story


def smallest(story: Story, **facts: object) -> str:
    judgement = judge_arrows(story.facts(**facts))
    assert judgement.outcome == FAIL and judgement.smallest is not None, judgement
    return judgement.smallest.says


def say(story: Story, action: str, *indexes: int, **detail: object) -> None:
    story.operator(action, "m", map_indexes={"m": list(indexes)}, **detail)


def everywhere() -> Story:
    """One that is live, one that is queued, and one that was not released."""
    story = begun()
    say(story, MARK, 0, 1, 3, state="success")
    story.step("running", "m[3] success", "m[1] success", "m[2] released")
    story.end("m[0]", "failed")
    story.step("running", "m[0] success")
    story.run("m[2]")
    story.step("success", "m[2] success", "m success")
    return story


def cancelled() -> Story:
    story = begun()
    say(story, CANCEL, 0, 1, 3)
    story.step("running", "m[3] cancelled", "m[1] cancelled", "m[2] released")
    story.end("m[0]", "cancelled")
    story.step("running", "m[0] cancelled")
    story.run("m[2]")
    story.step("failed", "m[2] success", "m cancelled")
    return story


def after_the_end() -> Story:
    """What has failed is marked, and the task ends by that; then marked failed again."""
    story = begun()
    story.end("m[0]", "failed")
    story.run("m[1]")
    story.step("failed", "m[0] failed", "m[1] success", "m failed")
    say(story, MARK, 0, state="skipped")
    story.step("success", "m[0] skipped", "m success")
    say(story, MARK, 0, state="failed")
    story.step("failed", "m[0] failed", "m failed")
    return story


def marked_as_a_whole() -> Story:
    story = begun()
    story.end("m[0]", "failed")
    story.run("m[1]")
    story.step("failed", "m[0] failed", "m[1] success", "m failed")
    story.operator(MARK, "m", state="success")
    story.step("success", "m success")
    say(story, MARK, 1, state="failed")
    story.step("success", "m[1] failed")
    return story


def cleared() -> Story:
    """What was marked before its turn waits for it again."""
    story = begun(3)
    say(story, MARK, 2, state="success")
    story.step("running", "m[2] success")
    say(story, CLEAR, 2)
    story.step("running", "m[2] scheduled")
    story.end("m[0]", "success")
    story.step("running", "m[0] success", "m[2] released")
    for name in ("m[1]", "m[2]"):
        story.run(name)
    story.step("success", "m[1] success", "m[2] success", "m success")
    return story


@pytest.mark.parametrize("story", [everywhere, cancelled, after_the_end, marked_as_a_whole, cleared])
def test_told_rightly_it_passes(story: object) -> None:
    facts = story().facts()  # type: ignore[operator]
    for judge in (judge_arrows, judge_rules, judge_progress):
        assert judge(facts).breaks == 0, judge(facts)


def test_another_instance_than_the_one_that_was_named() -> None:
    story = begun()
    say(story, MARK, 1, state="success")
    story.step("running", "m[1] success", "m[3] success")
    assert smallest(story) == "no arrow leads m[3] from scheduled to success"


def test_another_end_than_the_one_that_was_said() -> None:
    story = begun()
    say(story, MARK, 1, state="success")
    story.step("running", "m[1] skipped")
    assert smallest(story) == "m[1] was marked success and became skipped"


def test_a_mark_that_was_forgotten_when_the_attempt_ended() -> None:
    story = begun()
    say(story, MARK, 0, state="success")
    story.step("running")
    story.end("m[0]", "failed")
    story.step("running", "m[0] failed", "m[2] released")
    assert smallest(story) == "m[0] was marked success and became failed"


def test_a_mark_that_has_changed_nothing() -> None:
    story = begun()
    story.end("m[0]", "failed")
    story.step("running", "m[0] failed", "m[2] released")
    say(story, MARK, 0, state="success")
    story.step("running")
    assert smallest(story) == "m[0] was marked success and is failed"


def test_a_mark_that_outlives_a_clear() -> None:
    story = begun()
    say(story, MARK, 0, state="success")
    story.step("running")
    say(story, CLEAR, 0)
    story.step("running")
    story.end("m[0]", "cancelled")
    story.step("running", "m[0] released")
    story.run("m[0]", "failed")
    story.step("running", "m[0] success")
    assert smallest(story) == "m[0] became success, and nothing stands behind it"


def test_a_cancel_of_one_is_no_cancel_of_another() -> None:
    story = begun()
    say(story, CANCEL, 0)
    story.step("running", "m[1] cancelled")
    assert smallest(story) == "m[1] became cancelled, and nothing stands behind it"


def test_what_has_ended_is_not_cancelled() -> None:
    story = begun()
    story.end("m[0]", "success")
    story.step("running", "m[0] success", "m[2] released")
    say(story, CANCEL, 0)
    story.step("running", "m[0] cancelled")
    assert smallest(story) == "no arrow leads m[0] from success to cancelled"


def test_a_task_that_has_ended_and_does_not_follow_its_instances() -> None:
    story = begun()
    story.end("m[0]", "failed")
    story.run("m[1]")
    story.step("failed", "m[0] failed", "m[1] success", "m failed")
    say(story, MARK, 0, state="success")
    story.step("failed", "m[0] success")
    assert smallest(story) == "m is failed; by what was said of its instances it is success"


def test_a_task_that_was_cancelled_stays_so_while_some_of_it_was_never_released() -> None:
    story = begun()
    story.operator(CANCEL, "m")
    story.step("running", "m[1] cancelled")
    story.end("m[0]", "cancelled")
    story.step("failed", "m[0] cancelled", "m cancelled")
    say(story, MARK, 0, 1, state="success")
    story.step("failed", "m[0] success", "m[1] success")
    assert judge_arrows(story.facts(lengths={(RUN, "m"): 3})).breaks == 0


def test_a_rule_sees_what_was_said_of_the_instances_of_a_map_that_has_failed() -> None:
    behind = Task("b", upstream=("m", "other"), rule="one_success")
    story = begun(2, 1.0, Task("other"), behind)
    story.step("running", "other released")
    story.end("m[0]", "failed")
    story.run("m[1]", "failed")
    story.step("running", "m[0] failed", "m[1] failed", "m failed")
    say(story, MARK, 1, state="success")
    story.step("running", "m[1] success", "b released")
    assert judge_rules(story.facts()).breaks == 0
