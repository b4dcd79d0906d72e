"""I15 by histories made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.checker.facts import Task
from tests.checker.judges.versions import judge_versions
from tests.checker.report import FAIL, NOT_TESTED, PASS, Verdict
from tests.checker.story import RUN, START, Story


def smallest(verdict: Verdict) -> str:
    assert verdict.outcome == FAIL and verdict.smallest is not None, verdict
    return verdict.smallest.says


def superseded() -> Story:
    """Version 2 was registered before the run of version 1 began its task."""
    story = Story(Task("a"))
    newer = replace(story.version, version_id=2, number=2, create_time=START + timedelta(seconds=1))
    story.versions.append(newer)
    story.step("running", "a released")
    story.run("a")
    story.step("success", "a success")
    return story


def test_a_run_that_keeps_its_version_passes() -> None:
    story = superseded()
    story.body("start", story.key("a", 1), code=1)
    story.call("answered", "TriggerDagRuns", "r1", answer=f"{RUN} v1 new", names=(RUN,))
    verdict = judge_versions(story.facts())
    assert (verdict.outcome, verdict.occurred) == (PASS, 1)


def test_without_a_newer_version_nothing_is_tested() -> None:
    story = superseded()
    assert judge_versions(story.facts(versions=(story.version,))).outcome == NOT_TESTED


def test_an_assignment_of_another_version() -> None:
    story = superseded()
    story.worker_entries[0] = replace(story.worker_entries[0], dag_version_number=2)
    assert smallest(judge_versions(story.facts())) == "given out as version 2, the run is pinned to 1"


def test_an_assignment_with_another_handler() -> None:
    story = superseded()
    story.worker_entries[0] = replace(story.worker_entries[0], handler="handler@new")
    assert (
        smallest(judge_versions(story.facts()))
        == "given out with handler handler@new, the pinned version says handler@"
    )


def test_code_of_another_version() -> None:
    story = superseded()
    story.body("start", story.key("a", 1), code=2)
    assert smallest(judge_versions(story.facts())) == "code of version 2 ran, the run is pinned to 1"


def test_a_run_that_was_created_with_another_version() -> None:
    story = superseded()
    story.call("answered", "TriggerDagRuns", "r1", answer=f"{RUN} v2 new", names=(RUN,))
    assert smallest(judge_versions(story.facts())) == "created with version 2, and pinned to 1"


def test_a_version_whose_content_was_altered() -> None:
    story = superseded()
    story.versions[0] = replace(story.version, content_hash="1", spec_hash="2")
    assert smallest(judge_versions(story.facts())).startswith("version 1 of d does not have the content")


def test_a_run_that_an_operator_moved_is_judged_by_what_it_was_pinned_to_then() -> None:
    story = superseded()
    story.body("start", story.key("a", 1), code=1)
    facts = story.facts()
    moved = START + timedelta(days=1)
    later = replace(facts, moves=((RUN, moved, 1, 2),))
    assert judge_versions(later).outcome == PASS, "it moved after the attempt"
    before = replace(facts, moves=((RUN, START - timedelta(days=1), 1, 2),))
    assert judge_versions(before).breaks == 2
    assert "given out as version 1, the run is pinned to 2" in smallest(judge_versions(before))
