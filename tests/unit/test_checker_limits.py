"""I12 and I13 by histories made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.checker.facts import Facts, Holder, Limit, Moment, Run, Task
from tests.checker.judges.limits import judge_limits
from tests.checker.judges.progress import judge_progress
from tests.checker.report import FAIL, NOT_TESTED, PASS, Verdict
from tests.checker.story import RUN, START, Story

LONG = timedelta(minutes=5)

NOWHERE = "a is released, and neither queued nor live nor a child run"


def smallest(verdict: Verdict) -> str:
    assert verdict.outcome == FAIL and verdict.smallest is not None, verdict
    return verdict.smallest.says


def pooled() -> Story:
    """Two tasks that share a pool of one slot: a is live, b is parked."""
    story = Story(Task("a", pool="gpu"), Task("b", pool="gpu"), Task("c", upstream=("a", "b")))
    limit = story.pool("gpu", 1)
    story.step("running", "a released", "b released")
    story.claim("a")
    story.waiting["b"] = replace(story.waiting["b"], parked_on=limit.limit_id)
    return story


def seen(story: Story, **altered: object) -> Facts:
    """Facts whose one moment is altered."""
    return story.facts(moments=(replace(story.look(), **altered),))  # type: ignore[arg-type]


def later(story: Story) -> Facts:
    """The same rows, seen when every grace is over."""
    return seen(story, now=story.now + LONG)


# ---- I12
def test_a_run_that_waits_for_a_slot_passes() -> None:
    verdict = judge_progress(later(pooled()))
    assert (verdict.outcome, verdict.occurred) == (PASS, 1), verdict


def test_a_run_that_has_ended_tests_nothing() -> None:
    story = Story(Task("a"))
    story.step("running", "a released")
    story.run("a")
    story.step("success", "a success")
    assert judge_progress(story.facts()).outcome == NOT_TESTED


def test_every_moment_is_judged() -> None:
    story = pooled()
    story.moments.append(replace(story.look(), live=()))
    assert smallest(judge_progress(story.facts())) == NOWHERE


def test_a_released_task_that_is_nowhere() -> None:
    says = "a is released, and neither queued nor live nor a child run"
    assert smallest(judge_progress(seen(pooled(), live=()))) == says


def test_a_released_task_that_is_in_both_places() -> None:
    story = pooled()
    story.waiting["a"] = replace(story.waiting["b"], key=story.key("a", 2), parked_on=0)
    assert smallest(judge_progress(story.facts())) == "a is in two places at once"


def test_a_task_that_waits_though_its_rule_has_decided() -> None:
    story = pooled()
    story.board.update(a="success", b="failed")
    story.live.clear()
    story.waiting.clear()
    says = {judge_progress(story.facts()).breaks}
    assert says == {2}, "nothing is released, and c waits for nothing"
    story.board["b"] = "released"
    story.board["a"] = "failed"
    story.waiting["b"] = replace(pooled().waiting["b"], parked_on=0)
    assert smallest(judge_progress(story.facts())) == "c waits, though its trigger rule has decided"


def test_a_run_of_which_nothing_is_released() -> None:
    story = Story(Task("a"), Task("b", upstream=("a",)))
    story.step("running", "a released")
    story.board["a"] = "scheduled"
    story.waiting.clear()
    assert smallest(judge_progress(story.facts())) == "a run goes on, and nothing of it is released"


def test_a_task_that_has_ended_and_is_still_queued() -> None:
    story = pooled()
    story.board["b"] = "success"
    assert smallest(judge_progress(story.facts())) == "b is success, and yet queued, live or a child run"


def test_a_run_that_has_ended_and_left_something_behind() -> None:
    story = pooled()
    story.run_state = "failed"
    assert smallest(judge_progress(story.facts())) == "a run has ended, and this is left of it"


def test_a_task_that_is_to_restart_and_whose_attempt_was_not_told() -> None:
    story = pooled()
    story.board["a"] = "restarting"
    assert "was not told to end" in smallest(judge_progress(story.facts()))
    story.live["a"] = replace(story.live["a"], cancel_requested_time=story.now)
    assert judge_progress(story.facts()).outcome == PASS


def test_a_run_that_nobody_starts() -> None:
    story = Story(Task("a"))
    assert judge_progress(story.facts()).outcome == PASS
    assert smallest(judge_progress(later(story))) == "a run was admitted, and nobody starts it"


def test_a_run_that_waits_for_a_place_that_is_free() -> None:
    story = Story(Task("a"))
    run = replace(story.look().runs[0], admitted=False)
    limit = Limit(7, "default", "dag_runs", "d", 1)
    facts = seen(story, now=story.now + LONG, runs=(run,), limits=(limit,))
    assert smallest(judge_progress(facts)).startswith("a run waits for a place")
    other = replace(run, run_id="run-2", admitted=True, state="running", board=("released",))
    queued = replace(pooled().waiting["b"], key=story.key("a", 1)._replace(run_id="run-2"), parked_on=0)
    facts = seen(story, now=story.now + LONG, runs=(run, other), limits=(limit,), queued=(queued,))
    assert judge_progress(facts).outcome == PASS


def test_a_run_that_was_admitted_lately_may_be_old() -> None:
    """Its place came free when another run of its DAG ended."""
    story = Story(Task("a"))
    old = replace(story.look().runs[0], run_id="run-00000002")
    story.pass_seconds(300)
    story.step("running", "a released")
    story.run("a")
    story.step("success", "a success")
    runs = (*story.look().runs, old)
    assert judge_progress(seen(story, runs=runs)).outcome == PASS
    assert smallest(judge_progress(seen(story, runs=runs, now=story.now + LONG))).endswith("nobody starts it")


def test_a_row_whose_time_has_come() -> None:
    story = pooled()
    story.waiting["b"] = replace(story.waiting["b"], due=False, parked_on=0)
    assert judge_progress(story.facts()).outcome == PASS
    to_come = replace(story.waiting["b"], available_time=story.now + 2 * LONG)
    assert judge_progress(seen(story, now=story.now + LONG, queued=(to_come,))).outcome == PASS
    assert smallest(judge_progress(later(story))) == "its time came, and it is not due"


def test_a_row_that_is_parked_where_there_is_room() -> None:
    story = pooled()
    story.limits = [replace(story.limits[0], capacity=2)]
    assert judge_progress(story.facts()).outcome == PASS, "the release is on its way"
    assert smallest(judge_progress(later(story))) == "parked on a limit that has room"


def test_a_row_that_is_parked_on_nothing() -> None:
    story = pooled()
    story.waiting["b"] = replace(story.waiting["b"], parked_on=99)
    assert smallest(judge_progress(later(story))) == "parked on a limit that is not there"


def test_an_attempt_whose_session_ended_long_ago() -> None:
    facts = later(pooled())
    gone = tuple(replace(session, state="lost", end_time=START) for session in facts.sessions)
    assert smallest(judge_progress(replace(facts, sessions=gone))) == "live in a session that has ended long ago"


def test_an_event_that_nobody_steps() -> None:
    facts = seen(pooled(), now=START + LONG, waiting_events=((RUN, START),))
    assert "and it is not stepped" in smallest(judge_progress(facts))
    aside = tuple(replace(run, quarantined=True) for run in pooled().look().runs)
    facts = seen(pooled(), now=START + LONG, waiting_events=((RUN, START),), runs=aside)
    assert judge_progress(facts).outcome == PASS


def test_a_run_of_a_version_that_is_not_there() -> None:
    assert "not there" in smallest(judge_progress(pooled().facts(versions=())))


# ---- I13
def test_a_full_pool_passes() -> None:
    verdict = judge_limits(pooled().facts())
    assert (verdict.outcome, verdict.occurred) == (PASS, 1), verdict


def test_a_pool_that_is_never_full_tests_nothing() -> None:
    story = Story(Task("a", pool="gpu"))
    story.pool("gpu", 5)
    story.step("running", "a released")
    story.run("a")
    story.step("success", "a success")
    assert judge_limits(story.facts()).outcome == NOT_TESTED


def over() -> Story:
    story = pooled()
    story.waiting["b"] = replace(story.waiting["b"], parked_on=0)
    story.claim("b", worker="w2")
    return story


def test_a_claim_over_a_limit_at_a_moment() -> None:
    verdict = judge_limits(over().facts(worker_entries=()))
    assert smallest(verdict) == "2 slots are held" and verdict.smallest and len(verdict.smallest.facts) == 3


def test_a_limit_that_was_lowered_is_not_broken_by_what_runs() -> None:
    story = Story(Task("a", pool="gpu"), Task("b", pool="gpu"))
    story.pool("gpu", 2)
    story.step("running", "a released", "b released")
    story.claim("a")
    story.claim("b")
    story.pass_seconds(10)
    lowered = story.pool("gpu", 1)
    story.limits = [replace(lowered, limit_id=1)]
    assert judge_limits(story.facts()).outcome == PASS


def test_slots_that_overlap_between_moments() -> None:
    story = over()
    story.pass_seconds(1)
    story.end("a", "success")
    story.end("b", "success", worker="w2")
    story.step("running", "a success", "b success", "c released")
    assert smallest(judge_limits(story.facts())) == "2 slots of 1 were held at once"


def test_bodies_that_overlap_between_moments() -> None:
    story = over()
    for kind in ("start", "end"):
        for task_id in "ab":
            story.seconds += 1
            story.body(kind, story.key(task_id, 1))
    story.end("a", "success")
    story.end("b", "success", worker="w2")
    story.step("running", "a success", "b success", "c released")
    assert smallest(judge_limits(story.facts(worker_entries=()))) == "2 slots of 1 were held at once"


def test_a_lost_attempt_whose_body_goes_on_holds_no_slot() -> None:
    story = over()
    story.hear("reported", story.key("a", 1), word="success")
    story.end("a", "lost")
    story.end("b", "success", worker="w2")
    story.step("running", "b success")
    assert judge_limits(story.facts()).breaks == 0


def test_one_after_the_other_reaches_the_limit_and_passes() -> None:
    story = pooled()
    story.end("a", "success")
    story.seconds += 1
    story.waiting["b"] = replace(story.waiting["b"], parked_on=0)
    story.step("running", "a success")
    story.run("b")
    story.step("running", "b success", "c released")
    verdict = judge_limits(story.facts())
    assert (verdict.outcome, verdict.occurred) == (PASS, 2)


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (lambda moment: {"live": ()}, "slots are held by what is not live"),
        (lambda moment: {"holders": ()}, "live without a slot of its limit"),
        (
            lambda moment: {"holders": (_with(moment.holders[0], 3),)},
            "live with 3 slots of a limit of which it needs 1",
        ),
        (
            lambda moment: {"holders": (Holder(9, RUN, "a", -1, 1), *moment.holders)},
            "a limit is held that is not there",
        ),
    ],
)
def test_use_that_is_not_the_sum_of_what_is_live(alter: Callable[[Moment], dict[str, object]], says: str) -> None:
    story = pooled()
    assert smallest(judge_limits(seen(story, **alter(story.look())))) == says


def _with(holder: Holder, slots: int) -> Holder:
    return replace(holder, slots=slots)


def test_a_cap_on_a_dag_holds_what_runs() -> None:
    story = Story(Task("a"))
    story.step("running", "a released")
    story.claim("a")
    cap = Limit(5, "default", "dag_tasks", "d", 1)
    assert smallest(judge_limits(seen(story, limits=(cap,)))) == "live without a slot of its limit"
    held = Holder(5, RUN, "a", -1, 1)
    assert judge_limits(seen(story, limits=(cap,), holders=(held,))).outcome == PASS
    paused = replace(cap, capacity=None, paused=True)
    assert smallest(judge_limits(seen(story, limits=(paused,), holders=(held,)))) == "1 slots are held"


def test_more_active_runs_than_the_cap() -> None:
    story = Story(Task("a"))
    one = story.look().runs[0]
    two = Run("run-00000002", 1, "default", "d", 0, "queued", ("scheduled",), story.now)
    cap = Limit(5, "default", "dag_runs", "d", 1)
    assert smallest(judge_limits(seen(story, runs=(one, two), limits=(cap,)))) == "2 runs are active"
    waits = replace(two, admitted=False)
    assert judge_limits(seen(story, runs=(one, waits), limits=(cap,))).breaks == 0
