"""The report of the proofs tells what came of them, the bad with the good."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tools import prove
from tools.prove import Case, Facts, cases_of, report

FACTS = Facts(
    datetime(2026, 3, 1, 12, tzinfo=UTC),
    3_000,
    42,
    "0123456789ab",
    {"commits_per_second": 4_000.0},
    {"together": 0, "alone": 0},
)
FAILED = replace(FACTS, codes={"together": 1, "alone": 0})
XML = b"""<testsuites><testsuite name="pytest">
<testcase file="tests/faults/test_kills.py" name="test_a" time="2.5"><properties>
<property name="ready_seconds_max" value="1.5" /></properties></testcase>
<testcase file="tests/faults/test_kills.py" name="test_b" time="0.5"><failure message="no">trace</failure></testcase>
<testcase file="tests/hostile/test_peers.py" name="test_c" time="1"><skipped type="pytest.xfail" /></testcase>
<testcase file="tests/faults/test_disk.py" name="test_d" time="0"><skipped type="pytest.skip" /></testcase>
</testsuite></testsuites>"""


def test_what_pytest_tells_is_read() -> None:
    first, second, third, fourth = cases_of(XML)
    assert (first.file, first.outcome, first.seconds) == ("tests/faults/test_kills.py", "passed", 2.5)
    assert first.properties == [("ready_seconds_max", "1.5")]
    assert (second.outcome, third.outcome, fourth.outcome) == ("failed", "expected to fail", "not run")


def test_a_proof_that_failed_is_told_in_its_head_and_by_name() -> None:
    page = report(FAILED, cases_of(XML))
    assert "**NOT ALL PASSED**, 4 tests in 50 minutes" in page
    assert "commit 0123456789ab" in page and "--seed=42" in page and "commits_per_second 4,000" in page
    assert "| tests/faults/test_kills.py | 2 | 1 | 0 | 0 | 1 | 3 |" in page
    assert "| test_kills.py: test_a | ready_seconds_max | 1.5 |" in page
    assert "## Failed\n\n- tests/faults/test_kills.py: test_b" in page
    assert "## Not run\n\n- tests/faults/test_disk.py: test_d" in page
    assert "## Expected to fail\n\n- tests/hostile/test_peers.py: test_c" in page


def test_a_proof_without_trouble_has_no_page_of_troubles() -> None:
    page = report(FACTS, [Case("tests/unit/test_x.py", "test_x", 1.0, "passed")])
    assert "**all passed**" in page and "## Failed" not in page and "## What was measured" not in page


def test_a_part_that_broke_off_is_told_whatever_it_left() -> None:
    facts = replace(FACTS, codes={"together": 0, "alone": 2}, yardsticks={})
    page = report(facts, cases_of(XML[: len(XML) // 2]))
    assert "**NOT ALL PASSED**, 0 tests" in page and "could not be measured" in page
    assert "rooms alone **did not come to their end** (pytest's code 2)" in page and "rooms together" not in page


def test_the_commit_is_that_of_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_hand = ["proved"]

    def proved(*_: object) -> int:
        at_hand.append("made meanwhile")
        return 0

    monkeypatch.setattr(prove, "BUILD", tmp_path / "build")
    monkeypatch.setattr(prove, "yardsticks", dict)
    monkeypatch.setattr(prove, "commit", lambda: at_hand[-1])
    monkeypatch.setattr(prove, "prove", proved)
    assert prove.main(["--report", str(tmp_path / "proof.md")]) == 0
    assert "on commit proved" in (tmp_path / "proof.md").read_text()
