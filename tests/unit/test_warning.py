"""When a deadline is called at risk, and which tasks are named."""

from __future__ import annotations

import pytest
from test_critical_path import DIAMOND
from test_prediction import ENDED, LATER, takes

from glidepath_server.core.prediction import Phase, TaskNow, forecast
from glidepath_server.core.warning import CALM_SHARE, THRESHOLD, causes, is_at_risk, span

USUAL = dict.fromkeys(range(4), 60.0)


def test_a_deadline_is_at_risk_from_the_threshold_on_and_until_well_below_it() -> None:
    said, at_risk = [], False
    for late in (0.2, THRESHOLD - 0.01, THRESHOLD, THRESHOLD - 0.01, THRESHOLD * CALM_SHARE + 0.01, 0.1, 0.5):
        at_risk = is_at_risk(late, at_risk)
        said.append(at_risk)
    assert said == [False, False, True, True, True, False, False]


def test_what_took_longer_than_usual_is_named_the_most_first() -> None:
    now = [ENDED, TaskNow(Phase.RUNNING, elapsed=200), ENDED, LATER]
    found = forecast(DIAMOND, now, [takes(60, 0.2)] * 4)
    named = causes(found, {1: 200.0}, {0: 90.0}, USUAL)
    assert [(each.task, each.is_ended) for each in named] == [(1, False), (0, True)]
    assert named[0].overrun > 140
    assert named[1].text("load") == "load took 1 min 30 s instead of 1 min"


def test_what_nothing_depends_on_is_not_named() -> None:
    now = [ENDED, TaskNow(Phase.RUNNING, elapsed=5), TaskNow(Phase.RUNNING, elapsed=100), LATER]
    beliefs = [takes(60, 0.01), takes(900, 0.01), takes(60, 0.2), takes(60, 0.01)]
    named = causes(forecast(DIAMOND, now, beliefs), {1: 5.0, 2: 100.0}, {}, USUAL)
    assert [each.task for each in named] == [1, 3]


def test_when_all_is_as_usual_the_longest_still_to_come_are_named() -> None:
    beliefs = [takes(each, 0.01) for each in (10, 100, 20, 50)]
    named = causes(forecast(DIAMOND, [LATER] * 4, beliefs), {}, {}, {})
    assert [each.task for each in named] == [1, 3, 0]
    assert named[0].text("left") == "left is still to come and takes 1 min 40 s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2 s"), (59, "59 s"), (60, "1 min"), (3700, "1 h 1 min"), (90_000, "1 d 1 h"), (-3, "0.0 s")],
)
def test_spans_are_said_in_two_units(seconds: float, text: str) -> None:
    assert span(seconds) == text
