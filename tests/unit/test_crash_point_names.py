"""Crash points: what arms one, what it does, and that the code passes each name that is declared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import glidepath_server
from glidepath_server import crash_points

SOURCES = [
    path.read_text() for path in Path(glidepath_server.__file__).parent.rglob("*.py") if path.stem != "crash_points"
]


def test_nothing_is_armed_unless_asked_for() -> None:
    assert not crash_points.parse("") and not crash_points.armed


def test_the_third_arrival_fails_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_points, "armed", crash_points.parse("step.after_commit=fail@3"))
    crash_points.reach("step.after_commit")
    crash_points.reach("claim.after_commit", "report.after_commit")
    crash_points.reach("claim.after_commit", "step.after_commit")
    with pytest.raises(crash_points.Failed, match=r"crash point step\.after_commit"):
        crash_points.reach("step.after_commit")
    crash_points.reach("step.after_commit")


def test_each_of_several_strikes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    armed = crash_points.parse("step.after_commit=fail,claim.after_commit=fail")
    monkeypatch.setattr(crash_points, "armed", armed)
    for struck in ("step", "claim"):
        with pytest.raises(crash_points.Failed, match=f"crash point {struck}"):
            crash_points.reach("step.after_commit", "claim.after_commit")
    crash_points.reach("step.after_commit", "claim.after_commit")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("stepp.after_commit=fail", "'stepp.after_commit' is no crash point"),
        ("step.after_commit", "is not NAME=MODE"),
        ("step.after_commit=burn", "one of kill, stop, fail"),
        ("step.after_commit=kill@0", "NAME=MODE@N"),
        ("step.after_commit=kill@soon", "NAME=MODE@N"),
    ],
)
def test_a_wrong_text_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        crash_points.parse(text)


def test_every_transaction_has_a_declared_name_and_every_name_is_passed() -> None:
    named = {name for text in SOURCES for name in re.findall(r'(?:transaction|_changing)\([\w.]+, "(\w+)"[,)]', text)}
    spelt = {name for text in SOURCES for name in re.findall(r'reach\("(\w+)\.', text)}
    parts = {name for text in SOURCES for name in re.findall(r'yield "(\w+)"', text)} & crash_points.STEP_PARTS
    words = {point.partition(".")[0] for point in crash_points.WORDS}
    assert named | spelt | parts == crash_points.TRANSACTIONS | words
