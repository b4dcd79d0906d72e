"""What the checker says of mapped tasks, by histories made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.checker.facts import Facts, MapRule, Task
from tests.checker.instances import Instances
from tests.checker.judges.attempts import judge_one_at_a_time, judge_starts
from tests.checker.judges.progress import judge_progress
from tests.checker.judges.states import judge_arrows, judge_rules
from tests.checker.report import FAIL, PASS, Verdict
from tests.checker.story import RUN, Story
from tests.trigger_rule_table import VERDICTS, verdict

JUDGES = (judge_arrows, judge_rules, judge_progress, judge_starts, judge_one_at_a_time)


def smallest(judgement: Verdict) -> str:
    assert judgement.outcome == FAIL and judgement.smallest is not None, judgement
    return judgement.smallest.says


def mapped(window: int = 2, ratio: float = 1.0, empty: str = "skip", **fields: object) -> Task:
    return Task("m", map=MapRule(window, ratio, empty), **fields)  # type: ignore[arg-type]


def begun(window: int = 2, *others: Task, **fields: object) -> Story:
    """A map whose first two instances are out."""
    story = Story(mapped(window, **fields), *others)  # type: ignore[arg-type]
    story.step("running", "m released", "m[0] released", "m[1] released")
    return story


def whole() -> Story:
    """Three instances, of which two are out at once; one fails and is retried, one is lost once."""
    story = begun(retries_max=1)
    story.run("m[1]", "failed")
    story.step("running")
    story.run("m[0]", "lost")
    story.step("running")
    story.run("m[0]")
    story.step("running", "m[0] success", "m[2] released")
    story.run("m[1]")
    story.step("running", "m[1] success")
    story.run("m[2]", "skipped")
    story.step("success", "m[2] skipped", "m success")
    return story


def failed(*others: Task, ratio: float = 1.0) -> Story:
    """The first of two instances has failed, the second has succeeded."""
    story = begun(2, *others, ratio=ratio)
    story.run("m[0]", "failed")
    story.run("m[1]")
    story.step("failed", "m[0] failed", "m[1] success", "m failed")
    return story


def again(action: str = "dag_run.rerun", **detail: object) -> Story:
    """What has failed runs again by an operator's word."""
    story = failed()
    story.operator(action, "m", **detail)
    story.step("running", "m scheduled", "m released", "m[0] released")
    story.run("m[0]")
    story.step("success", "m[0] success", "m success")
    return story


def anew() -> Story:
    """The whole map is cleared, and its lists are shorter now."""
    story = failed()
    story.operator("task_instance.clear", "m")
    story.step("running", "m scheduled", "m released", "m[0] released")
    story.run("m[0]")
    story.step("success", "m[0] success", "m success")
    return story


def chosen_while_it_runs() -> Story:
    """One that has ended runs again at once, one that has not when it has ended; both beside the window."""
    story = begun()
    story.run("m[1]")
    story.step("running", "m[1] success", "m[2] released")
    story.claim("m[0]")
    story.operator("task_instance.clear", "m", map_indexes={"m": [0, 1]})
    story.step("running", "m[1] released")
    story.end("m[0]", "cancelled")
    story.step("running", "m[0] released")
    for name in ("m[0]", "m[1]", "m[2]"):
        story.run(name)
        story.step(*(["running", f"{name} success"] if name != "m[2]" else ["success", "m[2] success", "m success"]))
    return story


def cancelled() -> Story:
    story = begun()
    story.claim("m[0]")
    story.operator("task_instance.cancel", "m")
    story.step("running", "m[1] cancelled")
    story.end("m[0]", "failed")
    story.step("failed", "m[0] cancelled", "m cancelled")
    return story


def marked() -> Story:
    story = begun()
    story.claim("m[0]")
    story.operator("task_instance.mark", "m", state="success")
    story.step("running", "m[1] cancelled")
    story.end("m[0]", "cancelled")
    story.step("success", "m[0] cancelled", "m success")
    return story


def restarted() -> Story:
    story = begun()
    story.claim("m[0]")
    story.operator("task_instance.clear", "m")
    story.step("running", "m restarting", "m[1] cancelled")
    story.end("m[0]", "success")
    story.step("running", "m[0] cancelled", "m scheduled", "m released", "m[0] released", "m[1] released")
    story.run("m[0]")
    story.run("m[1]")
    story.step("success", "m[0] success", "m[1] success", "m success")
    return story


