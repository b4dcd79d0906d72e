"""Attempts whose machine is taken away: a budget of their own, counted apart from all others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from glidepath_server.core.compile import compile_graph
from glidepath_server.core.definition import DagSpec, Handler, ResolvedPolicy, TaskSpec
from glidepath_server.core.effects import Release
from glidepath_server.core.events import AttemptEnded, Deferral
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.next_attempt import next_attempt
from glidepath_server.core.retry import Budget, GiveUp, RetryPolicy
from glidepath_server.core.states import AttemptState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TAKEN = Failure(FailureKind.PREEMPTED, "Preempted", "the machine of its worker is taken away")
BROKEN = Failure(FailureKind.APPLICATION, "ValueError", "broken")
END = AttemptEnded(0, -1, 4, AttemptState.FAILED, 1, 1, 1, TAKEN, deferrals=0)


def follows(event: AttemptEnded = END, **policy: Any) -> Release | GiveUp:
    retry = RetryPolicy(**{"retries_max": 1, "delay_seconds": 60.0, **policy})
    spec = DagSpec("churn", (TaskSpec("train", Handler("h"), policy=ResolvedPolicy(retry=retry)),))
    return next_attempt(compile_graph(spec), event, NOW, b"seed")


def test_a_preempted_attempt_is_followed_at_once_and_uses_nothing_else() -> None:
    assert follows() == Release(0, -1, 5, tries=1, losses=1, redeliveries=1, preemptions=1)
    assert follows(retries_max=0, losses_max=0) == follows()


def test_the_budget_ends_after_so_many() -> None:
    last = replace(END, preemptions=9)
    assert isinstance(follows(last), Release)
    given_up = follows(replace(last, preemptions=10))
    assert given_up == GiveUp(
        "its machine was taken away 11 times: Preempted: the machine of its worker is taken away", Budget.PREEMPTIONS
    )
    assert isinstance(follows(preemptions_max=0), GiveUp)


def test_a_policy_that_names_preempted_lets_none_follow() -> None:
    given_up = follows(never_on=("preempted",))
    assert isinstance(given_up, GiveUp) and given_up.budget is Budget.NONE
    assert isinstance(follows(only_on=("ValueError",)), Release)  # it is no failure of the task's own


@pytest.mark.parametrize(
    ("outcome", "failure", "more"),
    [
        (AttemptState.FAILED, BROKEN, {"tries": 1}),
        (AttemptState.LOST, None, {"losses": 1}),
        (AttemptState.RETURNED, None, {"redeliveries": 1}),
        (AttemptState.DEFERRED, None, {"deferrals": 1}),
        (AttemptState.CALLED, None, {"deferrals": 1}),
    ],
)
def test_other_ends_keep_the_count(outcome: AttemptState, failure: Failure | None, more: dict[str, int]) -> None:
    end = replace(END, outcome=outcome, failure=failure, tries=0, losses=0, redeliveries=0, preemptions=3)
    release = follows(replace(end, deferral=Deferral(None, 5.0)))
    assert isinstance(release, Release)
    assert release.preemptions == 3 and {name: getattr(release, name) for name in more} == more


def test_what_a_pause_has_held_before_there_was_such_a_count_is_read() -> None:
    held = Release(0, -1, 5, tries=1, at=NOW, waiting_since=NOW, preemptions=2)
    assert Release.from_json(held.to_json()) == held
    assert Release.from_json(held.to_json()[:9]) == held._replace(preemptions=0)
