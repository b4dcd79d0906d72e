"""What a person sees of approvals, and how he answers them."""

from __future__ import annotations

import pytest
from cli_world import Folder

DAG_FILE = """
from glidepath import approval, dag, task

STAGE = {"type": "string", "enum": ["canary", "1"]}
FORM = {"properties": {"stage": STAGE, "percent": {"type": "integer", "default": 5}}, "required": ["stage"]}


@task
def deploy(answer: dict) -> str:
    return f"{answer['values']['stage']} by {answer['by']}"


@dag
def release(model: str = "tree") -> None:
    deploy(approval("ask", f"Deploy {model} of {{{{ ds }}}}?", form=FORM, timeout="2d"))
"""


@pytest.fixture(scope="module")
def home(running: Folder) -> Folder:
    (running.path / "release.py").write_text(DAG_FILE)
    assert running.call("dag", "register", "release.py").code == 0
    return running


@pytest.fixture
def waiting(home: Folder) -> str:
    answer = home.call("dag", "trigger", "release", "--logical-date", "2026-03-05", "-p", "model=forest", "-o", "json")
    run_id: str = answer.json["dagRunId"]
    return run_id


def test_what_is_asked_is_shown_with_its_values_put_in(home: Folder, waiting: str) -> None:
    listed = home.call("approval", "list", "--run", waiting)
    assert "Deploy forest of 2026-03-05?" in listed.out and "percent=5, stage" in listed.out
    assert f"glidepath approval answer {waiting} ask --approve" in listed.err
    assert "waits for an answer" in home.call("run", "explain", waiting).out


def test_an_answer_has_the_types_of_the_form_and_is_shown_with_who_gave_it(home: Folder, waiting: str) -> None:
    answer = home.call("approval", "answer", waiting, "ask", "--approve", "--value", "stage=1", "--note", "go on")
    assert answer.code == 0 and "approved" in answer.out and '"stage":"1"' in answer.out, answer.err
    assert home.call("run", "watch", waiting).code == 0
    assert home.call("run", "output", waiting, "deploy").out.strip().strip('"').startswith("1 by ")
    assert "go on" in home.call("approval", "list", "--run", waiting, "--all").out
    other = home.call("approval", "answer", waiting, "ask", "--reject")
    assert other.code == 6 and "was approved by" in other.err


def test_a_value_that_does_not_fit_is_named_by_its_option(home: Folder, waiting: str) -> None:
    wrong = home.call("approval", "answer", waiting, "ask", "--approve", "--value", "stage=half")
    assert wrong.code == 2 and '--value stage: got "half", expected one of "canary", "1"' in wrong.err
    rejected = home.call("approval", "answer", waiting, "ask", "--reject", "--note", "not on a Friday")
    assert rejected.code == 0
    assert home.call("run", "watch", waiting).code == 1
    assert "not on a Friday" in home.call("run", "show", waiting).out
