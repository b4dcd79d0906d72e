"""`glidepath task verify`: a task of a file, run twice by the real command, without a server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cli_world import Answer, Folder

FLOW = """
import os
import time
from pathlib import Path

from glidepath import dag, external, shell, task
from glidepath.worker import current

print("loading")

@task
def extract(day: str) -> dict:
    Path("rows.csv").write_text(day)
    return {"rows": 3, "day": day}

@task
def load(source: dict) -> dict:
    Path("table.csv").write_text("same")
    return {"rows": source["rows"], "took": [{"seconds": time.perf_counter()}]}

@task
def append(source: dict) -> None:
    with open("log.txt", "a") as log:
        log.write("loaded\\n")

@task
def store(source: dict) -> str:
    Path("model.bin").write_bytes(os.urandom(4))
    return current().put_artifact("model.bin")

@task
def once(source: dict) -> None:
    print("making it")
    os.mkdir("made")

@task
def order() -> list:
    return list({str(number) for number in range(50)})

@dag
def flow(day: str, table: str = "sales"):
    source = extract(day)
    load(source), append(source), store(source), once(source), order()
    shell("broken", "echo no table; exit 3") >> shell("after", "true")
    external("train", "go.train") >> shell("report", "true")
"""


@pytest.fixture
def flow(folder: Folder) -> Folder:
    (folder.path / "flow.py").write_text(FLOW)
    (folder.path / "empty").mkdir()
    return folder


def verify(flow: Folder, *arguments: str, file: str = "flow.py") -> Answer:
    return flow.call("task", "verify", file, *arguments)


def test_a_task_that_is_the_same_each_time_is_0_and_leaves_nothing_behind(flow: Folder) -> None:
    answer = Folder(flow.path / "empty").call("task", "verify", "../flow.py", "extract", "-p", "day=2026")
    assert answer.code == 0
    header, first, second, _, verdict = answer.out.splitlines()
    assert header.split() == ["ATTEMPT", "STATE", "TOOK", "OUTPUT", "ARTIFACTS", "FILES"]
    assert first.split()[:2] == ["1", "success"] and first.split()[3:] == second.split()[3:]
    assert verdict.startswith("extract: the same each time")
    assert answer.err == "loading\n" and os.listdir(flow.path / "empty") == []


def test_differences_are_listed_with_what_to_do(flow: Folder) -> None:
    answer = verify(flow, "append", "--input", 'extract={"rows": 3}', "-p", "day=x")
    assert answer.code == 1
    assert "2        file  log.txt  grew from 1 to 2 lines: appended?" in answer.out.splitlines()
    assert "append: not the same each time" in answer.out.splitlines()[-1]
    assert "next:  do not append: write the whole file to a temporary name and move it into place" in answer.err


def test_what_may_differ_in_the_output_is_ignored(flow: Folder) -> None:
    assert verify(flow, "load", "-p", "day=x", "--ignore", "took.*.seconds").code == 0
    answer = verify(flow, "load", "-p", "day=x")
    assert answer.code == 1 and "output  took.0.seconds" in answer.out


def test_the_order_of_a_set_is_found(flow: Folder) -> None:
    assert verify(flow, "order", "-p", "day=x").code == 1


def test_json_is_one_object_with_everything(flow: Folder) -> None:
    answer = verify(flow, "store", "-p", "day=x", "--keep", "-o", "json")
    assert answer.code == 1
    found = answer.json
    assert (found["dagId"], found["taskId"], found["verdict"]) == ("flow", "store", "differs")
    assert (found["upstreams"], found["notes"]) == (["extract"], [])
    first, second = found["attempts"]
    assert first["end"] == "success" and first["output"] == first["artifacts"][0]["uri"]
    assert [each["path"] for each in second["files"]] == ["model.bin", "rows.csv"]
    assert (second["failure"], second["artifacts"][0]["name"]) == (None, "model.bin")
    assert {(each["kind"], each["change"]) for each in found["differences"]} == {
        ("output", "changed"),
        ("artifact", "changed"),
        ("file", "changed"),
    }
    assert all(each["attemptNumber"] == 2 and each["advice"] in found["advice"] for each in found["differences"])


def test_a_scratch_folder_that_is_kept_is_named(flow: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(flow.path / "empty"))
    answer = verify(flow, "extract", "-p", "day=2026", "--keep")
    kept = Path(answer.err.partition("scratch folder: ")[2].strip())
    assert kept.parent == flow.path / "empty" and (kept / "rows.csv").read_text() == "2026"
    assert os.listdir(flow.path / "empty") == [kept.name]


def test_a_second_attempt_that_fails_shows_its_error_and_what_it_wrote(flow: Folder) -> None:
    answer = verify(flow, "once", "-p", "day=x")
    assert answer.code == 1 and "success -> failed: FileExistsError" in answer.out
    assert "attempt 2 wrote:\n  loading\n  making it\n" in answer.err and 'os.mkdir("made")' in answer.err
    assert "next:  let an attempt find what the one before it left" in answer.err


def test_a_task_that_fails_at_once_has_nothing_to_compare(flow: Folder) -> None:
    answer = verify(flow, "broken", "-p", "day=x")
    assert answer.code == 1 and answer.out.splitlines()[-1].startswith("broken: the task failed")
    assert "ExitStatus: exit status 3" in answer.err and "  no table\n" in answer.err


def test_an_upstream_task_that_fails_can_be_given(flow: Folder) -> None:
    answer = verify(flow, "after", "-p", "day=x")
    assert (answer.code, answer.out) == (1, "")
    assert "broken wrote:\n" in answer.err and "error: upstream task 'broken' gave no output" in answer.err
    assert "next:  correct it, or give its output: --input broken=JSON" in answer.err
    assert verify(flow, "after", "-p", "day=x", "--input", "broken=null").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["laod", "-p", "day=x"],
            ["has no task 'laod'; did you mean 'load'? known tasks: after, append, "],
        ),
        (["load", "-p", "dya=x"], ["no param 'dya'; did you mean 'day'?", "needs the params ['day']", "--param NAME="]),
        (["train", "-p", "day=x"], ["has the handler 'go.train', which no code here runs; only Python and shell"]),
        (["report", "-p", "day=x"], ["which no code here runs; give its output", "--input TASK=JSON"]),
        (
            ["load", "--input", "extract=abc", "--input", "7"],
            ["--input extract: 'abc' is not JSON", "--input '7': exp"],
        ),
        (["load", "-p", "day=x", "--input", "once=1"], ["input 'once': 'load' does not come after it"]),
        (["load", "-p", "day"], ["expected NAME=VALUE"]),
        (["load", "--dag", "other"], ["flow.py has no DAG 'other'; it has: flow"]),
        (["load", "--runs", "1"], ["'--runs': 1 is not in the range"]),
    ],
    ids=lambda each: each[0] if isinstance(each[0], str) else "",
)
def test_what_does_not_fit_is_named_before_anything_is_run(
    flow: Folder, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: list[str]
) -> None:
    monkeypatch.setenv("TMPDIR", str(flow.path / "empty"))
    answer = verify(flow, *arguments, "--keep")
    assert (answer.code, answer.out) == (2, "")
    assert [each for each in said if each not in answer.err] == [], answer.err
    assert os.listdir(flow.path / "empty") == [] and "scratch folder" not in answer.err


def test_a_file_with_several_dags_asks_which(flow: Folder) -> None:
    two = "\n@dag\ndef second():\n    shell('only', 'true')\n"
    (flow.path / "two.py").write_text(FLOW + two)
    answer = verify(flow, "only", file="two.py")
    assert answer.code == 2 and "two.py has several DAGs: flow, second; name one: --dag flow" in answer.err
    assert verify(flow, "only", "--dag", "second", file="two.py").code == 0


def test_a_file_that_is_broken_is_told_as_by_validate(flow: Folder) -> None:
    (flow.path / "broken.py").write_text("import glidepath\n1 / 0\n")
    answer = verify(flow, "x", file="broken.py")
    assert answer.code == 2 and "broken.py:2: ZeroDivisionError" in answer.err


def test_a_task_of_a_yaml_dag_is_loaded_anew_from_its_yaml_file(flow: Folder) -> None:
    (flow.path / "steps.py").write_text(
        "from glidepath import task\n\n@task\ndef total(amounts: list) -> float:\n    return sum(amounts)\n"
    )
    (flow.path / "sales.yaml").write_text(
        "dag_id: sales\ntasks:\n  total:\n    python: steps:total\n    with: {amounts: [1.5, 2]}\n"
    )
    answer = verify(flow, "total", file="sales.yaml")
    assert answer.code == 0, answer
    validated = flow.call("dag", "validate", "sales.yaml")
    assert validated.code == 0 and "sales.yaml" in validated.out and "steps.py" not in validated.out
