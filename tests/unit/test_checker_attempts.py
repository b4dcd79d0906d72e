"""I3, I4 and I8 by histories made by hand: what passes, and each way to break them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.checker.facts import Facts, Task
from tests.checker.judges.attempts import judge_fence, judge_one_at_a_time, judge_starts
from tests.checker.report import FAIL, NOT_TESTED, PASS, Verdict
from tests.checker.story import Story, retried

JUDGES = (judge_one_at_a_time, judge_fence, judge_starts)


def smallest(verdict: Verdict) -> tuple[str, int]:
    """What the counter-example says, and by how many facts."""
    assert verdict.outcome == FAIL and verdict.smallest is not None, verdict
    return verdict.smallest.says, len(verdict.smallest.facts)


def altered(facts: Facts, index: int, **fields: object) -> Facts:
    """With another attempt at this index."""
    attempts = [*facts.attempts]
    attempts[index] = replace(attempts[index], **fields)  # type: ignore[arg-type]
    return replace(facts, attempts=tuple(attempts))


def late() -> Story:
    """The first attempt was lost with w1, which comes with its result after the second one has ended."""
    story = Story(Task("a"))
    story.step("running", "a released")
    story.run("a", "lost")
    story.step("running")
    story.run("a", "success", worker="w2")
    story.step("success", "a success")
    story.hear("reported", story.key("a", 1), word="success")
    story.hear("verdict", story.key("a", 1), word="FENCED")
    return story


def test_a_story_of_retries_and_a_loss_passes() -> None:
    facts = retried().facts()
    assert judge_one_at_a_time(facts).outcome == PASS
    assert judge_starts(facts).outcome == PASS
    assert judge_starts(facts).occurred == 1


def test_nothing_but_first_attempts_tests_nothing() -> None:
    story = Story(Task("a"))
    story.step("running", "a released")
    story.run("a")
    story.step("success", "a success")
    assert [judge(story.facts()).outcome for judge in JUDGES] == [NOT_TESTED] * 3


# ---- I3
def test_a_number_that_is_given_twice() -> None:
    facts = retried().facts()
    says, facts_shown = smallest(judge_one_at_a_time(altered(facts, 1, key=facts.attempts[0].key)))
    assert says == "attempt number 1 was given twice" and facts_shown == 2


def test_a_later_attempt_with_a_smaller_number() -> None:
    facts = retried().facts()
    says, _ = smallest(judge_one_at_a_time(altered(facts, 0, key=facts.attempts[0].key._replace(number=7))))
    assert says == "the number of a later attempt is smaller"


def test_a_release_while_the_attempt_is_live() -> None:
    story = retried()
    facts = altered(story.facts(), 0, end_time=story.now, transaction=story.seconds)
    assert smallest(judge_one_at_a_time(facts))[0] == "released again before its attempt had ended"
    gone = facts.attempts[0]
    moment = replace(story.look(), live=(replace(gone, end_time=None, state="running"),))
    facts = replace(facts, attempts=facts.attempts[1:], moments=(moment,))
    assert smallest(judge_one_at_a_time(facts))[0] == "released again before its attempt had ended"


def test_order_is_that_of_revisions_and_not_of_clocks() -> None:
    facts = retried().facts()
    first = facts.attempts[0]
    assert first.end_time is not None
    assert judge_one_at_a_time(altered(facts, 0, end_time=first.end_time + timedelta(hours=1))).outcome == PASS


def test_a_queued_row_whose_number_was_used() -> None:
    story = Story(Task("a", retries_max=1))
    story.step("running", "a released")
    story.run("a", "failed")
    story.step("running")
    row = story.waiting["a"]
    assert row.key.number == 2
    story.waiting["a"] = replace(row, key=row.key._replace(number=1))
    assert smallest(judge_one_at_a_time(story.facts()))[0] == "the number of what is queued has been used"


def test_one_attempt_in_the_hands_of_two_workers() -> None:
    story = retried()
    story.hear("assigned", story.key("a", 3), worker="w9")
    assert smallest(judge_one_at_a_time(story.facts())) == ("two workers were given the same attempt", 2)


# ---- I4
def test_a_late_word_that_is_fenced_passes() -> None:
    verdict = judge_fence(late().facts())
    assert (verdict.outcome, verdict.occurred) == (PASS, 1)


def test_a_repeated_word_that_is_called_a_duplicate_passes() -> None:
    story = late()
    story.hear("reported", story.key("a", 2), worker="w2", word="success")
    story.hear("verdict", story.key("a", 2), worker="w2", word="DUPLICATE")
    assert judge_fence(story.facts()).occurred == 2
    assert judge_fence(story.facts()).outcome == PASS


@pytest.mark.parametrize("word", ["ACCEPTED", "DUPLICATE"])
def test_a_late_word_that_is_taken(word: str) -> None:
    story = late()
    story.worker_entries[-1] = replace(story.worker_entries[-1], word=word)
    says, facts_shown = smallest(judge_fence(story.facts()))
    assert says == f"{word} was answered, and something else is stored" and facts_shown == 3


def test_a_word_that_is_taken_of_an_attempt_that_is_stored_nowhere() -> None:
    story = late()
    story.hear("reported", story.key("a", 9), word="success")
    story.hear("verdict", story.key("a", 9), word="ACCEPTED")
    assert "something else is stored" in smallest(judge_fence(story.facts()))[0]


def test_a_live_attempt_that_is_fenced() -> None:
    story = late()
    story.live["a"] = replace(story.attempts.pop(), state="running", end_time=None, transaction=0)
    story.worker_entries[-1] = replace(story.worker_entries[-1], key=story.key("a", 2))
    story.worker_entries[-2] = replace(story.worker_entries[-2], key=story.key("a", 2))
    kept = [each for each in story.worker_entries if each.word != "ACCEPTED"]
    says = smallest(judge_fence(story.facts(worker_entries=tuple(kept))))
    assert says == ("FENCED was answered of an attempt that is live", 2)


def test_two_results_of_one_attempt_that_are_accepted() -> None:
    story = late()
    story.hear("verdict", story.key("a", 2), worker="w2", word="ACCEPTED")
    assert smallest(judge_fence(story.facts())) == ("two results of one attempt were accepted", 2)


def test_a_late_word_that_ends_the_next_attempt() -> None:
    story = late()
    words = [each for each in story.worker_entries if each.key != story.key("a", 2) or each.kind == "assigned"]
    says, _ = smallest(judge_fence(story.facts(worker_entries=tuple(words))))
    assert says == "an attempt has an end that its worker never reported"


def test_an_output_of_an_attempt_that_was_lost() -> None:
    says, facts_shown = smallest(judge_fence(altered(late().facts(), 0, has_output=True)))
    assert says == "an output is stored for an attempt that did not succeed" and facts_shown == 1


# ---- I8
@pytest.mark.parametrize(("end", "allowed"), [("failed", 1), ("timed_out", 1), ("lost", 3), ("returned", 5)])
def test_one_start_more_than_a_budget_allows(end: str, allowed: int) -> None:
    story = Story(Task("a", retries_max=1))
    story.step("running", "a released")
    for _ in range(allowed):
        story.run("a", end)
        story.step("running")
    story.claim("a")
    assert judge_starts(story.facts()).outcome == PASS
    story.end("a", end)
    story.step("running")
    story.claim("a")
    says, facts_shown = smallest(judge_starts(story.facts()))
    assert says.endswith(f"of which {allowed} are allowed") and facts_shown == allowed + 2


def test_a_clear_gives_a_new_budget() -> None:
    story = Story(Task("a"))
    story.step("running", "a released")
    story.run("a", "failed")
    story.step("failed", "a failed")
    story.operator("task_instance.clear", "a")
    story.step("running", "a scheduled", "a released")
    story.run("a", "failed")
    story.step("failed", "a failed")
    assert judge_starts(story.facts()).outcome == PASS
    assert judge_one_at_a_time(story.facts()).outcome == PASS


def test_a_start_after_the_task_had_ended() -> None:
    story = retried()
    story.release("a")
    story.claim("a")
    assert smallest(judge_starts(story.facts())) == ("started again after it had ended, without a clear", 2)


def test_a_body_that_ran_twice_for_one_attempt() -> None:
    story = retried()
    story.body("start", story.key("a", 1), pid=1)
    story.body("start", story.key("a", 1), pid=2)
    assert smallest(judge_starts(story.facts())) == ("the body of one attempt ran twice", 2)


def test_a_body_of_which_no_attempt_is_recorded() -> None:
    story = retried()
    story.body("start", story.key("a", 9))
    assert smallest(judge_starts(story.facts())) == ("a body ran of which no attempt is recorded", 1)


def test_a_body_that_ran_before_its_start_was_recorded() -> None:
    story = retried()
    entry = story.body("start", story.key("b", 1))
    begun = story.attempts[-1].start_time.timestamp()
    story.ledger[-1] = replace(entry, wall=begun - 0.1)
    assert smallest(judge_starts(story.facts())) == ("a body ran before its start was recorded", 2)
    story.ledger[-1] = replace(entry, wall=begun + 0.1)
    assert judge_starts(story.facts()).outcome == PASS


def test_an_attempt_that_was_given_out_and_is_recorded_nowhere() -> None:
    story = retried()
    story.hear("assigned", story.key("b", 2))
    assert smallest(judge_starts(story.facts()))[0] == "an attempt was given out that is recorded nowhere"
