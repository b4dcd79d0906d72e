"""I5 and I11 by histories made by hand, and the checker's copy of the published machines."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from tests.checker import machines
from tests.checker.facts import Task
from tests.checker.judges.states import judge_arrows, judge_rules
from tests.checker.report import FAIL, NOT_TESTED, PASS, Verdict
from tests.checker.story import Story, retried

STATES_DOC = Path(__file__).parents[2] / "docs" / "states.md"


def smallest(verdict: Verdict) -> str:
    assert verdict.outcome == FAIL and verdict.smallest is not None, verdict
    return verdict.smallest.says


def cleared() -> Story:
    """A failure that an operator cleared, with what followed from it."""
    story = Story(Task("a"), Task("b", upstream=("a",)))
    story.step("running", "a released")
    story.run("a", "failed")
    story.step("failed", "a failed", "b upstream_failed")
    story.operator("task_instance.clear", "a", "b")
    story.step("running", "a scheduled", "b scheduled", "a released")
    story.run("a")
    story.step("running", "a success", "b released")
    story.run("b")
    story.step("success", "b success")
    return story


# ---- the copy of the machines
def arrows_of(section: str) -> dict[str, dict[str, str]]:
    """The table of arrows below a heading of docs/states.md."""
    text = STATES_DOC.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    found: dict[str, dict[str, str]] = {}
    for was, event, now in re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \|$", text, re.MULTILINE):
        if (was, event, now) != ("From", "Event", "To"):
            found.setdefault(was, {})[event] = now
    return found


@pytest.mark.parametrize(
    ("section", "arrows"),
    [
        ("Task instance", machines.TASK_ARROWS),
        ("Attempt", machines.ATTEMPT_ARROWS),
        ("DAG run", machines.RUN_ARROWS),
    ],
)
def test_the_checkers_arrows_are_the_published_ones(section: str, arrows: dict[str, dict[str, str]]) -> None:
    assert arrows_of(section) == arrows


def test_the_checkers_final_states_are_the_published_ones() -> None:
    sections = dict(zip(["task", "attempt", "run"], STATES_DOC.read_text().split("\n## ")[1:4], strict=True))
    final = {name: set(re.findall(r"^\| \*\*(\w+)\*\*", text, re.MULTILINE)) for name, text in sections.items()}
    assert final == {"task": machines.TASK_FINAL, "attempt": machines.ATTEMPT_ENDS, "run": machines.RUN_FINAL}


@pytest.mark.parametrize(
    ("rule", "upstream", "says"),
    [
        ("all_success", "", "released"),
        ("all_success", "success success", "released"),
        ("all_success", "success scheduled", "scheduled"),
        ("all_success", "failed scheduled", "upstream_failed"),
        ("all_success", "success skipped", "skipped"),
        ("all_success", "cancelled skipped", "upstream_failed"),
        ("none_failed", "success skipped", "released"),
        ("none_failed", "skipped released", "scheduled"),
        ("none_failed", "upstream_failed released", "upstream_failed"),
        ("all_done", "failed skipped cancelled", "released"),
        ("all_done", "failed restarting", "scheduled"),
        ("one_failed", "failed scheduled", "released"),
        ("one_failed", "success scheduled", "scheduled"),
        ("one_failed", "success skipped", "skipped"),
        ("always", "scheduled", "released"),
    ],
)
def test_what_a_trigger_rule_says(rule: str, upstream: str, says: str) -> None:
    assert machines.rule_says(rule, upstream.split()) == says


def test_a_rule_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="'most_success' is not one"):
        machines.rule_says("most_success", [])


# ---- I5
@pytest.mark.parametrize("story", [retried, cleared])
def test_told_rightly_it_passes(story: object) -> None:
    facts = story().facts()  # type: ignore[operator]
    assert judge_arrows(facts).outcome == PASS, judge_arrows(facts)
    assert judge_rules(facts).outcome == PASS, judge_rules(facts)


def test_nothing_that_moved_tests_nothing() -> None:
    facts = Story(Task("a")).facts()
    assert judge_arrows(facts).outcome == judge_rules(facts).outcome == NOT_TESTED


TASK_STATES = sorted(machines.TASK_ARROWS)


@pytest.mark.parametrize(
    ("was", "now"), [pair for pair in product(TASK_STATES, TASK_STATES) if not machines.task_may_go(*pair)]
)
def test_an_arrow_of_a_task_that_is_not_published(was: str, now: str) -> None:
    ways = {
        "scheduled": [],
        "upstream_failed": ["upstream_failed"],
        "released": ["released"],
        "waiting": ["waiting"],
        "removed": ["removed"],
    }
    story = Story(Task("a"))
    story.step("running", *(f"a {state}" for state in [*ways.get(was, ["released", was]), now]))
    assert smallest(judge_arrows(story.facts())) == f"no arrow leads a from {was} to {now}"


@pytest.mark.parametrize(("was", "now"), [("success", "failed"), ("running", "queued"), ("cancelled", "success")])
def test_an_arrow_of_a_run(was: str, now: str) -> None:
    story = Story(Task("a"))
    story.step("running", "a released")
    story.run("a")
    story.step(was, "a success")
    story.step(now)
    assert smallest(judge_arrows(story.facts())) in (
        f"no arrow leads a run from {was} to {now}",
        f"a run left {was} without an operator's action in that transaction",
    )


def test_a_final_state_that_is_left_without_an_operator() -> None:
    facts = cleared().facts(audits=())
    assert "without an operator's action" in smallest(judge_arrows(facts))


def test_a_clear_that_was_recorded_in_another_transaction() -> None:
    facts = cleared().facts()
    audit = replace(facts.audits[0], transaction=facts.audits[0].transaction + 1)
    assert "without an operator's action" in smallest(judge_arrows(replace(facts, audits=(audit,))))


def test_a_clear_that_reaches_a_task_it_does_not_name() -> None:
    facts = cleared().facts()
    audit = replace(facts.audits[0], detail={"task_ids": ["a"]})
    assert smallest(judge_arrows(replace(facts, audits=(audit,)))).startswith("b left upstream_failed")


def test_a_revision_that_is_missing() -> None:
    facts = retried().facts()
    assert smallest(judge_arrows(replace(facts, events=facts.events[:1] + facts.events[2:]))).startswith(
        "the run has events"
    )


def test_a_board_that_its_events_do_not_add_up_to() -> None:
    story = retried()
    story.board["b"] = "failed"
    assert smallest(judge_arrows(story.facts())) == "the board says that b is failed, its events success"


def test_a_run_state_that_no_event_gave() -> None:
    story = retried()
    story.run_state = "failed"
    assert smallest(judge_arrows(story.facts())) == "the run's state is not that of its last event"


def test_an_end_of_a_task_without_an_attempt() -> None:
    facts = retried().facts()
    assert smallest(judge_arrows(replace(facts, attempts=facts.attempts[:-1]))) == (
        "b became success, and nothing stands behind it"
    )


def test_an_end_of_a_task_that_its_attempt_does_not_have() -> None:
    facts = retried().facts()
    attempts = (*facts.attempts[:-1], replace(facts.attempts[-1], state="failed"))
    assert "nothing stands behind it" in smallest(judge_arrows(replace(facts, attempts=attempts)))


def test_an_end_that_was_committed_apart_from_its_attempt() -> None:
    facts = retried().facts()
    attempts = (*facts.attempts[:-1], replace(facts.attempts[-1], transaction=1))
    assert "nothing stands behind it" in smallest(judge_arrows(replace(facts, attempts=attempts)))
    aside = replace(facts, attempts=attempts, quarantined=frozenset(facts.runs))
    assert judge_arrows(aside).outcome == PASS, "what came for a run that was set aside is stepped later"


def test_a_cancelled_task_that_nobody_cancelled() -> None:
    story = Story(Task("a"))
    story.step("running", "a released")
    story.step("failed", "a cancelled")
    assert smallest(judge_arrows(story.facts())) == "a became cancelled, and nothing stands behind it"


def test_a_cancelled_task_that_somebody_cancelled_passes() -> None:
    story = Story(Task("a"), Task("b", upstream=("a",)))
    story.step("running", "a released")
    story.operator("dag_run.cancel")
    story.step("cancelled", "b cancelled", "a cancelled")
    assert judge_arrows(story.facts()).outcome == PASS
    assert judge_rules(story.facts()).outcome == PASS


def test_an_end_of_an_attempt_that_does_not_exist() -> None:
    facts = retried().facts()
    attempts = (replace(facts.attempts[0], state="vanished"), *facts.attempts[1:])
    assert smallest(judge_arrows(replace(facts, attempts=attempts))) == "an attempt has an end that does not exist"


# ---- I11
def test_a_task_that_starts_before_its_upstream_has_ended() -> None:
    story = Story(Task("a"), Task("b", upstream=("a",)))
    story.step("running", "a released", "b released")
    assert smallest(judge_rules(story.facts())) == "b (all_success) became released; by its rule it is scheduled"


@pytest.mark.parametrize("wrong", ["released", "skipped"])
def test_a_task_behind_a_failure(wrong: str) -> None:
    story = Story(Task("a"), Task("b", upstream=("a",)))
    story.step("running", "a released")
    story.run("a", "failed")
    story.step("running" if wrong == "released" else "failed", "a failed", f"b {wrong}")
    assert f"became {wrong}; by its rule it is upstream_failed" in smallest(judge_rules(story.facts()))


def test_the_rule_looks_at_the_board_of_that_moment() -> None:
    story = Story(Task("a"), Task("b", upstream=("a",)))
    story.step("running", "a released")
    story.run("a")
    story.step("running", "b released", "a success")
    assert "by its rule it is scheduled" in smallest(judge_rules(story.facts()))


@pytest.mark.parametrize(
    ("state", "change", "says"),
    [
        ("success", "a released", "the run is success while 1 tasks have not ended"),
        ("running", "a failed", "all tasks have ended, and the run is running"),
        ("success", "a failed", "the run is success, some task ended badly"),
        ("failed", "a success", "the run is failed, no task ended badly"),
        ("cancelled", "a success", "the run is cancelled, no task ended badly"),
    ],
)
def test_a_run_whose_state_does_not_follow_from_its_tasks(state: str, change: str, says: str) -> None:
    story = Story(Task("a"))
    story.step("running", "a released")
    story.run("a", change.split()[1].replace("released", "failed"))
    story.step(state, change)
    assert smallest(judge_rules(story.facts())) == says


def test_a_cancelled_run_that_ends_otherwise() -> None:
    story = Story(Task("a"))
    story.step("running", "a released")
    story.claim("a")
    story.operator("dag_run.cancel")
    story.step("running")
    story.live["a"] = story.live.get("a") or story.attempts[-1]
    story.end("a", "success")
    story.step("success", "a success")
    assert smallest(judge_rules(story.facts())) == "the run is success, no task ended badly"


def test_a_run_whose_time_was_up_fails_though_its_tasks_succeeded() -> None:
    story = Story(Task("a"), run_timeout_seconds=5.0)
    story.step("running", "a released")
    story.claim("a")
    story.step("running", note="run timeout")
    story.end("a", "success")
    story.step("failed", "a success")
    assert judge_rules(story.facts()).breaks == 0


def test_an_attempt_that_no_step_released() -> None:
    facts = retried().facts()
    stray = replace(facts.attempts[-1], queue_time=facts.attempts[0].start_time)
    assert smallest(judge_rules(replace(facts, attempts=(*facts.attempts[:-1], stray)))) == (
        "an attempt started that no step released"
    )


@pytest.mark.parametrize(("cleared_task", "outcome"), [("b", PASS), ("a", FAIL)])
def test_a_cancel_of_a_task_is_lifted_by_a_clear_of_that_task_alone(cleared_task: str, outcome: str) -> None:
    story = Story(Task("a"), Task("b"))
    story.step("running", "a released", "b released")
    story.claim("a")
    story.operator("task_instance.cancel", "a")
    story.step("running")
    story.run("b")
    story.step("running", "b success")
    story.operator("task_instance.clear", cleared_task)
    story.step("running")
    story.end("a", "failed")
    story.step("failed", "a cancelled")
    assert judge_arrows(story.facts()).outcome == outcome