def in_parts() -> Story:
    story = failed(ratio=0.5)
    story.events[-1] = replace(story.events[-1], run_state="success", changes=(("m", "success"),))
    story.run_state, story.board["m"] = "success", "success"
    return story


@pytest.mark.parametrize(
    "story", [whole, failed, again, anew, chosen_while_it_runs, cancelled, marked, restarted, in_parts]
)
def test_told_rightly_it_passes(story: object) -> None:
    facts = story().facts()  # type: ignore[operator]
    for judge in JUDGES:
        assert judge(facts).breaks == 0, judge(facts)
    assert judge_arrows(facts).outcome == PASS


# ---- instances
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (("m[0] success",), "m[0] became success, and nothing stands behind it"),
        (("m[0] cancelled",), "m[0] became cancelled, and nothing stands behind it"),
        (("m[0] scheduled",), "no arrow leads m[0] from released to scheduled"),
        (("m[2] success",), "no arrow leads m[2] from scheduled to success"),
        (("m[2] released",), "m[2] was released beside 2 others, at most 2 may be out"),
        (("m[1] released",), "m[1] left released without an operator's action on it"),
    ],
)
def test_an_instance_that_goes_a_way_of_its_own(changes: tuple[str, ...], says: str) -> None:
    story = begun()
    story.step("running", *changes)
    assert smallest(judge_arrows(story.facts())) == says


def test_an_instance_that_is_left_out() -> None:
    story = begun(window=3)
    story.step("running", "m[3] released")
    assert smallest(judge_arrows(story.facts())) == "m[3] was released, and the next one is m[2]"


def test_an_instance_that_is_released_outside_its_task() -> None:
    story = Story(mapped())
    story.step("running", "m[0] released", "m released")
    assert smallest(judge_arrows(story.facts())) == "m[0] was released while m was scheduled"


def test_an_instance_of_a_task_that_is_not_mapped() -> None:
    story = Story(Task("a"))
    story.step("running", "a released", "a[0] released")
    assert smallest(judge_arrows(story.facts())) == "a[0] is an instance of a task that is not mapped"


def test_an_end_of_an_instance_that_its_attempt_does_not_have() -> None:
    facts = whole().facts()
    attempts = tuple(replace(each, state="success") if each.key[1:3] == ("m", 2) else each for each in facts.attempts)
    assert smallest(judge_arrows(replace(facts, attempts=attempts))) == (
        "m[2] became skipped, and nothing stands behind it"
    )


@pytest.mark.parametrize("index", [0, 1])
def test_an_instance_that_nobody_has_chosen_runs_again(index: int) -> None:
    story = failed()
    story.operator("task_instance.clear", "m", map_indexes={"m": [1 - index]})
    story.step("running", "m scheduled", "m released", f"m[{index}] released")
    assert smallest(judge_arrows(story.facts())).startswith(f"m[{index}] left ")


def test_a_retry_that_an_instance_has_no_budget_for() -> None:
    facts = whole().facts()
    version = replace(facts.versions[0], tasks=(replace(facts.versions[0].tasks[0], retries_max=0),))
    assert "started again after 1 attempts ended (own)" in smallest(judge_starts(replace(facts, versions=(version,))))


# ---- the task
@pytest.mark.parametrize("end", ["success", "skipped", "cancelled"])
def test_an_end_that_does_not_follow_from_the_instances(end: str) -> None:
    story = begun()
    story.run("m[0]", "failed")
    story.run("m[1]")
    story.step("running", "m[0] failed", "m[1] success", f"m {end}")
    assert smallest(judge_arrows(story.facts())) == f"m became {end}; by its instances it is failed"


def test_an_end_while_an_instance_is_out() -> None:
    story = begun(ratio=0.5)
    story.run("m[0]")
    story.step("success", "m[0] success", "m success")
    assert smallest(judge_arrows(story.facts())) == "m became success while 1 of its instances had not ended"


def test_an_end_before_all_instances_were_released() -> None:
    facts = whole().facts(lengths={(RUN, "m"): 4})
    assert smallest(judge_arrows(facts)) == "m became success when 3 of 4 instances had ended"
    assert judge_arrows(replace(facts, lengths={(RUN, "m"): 3})).breaks == 0


