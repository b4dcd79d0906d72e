"""I6 and I7 by histories made by hand."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from tests.checker.facts import Request, Task
from tests.checker.judges.acknowledged import judge_durability, judge_requests
from tests.checker.report import FAIL, NOT_TESTED, PASS, Verdict
from tests.checker.story import RUN, START, Story
from tests.checker.tick_facts import Calendar, MadeRun, RunKey


def smallest(verdict: Verdict) -> str:
    assert verdict.outcome == FAIL and verdict.smallest is not None, verdict
    return verdict.smallest.says


def asked() -> Story:
    """A run that was triggered with a request id, cancelled with another one sent twice, then a crash."""
    story = Story(Task("a"))
    story.versions[0] = story.version
    story.call("sent", "RegisterDagVersion", "r0")
    story.call("answered", "RegisterDagVersion", "r0", answer="d:1", names=("d:1",))
    story.call("sent", "TriggerDagRuns", "r1")
    story.call("answered", "TriggerDagRuns", "r1", answer=f"{RUN} v1 new", names=(RUN,))
    story.requests.append(Request("default", "r1", "TriggerDagRuns", 1, START))
    story.step("running", "a released")
    story.run("a")
    story.step("running")
    story.call("sent", "CancelDagRun", "r2")
    story.operator("dag_run.cancel")
    story.step("cancelled", "a cancelled")
    story.requests.append(Request("default", "r2", "CancelDagRun", story.seconds, story.now))
    story.call("unanswered", "CancelDagRun", "r2", answer="UNAVAILABLE")
    story.call("sent", "CancelDagRun", "r2")
    story.call("answered", "CancelDagRun", "r2", answer="done", names=(RUN,))
    story.fault()
    return story


# ---- I6
def test_what_survived_a_fault_passes() -> None:
    verdict = judge_durability(asked().facts())
    assert (verdict.outcome, verdict.occurred) == (PASS, 4)


def test_without_a_crash_nothing_has_survived() -> None:
    assert judge_durability(asked().facts(faults=())).outcome == NOT_TESTED
    stopped = replace(asked().faults[0], what="stop server")
    assert judge_durability(asked().facts(faults=(stopped,))).outcome == NOT_TESTED


def test_a_run_that_was_acknowledged_and_is_gone() -> None:
    story = asked()
    story.call("answered", "TriggerDagRuns", "r9", names=("run-00000009",))
    assert smallest(judge_durability(story.facts())) == "run-00000009 was acknowledged, and is not there"


def test_a_version_that_was_acknowledged_and_is_gone() -> None:
    story = asked()
    story.call("answered", "RegisterDagVersion", "r9", names=("d:2",))
    assert smallest(judge_durability(story.facts())) == "d:2 was acknowledged, and is not there"


@pytest.mark.parametrize("method", ["CancelDagRun", "ClearTaskInstances", "RerunDagRun"])
def test_a_command_that_was_acknowledged_and_left_no_trace(method: str) -> None:
    story = asked()
    story.audits.clear()
    story.call("answered", method, "r9", names=(RUN,))
    assert "was acknowledged, and no such action is recorded" in smallest(judge_durability(story.facts()))


def test_a_result_that_was_accepted_and_is_gone() -> None:
    assert smallest(judge_durability(asked().facts(attempts=()))) == (
        "a result was accepted, and no end of its attempt is stored"
    )


# ---- I7
def test_a_request_that_is_sent_again_passes() -> None:
    verdict = judge_requests(asked().facts())
    assert (verdict.outcome, verdict.occurred) == (PASS, 1)


def test_requests_that_are_sent_once_test_nothing() -> None:
    story = asked()
    once = tuple({(each.kind, each.request_id): each for each in story.client_entries}.values())
    assert judge_requests(story.facts(client_entries=once)).outcome == NOT_TESTED


def test_another_answer_to_the_same_request() -> None:
    story = asked()
    story.call("answered", "TriggerDagRuns", "r1", answer="run-00000002 v1 new", names=(RUN,))
    assert smallest(judge_requests(story.facts())) == "a repeated request got another answer"


def test_another_body_under_the_same_id() -> None:
    story = asked()
    entry = story.call("answered", "TriggerDagRuns", "r1", answer=f"{RUN} v1 new", names=(RUN,), body="other")
    assert smallest(judge_requests(story.facts())) == "one request id was taken with two bodies"
    story.client_entries[-1] = replace(entry, kind="refused", answer="ALREADY_EXISTS")
    assert judge_requests(story.facts()).outcome == PASS


def test_another_body_when_the_answer_is_kept_no_longer() -> None:
    story = asked()
    story.pass_seconds(8 * 86_400)
    story.call("answered", "TriggerDagRuns", "r1", answer="another", names=(), body="other")
    assert judge_requests(story.facts()).outcome == PASS


def test_an_id_that_is_too_old() -> None:
    story = asked()
    made = int((START.timestamp() - 8 * 86_400) * 1000)
    old = str(UUID(int=(made << 80) | (7 << 76) | (2 << 62)))
    story.call("answered", "TriggerDagRuns", old, answer="x", names=())
    assert smallest(judge_requests(story.facts())) == "a request id older than answers are kept was taken"
    story.client_entries[-1] = replace(story.client_entries[-1], kind="refused")
    assert judge_requests(story.facts()).outcome == PASS


def test_a_deed_without_its_request_id() -> None:
    story = asked()
    story.audits.append(replace(story.audits[0], audit_id=9, transaction=99))
    assert smallest(judge_requests(story.facts())) == "a deed was committed without the request id that asked for it"


def test_the_runs_of_a_backfill_are_asked_for_by_no_request_of_their_own() -> None:
    story = asked()
    made = replace(story.audits[0], audit_id=9, transaction=99, action="dag_run.trigger", target="dag/d")
    story.audits.append(replace(made, detail={"dag_run_ids": [RUN, "run-00000002"]}))
    key = RunKey("default", "d", "manual@2026-01-01T00:00:00Z")
    runs = [MadeRun(each, key, "backfill", START) for each in (RUN, "run-00000002")]
    assert judge_requests(story.facts(calendar=Calendar(runs=tuple(runs)))).outcome == PASS
    assert judge_requests(story.facts(calendar=Calendar(runs=(runs[0],)))).outcome == FAIL


def test_two_deeds_for_one_request_id() -> None:
    story = asked()
    story.audits.append(replace(story.audits[0], audit_id=9))
    assert smallest(judge_requests(story.facts())) == "request id r2 had 2 effects"


def test_a_run_that_a_repetition_created() -> None:
    story = asked()
    assert smallest(judge_requests(story.facts(run_keys=((RUN, 50),)))).endswith("was created by a repetition")
