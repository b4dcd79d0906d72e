"""The report, what a caller expects, and journals as files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.checker import INVARIANTS, check
from tests.checker.facts import AttemptKey, Facts
from tests.checker.journals import Journal, note_fault, read_journals
from tests.checker.report import Break, judged
from tests.checker.story import retried

KEY = AttemptKey("run-1", "train", -1, 2)


def test_what_never_occurred_is_not_tested_and_fails() -> None:
    report = check(Facts())
    assert {verdict.outcome for verdict in report.verdicts} == {"NOT TESTED"}
    assert not report.ok and len(report.failures) == len(INVARIANTS)


def test_a_caller_says_what_must_occur() -> None:
    facts = retried().facts()
    assert check(facts, expect={"I3", "I5", "I8", "I11"}).ok
    assert check(facts, expect={"I3": 1, "I5": 4}).ok
    assert not check(facts, expect={"I3": 2}).ok
    assert not check(facts).ok
    with pytest.raises(ValueError, match="expect names I99"):
        check(facts, expect=["I99"])


def test_what_is_broken_fails_though_nobody_expected_it() -> None:
    facts = retried().facts(attempts=())
    report = check(facts, expect=())
    assert [verdict.invariant for verdict in report.failures] == ["I4", "I5", "I6", "I8"]


def test_the_smallest_counter_example_has_the_fewest_facts_and_is_the_first() -> None:
    breaks = [Break("large", ("x", "y"), 1), Break("late", ("x",), 9), Break("early", ("x",), 3)]
    verdict = judged("I3", "things", 5, breaks)
    assert verdict.smallest is not None and verdict.smallest.says == "early"
    assert verdict.breaks == 3


def test_a_report_is_printed_for_people_and_for_programs() -> None:
    report = check(retried().facts(attempts=()), expect={"I3": 7})
    text = str(report)
    assert "NOT TESTED I3" in text and "FAIL       I5" in text
    assert "nothing stands behind it" in text
    fields = {each["invariant"]: each for each in json.loads(report.to_json())["verdicts"]}
    assert fields["I5"]["outcome"] == "FAIL" and fields["I5"]["counter_example"]["facts"]
    assert fields["I3"]["expected"] == 7 and fields["I3"]["counter_example"] is None


def test_a_count_that_is_too_small_is_said() -> None:
    assert "1 times, expected 2" in str(check(retried().facts(), expect={"I3": 2}))


def test_journals_are_read_back(tmp_path: Path) -> None:
    worker = Journal(tmp_path / "one", "worker", "w1")
    worker.note("assigned", key=KEY, session_id="s", dag_version_number=3, handler="train@1")
    worker.note("verdict", key=KEY, session_id="s", word="FENCED")
    Journal(tmp_path, "client", "me").note("sent", method="CancelDagRun", request_id="r", names=["run-1"], call=1)
    Journal(tmp_path, "task", "t").note("start", key=KEY, pid=7, code=3)
    note_fault(tmp_path, "kill server")
    found = read_journals(tmp_path)
    assigned, verdict = found.workers
    assert (assigned.key, assigned.dag_version_number, assigned.handler) == (KEY, 3, "train@1")
    assert (verdict.word, verdict.place) == ("FENCED", "worker-w1.jsonl:2")
    assert found.clients[0].names == ("run-1",) and found.ledger[0].pid == 7
    assert found.faults[0].what == "kill server"
    times = [assigned.monotonic, verdict.monotonic, found.clients[0].monotonic, found.ledger[0].monotonic]
    assert times == sorted(times)


def test_a_journal_that_ends_within_a_line_was_a_killed_writers(tmp_path: Path) -> None:
    Journal(tmp_path, "task", "t").note("start", key=KEY, pid=7)
    with (tmp_path / "task-t.jsonl").open("a") as file:
        file.write('{"by": "task", "ki')
    assert len(read_journals(tmp_path).ledger) == 1


@pytest.mark.parametrize("line", ['{"by": "nobody"}', "{}", "text"])
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.jsonl").write_text(f"{line}{os.linesep}")
    with pytest.raises(ValueError, match=r"x\.jsonl:1: not a line of a journal"):
        read_journals(tmp_path)