@pytest.mark.parametrize(
    ("counts", "ratio", "end"),
    [
        ("success success", 1.0, "success"),
        ("success skipped", 1.0, "success"),
        ("skipped skipped", 1.0, "skipped"),
        ("success failed", 1.0, "failed"),
        ("success failed", 0.5, "success"),
        ("success failed failed", 0.5, "failed"),
        ("success failed skipped", 0.5, "success"),
        ("success cancelled", 1.0, "cancelled"),
        ("success cancelled failed", 1.0, "failed"),
        (" ".join(["success"] * 7 + ["failed"] * 3), 0.7, "success"),
    ],
)
def test_what_the_ends_of_instances_come_to(counts: str, ratio: float, end: str) -> None:
    assert Instances(mapped(ratio=ratio), dict(enumerate(counts.split()))).comes_to() == end


# ---- no instance
def without(state: str, empty: str = "skip") -> Story:
    story = Story(mapped(empty=empty))
    story.step("running", "m released")
    story.step("failed" if state == "failed" else "success", f"m {state}")
    return story


@pytest.mark.parametrize(("state", "empty"), [("skipped", "skip"), ("success", "succeed")])
def test_a_map_over_nothing(state: str, empty: str) -> None:
    assert judge_arrows(without(state, empty).facts(lengths={(RUN, "m"): 0})).breaks == 0
    some = without(state, empty).facts(lengths={(RUN, "m"): 2})
    assert smallest(judge_arrows(some)) == f"m became {state}, and none of its instances ran"
    other = without(state, "succeed" if empty == "skip" else "skip")
    assert smallest(judge_arrows(other.facts())) == f"m became {state} without an instance"


def test_lists_that_could_not_be_read() -> None:
    assert judge_arrows(without("failed").facts(unread=frozenset({(RUN, "m")}))).breaks == 0
    assert smallest(judge_arrows(without("failed").facts())) == (
        "m failed without an instance, and no dead letter says why"
    )


# ---- what follows
@pytest.mark.parametrize("rule", sorted({rule for rule, _ in VERDICTS} - {"always"}))
@pytest.mark.parametrize("ends", ["success failed", "failed failed", "failed skipped", "success failed skipped"])
def test_a_rule_sees_a_map_that_failed_as_its_instances(rule: str, ends: str) -> None:
    said = {"run": "released", "skip": "skipped", "fail": "upstream_failed"}[verdict(rule, ends.split())]
    for now in ("released", "skipped", "upstream_failed"):
        judgement = judge_rules(_behind(rule, ends.split(), now))
        if now == said:
            assert judgement.breaks == 0, judgement
        else:
            assert smallest(judgement) == f"b ({rule}) became {now}; by its rule it is {said}"


def _behind(rule: str, ends: list[str], now: str) -> Facts:
    story = Story(mapped(9), Task("b", upstream=("m",), rule=rule))
    names = [f"m[{index}]" for index in range(len(ends))]
    story.step("running", "m released", *(f"{name} released" for name in names))
    for name, end in zip(names, ends, strict=True):
        story.run(name, end)
    moved = [f"{name} {end}" for name, end in zip(names, ends, strict=True)]
    story.step("running" if now == "released" else "failed", *moved, "m failed", f"b {now}")
    return story.facts()


def test_a_rule_sees_only_the_failure_that_an_operator_has_said() -> None:
    story = Story(mapped(), Task("b", upstream=("m",), rule="one_success"))
    story.step("running", "m released", "m[0] released")
    story.run("m[0]")
    story.operator("task_instance.mark", "m", state="failed")
    story.step("failed", "m[0] success", "m failed", "b upstream_failed")
    assert judge_rules(story.facts()).breaks == 0


# ---- moments
def test_an_instance_in_two_places() -> None:
    story = begun()
    story.claim("m[0]")
    story.release("m[0]")
    assert smallest(judge_progress(story.facts())) == "m[0] is in two places at once"


def test_a_map_that_is_out_and_nowhere() -> None:
    story = begun()
    story.waiting.clear()
    assert smallest(judge_progress(story.facts())).startswith("m is released, and neither queued nor live")


def test_an_instance_that_is_left_when_its_task_has_ended() -> None:
    story = Story(mapped(), Task("b"))
    story.step("running", "m released", "m[0] released", "b released")
    story.board["m"] = "failed"
    assert smallest(judge_progress(story.facts())).startswith("m[0] is failed, and yet queued, live")


def test_an_instance_of_a_map_that_restarts_and_was_not_told() -> None:
    story = begun()
    story.board["m"] = "restarting"
    assert smallest(judge_progress(story.facts())) == "m[0] is to restart, and its attempt was not told to end"
