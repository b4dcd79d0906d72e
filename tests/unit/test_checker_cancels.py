"""I19 by histories made by hand."""

from __future__ import annotations

from dataclasses import replace

from tests.checker.facts import Task
from tests.checker.judges.cancels import judge_cancels
from tests.checker.report import FAIL, NOT_TESTED, PASS, Verdict
from tests.checker.story import RUN, Story


def smallest(verdict: Verdict) -> str:
    assert verdict.outcome == FAIL and verdict.smallest is not None, verdict
    return verdict.smallest.says


def cancelled(seconds: int = 3, end: str = "cancelled") -> Story:
    """A run that is cancelled while a is live and b is queued; a ends so many seconds later."""
    story = Story(Task("a"), Task("b"))
    story.step("running", "a released", "b released")
    story.claim("a")
    story.operator("dag_run.cancel")
    story.step("running", "b cancelled")
    story.call("answered", "CancelDagRun", "r1", names=(RUN,))
    story.pass_seconds(seconds)
    story.end("a", end)
    story.step("cancelled", "a cancelled")
    return story


def test_a_cancel_that_is_kept_passes() -> None:
    verdict = judge_cancels(cancelled().facts())
    assert (verdict.outcome, verdict.occurred) == (PASS, 1)


def test_a_cancel_of_what_was_not_released_tests_nothing() -> None:
    story = Story(Task("a"))
    story.operator("dag_run.cancel")
    story.step("cancelled", "a cancelled")
    assert judge_cancels(story.facts()).outcome == NOT_TESTED


def test_an_attempt_that_is_released_after_the_cancel() -> None:
    story = cancelled(end="failed")
    story.events.pop()
    story.revision -= 1
    story.step("running")
    story.release("a")
    story.claim("a")
    assert smallest(judge_cancels(story.facts())) == "an attempt was released after the cancel"


def test_an_attempt_that_is_released_in_the_step_of_the_cancel() -> None:
    story = Story(Task("a"), Task("b"))
    story.step("running", "a released")
    story.operator("dag_run.cancel")
    story.step("running", "b released")
    story.claim("b")
    assert smallest(judge_cancels(story.facts())) == "an attempt was released after the cancel"


def test_an_attempt_that_is_claimed_after_the_answer() -> None:
    story = Story(Task("a"))
    story.step("running", "a released")
    row = story.waiting["a"]
    story.operator("dag_run.cancel")
    story.step("running")
    story.call("answered", "CancelDagRun", "r1", names=(RUN,))
    story.waiting["a"] = row
    story.claim("a")
    assert smallest(judge_cancels(story.facts())) == "an attempt was claimed after the cancel had been acknowledged"


def test_a_clear_ends_what_a_cancel_forbids() -> None:
    story = cancelled()
    story.operator("task_instance.clear", "a")
    story.step("running", "a scheduled", "a released")
    story.run("a")
    story.step("failed", "a success")
    assert judge_cancels(story.facts()).outcome == PASS


def test_an_attempt_that_goes_on_after_its_grace() -> None:
    assert judge_cancels(cancelled(seconds=13).facts()).outcome == PASS
    assert smallest(judge_cancels(cancelled(seconds=16).facts())) == "went on for more than 15 s after the cancel"


def test_an_attempt_that_never_ends() -> None:
    story = Story(Task("a"))
    story.step("running", "a released")
    story.claim("a")
    story.operator("task_instance.cancel", "a")
    story.step("running")
    story.pass_seconds(20)
    assert smallest(judge_cancels(story.facts())) == "went on for more than 15 s after the cancel"


def test_a_cancel_of_one_task_lets_the_other_go_on() -> None:
    story = Story(Task("a"), Task("b", retries_max=1))
    story.step("running", "a released", "b released")
    story.operator("task_instance.cancel", "a")
    story.step("running", "a cancelled")
    story.pass_seconds(60)
    story.run("b", "failed")
    story.step("running")
    story.run("b")
    story.step("failed", "b success")
    assert judge_cancels(story.facts()).outcome == PASS


def test_a_worker_that_was_cut_off_is_excused() -> None:
    facts = cancelled(seconds=16).facts()
    heard = next(each for each in facts.worker_entries if each.kind == "reported")
    cut = replace(heard, kind="cut", key=None, wall=heard.wall - 5)
    assert judge_cancels(replace(facts, worker_entries=(*facts.worker_entries, cut))).outcome == PASS


def test_after_a_fault_the_time_begins_anew() -> None:
    """15 s to recover and 15 s of grace after the fault."""
    for seconds, outcome in ((35, PASS), (45, FAIL)):
        story = cancelled(seconds=seconds)
        story.seconds = 10
        story.fault()
        assert judge_cancels(story.facts()).outcome == outcome


def test_what_is_stopped_stands_still_until_it_goes_on() -> None:
    story = cancelled(seconds=200)
    story.seconds = 5
    story.fault("stop server")
    assert judge_cancels(story.facts()).outcome == FAIL
    story.seconds = 190
    story.fault("continue server")
    assert judge_cancels(story.facts()).outcome == PASS


def test_a_body_that_is_alive_after_its_attempt_was_ended() -> None:
    story = cancelled()
    story.pass_seconds(30)
    story.body("beat", story.key("a", 1))
    assert smallest(judge_cancels(story.facts())) == "its body was alive after the cancel's grace"


def test_a_body_that_outlives_its_timeout() -> None:
    story = Story(Task("a", timeout_seconds=2.0))
    story.step("running", "a released")
    story.claim("a")
    story.body("start", story.key("a", 1))
    story.pass_seconds(16)
    story.body("beat", story.key("a", 1))
    assert judge_cancels(story.facts()).breaks == 0
    story.pass_seconds(2)
    story.body("beat", story.key("a", 1))
    assert smallest(judge_cancels(story.facts())) == "a body outlived its timeout of 2 s"


def test_a_run_whose_time_is_up_starts_nothing_new() -> None:
    story = Story(Task("a", retries_max=1), run_timeout_seconds=5.0)
    story.step("running", "a released")
    story.claim("a")
    story.step("running", note="run timeout")
    story.end("a", "failed")
    story.step("running")
    assert judge_cancels(story.facts()).outcome == PASS
    story.claim("a")
    assert smallest(judge_cancels(story.facts())) == "an attempt was released after the cancel"
