"""The report of the proofs tells what came of them, the bad with the good."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tools import prove
from tools.prove import Case, Facts, cases_of, report

FACTS = Facts(datetime(2026, 3, 1, 12, tzinfo=UTC), 3_000, 42, "0123456789ab", {"commits_per_second": 4_000.0})
XML = """<testsuites><testsuite name="pytest">
<testcase file="tests/faults/test_kills.py" name="test_a" time="2.5"><properties>
<property name="ready_seconds_max" value="1.5" /></properties></testcase>
<testcase file="tests/faults/test_kills.py" name="test_b" time="0.5"><failure message="no">trace</failure></testcase>
<testcase file="tests/hostile/test_peers.py" name="test_c" time="1"><skipped type="pytest.xfail" /></testcase>
<testcase file="tests/faults/test_disk.py" name="test_d" time="0"><skipped type="pytest.skip" /></testcase>
</testsuite></testsuites>"""


def test_what_pytest_tells_is_read(tmp_path: Path) -> None:
    path = tmp_path / "one.xml"
    path.write_text(XML)
    first, second, third, fourth = cases_of(path)
    assert (first.file, first.outcome, first.seconds) == ("tests/faults/test_kills.py", "passed", 2.5)
    assert first.properties == [("ready_seconds_max", "1.5")]
    assert (second.outcome, third.outcome, fourth.outcome) == ("failed", "expected to fail", "not run")


def test_a_proof_that_failed_is_told_in_its_head_and_by_name(tmp_path: Path) -> None:
    path = tmp_path / "one.xml"
    path.write_text(XML)
    page = report(FACTS, list(cases_of(path)), ok=False)
    assert "**NOT ALL PASSED**, 4 tests in 50 minutes" in page
    assert "commit 0123456789ab" in page and "--seed=42" in page and "commits_per_second 4,000" in page
    assert "| tests/faults/test_kills.py | 2 | 1 | 0 | 0 | 1 | 3 |" in page
    assert "| test_kills.py: test_a | ready_seconds_max | 1.5 |" in page
    assert "## Failed\n\n- tests/faults/test_kills.py: test_b" in page
    assert "## Not run\n\n- tests/faults/test_disk.py: test_d" in page
    assert "## Expected to fail\n\n- tests/hostile/test_peers.py: test_c" in page


def test_a_proof_without_trouble_has_no_page_of_troubles() -> None:
    page = report(FACTS, [Case("tests/unit/test_x.py", "test_x", 1.0, "passed")], ok=True)
    assert "**all passed**" in page and "## Failed" not in page and "## What was measured" not in page


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
